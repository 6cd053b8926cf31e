"""What a supervisor keeps on disk while nobody asks it to: restarts that count no more go, and what a full disk refused comes later."""

from __future__ import annotations

import dataclasses
import json
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "roles/engine/files/supervisor"))
import group
import record
import status
import supervisor


@pytest.fixture
def head(tmp_path: Path) -> Any:
    """As much of a head's supervisor as its record needs."""
    one = supervisor.Supervisor.__new__(supervisor.Supervisor)
    one.limit, one.record, one._kept = 3, str(tmp_path / "group.json"), None
    one.settings = {"launch": "l", "names": ["n0"]}
    one.status = cast(Any, SimpleNamespace(data={"boot_id": "b"}))
    return one


def test_restarts_that_count_no_more_are_taken_out_while_the_group_serves(head: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """A power cut after weeks: of another boot, nobody can tell how old they are."""
    now = [10_000.0]
    monkeypatch.setattr(time, "monotonic", lambda: now[0])
    fresh = group.begin(["n0"], 3, 600, 0.0)
    state = dataclasses.replace(fresh, phase=group.SERVING, generation=4, served=True, restarts=(9_000.0, 9_500.0, 9_900.0))
    head._record(state)
    found: Any = record.read(head.record, "l", "another boot", fresh)
    assert found.restarts == (0.0, 0.0, 0.0)
    now[0] += 14 * 24 * 3600
    head._record(state)
    assert json.loads(Path(head.record).read_text())["restarts"] == []
    found = record.read(head.record, "l", "another boot", fresh)
    assert (found.phase, found.generation, found.restarts) == (group.WAITING, 4, ())


def test_the_status_says_how_many_restarts_count_now(head: Any, tmp_path: Path) -> None:
    """A generation may serve for weeks; each restart counts for an hour."""
    about = {"node": "n0", "rank": 0, "role": "head", "hash": "h", "profile": "p"}
    head.status, head.number, head.term = status.Status(str(tmp_path / "status.json"), about), 4, False
    head.guard = SimpleNamespace(verdict="")
    order = {"do": "run", "generation": 4, "serving": True, "restarts": 3, "limit": 3}
    head.link = SimpleNamespace(order=lambda: order)
    head.status.begin(4, 3, 3)
    head.status.enter("serving")
    for count in (3, 2, 0):
        order["restarts"] = count
        assert head._check()
        assert json.loads((tmp_path / "status.json").read_text())["restarts"] == f"{count} of 3 within an hour"
    written = (tmp_path / "status.json").stat().st_mtime_ns, (tmp_path / "status.json").stat().st_ino
    assert head._check()
    assert ((tmp_path / "status.json").stat().st_mtime_ns, (tmp_path / "status.json").stat().st_ino) == written, "nothing is new"


def test_a_record_that_a_full_disk_refused_is_written_when_there_is_room(head: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    state = dataclasses.replace(group.begin(["n0"], 3, 600, 0.0), phase=group.DOWN, generation=2, reason="r")
    with monkeypatch.context() as full:
        full.setattr(record, "write", lambda *_arguments: (_ for _ in ()).throw(OSError(28, "No space left on device")))
        head._record(state)
    assert not Path(head.record).exists()
    head._record(state)
    assert json.loads(Path(head.record).read_text())["phase"] == group.DOWN
