# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The status file: what this node does, since when, and why it stopped. A look costs one file read."""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any

import journal

# Seconds after which a file that could not be written is tried again.
RETRY = 5.0


class Status:
    """Phases with their times (Unix seconds) and evidence, written at each change."""

    def __init__(self, path: str, about: dict[str, Any]) -> None:
        self.path = path
        self._trouble, self._tried = "", 0.0
        self.data: dict[str, Any] = {**about, "phase": "starting", "reason": "", "generation": 0, "started": time.time()}
        self.data.update(phases=[], evidence={})

    @staticmethod
    def hash_of(path: str) -> str:
        """Whose status is in a file; empty where there is none."""
        try:
            with open(path, encoding="utf-8") as file:
                return str(json.load(file)["hash"])
        except (OSError, ValueError, KeyError, TypeError):
            return ""

    def begin(self, generation: int, restarts: int, limit: int) -> None:
        """A generation has phases of its own; those of the mods count to the first."""
        if self.data["generation"]:
            self.data["phases"] = []
        # plugins/module_utils/node/_log_facts.py looks for it.
        print(f"supervisor | {self.data['node']} | generation {generation}", file=sys.stderr, flush=True)
        self.data.update(generation=generation, restarts=self._counted(restarts, limit))

    @staticmethod
    def _counted(restarts: int, limit: int) -> str:
        return f"{restarts} of {limit} within an hour" if limit else "never"

    def count(self, restarts: int, limit: int) -> None:
        """How many restarts count now: each for an hour, which may pass while the group serves."""
        text = self._counted(restarts, limit)
        if text != self.data["restarts"]:
            self.data["restarts"] = text
            self.write()

    def enter(self, phase: str, reason: str = "") -> None:
        """Begin a phase; `reason` says why, for phases that end the node or wait."""
        if (phase, reason) == (self.data["phase"], self.data["reason"]):
            return
        if phase != self.data["phase"]:
            self.data["phases"].append({"name": phase, "at": round(time.time(), 3)})
        self.data["phase"], self.data["reason"] = phase, reason
        text = f"{phase}{': ' + reason if reason else ''}"
        print(f"supervisor | {self.data['node']} | {text}", file=sys.stderr, flush=True)
        self.write()
        journal.tell(f"{self.data['profile']}: {text}", journal.ERROR if phase.startswith("fail") else journal.NOTICE)

    def again(self) -> None:
        """Write what could not be written, now and then."""
        if self._trouble and time.monotonic() - self._tried >= RETRY:
            self.write()

    def evidence(self, **facts: Any) -> None:
        """Add facts to the record."""
        self.data["evidence"].update(facts)
        self.write()

    def ended(self, reason: str, own: str) -> None:
        """A generation is over: by whom, and what this node knows of it by itself."""
        self.evidence(ended=reason, own=own, ended_at=round(time.time(), 3))

    def write(self) -> None:
        """Replace the file in one step, so that a reader never sees half of it. A full disk ends nothing that serves."""
        temporary, self._tried = f"{self.path}.new", time.monotonic()
        try:
            with open(temporary, "w", encoding="utf-8") as file:
                json.dump({**self.data, "updated": time.time()}, file, indent=1)
            os.replace(temporary, self.path)
            self._trouble = ""
        except OSError as error:
            if self._trouble == str(error):
                return
            self._trouble = str(error)
            text = f"{self.path} cannot be written: {error}; what it says is old"
            print(f"supervisor | {self.data['node']} | {text}", file=sys.stderr, flush=True)
            journal.tell(f"{self.data['profile']}: {text}", journal.ERROR)
