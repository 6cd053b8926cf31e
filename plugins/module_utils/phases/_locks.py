# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Another run's lock. A run has its own on the first node that it does not leave out, so that two may have theirs on different nodes. Each
takes its own and looks at all nodes then: whoever comes second sees the other. Pure. PRIVATE to the collection."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

from ..common._problem import Problem
from ..node._lock import who
from ..node._types import WholeWorld


def locked(node: str, path: str, holder: Mapping[str, Any], age: float, held: float) -> Problem:
    """A node on which a run that lives has its lock, taken and renewed so many seconds ago."""
    found = f"the cluster locked by {who(holder)}, for {held:.0f} s, renewed {age:.0f} s ago"
    rest = max(1, math.ceil(holder["lease"] - age))
    hint = f"Wait for that run. If it is dead, wait {rest} s: its lock is taken over by itself."
    return Problem(node, path, found, "it free", hint, code="locked")


def elsewhere(worlds: Mapping[str, WholeWorld], path: str, ours: str, ended: Callable[[Mapping[str, Any]], bool]) -> list[Problem]:
    """All nodes with another run's lock. `ours`: this run; `ended`: does this machine know that a holder's run has ended?"""
    found = []
    for node, lock in ((node, lock) for node, world in worlds.items() if (lock := world.get("lock"))):
        if lock["error"]:
            hint = "If no run changes the group, remove it."
            found.append(Problem(node, path, lock["error"], "a lock of this release, or none", hint, code="wrong-form"))
            continue
        holder = lock["holder"]
        if holder["run"] != ours and lock["age"] <= holder["lease"] and not ended(holder):
            found.append(locked(node, path, holder, lock["age"], lock["held"]))
    return found
