"""A process of the engine that a signal ends is named on its own node, though its parent collects it and tells nobody."""

from __future__ import annotations

import os
import platform
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from launches import GENEROUS, Launch, launching
from test_supervisor import HOME, eventually

sys.path.append(str(HOME))
import ranks

# Linux 6.15 tells how a process has ended that somebody else has collected.
TOLD = tuple(map(int, platform.release().split("-")[0].split(".")[:2])) >= (6, 15)
# A parent of the rank: it ignores SIGCHLD, as Ray's raylet does, or never looks at it.
PARENT = """if True:
    import signal, subprocess, sys, time
    if sys.argv[1] == "collects":
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    child = subprocess.Popen(["bash", "-c", "exec -a ray::RayWorkerProc.run sleep 8642", sys.argv[2]])
    other = subprocess.Popen(["sleep", "8643"])
    open(sys.argv[2], "w").write(str(child.pid) + " " + str(other.pid))
    while True:
        time.sleep(1)
"""


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launch]]:
    yield from launching(tmp_path)


def ranked(collects: str) -> type[Launch]:
    class Ranked(Launch):
        def part(self, rank: int, port: int | None = None) -> dict[str, Any]:
            found = super().part(rank)
            argv = [sys.executable, "-c", PARENT, collects, str(self.folder / f"n{rank}" / "pids")]
            return {**found, "engine": {**found["engine"], "argv": argv}} if rank else found

    return Ranked


def pids(one: Launch, rank: int) -> tuple[int, int]:
    """Of the rank, and of another process beside it; once the supervisor has seen them."""
    file = one.nodes[rank].folder / "pids"
    assert eventually(lambda: file.exists() and file.read_text(), GENEROUS)
    first, second = map(int, file.read_text().split())
    time.sleep(ranks.SCAN + 0.5)
    return first, second


@pytest.mark.parametrize("collects", ["collects", "leaves"])
def test_a_killed_rank_is_the_first_culprit(launch: Callable[..., Launch], collects: str) -> None:
    if collects == "collects" and not TOLD:
        pytest.skip("this kernel does not tell how a process ended that its parent has collected (Linux 6.15 does)")
    one = launch(kind=ranked(collects))
    one.serves()
    rank, other = pids(one, 1)
    # Another process that is killed is no news, and who is asked to end is no culprit.
    os.kill(other, signal.SIGKILL)
    os.kill(pids(one, 2)[0], signal.SIGTERM)
    time.sleep(1.5)
    one.serves(1, 1)
    os.kill(rank, signal.SIGKILL)
    print(f"a killed rank was known to all after {one.ended(one.nodes, 1):.1f} s")
    one.serves(2)
    for node in one.nodes:
        assert f"n1: ray::RayWorkerProc.run (process {rank}) was ended by SIGKILL" in node.status()["evidence"]["ended"]


def test_a_stop_names_nobody(launch: Callable[..., Launch]) -> None:
    """Stubborn ranks, which the sweep has to kill."""
    one = launch(kind=ranked("collects"))
    one.serves()
    pids(one, 1)
    one.head.process.terminate()
    assert one.head.process.wait(20) == 0
    assert eventually(lambda: [node.phase() for node in one.nodes[1:]] == ["waiting"] * 2, GENEROUS), one.statuses()
    for node in one.nodes[1:]:
        assert node.status()["evidence"]["ended"] == "n0: was stopped"
        assert node.status()["evidence"]["own"] == ""


def test_before_the_group_serves_the_engines_own_words_count(launch: Callable[..., Launch]) -> None:
    class Slow(ranked("leaves")):  # type: ignore[misc]
        def part(self, rank: int, port: int | None = None) -> dict[str, Any]:
            (self.folder / "engine.json").write_text('{"slow": 60}')
            found: dict[str, Any] = super().part(rank)
            return found

    one = launch(kind=Slow)
    assert eventually(lambda: [node.phase() for node in one.nodes] == ["engine", "joined", "joined"], GENEROUS), one.statuses()
    os.kill(pids(one, 1)[0], signal.SIGKILL)
    time.sleep(1.5)
    assert [node.phase() for node in one.nodes] == ["engine", "joined", "joined"], one.statuses()


def test_no_handle_is_left(tmp_path: Path) -> None:
    before = os.listdir("/proc/self/fd")
    found = ranks.Ranks(os.getpid())
    with subprocess.Popen(["bash", "-c", "exec -a VLLM::EngineCore sleep 8644"]) as core, subprocess.Popen(["sleep", "8645"]) as other:
        assert eventually(lambda: Path(f"/proc/{core.pid}/cmdline").read_bytes().startswith(b"VLLM::"), 5)
        found.look()
        assert len(os.listdir("/proc/self/fd")) == len(before) + 1
        os.kill(core.pid, signal.SIGSEGV)

        def killed() -> str:
            found.look()
            return found.killed

        assert eventually(killed, 5) == f"VLLM::EngineCore (process {core.pid}) was ended by SIGSEGV"
        found.close()
        assert len(os.listdir("/proc/self/fd")) == len(before)
        other.kill()


@pytest.mark.parametrize(
    ("fields", "code"), [(None, 0), (["sh", "S", "1", "0"], 0), (["sh", "Z", "1", "9"], -9), (["sh", "Z", "1", "-"], None)]
)
def test_where_the_kernel_does_not_tell(monkeypatch: pytest.MonkeyPatch, fields: list[str] | None, code: int | None) -> None:
    """Before Linux 6.15. Whoever lives under the number of a process that has ended is another one."""

    def refuse(*_arguments: Any) -> None:
        raise OSError

    monkeypatch.setattr("fcntl.ioctl", refuse)
    monkeypatch.setattr(ranks, "stats", lambda _pids: {7: fields} if fields else {})
    assert ranks._ended(3, 7) == code
