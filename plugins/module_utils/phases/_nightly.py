# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nightly rebuild: where a candidate can be gated, and the report. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

# The field reports lost their image to a blind `docker image prune -a`.
PRUNE = "For room: docker image prune --filter until=24h; never -a, which takes every image that no container uses."


def free(infos: Mapping[str, Any]) -> str:
    """The last node (module engine_info by node, in inventory order) on which nothing of ours or of anybody's engine runs, or ""."""
    idle = [
        name
        for name, info in infos.items()
        if not info["processes"] and not info["listeners"] and not any(item["running"] for item in info["containers"])
    ]
    return idle[-1] if idle else ""


def report(plan: Mapping[str, Any], nodes: Mapping[str, Any], candidate: Mapping[str, Any], gate: Mapping[str, Any]) -> dict[str, Any]:
    """The one JSON document of a rebuild.

    `nodes`: {"error" (text or ""), "id" (of the tag that serves, before), "now" (after)} by node; `candidate`: {"built" (bool or None where
    nobody got so far), "id", "inputs"}; `gate`: {"node", "profile", "ok" (None: not gated), "why"}.
    """
    errors = [f"{name}: {node['error']}" for name, node in nodes.items() if node["error"]]
    promoted = bool(candidate["built"]) and not errors
    return {
        "ok": not errors,
        "image": plan["image"]["reference"],
        "built": candidate["built"],
        "candidate": {"id": candidate["id"], "inputs": candidate["inputs"]} if candidate["built"] else None,
        "gate": dict(gate),
        "promoted": promoted,
        "before": {name: node["id"] for name, node in sorted(nodes.items())},
        "serves_next": {name: node["now"] for name, node in sorted(nodes.items())},
        "errors": errors,
    }


def text(document: Mapping[str, Any]) -> str:
    """The report for a person."""
    if document["errors"]:
        return f"{document['image']} was not rebuilt; its tag is where it was.\n" + "\n".join(document["errors"])
    if not document["built"]:
        return f"{document['image']}: its inputs are unchanged, so nothing was built."
    gate: Mapping[str, Any] = document["gate"]
    how = f"{gate['profile']} answered with it on {gate['node']}" if gate["ok"] else f"not gated: {gate['why']}"
    nodes = [name for name, image in document["serves_next"].items() if image == document["candidate"]["id"]]
    return f"{document['image']}: rebuilt and promoted on {', '.join(nodes)} ({how}). serve.yml starts it.\n{PRUNE}"
