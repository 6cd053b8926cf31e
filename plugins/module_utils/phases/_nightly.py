# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nightly rebuild: where a candidate can be gated, and the report. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypedDict

from ..node._types import Engine
from ..plan._types import Plan

# The field reports lost their image to a blind `docker image prune -a`.
PRUNE = "For room: docker image prune --filter until=24h; never -a, which takes every image that no container uses."


class NodeState(TypedDict):
    """`id` and `now`: of the image whose tag serves, before and after."""

    error: str
    id: str
    now: str


class Candidate(TypedDict):
    """`built` is None where nobody got so far."""

    built: bool | None
    id: str
    inputs: Any


class Proof(TypedDict):
    id: str
    inputs: Any


class Gated(TypedDict):
    """`ok` is None where nothing was gated, and `why` says why."""

    node: str
    profile: str
    ok: bool | None
    why: str


class Rebuild(TypedDict):
    """The one JSON document of a rebuild; `before` and `serves_next`: image IDs by node."""

    ok: bool
    image: str
    built: bool | None
    candidate: Proof | None
    gate: Gated
    promoted: bool
    before: dict[str, str]
    serves_next: dict[str, str]
    errors: list[str]


def free(infos: Mapping[str, Engine]) -> str:
    """The last node (in inventory order) on which nothing of ours or of anybody's engine runs, or ""."""
    idle = [
        name
        for name, info in infos.items()
        if not info["processes"] and not info["listeners"] and not any(item["running"] for item in info["containers"])
    ]
    return idle[-1] if idle else ""


def report(plan: Plan, nodes: Mapping[str, NodeState], candidate: Candidate, gate: Gated) -> Rebuild:
    """What became of a rebuild."""
    errors = [f"{name}: {node['error']}" for name, node in nodes.items() if node["error"]]
    promoted = bool(candidate["built"]) and not errors
    return {
        "ok": not errors,
        "image": plan["image"]["reference"],
        "built": candidate["built"],
        "candidate": {"id": candidate["id"], "inputs": candidate["inputs"]} if candidate["built"] else None,
        "gate": gate,
        "promoted": promoted,
        "before": {name: node["id"] for name, node in sorted(nodes.items())},
        "serves_next": {name: node["now"] for name, node in sorted(nodes.items())},
        "errors": errors,
    }


def text(document: Rebuild) -> str:
    """The report for a person."""
    if document["errors"]:
        return f"{document['image']} was not rebuilt; its tag is where it was.\n" + "\n".join(document["errors"])
    if not document["built"]:
        return f"{document['image']}: its inputs are unchanged, so nothing was built."
    gate, candidate = document["gate"], document["candidate"]
    how = f"{gate['profile']} answered with it on {gate['node']}" if gate["ok"] else f"not gated: {gate['why']}"
    nodes = [name for name, image in document["serves_next"].items() if candidate and image == candidate["id"]]
    return f"{document['image']}: rebuilt and promoted on {', '.join(nodes)} ({how}). serve.yml starts it.\n{PRUNE}"
