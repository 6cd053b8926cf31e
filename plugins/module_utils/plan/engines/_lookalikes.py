# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Texts that somebody may have meant as a number or a truth, where nothing says what is wanted. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

# As the reader of profiles has it where it is not quoted, so that the quotes are meant.
NUMBER = re.compile(r"[+-]?(?:(?:0|[1-9][0-9]*)(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][+-]?[0-9]+)?")
LIKE = re.compile(r"[+-]?(?:[0-9][0-9_]*(?:\.[0-9_]*)?|\.[0-9][0-9_]*)(?:[eE][+-]?[0-9]+)?|(?i:true|false|yes|no|on|off)")


def texts(value: Any, path: str) -> Iterator[tuple[str, str]]:
    """Those of a mapping in mappings, with their paths."""
    if isinstance(value, dict):
        for key, item in value.items():
            yield from texts(item, f"{path}.{key}")
    elif isinstance(value, str) and LIKE.fullmatch(value) and not NUMBER.fullmatch(value):
        yield path, value
