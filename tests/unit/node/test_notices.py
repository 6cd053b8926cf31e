"""What the head's supervisor notes: which transition is told when, by the pure function, and by real supervisors whose ranks are killed."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from launches import Launch, launching
from test_supervisor import eventually

sys.path.insert(0, str(ROOT / "roles/engine/files/supervisor"))
import group
import notices

NAMES = ["n0", "n1"]
PART = {"node": "n0", "profile": "tiny", "hash": "sha256:1"}


class Teller:
    """A group's states, one after the other, and what is told of each."""

    def __init__(self) -> None:
        self.told: notices.Told | None = None

    def at(self, phase: str, generation: int, reason: str = "", kind: str = "", waited: float = 0.0) -> list[str]:
        ranks = tuple(group.Rank(name) for name in NAMES)
        state = group.Group(ranks, 3, 600.0, 1000.0, phase, generation, reason=reason, kind=kind)
        events, self.told = notices.news(state, self.told, 1000.0 + waited)
        again, self.told = notices.news(state, self.told, 1000.0 + waited)
        assert again == [], "told twice"
        return events


def test_a_life_is_told_in_order_and_each_transition_once() -> None:
    teller = Teller()
    assert teller.at(group.WAITING, 0, waited=500.0) == []
    assert teller.at(group.STARTING, 1) == []
    assert teller.at(group.SERVING, 1) == ["serving"]
    assert teller.at(group.ENDING, 1, "n1: killed", group.SIGNAL) == ["failing"]
    assert teller.at(group.WAITING, 1, "n1: killed", group.SIGNAL, waited=29.0) == []
    assert teller.at(group.WAITING, 1, "n1: killed", group.SIGNAL, waited=31.0) == ["waiting"]
    assert teller.at(group.STARTING, 2, "n1: killed", group.SIGNAL) == ["restarting"]
    assert teller.at(group.SERVING, 2, "n1: killed", group.SIGNAL) == ["serving"]
    assert teller.at(group.ENDING, 2, "n0: the engine is wedged", group.WEDGE) == ["wedged"]
    assert teller.at(group.DOWN, 2, "no restart is left", group.WEDGE) == ["down"]


@pytest.mark.parametrize(("kind", "end"), [(group.SIGNAL, "failing"), (group.WEDGE, "wedged")])
def test_what_was_passed_between_two_looks_is_told_late(kind: str, end: str) -> None:
    teller = Teller()
    teller.at(group.SERVING, 1)
    assert teller.at(group.STARTING, 2, "n0: it ended", kind) == [end, "restarting"]
    assert teller.at(group.DOWN, 2, "n0: it ended again", kind) == [end, "down"]


def test_a_stop_is_told_as_one_and_as_no_failure() -> None:
    teller = Teller()
    teller.at(group.SERVING, 1)
    assert teller.at(group.STOPPED, 1, "was stopped", group.STOP) == ["stopped"]
    teller = Teller()
    teller.at(group.SERVING, 1)
    assert teller.at(group.ENDING, 1, "n1: was stopped", group.STOP) == []
    assert teller.at(group.STARTING, 2, "n1: was stopped", group.STOP) == ["restarting"]


def test_a_process_that_begins_tells_what_it_finds_and_not_what_was_told() -> None:
    assert Teller().at(group.WAITING, 4, "n0: its supervisor was started again", group.SIGNAL) == ["failing"]
    # After a reboot, too: it is still down.
    assert Teller().at(group.DOWN, 4, "no restart is left", group.SIGNAL) == ["down"]
    assert Teller().at(group.STARTING, 1) == []


def read(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((folder / "notices/spool").glob("*.json"))]


def head(folder: Path) -> notices.Notices:
    return notices.Notices({**PART, "status_file": str(folder / "status.json")})


def state(phase: str, generation: int, **more: Any) -> group.Group:
    return group.Group(tuple(group.Rank(name) for name in NAMES), 3, 600.0, 0.0, phase, generation, **more)


def test_a_notice_says_what_people_and_programs_need(tmp_path: Path) -> None:
    (tmp_path / "notices").mkdir()
    one = head(tmp_path)
    one.see(state(group.SERVING, 1))
    one.see(state(group.STARTING, 2, reason="n1: raylet killed by signal 9", kind=group.SIGNAL, restarts=(1.0,)))
    found = read(tmp_path)
    assert [item["sequence"] for item in found] == [1, 2, 3]
    assert [item["text"] for item in found] == [
        "tiny: serving",
        "tiny: failing: n1: raylet killed by signal 9",
        "tiny: restarting 1 of 3: n1: raylet killed by signal 9",
    ]
    assert {key: found[2][key] for key in ("event", "profile", "node", "launch", "generation", "restarts", "limit")} == {
        "event": "restarting", "profile": "tiny", "node": "n0", "launch": "sha256:1", "generation": 2, "restarts": 1, "limit": 3,
    }  # fmt: skip
    assert oct((tmp_path / "notices/spool").stat().st_mode & 0o777) == "0o700"
    # Numbers go on in another process, also when all has been taken away.
    for path in (tmp_path / "notices/spool").iterdir():
        path.unlink()
    head(tmp_path).see(state(group.SERVING, 3))
    assert [item["sequence"] for item in read(tmp_path)] == [4]


def test_an_end_before_there_is_a_group_is_told(tmp_path: Path) -> None:
    (tmp_path / "notices").mkdir()
    one = head(tmp_path)
    one.see(None, "nothing holds the address")
    one.see(None, "nothing holds the address")
    assert [item["text"] for item in read(tmp_path)] == ["tiny: down: nothing holds the address"]


def test_nobody_reads_and_the_oldest_go(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "BOUND", 5)
    (tmp_path / "notices").mkdir()
    one = head(tmp_path)
    for generation in range(1, 9):
        one.see(state(group.SERVING, generation))
    assert [item["generation"] for item in read(tmp_path) if item["event"] == "serving"][-1] == 8
    assert [item["sequence"] for item in read(tmp_path)] == [4, 5, 6, 7, 8]


def test_a_folder_that_cannot_be_written_and_none_end_nothing(tmp_path: Path) -> None:
    head(tmp_path).see(state(group.SERVING, 1))
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "notices").mkdir()
    (tmp_path / "notices/spool").write_text("no folder")
    head(tmp_path).see(state(group.SERVING, 1))
    (tmp_path / "notices/spool").unlink()
    (tmp_path / "notices/sequence").write_text("x")
    head(tmp_path).see(state(group.SERVING, 1))
    assert [item["sequence"] for item in read(tmp_path)] == [1]


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launch]]:
    yield from launching(tmp_path)


def test_the_heads_supervisor_notes_a_killed_rank_its_restart_and_its_stop(launch: Callable[..., Launch]) -> None:
    one = launch(ranks=2)
    (one.nodes[0].folder / "notices").mkdir()
    one.serves()
    one.nodes[1].kill_rank()
    one.serves(2)
    assert eventually(lambda: [item["event"] for item in read(one.nodes[0].folder)] == ["serving", "failing", "restarting", "serving"], 10)
    found = read(one.nodes[0].folder)
    assert found[2]["text"].startswith(f"{found[0]['profile']}: restarting 1 of 3: n1: the engine was ended by SIGKILL")
    one.nodes[0].end()
    assert read(one.nodes[0].folder)[-1]["event"] == "stopped"
    assert not (one.nodes[1].folder / "notices").exists()
