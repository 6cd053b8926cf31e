# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The engine's own processes on this node, and the first of them that a signal has ended.

They are no children of the supervisor: their parents (Ray's raylet, which ignores SIGCHLD; vLLM's API server) collect them and tell nobody
here. A pidfd, opened while they live, still knows how they ended (PIDFD_GET_INFO, Linux 6.15); where the kernel is older, only who is seen
as a zombie is named.

Whom the engine itself ends goes by SIGTERM or with a code: vLLM 0.30.0 ends Ray's actors by ray.kill, which is an exit (Ray 2.60,
CoreWorker::HandleKillActor; its raylet sends SIGKILL after 5 s), and other workers by SIGTERM (multiproc_executor.py, 4 s before SIGKILL).
So whoever a signal has ended first is the culprit.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import select
import signal
import struct
import time
from typing import Callable

from processes import below, name_of, stats

# As they call themselves: vLLM's core and its workers, Ray's actors of vLLM, SGLang's.
TITLES = ("VLLM::", "ray::RayWorker", "sglang::")
# Seconds between two looks for new ones: they have their names from early in the start on.
SCAN = 2.0
# linux/pidfd.h: _IOWR(0xFF, 11, struct pidfd_info); `mask` is its first field and `exit_code` the last of its first version.
_GET_INFO, _SIZE, _EXIT, _CODE = 0xC040FF0B, 64, 1 << 3, 60
_ASKED = (signal.SIGTERM, signal.SIGINT)


class Ranks:
    """The engine's processes below process `root`. `killed`: in words, once there is one."""

    def __init__(self, root: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.root, self.clock = root, clock
        self.killed = ""
        self._known: dict[int, tuple[int, str]] = {}
        self._scanned = float("-inf")

    def look(self) -> None:
        """Who has ended since, and, now and then, who is new."""
        for pid, (handle, title) in list(self._known.items()):
            if not select.select([handle], [], [], 0)[0]:
                continue
            code = _ended(handle, pid)
            if code is not None:
                del self._known[pid]
                os.close(handle)
                if code < 0 and -code not in _ASKED and not self.killed:
                    self.killed = f"{title} (process {pid}) was ended by {name_of(-code)}"
        if self.clock() - self._scanned >= SCAN:
            self._scanned = self.clock()
            self._scan()

    def close(self) -> None:
        """Forget all of them."""
        for handle, _title in self._known.values():
            os.close(handle)
        self._known.clear()

    def _scan(self) -> None:
        if not hasattr(os, "pidfd_open"):  # a Python that was built on an older system
            return
        for pid in below(stats(), self.root):
            if pid in self._known:
                continue
            with contextlib.suppress(OSError):
                # Before its name is read: a number that is given away again is another process.
                handle = os.pidfd_open(pid)
                title = _title(pid)
                if title.startswith(TITLES):
                    self._known[pid] = handle, title
                else:
                    os.close(handle)


def _title(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read().partition("\0")[0].strip()
    except OSError:
        return ""


def _ended(handle: int, pid: int) -> int | None:
    """The exit code of a process that has ended (minus the signal), 0 where nobody knows; None while the kernel does not say it yet."""
    info = bytearray(struct.pack("Q", _EXIT) + bytes(_SIZE - 8))
    with contextlib.suppress(OSError):
        fcntl.ioctl(handle, _GET_INFO, info)
        if struct.unpack_from("Q", info)[0] & _EXIT:
            return os.waitstatus_to_exitcode(struct.unpack_from("i", info, _CODE)[0])
    fields = stats([pid]).get(pid)
    if fields is None:
        return 0
    if fields[1] != "Z":
        return 0  # it was collected, and its number is another's by now
    # proc(5): the last field of a zombie is its exit code.
    return os.waitstatus_to_exitcode(int(fields[-1])) if fields[-1].isdigit() else None
