"""After an end under the memory floor: the next start waits for the memory, so that a shortage costs one restart."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import ROOT
from launches import GENEROUS, Launch, Node, launching
from test_supervisor import STUBS, eventually

sys.path.insert(0, str(ROOT / "roles/engine/files/supervisor"))
import memory


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now

    def rest(self, seconds: float) -> None:
        self.now += seconds


@pytest.mark.parametrize(
    ("short", "waits"),
    [
        (0.0, (2, 2.5)),
        (10.0, (12, 12.5)),
        # As long as it lasts, and no longer than the group waits for a rank that ends.
        (1000.0, (45, 45.3)),
    ],
)
def test_it_waits_for_the_memory_within_a_bound(short: float, waits: tuple[float, float]) -> None:
    clock = Clock()
    floor = memory.Floor(2, lambda: 1.0 if clock.now < 100 + short else 50.0, clock)
    memory.wait(floor, lambda: False, clock.rest)
    assert waits[0] <= clock.now - 100 <= waits[1]


def test_memory_that_comes_and_goes_is_not_back() -> None:
    clock = Clock()
    memory.wait(memory.Floor(2, lambda: 1.0 if int(clock.now) % 2 else 50.0, clock), lambda: False, clock.rest)
    assert clock.now - 100 >= memory.WAIT


def test_where_nothing_starts_again_nobody_waits() -> None:
    clock = Clock()
    memory.wait(memory.Floor(2, lambda: 1.0, clock), lambda: True, clock.rest)
    assert clock.now == 100


class Short(Node):
    """One whose host's memory is what a file says."""

    program = STUBS / "stub_memory.py"

    def start(self) -> None:
        (self.folder / "memory").write_text("100")
        self.part["memory_floor_gib"] = 2
        super().start()


class ShortLaunch(Launch):
    node = Short


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launch]]:
    yield from launching(tmp_path)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_shortage_of_seconds_costs_one_restart(launch: Callable[..., Launch], rank: int) -> None:
    one = launch(ranks=2, kind=ShortLaunch)
    one.serves()
    (one.nodes[rank].folder / "memory").write_text("0.5")
    assert eventually(lambda: "less than 2 GiB" in str(one.head.status()), GENEROUS), one.statuses()
    time.sleep(6)
    assert [node.status()["generation"] for node in one.nodes] == [1, 1]
    (one.nodes[rank].folder / "memory").write_text("100")
    one.serves(2)
    assert one.head.status()["restarts"] == "1 of 3 within an hour"
    assert f"n{rank}: the host has had less than 2 GiB" in one.head.status()["evidence"]["ended"]
