# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What of role notify is installed on a node: its program, its settings without their secret, its units.

Runs on the nodes (Python >= 3.9, standard library). PRIVATE to the collection.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Mapping

from . import _manifest
from ._docker import Run
from ._types import Notifier

UNITS = "/etc/systemd/system"
NAME = "gx10-notify"
PATH, SERVICE, CONFIG = f"{NAME}.path", f"{NAME}.service", "config.json"


def home(state_dir: str) -> str:
    """Its folder."""
    return os.path.join(state_dir, "notify")


def digest(program: str, texts: Mapping[str, str]) -> str:
    """One hash of what is installed. `program`: its files' hash; `texts`: the two units and the settings, by their names."""
    return "sha256:" + hashlib.sha256(json.dumps([program, sorted(texts.items())]).encode()).hexdigest()


def look(run: Run, state_dir: str, units: str = UNITS) -> Notifier:
    """What is there. `hash`: of all of it, "" where there is nothing; `active`: systemd looks for notices."""
    folder = home(state_dir)
    places = {PATH: units, SERVICE: units, CONFIG: os.path.join(folder, "installed")}
    texts = {name: text for name, where in places.items() if (text := _text(os.path.join(where, name))) is not None}
    if not texts and not os.path.isdir(folder):
        return {"hash": "", "active": False}
    program = os.path.join(folder, "installed", "program")
    # What somebody put there that is no file is a difference, too.
    try:
        files = _manifest.digest([*_manifest.tree(program)]) if os.path.isdir(program) else ""
    except OSError as error:
        files = str(error)
    return {"hash": digest(files, texts), "active": run(["systemctl", "is-active", "--quiet", PATH])[0] == 0}


def _text(path: str) -> str | None:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return None
