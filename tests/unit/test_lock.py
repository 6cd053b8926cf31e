"""The cluster's lock: one holder, on the node's own clock, and who may say that a holder is gone. test_lock_runs.py has real runs."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.gx10.serving.plugins.action import cluster_lock as action
from ansible_collections.gx10.serving.plugins.module_utils.node import _lock
from ansible_collections.gx10.serving.plugins.modules import cluster_lock


def holder(run: str, **more: Any) -> dict[str, Any]:
    found = {"control": "ctl", "pid": 7, "started": "1", "run": run, "token": run, "purpose": f"serve {run}", "lease": 60}
    return {**found, **more}


def lay(path: str, lock: dict[str, Any]) -> None:
    """A lock as it is, and not as of now."""
    Path(path).write_text(json.dumps(lock))


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "state").mkdir()
    return str(tmp_path / "state/lock.json")


def test_one_run_holds_the_lock(path: str) -> None:
    assert cluster_lock.take(path, holder("1")) == {"held_by": {}, "taken_from": {}}
    assert cluster_lock.take(path, holder("1", token="again")) == {"held_by": {}, "taken_from": {}}
    # What renewed it before does not any more.
    assert [cluster_lock.renew(path, token) for token in ("1", "again")] == [False, True]
    # Only the run that was found gone is replaced.
    for gone in ("", "0"):
        found = cluster_lock.take(path, holder("2"), gone)
        assert (found["held_by"]["run"], found["held_by"]["age"] < 60, found["taken_from"]) == ("1", True, {})
    assert cluster_lock.take(path, holder("2"), "1")["taken_from"]["run"] == "1"
    cluster_lock.give_back(path, "1")
    assert _lock.read(path)["run"] == "2"
    cluster_lock.give_back(path, "2")
    assert _lock.read(path) == {}
    assert not cluster_lock.renew(path, "2")


def test_a_guard_that_somebody_else_holds_is_told_and_nobody_else_can_open_it(path: str, monkeypatch: pytest.MonkeyPatch) -> None:
    guard = Path(path + ".guard")
    guard.touch(0o644)
    cluster_lock.take(path, holder("1"))
    assert guard.stat().st_mode & 0o777 == 0o600
    monkeypatch.setattr(cluster_lock, "GUARD_SECONDS", 0.2)
    with open(guard, encoding="utf-8") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(OSError, match=r"another process has held it for 0.2 s \(fuser .*lock.json.guard names it\)"):
            cluster_lock.take(path, holder("1"))
    assert cluster_lock.take(path, holder("1")) == {"held_by": {}, "taken_from": {}}


def test_a_lock_counts_for_its_own_lease_on_the_nodes_own_clock(path: str) -> None:
    now = _lock.stamp()
    for age, held in ((50, True), (70, False)):
        lay(path, holder("1", node_boot=now["node_boot"], renewed=now["renewed"] - age))
        found = cluster_lock.take(path, holder("2", lease=1))
        assert found["held_by" if held else "taken_from"]["age"] == pytest.approx(age, abs=5)
    # The node has booted since: the holder had the time since then to renew it.
    for lease, held in ((10**9, True), (1, False)):
        lay(path, holder("1", node_boot="another", renewed=10.0**9, lease=lease))
        found = cluster_lock.take(path, holder("2"))
        assert found["held_by" if held else "taken_from"]["age"] == pytest.approx(now["renewed"], abs=5)


def contender(path: str, name: str, rounds: int, barrier: Any, won: Any) -> None:
    for number in range(rounds):
        barrier.wait()
        if not cluster_lock.take(path, holder(f"{number} {name}"), f"{number - 1} gone")["held_by"]:
            won.put(number)
        barrier.wait()
        # Half of the rounds start from a dead run's lock, the others from none.
        if name == "0":
            os.remove(path)
            if number % 2:
                lay(path, holder(f"{number} gone", **_lock.stamp()))


def test_of_many_that_start_at_once_one_gets_it(path: str) -> None:
    context, rounds = multiprocessing.get_context("fork"), 100
    barrier, won = context.Barrier(4), context.Queue()
    runs = [context.Process(target=contender, args=(path, str(number), rounds, barrier, won), daemon=True) for number in range(4)]
    for run in runs:
        run.start()
    winners = sorted(won.get(timeout=20) for _round in range(rounds))
    for run in runs:
        run.join(20)
    assert won.empty()
    assert winners == list(range(rounds))


OLD = json.dumps({"control": "ctl", "machine": "0", "pid": 7, "run": "1", "purpose": "serve a"})


@pytest.mark.parametrize(("text", "found"), [("half a line", "'half a line'"), ("", "''"), ("[]", "'[]'"), (OLD, '"purpose": "serve a"')])
def test_what_is_no_lock_of_this_release_is_named_and_left(text: str, found: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(path).write_text(text)
    message = module(capsys, path=path, holder=holder("2"))["msg"]
    assert message.startswith(f"{path}: found ")
    assert found in message
    assert "wanted a lock of this release, or none. If no run changes the group, remove it." in message
    assert "msg" not in module(capsys, path=path, holder=holder("2"), state="absent")
    assert module(capsys, path=path, holder=holder("2"), state="renewed")["renewed"] is False
    assert Path(path).read_text() == text


def test_a_place_where_no_lock_can_be_is_named(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkdir(path)
    assert f"{path}: found is a directory; wanted a lock" in module(capsys, path=path, holder=holder("1"))["msg"]
    Path(path, "file").touch()
    inside = f"{path}/file/lock.json"
    assert (
        f"{path}/file: found file exists; wanted to keep the cluster's lock there."
        in module(capsys, path=inside, holder=holder("1"))["msg"]
    )
    assert "lease: found 0; wanted" in module(capsys, path=path, holder=holder("1"), lease=0)["msg"]


def module(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        cluster_lock.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_only_its_own_machine_can_tell_that_a_process_ended() -> None:
    child = subprocess.Popen(["sleep", "60"])
    held = action.holder_of(child.pid)
    assert not action.gone(held)
    # Its number was given to another process.
    assert action.gone({**held, "started": "1"})
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert action.gone(held), "a zombie holds nothing"
    child.wait()
    assert action.gone(held)
    # Machines and containers of one name, with one machine ID or none, in one boot or one PID namespace: any of it differs.
    for key in action.place():
        assert not action.gone({**held, key: ""})
        assert not action.gone({name: value for name, value in held.items() if name != key})


@pytest.mark.parametrize("machine", ["", "a machine ID of an image"])
@pytest.mark.parametrize("other", ["boot", "pidns", "control"])
def test_finding_6_equal_or_empty_machine_ids_make_no_living_holder_look_gone(
    monkeypatch: pytest.MonkeyPatch, machine: str, other: str
) -> None:
    """Control nodes in containers of one image: the holder's process number means another process, or none, in this one."""
    here = {**action.place(), "machine": machine}
    monkeypatch.setattr(action, "place", lambda: here)
    child = subprocess.Popen(["true"])
    child.wait()
    held = {**action.holder_of(child.pid), "started": "1"}
    assert action.gone(held), "here it has ended"
    assert not action.gone({**held, other: "another"})


def test_a_process_that_is_hidden_is_no_process_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    held = action.holder_of(os.getpid())

    def hidden(*_args: Any, **_more: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(action, "place", lambda: {"control": held["control"]})
    monkeypatch.setattr(Path, "read_text", hidden)
    assert not action.gone(held)


def eventually(check: Callable[[], Any], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def attempts(folder: Path, *acts: Callable[[], bool]) -> tuple[Callable[[], int], Callable[[], bool]]:
    """What an attempt to renew does, one after the other; and how many there were."""

    def count() -> int:
        return len(list(folder.iterdir()))

    def renew() -> bool:
        (folder / str(count())).touch()
        return acts[count() - 1]()

    return count, renew


HANGS = f"4242.{os.getpid()}"


def hang() -> bool:
    subprocess.run(["sleep", HANGS])
    return True


def processes(argument: str) -> list[int]:
    """Those of whose command line it is a part."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if argument.encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def fail() -> bool:
    raise OSError("no route")


def test_a_node_that_fails_or_hangs_is_asked_again_until_the_lock_is_another_runs(tmp_path: Path) -> None:
    count, renew = attempts(tmp_path, fail, hang, lambda: True, lambda: False, lambda: True)
    action.keep(1, lambda: False, renew)
    assert count() == 4
    assert processes(HANGS) == []


def test_a_node_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    _count, renew = attempts(tmp_path, hang)
    seen: list[int] = []

    def over() -> bool:
        seen.extend(processes(HANGS))
        return bool(seen)

    started = time.monotonic()
    action.keep(8, over, renew)
    assert seen
    assert time.monotonic() - started < 8
    assert processes(HANGS) == []
