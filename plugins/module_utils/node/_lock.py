# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The cluster's lock as it lies on a node: what is in it, and how old it is by the node's own clock. Runs on the nodes. PRIVATE.

Module cluster_lock takes it and gives it back; a look at a node only reads it.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping
from typing import Any

NAME = "lock.json"
FIELDS = {
    "run": str,
    "token": str,
    "control": str,
    "pid": int,
    "started": str,
    "purpose": str,
    "lease": int,
    "node_boot": str,
    "renewed": float,
}


class NoLock(Exception):
    """Something else is where the lock should be."""


def who(held: Mapping[str, Any]) -> str:
    """A holder, for people."""
    return f"{held['purpose'] or 'a run'}, process {held['pid']} on {held['control']}"


def stamp() -> dict[str, Any]:
    """Now, on this node."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        # Without the time asleep, when nobody could have renewed anything.
        return {"node_boot": file.read().strip(), "renewed": time.clock_gettime(time.CLOCK_MONOTONIC)}


def age(lock: dict[str, Any]) -> float:
    """Seconds in which the holder could have renewed the lock and did not."""
    now = stamp()
    since = lock["renewed"] if lock["node_boot"] == now["node_boot"] else 0.0
    return float(now["renewed"] - since)


def held(lock: dict[str, Any]) -> float:
    """Seconds since it was taken; one of an earlier release says only when it was renewed."""
    since = lock.get("since")
    return age(lock) + max(0.0, lock["renewed"] - since if isinstance(since, float) else 0.0)


def read(path: str) -> dict[str, Any]:
    """The lock; empty if there is none."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            text = file.read()
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise NoLock((error.strerror or str(error)).lower()) from error
    try:
        found: dict[str, Any] = json.loads(text)
        whole = all(isinstance(found[key], kind) for key, kind in FIELDS.items())
    except (ValueError, LookupError, TypeError):
        whole = False
    if not whole:
        raise NoLock(repr(text[:200]))
    return found
