# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines have compiled and a node keeps: one folder a key, with a note of the image and, once its launch has served, a stamp.

Runs on the nodes (Python >= 3.9, standard library). PRIVATE to the collection.
"""

from __future__ import annotations

import os
from typing import Any

from . import _json
from ._docker import Docker
from ._types import Compiled

FOLDER, NOTE, STAMP = "compiled", "about.json", "complete.json"


def look(docker: Docker, state_dir: str) -> list[Compiled]:
    """By name. What an engine writes lies in a folder below, which its container sees; note and stamp it does not."""
    root = os.path.join(state_dir, FOLDER)
    names = sorted(name for name in os.listdir(root) if os.path.isdir(os.path.join(root, name))) if os.path.isdir(root) else []
    notes = {name: _text(_json.read(root, name, NOTE).get("image")) for name in names}
    there = {item["Id"] for item in docker.inspect("image", [image for image in notes.values() if image])}
    return [
        {
            "name": name,
            "image": notes[name],
            "image_gone": notes[name] not in there,
            "stamp": _text(_json.read(root, name, STAMP).get("launch")),
            "bytes": _size(os.path.join(root, name)),
        }
        for name in names
    ]


def _text(found: Any) -> str:
    return found if isinstance(found, str) else ""


def _size(folder: str) -> int:
    """Bytes on the disk; links are not followed, and what goes meanwhile does not count."""
    total = 0
    for where, _folders, names in os.walk(folder):
        for name in names:
            try:
                total += os.lstat(os.path.join(where, name)).st_blocks * 512
            except FileNotFoundError:
                continue
    return total
