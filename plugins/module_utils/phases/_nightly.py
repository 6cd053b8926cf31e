# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nightly rebuild: where a candidate can be gated, and the report. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

# The field reports lost their image to a blind `docker image prune -a`.
PRUNE = "For room: docker image prune --filter until=24h; never -a, which takes every image that no container uses."


def free(hosts: Mapping[str, Any], names: Sequence[str]) -> str:
    """The last of the nodes on which nothing of ours or of anybody's engine runs, or "". `hosts`: as for `report`."""
    return next((name for name in reversed(names) if _idle((hosts[name].get("nightly_before") or {}).get("engine"))), "")


def _idle(look: Mapping[str, Any] | None) -> bool:
    """Of module world_info, part `engine`; a node that was not looked at is none."""
    if not look or look["processes"] or look["listeners"]:
        return False
    return not any(item["running"] for item in look["containers"])


def report(plan: Mapping[str, Any], hosts: Mapping[str, Any], names: Sequence[str], gate_node: str, gate_profile: str) -> dict[str, Any]:
    """The one JSON document of a rebuild, made of what it left of each host.

    `hosts`: by name {"nightly_error" (where it failed), "nightly_before" and "nightly_after" (module world_info), "nightly_gated",
    "image_built", "image_id", "image_inputs"}, each as far as the host got; `names`: the nodes; `gate_node`: "" where none is free.
    """
    reference, builder = plan["image"]["reference"], hosts[plan["image"]["builder"]]
    states = {name: _state(hosts[name], reference) for name in names}
    errors = [f"{name}: {state['error']}" for name, state in states.items() if state["error"]]
    # None: nobody got so far.
    built = builder.get("image_built")
    asked: Mapping[str, Any] = hosts[gate_node] if gate_node else {}
    # None: it was not asked.
    gated = True if asked.get("nightly_gated") else False if asked.get("nightly_error") else None
    why = "no gate_profile was given" if not gate_profile else "" if gate_node else "every node serves"
    return {
        "ok": not errors,
        "image": reference,
        "built": built,
        "candidate": {"id": builder.get("image_id", ""), "inputs": builder["image_inputs"]} if built else None,
        "gate": {"node": gate_node, "profile": gate_profile, "ok": gated, "why": why},
        "promoted": bool(built) and not errors,
        "before": {name: state["before"] for name, state in sorted(states.items())},
        "serves_next": {name: state["now"] for name, state in sorted(states.items())},
        "errors": errors,
    }


def _state(host: Mapping[str, Any], reference: str) -> dict[str, str]:
    """Why a node failed ("" if it did not), and the IDs of the image that serve.yml would start there, before and after."""
    looks = [(host.get(key) or {}).get("images") or {} for key in ("nightly_before", "nightly_after")]
    before, now = (look.get("images", {}).get(reference, {}).get("id", "") for look in looks)
    return {"error": host.get("nightly_error") or ("" if looks[1] else "no answer"), "before": before, "now": now}


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
