# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell one receiver what waits in its outbox: in order, each until it has it, with pauses that grow."""

from __future__ import annotations

import json
import threading
from typing import Any

from outbox import Outbox

LONGEST_PAUSE = 60.0
# What a receiver may ask for with Retry-After.
LONGEST_ASKED = 300.0


class Later(Exception):
    """It was not told, and may be; the text has no secret in it. `after`: seconds that the receiver asks for."""

    def __init__(self, text: str, after: float = 0.0) -> None:
        super().__init__(text)
        self.after = after


class Refused(Exception):
    """The receiver does not want this one."""


def say(text: str, error: bool = False) -> None:
    """A line for the journal, by its priority."""
    print(f"<{4 if error else 6}>{text}", flush=True)


class Sender(threading.Thread):
    """One receiver's. `target.tell` raises Later or Refused."""

    def __init__(self, name: str, target: Any, outbox: Outbox, pause: float) -> None:
        super().__init__(name=name, daemon=True)
        self.target, self.outbox, self.pause = target, outbox, pause
        self._rest = threading.Event()

    def run(self) -> None:
        failed = 0
        while True:
            try:
                first = self.outbox.first()
                if first:
                    self._one(*first)
                    failed = 0
                else:
                    self._rest.wait(0.2)
            # Whatever it is, the others are told, and this one is tried again.
            except Exception as error:
                text, after = (str(error), error.after) if isinstance(error, Later) else (type(error).__name__, 0.0)
                pause = max(min(self.pause * 2**failed, LONGEST_PAUSE), min(after, LONGEST_ASKED))
                failed = min(failed + 1, 20)
                say(f"{self.name}: {text}; tried again in {pause:g} s, {self._waiting()} wait", error=True)
                self._rest.wait(pause)

    def _waiting(self) -> str:
        """For the journal: whatever keeps the outbox from being read must not end this thread."""
        try:
            return str(len(self.outbox.names()))
        except OSError as error:
            return f"nobody knows how many ({error.strerror})"

    def _one(self, name: str, notice: dict[str, Any]) -> None:
        about = f"{self.name}: notice {notice['sequence']} ({notice['event']})"
        if notice["dropped"]:
            say(f"{about}: {notice['dropped']} before it were dropped: refused, or more than {self.outbox.bound} waited", error=True)
        try:
            self.target.tell(json.dumps(notice).encode())
        except Refused as refused:
            say(f"{about}: {refused}; it is dropped", error=True)
            self.outbox.refused(name)
            return
        say(f"{about}: told")
        self.outbox.done(name, notice)
