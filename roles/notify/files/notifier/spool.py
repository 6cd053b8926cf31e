# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Take notices from the folder that the container writes. Whoever is root in there may have put anything into it."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import stat
from collections.abc import Sequence
from typing import Any

from outbox import Outbox

MOST, LARGEST = 2000, 16 * 1024
EVENTS = ("serving", "restarting", "failing", "wedged", "waiting", "down", "stopped")
TEXTS = {"profile": 200, "node": 255, "launch": 100, "reason": 2000, "text": 3000}
NUMBERS = ("sequence", "generation", "restarts", "limit")


def take(folder: str, outboxes: Sequence[Outbox]) -> int:
    """Put every notice into each outbox, in order, and remove it; how many there were. What is none is removed."""
    try:
        home = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC)
    except FileNotFoundError:
        return 0
    except OSError:
        # A link, or a file: it is not followed, and would start this program again and again.
        os.remove(folder)
        return 0
    taken = 0
    try:
        for name in sorted(os.listdir(home))[:MOST]:
            found = _read(home, name)
            if found:
                for outbox in outboxes:
                    outbox.put(found)
                taken += 1
            _remove(home, name)
    finally:
        os.close(home)
    return taken


def checked(found: Any) -> dict[str, Any] | None:
    """A notice with what belongs to one and nothing else, or None."""
    if not isinstance(found, dict) or found.get("event") not in EVENTS:
        return None
    notice: dict[str, Any] = {"event": found["event"]}
    for key in NUMBERS:
        value = found.get(key)
        if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
            return None
        notice[key] = value
    if not isinstance(found.get("time"), (int, float)) or not 0 <= found["time"] < 2**40:
        return None
    notice["time"] = found["time"]
    for key, longest in TEXTS.items():
        if not isinstance(found.get(key), str):
            return None
        notice[key] = "".join(char if char.isprintable() else " " for char in found[key][:longest])
    return notice


def _read(home: int, name: str) -> dict[str, Any] | None:
    try:
        # Without O_NONBLOCK a FIFO waits for a writer for ever.
        descriptor = os.open(name, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC, dir_fd=home)
    except OSError:
        return None
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            return None
        data = os.read(descriptor, LARGEST + 1)
    finally:
        os.close(descriptor)
    try:
        return checked(json.loads(data)) if len(data) <= LARGEST else None
    except (ValueError, RecursionError):
        return None


def _remove(home: int, name: str) -> None:
    try:
        os.remove(name, dir_fd=home)
    except IsADirectoryError:
        # One that stays would start this program again and again. What cannot go is passed over.
        with contextlib.suppress(OSError, RecursionError):
            shutil.rmtree(f"/proc/self/fd/{home}/{name}")
    except FileNotFoundError:
        pass
