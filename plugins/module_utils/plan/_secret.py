# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The secret of launches on the control node: Ray's token, of which the key of the group's link is made. PRIVATE to the collection."""

from __future__ import annotations

import re
from pathlib import Path

from ..common import _files
from ..common._files import Refused
from ..common._problem import Problem
from ._types import Plan

NAME = "ray_token"
FORM = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)


def needed(plan: Plan) -> bool:
    """Does a launch have a secret? As role `engine` gives it to the nodes."""
    return bool(plan["group"]["address"]) or any(node["ray"] for node in plan["nodes"])


def problems(folder: str) -> list[Problem]:
    """Why the file cannot be a launch's secret; nothing where the first launch will make it.

    With an empty one, as a full disk leaves it, everybody would know the key. What it says is never told.
    """
    path = Path(folder).expanduser() / NAME
    try:
        text = _files.read(str(path), 4096).decode("utf-8", "replace").rstrip("\n")
        mode = path.stat().st_mode & 0o777
    except Refused as refused:
        return (
            []
            if refused.found == "nothing"
            else [Problem(str(path), "", refused.found, "a file with the launches' secret", code="not-a-file")]
        )
    found = []
    if not FORM.fullmatch(text):
        hint = "Remove the file: the next launch makes a new one."
        found.append(Problem(str(path), "", f"{len(text)} characters", "64 hexadecimal digits", hint, "wrong-secret"))
    if mode & 0o077:
        found.append(Problem(str(path), "", f"mode {mode:04o}", "one that only its owner can read", f"chmod 600 {path}", "open-secret"))
    return found
