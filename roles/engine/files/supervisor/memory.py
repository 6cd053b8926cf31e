# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Save the host: on unified memory it freezes without an OOM kill when the engine takes the last of it."""

from __future__ import annotations

import threading
import time
from typing import Callable

# Under the floor on end. One low reading while pages are reclaimed freezes no host; a real collapse leaves about five seconds
# (NVIDIA/open-gpu-kernel-modules#1358).
SECONDS = 2.0
# Between two readings.
LOOK = 0.2
# After an end under the floor, before the next start; the group waits 60 s for a rank that ends.
WAIT = 45.0


def available_gib() -> float:
    """MemAvailable of the host in GiB; on unified memory this is what the GPU can still get, too."""
    with open("/proc/meminfo", encoding="ascii") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) / 1024**2
    raise OSError("/proc/meminfo has no MemAvailable")


class Floor:
    """The least memory, in GiB, that the host must have available."""

    def __init__(self, gib: float, read: Callable[[], float] = available_gib, clock: Callable[[], float] = time.monotonic) -> None:
        self.gib, self.read, self.clock = gib, read, clock
        self._since: float | None = None

    def crossed(self) -> str | None:
        """Why the host is in danger, or None."""
        available, now = self.read(), self.clock()
        if available >= self.gib:
            self._since = None
            return None
        if self._since is None:
            self._since = now
        if now - self._since < SECONDS:
            return None
        return (
            f"the host has had less than {self.gib:g} GiB of memory available for {SECONDS:.0f} s ({available:.1f} now):"
            " stopped before it freezes"
        )


def wait(floor: Floor, over: Callable[[], bool], pause: Callable[[float], None]) -> None:
    """Until the host has had enough memory for as long as its lack would end an engine; at most WAIT seconds, or until `over`.

    Who started again at once would be ended again at once, and restarts are counted.
    """
    deadline, since = floor.clock() + WAIT, None
    while not over() and floor.clock() < deadline:
        now = floor.clock()
        since = (since or now) if floor.read() >= floor.gib else None
        if since is not None and now - since > SECONDS:
            return
        pause(LOOK)


class Guard(threading.Thread):
    """Looks at the floor beside all that the supervisor does or waits for. Once it is crossed, what runs is killed and not asked: the last
    process has ended 3 s after the memory ran short."""

    def __init__(self, floor: Floor, kill: Callable[[], None]) -> None:
        super().__init__(name="memory", daemon=True)
        self.floor, self.kill = floor, kill
        self.verdict = ""
        self.over = threading.Event()

    def run(self) -> None:
        while not self.verdict and not self.over.wait(LOOK):
            try:
                self.verdict = self.floor.crossed() or ""
            except (OSError, ValueError) as error:
                self.verdict = f"the host's memory cannot be watched: {error}"
        # Again and again: what was just being started, too.
        while self.verdict and not self.over.is_set():
            self.kill()
            time.sleep(LOOK)
