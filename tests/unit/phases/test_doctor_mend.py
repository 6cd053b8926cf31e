"""What mend=true takes away, what it leaves, and what is told of both."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _doctor_checks, _doctor_text, _doctor_verdict
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from test_doctor import LEFT, LOCK, ONE, STATE, beside, diagnosed, healthy, left, named, old
from worlds import engine, planned


@pytest.fixture
def plan(resolve: Any) -> Plan:
    return planned(resolve)


@pytest.fixture
def seen(plan: Plan) -> dict[str, Any]:
    return healthy(plan)


def test_only_what_nobody_can_miss_is_mended(plan: Any, seen: Any) -> None:
    """An engine, what any node has a record of, and everything where a node is silent, are left."""
    record = seen["worlds"]["gx10-1"]["engine"]["record"]["plan"]["hash"]
    for item in (old(running=True, status={"phase": "serving"}), old(running=True, status={"phase": "engine"}), old(plan=record)):
        changed = copy.deepcopy(seen)
        beside("gx10-3", item)(changed)
        found = diagnosed(plan, changed)
        assert (named(found), found["mend"]) == ([("gx10-3", "container", "left-over")], {})
    group = copy.deepcopy(seen)
    for name, number in (("gx10-2", "e"), ("gx10-3", "f")):
        beside(name, old(running=True, status={"phase": "waiting"}, id=number * 64))(group)
    assert diagnosed(plan, group)["mend"] == {}, "a group that has not passed its gate yet may start again"
    beside("gx10-3", old())(seen)
    left("gx10-3", files=[LEFT], lock={"error": "", "holder": LOCK, "age": 121.0})(seen)
    found = diagnosed(plan, seen)
    todo = {"lock": True, "files": [{"path": ONE, "which": "7:8"}], "works": [], "containers": ["e" * 64]}
    assert found["mend"] == {"gx10-3": todo}
    mended = _doctor_verdict.after(found, {"gx10-3": {code: [DONE, SKIPPED] for code in _doctor_checks.MENDS}})
    assert (mended["verdict"], mended["findings"], len(mended["mended"]), mended["unmended"]) == ("healthy", [], 3, [])
    assert _doctor_verdict.after(found, {})["findings"] == found["findings"], "what was not done is not said to be"
    del seen["worlds"]["gx10-2"]
    assert diagnosed(plan, seen)["mend"]["gx10-3"]["containers"] == []
    del seen["worlds"]["gx10-1"]
    assert diagnosed(plan, seen, api=None)["mend"] == {}, "who has the lock does not answer"


DONE: Any = {"changed": True}
SKIPPED: Any = {"changed": False, "skipped": True}
BUSY: Any = {"failed": True, "msg": "busy"}


@pytest.mark.parametrize(
    ("codes", "gone", "failed"),
    [
        # Nobody got the lock.
        ({"stale-lock": [{"failed": True, "msg": "locked by serve"}, SKIPPED], "stale-file": [SKIPPED, SKIPPED], "orphan": [SKIPPED]},
         [], [("stale-lock", "locked by serve")]),
        # One of two tasks failed; what was removed beside it is told.
        ({"stale-lock": [DONE, SKIPPED], "stale-file": [{"results": [DONE, BUSY], "failed": True, "msg": "items"}], "orphan": [DONE]},
         ["orphan", "stale-lock"], [("stale-file", "busy")]),
        ({"stale-lock": [SKIPPED, {"results": [DONE, DONE]}], "stale-file": [DONE, SKIPPED], "orphan": [{"unreachable": True, "msg": ""}]},
         ["stale-file", "stale-lock"], [("orphan", "no word why")]),
    ],
)  # fmt: skip
def test_what_was_mended_and_what_failed_are_both_told(plan: Any, seen: Any, codes: Any, gone: list[str], failed: Any) -> None:
    beside("gx10-3", old())(seen)
    left("gx10-3", files=[LEFT], lock={"error": "", "holder": LOCK, "age": 121.0})(seen)
    found = _doctor_verdict.after(diagnosed(plan, seen), {"gx10-3": codes})
    assert sorted(one["code"] for one in found["mended"]) == gone
    assert [(one["node"], one["code"], one["why"]) for one in found["unmended"]] == [("gx10-3", code, why) for code, why in failed]
    assert sorted(one["code"] for one in found["findings"]) == sorted({"stale-lock", "stale-file", "orphan"} - set(gone))
    assert (found["verdict"], found["ok"]) == ("degraded", False)
    (line,) = [line for line in _doctor_text.text(found, False).splitlines() if "not mended" in line]
    assert line == f"  not mended: gx10-3: {failed[0][0]}: {failed[0][1]}"


def test_a_living_run_is_a_note_and_nothing_is_mended_beside_it(plan: Any, seen: Any) -> None:
    left("gx10-1", lock={"error": "", "holder": LOCK, "age": 100.0})(seen)
    left("gx10-2", files=[LEFT], works=["w"], stages=["a/b"])(seen)
    engine("gx10-2", lambda look: look["listeners"].append({"port": 8731, "pid": 9, "command": "nginx", "container": None}))(seen)
    found = diagnosed(plan, seen)
    assert (found["findings"], found["mend"]) == ([], {})
    assert found["notes"] == ["A run changes the cluster now: serve other, process 7 on ctl."]
    ended = diagnosed(plan, seen, ended=["gx10-1"])
    assert ("gx10-1", f"{STATE}/lock.json", "stale-lock") in named(ended), "this machine knows that it has ended"
    assert len(ended["findings"]) == 5
