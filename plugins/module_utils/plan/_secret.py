# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Secrets that lie on the control node: the launches' (Ray's token, of which the key of the group's link is made), and the notifier's.

PRIVATE to the collection.
"""

from __future__ import annotations

import re
from pathlib import Path

from ..common import _files
from ..common._files import Refused
from ..common._problem import Problem
from ._types import Plan

NAME = "ray_token"
FORM = re.compile(r"[0-9a-f]{64}", re.IGNORECASE)
# As roles/notify/files/notifier/webhook.py takes it.
LINE = re.compile(rb"[\x21-\x7e]{1,4096}")
MOST = 64 * 1024


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
    return found + _open(path, "")


def of_notifier(name: str) -> list[Problem]:
    """Why a file cannot be the notifier's secret, which the head would only tell when there is something to notice."""
    path, key = Path(name).expanduser(), "gx10_notify_secret_file"
    try:
        line = _files.read(str(path), MOST).rstrip(b"\r\n")
    except Refused as refused:
        return [Problem(str(path), key, refused.found, "a file of mode 0600 on the control node", code=refused.code)]
    found = []
    # Ansible reads one of its vault's as it copies it.
    if not LINE.fullmatch(line) and not line.startswith(b"$ANSIBLE_VAULT;"):
        wanted = "one line of 1 to 4096 printable ASCII characters without a space"
        found.append(Problem(str(path), key, f"another text of {len(line)} bytes", wanted, code="wrong-secret"))
    return found + _open(path, key)


def _open(path: Path, key: str) -> list[Problem]:
    mode = path.stat().st_mode & 0o777
    if not mode & 0o077:
        return []
    return [Problem(str(path), key, f"mode {mode:04o}", "one that only its owner can read", f"chmod 600 {path}", "open-secret")]
