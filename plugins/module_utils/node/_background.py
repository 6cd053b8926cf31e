# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A program in the background, seen from outside: its job, its state file, its process. PRIVATE to the collection."""

from __future__ import annotations

import json
import os
from typing import Any

JOB = "job.json"


def state(work: str) -> dict[str, Any]:
    """What the program last wrote; empty if nothing."""
    try:
        with open(os.path.join(work, "state.json"), encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
    except (OSError, ValueError):
        return {}
    return found


def running(work: str) -> int:
    """The process that runs this very job, or 0: the number in the state file may belong to another process by now."""
    pid = int(state(work).get("pid", 0))
    try:
        with open(f"/proc/{pid}/cmdline", "rb") as file:
            words = file.read().split(b"\0")
    except OSError:
        return 0
    return pid if os.path.join(work, JOB).encode() in words else 0


def log(work: str) -> str:
    """The end of what the program printed."""
    try:
        with open(os.path.join(work, "log"), encoding="utf-8", errors="replace") as file:
            return file.read()[-600:].strip()
    except OSError:
        return ""
