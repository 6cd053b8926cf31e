# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Child processes that cannot be lost: the supervisor adopts every orphan and can end the whole tree."""

from __future__ import annotations

import contextlib
import ctypes
import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterable, Mapping

PR_SET_CHILD_SUBREAPER = 36
# fork(2) for children (Python 3.11 and later; 3.9 has no other way): under vfork(2) this whole process stands still, the link's heartbeats
# with it, until the disk has brought the child's program.
vars(subprocess)["_USE_VFORK"] = False


def stay_in_memory() -> bool:
    """Keep this process's pages, as they are used, where memory runs short (mlockall(2)); False where that is not allowed.

    Under a limit that it keeps today, the stack of tomorrow's thread could fail.
    """
    current, future, on_fault = 1, 2, 4
    if resource.getrlimit(resource.RLIMIT_MEMLOCK)[0] != resource.RLIM_INFINITY:
        return False
    return bool(ctypes.CDLL(None, use_errno=True).mlockall(current | future | on_fault) == 0)


def adopt_orphans() -> None:
    """Become the parent of every descendant whose own parent ends, as PID 1 would be (prctl(2))."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "prctl(PR_SET_CHILD_SUBREAPER)")


def name_of(number: int) -> str:
    """A signal's name; those of real time have none."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


class Child:
    """A child in a session of its own. `code` is None while it runs, else its exit code (minus the signal number)."""

    def __init__(self, name: str, argv: list[str], env: Mapping[str, str], cwd: str) -> None:
        self.name = name
        self.code: int | None = None
        # Unbuffered, so that the container's log shows a line when it is written.
        environment = {"PYTHONUNBUFFERED": "1", **env}
        self.process = subprocess.Popen(argv, env=environment, cwd=cwd, stdin=subprocess.DEVNULL, start_new_session=True)
        self.pid = self.process.pid

    def signal(self, number: int) -> None:
        """Send a signal to the child, if it still runs."""
        if self.code is None:
            with contextlib.suppress(ProcessLookupError):
                os.kill(self.pid, number)

    def ended(self) -> str:
        """How the child ended, in words."""
        code = self.code
        if code is None:
            return "runs"
        return f"exited with code {code}" if code >= 0 else f"was ended by {name_of(abs(code))}"


class Kin:
    """The processes of some names right below another one, and the first of them that a signal has ended.

    Its parent collects it within a second or so, but seen in time (proc(5): a zombie has its exit code) it names the culprit.
    """

    def __init__(self, parent: int, names: tuple[str, ...]) -> None:
        self.parent, self.names = parent, names
        self.killed = ""

    def look(self) -> None:
        """`killed` in words, once there is one."""
        for pid, fields in stats().items():
            if int(fields[2]) != self.parent or fields[0] not in self.names or fields[1] != "Z" or self.killed:
                continue
            code = os.waitstatus_to_exitcode(int(fields[-1])) if fields[-1].isdigit() else 0
            # Ray's own way of ending them.
            if code < 0 and code != -signal.SIGTERM:
                self.killed = f"{fields[0]} (process {pid}) was ended by {name_of(-code)}"


class Family:
    """All children of this process, known and adopted."""

    def __init__(self) -> None:
        self.children: dict[int, Child] = {}
        # No process of the engine's: it lives as long as this one.
        self.spared: set[int] = set()

    def start(self, name: str, argv: list[str], env: Mapping[str, str], cwd: str) -> Child:
        """Start a child; raises OSError if the program cannot be run."""
        child = Child(name, argv, env, cwd)
        self.children[child.pid] = child
        return child

    def reap(self) -> None:
        """Collect everything that has ended; the exit codes of known children go to their `code`."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.spared.discard(pid)
            child = self.children.pop(pid, None)
            if child:
                child.code = os.waitstatus_to_exitcode(status)
                # Popen would otherwise wait for a process that is gone.
                child.process.returncode = child.code

    def wait(self, child: Child, seconds: float) -> bool:
        """Wait for a child to end; False when the time ran out."""
        deadline = time.monotonic() + seconds
        while child.code is None:
            self.reap()
            if child.code is not None:
                break
            if time.monotonic() >= deadline:
                return False
            time.sleep(0.05)
        return True

    def ask(self) -> None:
        """SIGTERM to every descendant, and no waiting."""
        _signal(self.all(), signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to every descendant; another thread reaps."""
        _signal(self.all(), signal.SIGKILL)

    def all(self) -> list[tuple[int, str]]:
        """(pid, name) of everything that runs below this process for the engine."""
        return [one for one in descendants(os.getpid()) if one[0] not in self.spared]

    def sweep(self, grace: float) -> list[str]:
        """End every descendant: SIGTERM, after `grace` seconds SIGKILL. Returns the names of those that were left."""
        left = self.all()
        names = sorted({name for _pid, name in left})
        deadline = time.monotonic() + grace
        _signal(left, signal.SIGTERM)
        # Bounded: a process that the kernel cannot end must not keep the supervisor from saying so.
        for _attempt in range(200):
            self.reap()
            left = self.all()
            if not left:
                break
            if time.monotonic() >= deadline:
                _signal(left, signal.SIGKILL)
            time.sleep(0.05)
        return names


def _signal(processes: Iterable[tuple[int, str]], number: int) -> None:
    for pid, _name in processes:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def stats(pids: Iterable[int] | None = None) -> dict[int, list[str]]:
    """[name, state, parent, …] of every process, or of these, as in /proc/PID/stat (proc(5)) from its second field on."""
    found: dict[int, list[str]] = {}
    for entry in pids if pids is not None else [int(name) for name in os.listdir("/proc") if name.isdigit()]:
        try:
            with open(f"/proc/{entry}/stat", encoding="utf-8", errors="replace") as file:
                stat = file.read()
        except OSError:
            continue
        # The name stands in parentheses and may hold anything, so split at the last one.
        found[entry] = [stat[stat.index("(") + 1 : stat.rindex(")")], *stat[stat.rindex(")") + 2 :].split()]
    return found


def below(table: Mapping[int, list[str]], root: int) -> list[int]:
    """The processes of `stats` below process `root` that are no zombies. Zombies are looked through: a killed process shows as one, with
    its children still below it, until the last of its threads has ended."""
    children: dict[int, list[int]] = {}
    for pid, fields in table.items():
        children.setdefault(int(fields[2]), []).append(pid)
    found: list[int] = []
    queue = [root]
    while queue:
        more = children.get(queue.pop(), [])
        found += [pid for pid in more if table[pid][1] != "Z"]
        queue += more
    return found


def descendants(root: int) -> list[tuple[int, str]]:
    """(pid, name) of every process below `root` that is not a zombie."""
    table = stats()
    return [(pid, table[pid][0]) for pid in below(table, root)]
