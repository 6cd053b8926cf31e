# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run will change, as data: one action per thing and node, with its reason. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypedDict


class Action(TypedDict):
    """`do`: a key that tests and tools compare; `text`: what is done and why, for people. `node` is empty for a whole group."""

    phase: str
    node: str
    do: str
    text: str


def action(phase: str, node: str, do: str, text: str) -> Action:
    """One action."""
    return {"phase": phase, "node": node, "do": do, "text": text}


def lines(actions: Sequence[Action]) -> list[str]:
    """For a terminal, one line each."""
    return [f"{item['phase']}: {item['node'] + ': ' if item['node'] else ''}{item['text']}" for item in actions]
