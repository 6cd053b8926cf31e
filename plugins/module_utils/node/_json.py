# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A JSON file of the state folder. Runs on the nodes (Python >= 3.9, standard library). PRIVATE to the collection."""

from __future__ import annotations

import json
import os
from typing import Any

from . import _paths

# Of a record or a status; a plan has some 100 KiB.
RECORD_BYTES = 4 * 1024**2


def read(*path: str) -> Any:
    """A mapping in a JSON file of the state folder; empty if it is not there, not whole, too large, or something else."""
    try:
        with open(_paths.opened(os.path.join(*path)), "rb") as file:
            text = file.read(RECORD_BYTES + 1)
        found = json.loads(text) if len(text) <= RECORD_BYTES else None
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}
