# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nightly rebuild: where a candidate can be gated, and the report. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from ..node._types import Engine, World
from ..plan._types import Plan

# The field reports lost their image to a blind `docker image prune -a`.
PRUNE = "For room: docker image prune --filter until=24h; never -a, which takes every image that no container uses."


class Candidate(TypedDict):
    id: str
    inputs: str


class Gated(TypedDict):
    """`ok` is None where nothing was gated; `why` says why there was no node for it."""

    node: str
    profile: str
    ok: bool | None
    why: str


class Rebuild(TypedDict):
    """The one JSON document of a rebuild; `built` is None where nobody got so far; `before` and `serves_next`: image IDs by node."""

    ok: bool
    image: str
    built: bool | None
    candidate: Candidate | None
    gate: Gated
    promoted: bool
    before: dict[str, str]
    serves_next: dict[str, str]
    errors: list[str]


def free(hosts: Mapping[str, Any], names: Sequence[str]) -> str:
    """The last of the nodes on which nothing of ours or of anybody's engine runs, or "". `hosts`: as for `report`."""
    return next((name for name in reversed(names) if _idle((hosts[name].get("nightly_before") or {}).get("engine"))), "")


def _idle(look: Engine | None) -> bool:
    """A node that was not looked at is none."""
    if not look or look["processes"] or look["listeners"]:
        return False
    return not any(item["running"] for item in look["containers"])


def report(plan: Plan, hosts: Mapping[str, Any], names: Sequence[str], gate_node: str, gate_profile: str) -> Rebuild:
    """What became of a rebuild, by what it left of each host.

    `hosts`: by name {"nightly_error" (where it failed), "nightly_before" and "nightly_after" (module world_info), "nightly_gated",
    "image_built", "image_id", "image_inputs"}, each as far as the host got; `names`: the nodes; `gate_node`: "" where none is free.
    """
    reference, builder = plan["image"]["reference"], hosts[plan["image"]["builder"]]
    # A run that was refused has looked at nobody.
    looked = any("nightly_before" in hosts[name] for name in names)
    states = {name: _state(hosts[name], reference, looked) for name in names}
    errors = [f"{name}: {state['error']}" for name, state in states.items() if state["error"]]
    # None: nobody got so far.
    built = builder.get("image_built")
    asked = hosts[gate_node] if gate_node else {}
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


def _state(host: Mapping[str, Any], reference: str, looked: bool) -> dict[str, str]:
    """Why a node failed ("" if it did not), and the IDs of the image that serve.yml would start there, before and after."""
    before: World = host.get("nightly_before", {})
    after: World = host.get("nightly_after", {})
    error = host.get("nightly_error") or ("no answer" if looked and "images" not in after else "")
    return {"error": error, "before": _tagged(before, reference), "now": _tagged(after, reference)}


def _tagged(look: World, reference: str) -> str:
    images = look["images"]["images"] if "images" in look else {}
    return images[reference]["id"] if reference in images else ""


def text(document: Rebuild) -> str:
    """The report for a person."""
    if document["errors"]:
        before, now = document["before"], document["serves_next"]
        moved = [name for name in now if now[name] not in ("", before[name])]
        tag = f"on {', '.join(moved)} its tag could not be put back: run it again" if moved else "its tag is where it was"
        return f"{document['image']} was not rebuilt; {tag}.\n" + "\n".join(document["errors"])
    candidate, gate = document["candidate"], document["gate"]
    if candidate is None:
        return f"{document['image']}: its inputs are unchanged, so nothing was built."
    how = f"{gate['profile']} answered with it on {gate['node']}" if gate["ok"] else f"not gated: {gate['why']}"
    nodes = [name for name, image in document["serves_next"].items() if image == candidate["id"]]
    return f"{document['image']}: rebuilt and promoted on {', '.join(nodes)} ({how}). serve.yml starts it.\n{PRUNE}"
