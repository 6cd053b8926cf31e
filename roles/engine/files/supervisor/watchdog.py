# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""End a supervisor that stands still, and its engine, which would serve on beside a group that has given it up: the container ends with it,
and Docker's restart policy brings the rank back.

A process of its own below the supervisor, which feeds it once a second through its standard input: ``python3 watchdog.py``, and the
settings as the first line. Two signs and a bound, as everywhere: nothing was fed, and the kernel says that the supervisor is stopped by a
signal, or has spent no CPU time. In seconds that this process did not see either (a paused container, a host that stood still) nothing is
proven.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from typing import Any

import group
import journal
from processes import Family, below, stats

HERE = os.path.dirname(os.path.abspath(__file__))
FEED = 1.0
# Stopped by a signal, beyond the silence after which the group has given the rank up: nothing healthy is stopped for a second.
STOPPED = 6.0
# Without a tick of CPU time, though this process runs: a dozen threads that wake up each second or more often spend one in a few seconds.
HUNG = 120.0


class Judge:
    """Gives a verdict on a series of looks; pure. `stopped`: seconds; `at`: of a steady clock."""

    def __init__(self, stopped: float, at: float) -> None:
        self.bound, self.at = stopped, at
        self._stopped = self._hung = 0.0
        self._cpu = -1

    def see(self, at: float, fed: bool, state: str, cpu: int) -> str:
        """Why the supervisor must be ended, or nothing. `state`: a letter of proc(5); `cpu`: ticks that it has spent."""
        gap, self.at = at - self.at, at
        seen = gap if gap <= 4 * FEED else 0.0
        self._stopped = self._stopped + seen if state == "T" and not fed else 0.0
        self._hung = self._hung + seen if cpu == self._cpu and not fed else 0.0
        self._cpu = cpu
        if self._stopped >= self.bound:
            return f"its supervisor was stopped by a signal for {self._stopped:.0f} s"
        if self._hung >= HUNG:
            return f"its supervisor gave no sign of life and spent no CPU time for {self._hung:.0f} s"
        return ""


class Feeder(threading.Thread):
    """The supervisor's side: keeps a watchdog, and feeds it."""

    def __init__(self, family: Family, limit: int, status_file: str, node: str, profile: str) -> None:
        super().__init__(name="feeder", daemon=True)
        self.family = family
        bound = group.lost_after(limit) + STOPPED
        about = {"pid": os.getpid(), "stopped": bound, "status_file": status_file, "node": node, "profile": profile}
        self._first = json.dumps(about).encode() + b"\n"

    def run(self) -> None:
        while True:
            with contextlib.suppress(OSError):
                self._feed()
            # It has ended, which nothing healthy does: another one, in a while.
            time.sleep(10 * FEED)

    def _feed(self) -> None:
        process = subprocess.Popen([sys.executable, "watchdog.py"], cwd=HERE, stdin=subprocess.PIPE, start_new_session=True)
        self.family.spared.add(process.pid)
        assert process.stdin is not None
        pipe = process.stdin.fileno()
        os.write(pipe, self._first)
        os.set_blocking(pipe, False)
        while True:
            # One that is stopped itself takes nothing, and holds nobody up.
            with contextlib.suppress(BlockingIOError):
                os.write(pipe, b".")
            time.sleep(FEED)


def main() -> int:
    """Watch until the supervisor closes the pipe, or must be ended."""
    first = b""
    while not first.endswith(b"\n"):
        got = os.read(0, 1)
        if not got:
            return 0
        first += got
    about = json.loads(first)
    pid = about["pid"]
    judge = Judge(about["stopped"], time.monotonic())
    while True:
        fed = bool(select.select([0], [], [], 2 * FEED)[0])
        if fed and not os.read(0, 4096):
            return 0
        fields = stats([pid]).get(pid)
        if fields is None:
            return 0
        verdict = judge.see(time.monotonic(), fed, fields[1], int(fields[12]) + int(fields[13]))
        if verdict:
            end(about, verdict)
            return 1


def end(about: dict[str, Any], verdict: str) -> None:
    """The engine first, so that nothing of it is left where no container ends with the supervisor."""
    pid = about["pid"]
    # Bounded: a process that the kernel cannot end must not keep the rank from coming back.
    for _attempt in range(50):
        table = stats()
        left = [one for one in below(table, pid) if one != os.getpid()]
        if not left:
            break
        for one in left:
            with contextlib.suppress(ProcessLookupError):
                os.kill(one, signal.SIGKILL)
        time.sleep(0.1)
    # A disk that hangs holds nobody up.
    teller = threading.Thread(target=tell, args=(about, verdict), daemon=True)
    teller.start()
    teller.join(2)
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)


def tell(about: dict[str, Any], verdict: str) -> None:
    """In the journal, the container's log and the status file."""
    text = f"{verdict}; its watchdog has ended it, and its engine"
    journal.tell(f"{about['profile']}: {text}", journal.ERROR)
    print(f"supervisor | {about['node']} | {text}", file=sys.stderr, flush=True)
    path = about["status_file"]
    with contextlib.suppress(OSError, ValueError):
        with open(path, encoding="utf-8") as file:
            found = json.load(file)
        with open(f"{path}.new", "w", encoding="utf-8") as file:
            json.dump({**found, "phase": "failed", "reason": text}, file, indent=1)
        os.replace(f"{path}.new", path)


if __name__ == "__main__":
    sys.exit(main())
