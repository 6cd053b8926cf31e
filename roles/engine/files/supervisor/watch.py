# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell a wedged engine from a busy one by two signs and a deadline. /health and /v1/models answer 200 over a stopped engine core.

Signs: *progress* (one of the engine's metrics moved, or a one-token completion of ours was answered) and *life* (its processes spent
CPU time). Work that makes neither for `frozen_seconds` is frozen. Life without progress, while a completion of ours waits, may be one
long prefill or ranks that spin in a collective: it gets `silent_seconds`, the plan's longest prefill with its margin
(`_watch.py` on the control node). An engine that once answered, and now answers every completion 500 while nothing moves, is failing.
A sign that is missing (no such metric, 404, a completion answered 4xx) is unknown: no verdict comes from it.
"""

from __future__ import annotations

import dataclasses
import os
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Callable

import activity
import probe


@dataclasses.dataclass(frozen=True)
class Look:
    """What one look saw.

    `at`: seconds of a steady clock. `answers`: /metrics answered something. `busy`: requests that run or wait, `progress`: values
    that move with work; both None where unknown. `completion`, ours, is "none", "waits", "answered", "failed" (500)
    or "refused" (any other status: 501 where the model only chats, 503 where SGLang's queue is full).
    """

    at: float
    answers: bool
    busy: float | None
    progress: tuple[float | None, ...] | None
    life: activity.Life
    completion: str


class Judge:
    """Gives a verdict on a series of looks; pure. `settings` is the plan's `watch.settings`, times in seconds."""

    def __init__(self, settings: Mapping[str, Any], at: float) -> None:
        self.settings = settings
        self.at = at
        self.now = 0.0  # seconds in which somebody looked
        self.known = False
        self._progress: tuple[float | None, ...] | None = None
        self._moved = self._quiet = self._still = self._asked = 0.0
        self._failing: float | None = None
        self._worked = False

    def see(self, look: Look) -> str | None:
        """The verdict in words, or None."""
        gap, self.at = look.at - self.at, look.at
        looked = gap <= 2 * (self.settings["look_seconds"] + self.settings["answer_seconds"])
        if looked:
            self.now += gap
        if look.answers:
            self.known = look.progress is not None
        moved = look.progress is not None and look.progress != self._progress
        if look.progress is not None:
            self._progress = look.progress
        self._worked = self._worked or look.completion == "answered"
        if moved or look.completion == "answered":
            self._moved = self._quiet = self.now
        busy = bool(look.busy) or look.completion == "waits"
        if not busy and look.completion != "failed":
            self._quiet = self.now  # the clock of the next request starts with it
        # In a time that nobody saw (a paused container, a starved host) nothing is proven.
        if look.life.computes is not False or not looked:
            self._still = self.now
        if look.completion == "failed" and self._failing is None:
            self._failing = self.now
        elif look.completion not in ("failed", "waits"):
            self._failing = None
        return self._verdict(look, busy)

    def _verdict(self, look: Look, busy: bool) -> str | None:
        quiet, still = self.now - self._quiet, self.now - self._still
        frozen, silent = self.settings["frozen_seconds"], self.settings["silent_seconds"]
        if busy and min(quiet, still) >= frozen:
            how = f"{', '.join(look.life.stopped)} stopped by a signal" if look.life.stopped else "its processes spent no CPU time"
            return f"frozen: no progress for {quiet:.0f} s with work to do, and {how} (bound {frozen:.0f} s)"
        if not self.known and look.answers:
            return None
        if look.completion == "waits" and quiet >= silent:
            metrics = "no metric moved" if look.answers else "/metrics did not answer"
            return (
                f"silent: {metrics} and no completion returned for {quiet:.0f} s, longer than the plan's longest prefill ({silent:.0f} s)"
            )
        failed = 0.0 if self._failing is None else self.now - self._failing
        if look.completion == "failed" and self._worked and min(quiet, failed) >= frozen:
            return f"failing: every one-token completion was answered 500 for {failed:.0f} s and no metric moved (bound {frozen:.0f} s)"
        return None

    def wants_completion(self) -> bool:
        """Is it time to ask for one token? Not while there is progress."""
        return self._failing is not None or self.now - max(self._moved, self._asked) >= self.settings["idle_seconds"]

    def asked(self) -> None:
        """A completion was asked for."""
        self._asked = self.now


class Watch(threading.Thread):
    """Looks at the engine (process `engine`, below this one) and sets `verdict` once it is wedged."""

    def __init__(self, url: str, model: str, settings: Mapping[str, Any], engine: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(name="watch", daemon=True)
        self.url, self.model, self.settings, self.engine, self.clock = url, model, settings, engine, clock
        self.verdict: str | None = None
        self.stopping = threading.Event()
        self.judge = Judge(settings, clock())
        self._processes: dict[int, activity.Process] = {}
        self._completion: str = "none"
        self._asking: threading.Thread | None = None

    def run(self) -> None:
        while not self.stopping.wait(self.settings["look_seconds"]) and self.verdict is None:
            try:
                self.look()
            except Exception as error:
                # A look that fails is a missing sign, and no end of the watch.
                print(f"gx10: a look at the engine failed: {type(error).__name__}: {error}", file=sys.stderr, flush=True)

    def look(self) -> None:
        """One look at the metrics and the processes, and a completion when there was no progress for a while."""
        status, text = probe.get(f"{self.url}/metrics", timeout=self.settings["answer_seconds"])
        values = tuple(probe.samples(text, name) for name in self.settings["progress"]) if status == 200 else ()
        busy = [probe.samples(text, name) for name in self.settings["busy"]] if status == 200 else []
        at, before = self.clock(), self._processes
        self._processes = activity.read(os.getpid(), self.engine)
        life = activity.life(before, self._processes, at - self.judge.at) if before else activity.Life(None)
        waiting = self._asking is not None and self._asking.is_alive()
        completion = "waits" if waiting else self._completion
        known = [item for item in busy if item is not None]
        moving = values if any(item is not None for item in values) else None
        self.verdict = self.judge.see(Look(at, status != 0, sum(known) if known else None, moving, life, completion))
        if waiting:
            return
        # Nothing answered: it still waits, for the next attempt.
        if completion == "waits" or self.judge.wants_completion():
            if completion != "waits":
                self.judge.asked()
            self._completion = "waits"
            self._asking = threading.Thread(target=self._complete, name="completion", daemon=True)
            self._asking.start()
        elif completion != "failed":
            self._completion = "none"

    def _complete(self) -> None:
        body = {"model": self.model, "prompt": "1", "max_tokens": 1, "temperature": 0}
        # Longer than any verdict on it needs.
        status, _text = probe.post(f"{self.url}/v1/completions", body, self.settings["silent_seconds"] + self.settings["idle_seconds"])
        if status:
            self._completion = {200: "answered", 500: "failed"}.get(status, "refused")
