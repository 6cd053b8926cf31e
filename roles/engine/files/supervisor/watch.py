# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell a wedged engine from a busy one. /health and /v1/models answer 200 over a stopped engine core, so they do not count."""

from __future__ import annotations

import threading
import time
from typing import Callable

import probe

# Seconds: without progress or answer; between looks; between completions of an idle engine; for one answer of /metrics.
DEFAULTS = {"stall_seconds": 120.0, "look_seconds": 15.0, "idle_seconds": 60.0, "answer_seconds": 10.0}


class Watch(threading.Thread):
    """Sets `verdict` once the engine is wedged: no token progress while requests run, or a completion that never returns."""

    def __init__(self, url: str, model: str, settings: dict[str, float], clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name="watch", daemon=True)
        self.url, self.model = url, model
        self.settings = {**DEFAULTS, **settings}
        self.clock = clock
        self.verdict: str | None = None
        self.stopping = threading.Event()
        self._seen: list[float | None] | None = None
        self._moved = self._asked = self._answered = clock()

    def run(self) -> None:
        while not self.stopping.wait(self.settings["look_seconds"]) and self.verdict is None:
            self.look()

    def look(self) -> None:
        """One look at the metrics, and a completion when the engine says that it is idle."""
        now = self.clock()
        status, text = probe.get(f"{self.url}/metrics", timeout=self.settings["answer_seconds"])
        limit = self.settings["stall_seconds"]
        if status != 200:
            # One silent look is a busy server, and a dead one ends its process, which the supervisor sees.
            if now - self._answered >= limit:
                self.verdict = f"/metrics has not answered for {limit:.0f} s ({text or status})"
            return
        self._answered = now
        progress = [probe.samples(text, name) for name in probe.PROGRESS]
        if progress != self._seen:
            self._seen, self._moved = progress, now
        if (probe.samples(text, probe.RUNNING) or 0) > 0:
            if now - self._moved >= limit:
                self.verdict = f"no token progress for {limit:.0f} s while requests run"
            return
        self._moved = now  # idle: the clock of the next request starts with it
        if now - self._asked >= self.settings["idle_seconds"]:
            self._complete(limit)
            self._asked = self.clock()

    def _complete(self, limit: float) -> None:
        body = {"model": self.model, "prompt": "1", "max_tokens": 1, "temperature": 0}
        started = self.clock()
        status, text = probe.post(f"{self.url}/v1/completions", body, timeout=limit)
        if status == 0 and self.clock() - started >= limit:
            self.verdict = f"a one-token completion did not return within {limit:.0f} s"
        elif status >= 500:
            self.verdict = f"a one-token completion was answered {status}: {text[:200]}"
