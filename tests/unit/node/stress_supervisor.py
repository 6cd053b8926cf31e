"""The group's link on machines that have the hardest time: both load this one fully, so they are a command of their own (`make stress`)."""

from __future__ import annotations

import contextlib
import os
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from launches import GENEROUS, Launch, launching
from test_supervisor import eventually
from test_supervisor_healthy import LONG, spent, still_serves, tells_a_loss


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launch]]:
    yield from launching(tmp_path)


def test_a_machine_with_sixteen_times_too_much_to_do(launch: Callable[..., Launch]) -> None:
    one = launch()
    one.serves()
    count = 16 * len(os.sched_getaffinity(0))
    busy = [subprocess.Popen(["/bin/sh", "-c", "while :; do :; done"]) for _one in range(count)]
    try:
        time.sleep(LONG)
        assert spent([one.pid for one in busy]) / count < LONG / 8, "the machine was not busy"
        still_serves(one)
        # Each of the five threads on the way waits for its turn, beside all that this machine has to do anyway (4.4 to 6.0 s were seen).
        tells_a_loss(one)
    finally:
        for process in busy:
            process.kill()
        for process in busy:
            process.wait()


class Squeezed:
    """A memory cgroup, with a balloon in it that leaves its neighbours next to nothing and reads a file for ever, so that each page that
    they need is taken from somebody."""

    LIMIT, ROOM = 320 * 2**20, 12 * 2**20

    def __init__(self, folder: Path) -> None:
        first = Path("/sys/fs/cgroup/memory")
        self.old = first.is_dir()
        self.group = (first if self.old else Path("/sys/fs/cgroup")) / f"gx10-test-{os.getpid()}"
        self.file = folder / "file"
        try:
            self.group.mkdir()
            (self.group / ("memory.limit_in_bytes" if self.old else "memory.max")).write_text(str(self.LIMIT))
        except OSError as error:
            pytest.skip(f"no memory cgroup can be made here: {error}")
        self.balloon: subprocess.Popen[bytes] | None = None

    @contextlib.contextmanager
    def inside(self) -> Iterator[None]:
        """What is started now is in it."""
        rows = [line.split(":") for line in Path("/proc/self/cgroup").read_text().splitlines()]
        root = self.group.parent / next(path for _number, kind, path in rows if kind == ("memory" if self.old else "")).strip("/")
        (self.group / "cgroup.procs").write_text(str(os.getpid()))
        try:
            yield
        finally:
            (root if root.is_dir() else self.group.parent).joinpath("cgroup.procs").write_text(str(os.getpid()))

    def used(self) -> int:
        return int((self.group / ("memory.usage_in_bytes" if self.old else "memory.current")).read_text())

    def squeezed(self) -> int:
        """How often somebody was out of memory."""
        if self.old:
            return int((self.group / "memory.failcnt").read_text())
        return int(dict(line.split() for line in (self.group / "memory.events").read_text().splitlines())["max"])

    def blow(self) -> None:
        self.file.touch()
        os.truncate(self.file, 2**30)
        size = self.LIMIT - self.used() - self.ROOM
        script = f"import sys; b = bytearray({size}); b[::4096] = b'x' * len(b[::4096])\nwhile True:\n  f = open(sys.argv[1], 'rb', 0)\n"
        with self.inside():
            self.balloon = subprocess.Popen([sys.executable, "-c", script + "  while f.read(65536): pass", str(self.file)])

    def end(self) -> None:
        if self.balloon:
            self.balloon.kill()
            self.balloon.wait()
        eventually(lambda: not (self.group / "cgroup.procs").read_text(), GENEROUS)
        self.group.rmdir()


@pytest.fixture
def squeezed(tmp_path: Path) -> Iterator[Squeezed]:
    one = Squeezed(tmp_path)
    yield one
    one.end()


def test_memory_that_runs_short(squeezed: Squeezed, launch: Callable[..., Launch]) -> None:
    # Without locked pages: nothing but the link's own thread helps.
    soft, hard = resource.getrlimit(resource.RLIMIT_MEMLOCK)
    resource.setrlimit(resource.RLIMIT_MEMLOCK, (65536, hard))
    try:
        with squeezed.inside():
            one = launch()
    finally:
        resource.setrlimit(resource.RLIMIT_MEMLOCK, (soft, hard))
    one.serves()
    assert not any(node.status()["evidence"]["stays_in_memory"] for node in one.nodes)
    squeezed.blow()
    assert eventually(lambda: squeezed.squeezed() > 100, GENEROUS), "the memory did not run short"
    before = squeezed.squeezed()
    time.sleep(LONG)
    assert squeezed.squeezed() > before
    still_serves(one)
    tells_a_loss(one)
