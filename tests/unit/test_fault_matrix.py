"""The fault matrix's pure parts: what is chosen, what breaks an invariant, what the table says; and its look at real processes."""

from __future__ import annotations

import dataclasses
import importlib
import itertools
import json
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

catalogue: Any = importlib.import_module("tools.faults.catalogue")
choice: Any = importlib.import_module("tools.faults.choice")
table: Any = importlib.import_module("tools.faults.table")
verdict: Any = importlib.import_module("tools.faults.verdict")
driver: Any = importlib.import_module("tools.faults.driver")
main: Any = importlib.import_module("tools.faults.__main__")

ROOT = Path(__file__).resolve().parents[2]
GROUP = verdict.Group("p", ("a", "b"))
BEGAN = 1000.0


def process(pid: int, command: str, container: str, started: float = BEGAN + 1) -> dict[str, Any]:
    return {"pid": pid, "parent": 1, "state": "S", "command": command, "started": started, "container": container}


def node(rank: int | None, phase: str = "", *commands: str) -> dict[str, Any]:
    """What is seen of a node whose rank is in this phase, with these processes; without a rank it has none of ours."""
    ours = {"id": f"c{rank}", "name": "p", "running": True, "profile": "p", "rank": str(rank)}
    stranger = {"id": "f", "name": "bystander", "running": True, "profile": "", "rank": ""}
    status = {"phase": phase, "generation": 2, "reason": "", "phases": [{"name": "ray", "at": BEGAN}], "evidence": {}}
    return {
        "boot": "7",
        "containers": [stranger, *([ours] if rank is not None else [])],
        "processes": [process(10 + number, command, f"c{rank}") for number, command in enumerate(commands)],
        "listeners": [{"address": "10.0.0.1", "port": 8000, "pid": 10}] if rank == 0 and commands else [],
        "statuses": {"p": status} if rank is not None else {},
        "lock": None,
        "temporary": [],
        "supervisors": [],
        "bystander": 77,
        "journal": [],
    }


def healthy() -> dict[str, Any]:
    head = node(0, "serving", "/opt/venv/bin/python /opt/venv/bin/vllm serve /m", "VLLM::EngineCore", "/r/raylet --x", "ray::RayWorkerProc")
    return {"a": head, "b": node(1, "joined", "/r/raylet --x", "ray::RayWorkerProc"), "c": node(None)}


def down() -> dict[str, Any]:
    found = {"a": node(0, "failed"), "b": node(1, "waiting"), "c": node(None)}
    for look in (found["a"], found["b"]):
        look["statuses"]["p"]["reason"] = "b: raylet was ended by SIGKILL"
    return found


def test_a_group_that_serves_and_one_that_is_down_with_a_reason_break_nothing() -> None:
    assert verdict.broken(healthy(), healthy(), GROUP, answers=True) == []
    assert verdict.serves(healthy(), GROUP)
    assert verdict.broken(down(), healthy(), GROUP, answers=False) == []
    killed = down()
    killed["b"]["containers"][1]["running"] = False
    killed["b"]["statuses"]["p"].update(phase="joined", reason="")
    assert verdict.broken(killed, healthy(), GROUP, answers=False) == [], "its supervisor could say nothing more; the head does"
    killed["a"] = killed["b"]
    assert "nobody says why" in verdict.broken(killed, healthy(), GROUP, answers=False)[0]
    gone = down()
    del gone["b"]
    assert verdict.broken(gone, healthy(), GROUP, answers=False) == [], "a node that is off runs nothing"


BREAKS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "half down": (lambda found: found["b"]["statuses"]["p"].update(phase="failed", reason="x"), "b: half down"),
    "no reason": (lambda found: found.update(b=node(1, "waiting"), a=node(0, "failed")), "wanted down with a reason"),
    "two generations": (lambda found: found["b"]["statuses"]["p"].update(generation=1), "neither serving on all ranks nor down"),
    "an old process": (lambda found: found["a"]["processes"][1].update(started=BEGAN - 60), "a: of an old generation: found 11 VLLM"),
    "an orphan": (lambda found: found["b"]["processes"][0].update(container="other"), "b: outside of our container"),
    "a second core": (lambda found: found["a"]["processes"].append(process(99, "VLLM::EngineCore", "c0")), "VLLM::EngineCore: found 11"),
    "a taken port": (lambda found: found["a"]["listeners"].append({"address": "::", "port": 6379, "pid": 1}), "a: on our ports"),
    "a held lock": (lambda found: found["a"].update(lock={"purpose": "serve p", "pid": 5}), "a: the lock is held: serve p, process 5"),
    "a temporary file": (lambda found: found["c"].update(temporary=["/var/lib/gx10/x.new"]), "c: temporary files: /var/lib/gx10/x.new"),
    "a second container": (lambda found: found["b"]["containers"].append(found["b"]["containers"][1]), "wanted one"),
    "an engine elsewhere": (lambda found: found["c"]["processes"].append(process(3, "/r/raylet", "")), "a node without a rank"),
    "a foreign container ended": (lambda found: found["c"]["containers"][0].update(running=False), "the foreign container bystander"),
    "a foreign container gone": (lambda found: found["c"].update(containers=[]), "found removed"),
    "a foreign process gone": (lambda found: found["b"].update(bystander=0), "a foreign process, 77, is gone"),
    "no Docker": (lambda found: found["c"].update(containers=None), "c: Docker does not answer"),
}


@pytest.mark.parametrize("name", BREAKS)
def test_each_invariant_is_seen_to_break(name: str) -> None:
    change, says = BREAKS[name]
    looks = healthy()
    change(looks)
    found = verdict.broken(looks, healthy(), GROUP, answers=verdict.serves(looks, GROUP))
    assert any(says in text for text in found), found


def test_a_mute_api_and_one_that_answers_for_half_a_group() -> None:
    assert "the API does not answer" in verdict.broken(healthy(), healthy(), GROUP, answers=False)[0]
    assert any("the API answers" in text for text in verdict.broken(down(), healthy(), GROUP, answers=True))


def test_what_was_there_before_is_nobodys_and_a_reboot_ends_a_process() -> None:
    before, after = healthy(), healthy()
    for looks in (before, after):
        looks["c"]["temporary"] = ["/old.new"]
    after["b"].update(bystander=0, boot="8")
    assert verdict.broken(after, before, GROUP, answers=True) == []


def entry(at: float, text: str) -> dict[str, Any]:
    return {"at": BEGAN + at, "text": f"p: {text}"}


def test_the_journal_says_when_and_who() -> None:
    journals = {
        "a": [entry(-5, "serving"), entry(4.5, "failing: b: raylet was ended by SIGKILL"), entry(6, "ray"), entry(50, "serving")],
        "b": [entry(0.25, "failing: raylet was ended by SIGKILL"), entry(50, "joined"), {"at": BEGAN + 0.1, "text": "q: failing: other"}],
    }
    heard = verdict.heard(journals, GROUP, BEGAN)
    assert (heard.first, heard.everywhere, heard.serving) == (0.25, 4.5, 50)
    assert heard.culprit == "b: raylet was ended by SIGKILL"
    nothing = verdict.heard({"a": [entry(-5, "serving")], "b": []}, GROUP, BEGAN)
    assert (nothing.first, nothing.everywhere, nothing.serving, nothing.culprit) == (None, None, None, "")
    restarted = {"a": [entry(3, "waiting: for b; a: its supervisor was started again")], "b": []}
    assert verdict.heard(restarted, GROUP, BEGAN).culprit == "a: its supervisor was started again"
    assert verdict.heard(restarted, GROUP, BEGAN).everywhere is None


def test_the_list_is_as_long_as_was_asked_and_each_fault_can_be_done() -> None:
    faults = catalogue.FAULTS
    assert len(faults) >= 40
    assert len(catalogue.BY_NAME) == len(faults)
    assert {fault.how[0] for fault in faults} == set(driver.ACTIONS)
    for fault in faults:
        assert set(fault.moments) <= set(catalogue.MOMENTS), fault.name
        assert fault.on in ("head", "worker", "all", "control"), fault.name
        # Nothing is mended that was never held up, and nothing that must go on names a culprit.
        assert not (fault.outcome == catalogue.GOES_ON and fault.culprit), fault.name
    for name, moment in catalogue.SUBSET:
        assert moment in catalogue.BY_NAME[name].moments


def test_what_is_chosen() -> None:
    every = choice.chosen([], [])
    assert len(every) == sum(len(fault.moments) for fault in catalogue.FAULTS if not fault.without)
    assert [fault.on == "control" for fault, _moment in every] == sorted(fault.on == "control" for fault, _moment in every), "Ansible last"
    served = [fault.served for fault, _moment in every if fault.on != "control"]
    assert sum(one != other for one, other in itertools.pairwise(served)) == 2, "served otherwise twice"
    raylets = choice.chosen(["raylet-*"], ["idle", "streams"])
    assert {fault.name for fault, _moment in raylets} == {f"raylet-{what}-{on}" for what in ("kill", "stop") for on in ("head", "worker")}
    assert {moment for _fault, moment in raylets} == {catalogue.IDLE, catalogue.STREAMS}
    assert choice.left(raylets, {(fault.name, moment) for fault, moment in raylets[1:]}) == raylets[:1]
    with pytest.raises(choice.Wrong, match=r"FAULTS: found 'rayled'; wanted names or patterns"):
        choice.chosen(["rayled"], [])
    with pytest.raises(choice.Wrong, match=r"MOMENTS: found 'later'; wanted loading, idle, 8 streams"):
        choice.chosen([], ["later"])


def test_random_faults_are_the_same_for_a_seed_and_heal_alone() -> None:
    found = list(choice.randomly(50, 7))
    assert found == list(choice.randomly(50, 7))
    assert found != list(choice.randomly(50, 8))
    assert len(found) == 50
    assert {fault.on for fault, _moment in found} <= {"head", "worker", "all"}
    assert all(fault.served == catalogue.USUAL and fault.outcome != catalogue.DOWN and not fault.without for fault, _moment in found)


ROW = table.Row("raylet-kill-worker", "idle", 2, "2026-11-30", "abc", "heals", "gone", 0.3, 0.9, 41.0, 38.0, culprit="b: x", named=True)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({}, "ok"),
        ({"detected": 5.2}, "said late: wanted within 5 s"),
        ({"detected": None}, "nobody said so; wanted it within 5 s"),
        ({"serving": 53.1}, "back late: wanted within 53 s"),
        ({"serving": 53.0}, "ok"),
        ({"outcome": "goes on"}, "goes on; wanted: heals"),
        ({"named": False}, "the culprit is not named"),
        ({"broken": ("a: half down",)}, "**broken:** a: half down"),
        ({"unproven": "no process"}, "not shown: no process"),
    ],
)
def test_a_rows_verdict(changes: dict[str, Any], says: str) -> None:
    row = dataclasses.replace(ROW, **changes)
    assert table.cells(catalogue.BY_NAME[row.fault], row)[7] == says
    assert table.from_line(table.to_line(row)) == row


def test_the_last_row_of_a_fault_counts_and_the_page_sums() -> None:
    late = dataclasses.replace(ROW, detected=9.0)
    bad = dataclasses.replace(ROW, fault="gcs-kill-head", broken=("x",))
    page = table.page([late, ROW, bad, dataclasses.replace(ROW, fault="core-kill-head", unproven="no")], None)
    assert "measured 3, of which 2 are proven" in page
    assert "hold in 1, are broken in 1; 0 more" in page
    assert page.count("`raylet-kill-worker`") == 1
    assert "raylet-kill-worker (loading, 8 streams)" in page
    assert "not here" in page
    text = f"head\n{table.BEGIN}old{table.END}tail\n"
    assert table.put(text, "new") == f"head\n{table.BEGIN}\nnew\n{table.END}tail\n"
    assert table.put(table.put(text, "new"), "new") == table.put(text, "new")
    with pytest.raises(ValueError, match="wanted both"):
        table.put("no marks", "new")


def test_many_in_a_row_are_told_with_what_the_supervisors_held() -> None:
    held = {"pid": 5, "rss_kib": 20000, "files": 9, "threads": 4}
    about = {
        "command": "c", "date": "d", "commit": "k", "seed": 3, "count": 2, "minutes": 4.0,
        "before": {"a": [held], "b": [held]}, "after": {"a": [{**held, "rss_kib": 20100}], "b": []},
        "rows": [["core-kill-head", "idle", "heals", [], ""], ["gcs-kill-head", "idle", "down", ["a: half down"], ""]],
    }  # fmt: skip
    text = table.random_part(about)
    assert "2 proven, invariants broken by 1" in text
    assert "| a | 20000 → 20100 | 9 → 9 | 4 → 4 | the same |" in text
    assert "| b | 1 → 0 supervisors |" in text
    assert "gcs-kill-head, idle: a: half down" in text


def test_the_page_is_made_of_the_rows() -> None:
    about = json.loads(main.RANDOM.read_text()) if main.RANDOM.exists() else None
    page = main.PAGE.read_text()
    assert page == table.put(page, table.page(main.kept(), about)), "make it anew: .venv/bin/python -m tools.faults --table"


def test_a_look_sees_a_real_process_and_where_it_is(tmp_path: Path) -> None:
    """The node's program, here: no Docker of ours, but processes, their age and their command lines."""
    raylet = tmp_path / "raylet"
    raylet.symlink_to(sys.executable)
    child = subprocess.Popen([raylet, "-c", "import time; time.sleep(60)"])
    try:
        began = time.time()
        done = subprocess.run(
            [sys.executable, "-"], input=(ROOT / "tools/faults/look.py").read_text(), capture_output=True, text=True, check=True
        )
        look = json.loads(done.stdout)
        (found,) = [item for item in verdict.engine(look) if item["pid"] == child.pid]
        assert abs(found["started"] - began) < 10
        assert found["state"] in "SR"
    finally:
        child.kill()
        child.wait()
