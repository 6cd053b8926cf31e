"""A supervisor that stands still is ended with its engine, and one that only has a hard time is not."""

from __future__ import annotations

import json
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from launches import GENEROUS, Launch, launching
from test_supervisor import Run, eventually, run  # noqa: F401

sys.path.append(str(ROOT / "roles/engine/files/supervisor"))
import group
import watchdog

BOUND = group.LOST + watchdog.STOPPED


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launch]]:
    yield from launching(tmp_path)


def looks(judge: watchdog.Judge, seconds: int, fed: bool, state: str, busy: int = 0, every: float = 1.0, cpu: int = 7) -> tuple[float, str]:
    """(seconds until the verdict, the verdict) of looks at one state; `busy`: ticks of CPU time a look."""
    since = judge.at
    while judge.at < since + seconds:
        cpu += busy
        verdict = judge.see(judge.at + every, fed, state, cpu)
        if verdict:
            return judge.at - since, verdict
    return judge.at - since, ""


def test_one_that_is_stopped_is_ended_at_the_bound_and_not_before() -> None:
    assert looks(watchdog.Judge(BOUND, 0.0), 60, False, "T") == (BOUND, "its supervisor was stopped by a signal for 10 s")
    judge = watchdog.Judge(BOUND, 0.0)
    for _again in range(20):
        assert looks(judge, int(BOUND) - 1, False, "T")[1] == ""
        assert looks(judge, 1, True, "S")[1] == ""


@pytest.mark.parametrize(
    ("fed", "state", "busy"),
    [
        # Fed, whatever else shows: what was fed before it was stopped is read late.
        (True, "S", 0),
        (True, "T", 0),
        # It gets a tick now and then: a starved machine, memory that is reclaimed, a disk that hangs under one of its threads.
        (False, "R", 1),
        (False, "D", 1),
        # Under a debugger, which gives it steps.
        (False, "t", 1),
    ],
)
def test_a_hard_time_is_no_end(fed: bool, state: str, busy: int) -> None:
    assert looks(watchdog.Judge(BOUND, 0.0), 3600, fed, state, busy)[1] == ""


def test_one_without_any_sign_is_ended_after_two_minutes() -> None:
    seconds, verdict = looks(watchdog.Judge(BOUND, 0.0), 600, False, "S")
    # The first look knows no CPU time before it.
    assert seconds == watchdog.HUNG + 1
    assert verdict == "its supervisor gave no sign of life and spent no CPU time for 120 s"


@pytest.mark.parametrize("state", ["T", "S"])
def test_time_that_nobody_saw_proves_nothing(state: str) -> None:
    """A container that was paused for an hour, again and again: its watchdog stood still, too."""
    assert looks(watchdog.Judge(BOUND, 0.0), 36000, False, state, every=3600.0)[1] == ""


def alive(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_stopped_supervisor_ends_with_its_engine_and_its_rank_comes_back(launch: Callable[..., Launch]) -> None:
    one = launch()
    one.serves()
    victim, rest = one.nodes[1], [one.nodes[0], one.nodes[2]]
    engine = victim.status()["evidence"]["engine_pid"]
    victim.process.send_signal(signal.SIGSTOP)
    stopped = time.monotonic()
    one.ended(rest, 1)
    assert alive(engine), "it is its watchdog that ends it"
    assert victim.process.wait(BOUND + GENEROUS) == -signal.SIGKILL
    print(f"a stopped supervisor was ended after {time.monotonic() - stopped:.1f} s")
    assert time.monotonic() - stopped >= BOUND - watchdog.FEED
    assert not alive(engine)
    assert victim.status()["phase"] == "failed"
    assert victim.status()["reason"].startswith("its supervisor was stopped by a signal for 10 s; its watchdog has ended it")
    assert not list(victim.folder.glob("*.new"))
    victim.start()  # as Docker does
    one.serves(2)
    assert one.head.status()["restarts"] == "1 of 3 within an hour"


def test_without_restarts_a_stopped_supervisor_ends_and_all_are_told(launch: Callable[..., Launch]) -> None:
    one = launch(ranks=2, restarts=0)
    one.serves()
    victim = one.nodes[0]
    engine = victim.status()["evidence"]["engine_pid"]
    victim.process.send_signal(signal.SIGSTOP)
    # The others' patience is not shortened by it.
    assert one.nodes[1].process.wait(group.LOST_FOR_GOOD + GENEROUS) == 1
    assert "n0: no heartbeat for 30 s" in one.nodes[1].status()["reason"]
    assert victim.process.wait(2 * watchdog.STOPPED + GENEROUS) == -signal.SIGKILL
    assert not alive(engine)
    assert victim.status()["phase"] == "failed"


def test_who_is_stopped_for_a_moment_goes_on(launch: Callable[..., Launch]) -> None:
    """Alone, where no link tells a loss."""
    one = launch(ranks=1)
    one.serves()
    for _again in range(2):
        one.head.process.send_signal(signal.SIGSTOP)
        time.sleep(BOUND - 3)
        one.head.process.send_signal(signal.SIGCONT)
        time.sleep(3)
    one.serves(1, 1)


def below(pid: int) -> list[int]:
    return [int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()]


def dogs(pid: int) -> list[int]:
    return [child for child in below(pid) if b"watchdog.py" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_a_watchdog_that_dies_is_replaced_and_leaves_with_its_supervisor(run: Callable[..., Run]) -> None:  # noqa: F811
    one = run()
    one.reaches("serving")
    (dog,) = eventually(lambda: dogs(one.process.pid))
    os.kill(dog, signal.SIGKILL)
    assert eventually(lambda: [other for other in dogs(one.process.pid) if other != dog], 10 * watchdog.FEED + GENEROUS)
    (dog,) = dogs(one.process.pid)
    assert one.status()["phase"] == "serving"
    one.process.terminate()
    assert one.ends(0) == "as asked"
    assert one.status()["evidence"].get("swept") is None, "it is no process of the engine"
    assert eventually(lambda: not alive(dog), GENEROUS)
    assert json.loads((one.folder / "status.json").read_text())["phase"] == "stopped"
