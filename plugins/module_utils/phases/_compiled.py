# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which of what engines have compiled is used again. All ranks start alike: with what one launch of all of them has left, or with nothing.

A rank that compiles while others do not keeps them waiting in a collective until it times out: the field's reports of that are in
docs/recovery.md. Pure. PRIVATE to the collection.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import TypedDict

from ..node._compiled import FOLDER, NOTE, STAMP
from ..node._types import Compiled
from ..plan._resolve import digest
from ..plan._types import Plan

GIB = 1024**3


class CompiledDecision(TypedDict):
    """`drop`: folders by node; `why`: the group starts cold, though one of its nodes has something."""

    drop: dict[str, list[str]]
    why: str


def key(plan: Plan, image_id: str) -> str:
    """The folder's name: what was compiled for another engine, image, mods or order of ranks is not this launch's."""
    head = plan["nodes"][0]
    mods = [[mod["name"], mod["hash"]] for mod in head["mods"]]
    of = digest([mods, [node["name"] for node in plan["nodes"]]])
    return f"{plan['engine']}-{image_id.removeprefix('sha256:')[:12]}-{of.removeprefix('sha256:')[:8]}"


def note(plan: Plan, image_id: str) -> list[dict[str, str]]:
    """For module node_files, in the key's folder."""
    return [_file(NOTE, {"image": image_id, "profile": plan["profile"]})]


def stamp(plan: Plan, image_id: str, weights: str) -> list[dict[str, str]]:
    """For module node_files, in the state folder, once the launch has passed its gate; nothing where nothing is kept."""
    if not plan.get("compiled_gib"):
        return []
    return [_file(f"{FOLDER}/{key(plan, image_id)}/{STAMP}", {"launch": digest([plan["hash"], image_id, weights])})]


def decide(plan: Plan, looks: Mapping[str, Sequence[Compiled]], image_id: str) -> CompiledDecision:
    """`looks`: by node, those that the plan does not use, too."""
    bound, name = plan.get("compiled_gib", 0) * GIB, key(plan, image_id)
    nodes = [node["name"] for node in plan["nodes"]]
    own = {node: next((one for one in looks[node] if one["name"] == name), None) for node in nodes}
    why = _why(own, bound)
    drop: dict[str, list[str]] = {}
    for node, found in looks.items():
        kept = [one for one in found if bound and not one["image_gone"] and not (why and node in nodes and one["name"] == name)]
        others = [one for one in kept if one["name"] != name]
        # One that is not this launch's is not worth more room than there is for all.
        if sum(one["bytes"] for one in kept) > bound:
            kept = [one for one in kept if one not in others]
        drop[node] = [one["name"] for one in found if one not in kept]
    return {"drop": drop, "why": why if any(own.values()) else ""}


def _why(own: Mapping[str, Compiled | None], bound: int) -> str:
    """Why the group starts cold; empty if all ranks have what one launch has left."""
    without = [node for node, one in own.items() if one is None]
    if without:
        return f"{', '.join(without)} has nothing"
    stamps = {node: one["stamp"] for node, one in own.items() if one}
    unfinished = [node for node, one in stamps.items() if not one]
    if unfinished:
        return f"the last launch did not pass its gate ({', '.join(unfinished)})"
    if len(set(stamps.values())) > 1:
        return "it is of different launches"
    large = [node for node, one in own.items() if one and one["bytes"] > bound]
    return f"{', '.join(large)} has more than gx10_compiled_gib, {bound // GIB} GiB" if large else ""


def _file(path: str, value: dict[str, str]) -> dict[str, str]:
    return {"path": path, "content": base64.b64encode(f"{json.dumps(value)}\n".encode()).decode(), "mode": "0600"}
