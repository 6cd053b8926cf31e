"""Another run's lock, on whatever node it is."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _locks

HOLDER = {"run": "other", "control": "ctl", "pid": 7, "purpose": "serve a", "lease": 60}


def elsewhere(lock: Any, ended: bool = False) -> list[str]:
    worlds: Any = {"gx10-1": {"lock": None}, "gx10-2": {"lock": lock}, "gx10-3": {"unreachable": True, "msg": "no route"}}
    return [str(problem) for problem in _locks.elsewhere(worlds, "/state/lock.json", "ours", lambda _holder: ended)]


def lock(age: float = 4.0, **more: Any) -> Any:
    return {"error": "", "holder": {**HOLDER, **more}, "age": age, "held": 312.0}


def test_who_holds_it_where_and_since_when_is_told() -> None:
    assert elsewhere(lock()) == [
        "gx10-2: /state/lock.json: found the cluster locked by serve a, process 7 on ctl, for 312 s, renewed 4 s ago; wanted it free. "
        "Wait for that run. If it is dead, wait 56 s: its lock is taken over by itself. [locked]"
    ]
    assert elsewhere({"error": "'half a line'"}) == [
        "gx10-2: /state/lock.json: found 'half a line'; wanted a lock of this release, or none. If no run changes the group, remove it. "
        "[wrong-form]"
    ]


@pytest.mark.parametrize(
    ("found", "ended"),
    [
        (None, False),
        # This run's own, as on the head.
        (lock(run="ours"), False),
        # A dead run's: its lease is over, or this machine knows.
        (lock(61.0), False),
        (lock(), True),
    ],
)
def test_what_is_no_other_living_runs_refuses_nobody(found: Any, ended: bool) -> None:
    assert elsewhere(found, ended) == []
