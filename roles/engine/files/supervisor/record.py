# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a head that is started again must know of its group: a file in the run folder, which serve.yml removes."""

from __future__ import annotations

import json
import os
from typing import Any

import group

NAME = "group.json"


def write(path: str, launch: str, boot_id: str, state: group.Group) -> None:
    """Replace the file in one step, and wait for the disk."""
    kept = {"phase": state.phase, "generation": state.generation, "served": state.served, "reason": state.reason, "kind": state.kind}
    with open(f"{path}.new", "w", encoding="utf-8") as file:
        json.dump({"launch": launch, "boot_id": boot_id, "restarts": state.restarts, **kept}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(f"{path}.new", path)


def read(path: str, launch: str, boot_id: str, fresh: group.Group) -> group.Group | None:
    """The group as it was left, or None where this launch has no record. `fresh`: as it begins."""
    try:
        with open(path, encoding="utf-8") as file:
            found: Any = json.load(file)
        if found["launch"] != launch:
            return None
        # The steady clock begins anew with each boot: restarts of another one count as if it had begun with them.
        restarts = [float(at) if found["boot_id"] == boot_id else 0.0 for at in found["restarts"]]
        kept: dict[str, Any] = {"generation": int(found["generation"]), "served": bool(found["served"]), "restarts": tuple(restarts)}
        phase, reason, kind = str(found["phase"]), str(found["reason"]), str(found["kind"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as error:
        # Nobody knows how often it was restarted: that is a reason to look, and not to go on.
        return _as(fresh, group.DOWN, f"{path} cannot be read ({error!r}); ansible-playbook serve.yml starts afresh", group.SETUP)
    if phase == group.DOWN:
        return _as(fresh, phase, reason, kind, **kept)
    if phase == group.STOPPED:
        return _as(fresh, group.WAITING, reason, group.STOP, **kept)
    if kept["generation"] == 0:
        return None
    return _as(fresh, group.WAITING, f"{fresh.ranks[0].name}: its supervisor was started again", group.SIGNAL, **kept)


def _as(fresh: group.Group, phase: str, reason: str, kind: str, **kept: Any) -> group.Group:
    base = group.Group(fresh.ranks, fresh.limit, fresh.gather_seconds, fresh.since)
    return group.Group(**{**vars(base), "phase": phase, "reason": reason, "kind": kind, **kept})
