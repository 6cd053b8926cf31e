# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The nightly rebuild: where a candidate can be gated, and the report. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from ..node._types import Engine, World
from ..plan._types import Image, Plan
from ._image import undo

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
    """The one JSON document of a rebuild; `built` is None where nobody got so far; `before` and `serves_next`: image IDs by node; `left`:
    what could not be taken back, each with the command that does it."""

    ok: bool
    image: str
    built: bool | None
    candidate: Candidate | None
    gate: Gated
    promoted: bool
    before: dict[str, str]
    serves_next: dict[str, str]
    errors: list[str]
    left: list[str]


def names(image: Image) -> list[str]:
    """The definitions that a rebuild may build."""
    return [item["name"] for item in [*image["lineage"], image]]


def free(hosts: Mapping[str, Any], nodes: Sequence[str]) -> str:
    """The last of the nodes on which nothing of ours or of anybody's engine runs, or "". `hosts`: as for `report`."""
    return next((name for name in reversed(nodes) if _idle((hosts[name].get("nightly_before") or {}).get("engine"))), "")


def _idle(look: Engine | None) -> bool:
    """A node that was not looked at is none."""
    if not look or look["processes"] or look["listeners"]:
        return False
    return not any(item["running"] for item in look["containers"])


def report(plan: Plan, hosts: Mapping[str, Any], nodes: Sequence[str], gate_node: str, gate_profile: str) -> Rebuild:
    """What became of a rebuild, by what it left of each host.

    `hosts`: by name {"nightly_error" (where it failed), "nightly_before" and "nightly_after" (module world_info), "nightly_gated",
    "image_built", "image_id", "image_inputs"}, each as far as the host got; `nodes`: all of them; `gate_node`: "" where none is free.
    """
    reference, builder = plan["image"]["reference"], hosts[plan["image"]["builder"]]
    # A run that was refused has looked at nobody.
    looked = any("nightly_before" in hosts[name] for name in nodes)
    states = {name: _state(hosts[name], reference, looked) for name in nodes}
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
        "left": [line for name in nodes for line in _left(plan["image"], name, hosts[name])] if errors else [],
    }


def _state(host: Mapping[str, Any], reference: str, looked: bool) -> dict[str, str]:
    """Why a node failed ("" if it did not), and the IDs of the image that serve.yml would start there, before and after."""
    before: World = host.get("nightly_before", {})
    after: World = host.get("nightly_after", {})
    error = host.get("nightly_error") or ("no answer" if looked and "images" not in after else "")
    return {"error": error, "before": _tagged(before, reference), "now": _tagged(after, reference)}


def _left(image: Image, node: str, host: Mapping[str, Any]) -> list[str]:
    """What is not as it was before, a line each; of a node on which nothing was begun, nothing."""
    before, after = (host.get(key, {}).get("images") for key in ("nightly_before", "nightly_after"))
    if not before:
        return []
    if not after:
        return [f"{node}: nobody could look at what is left there"]
    found = undo(names(image), before, after)
    return [
        *(f"{node}: {one['reference']}: not put back. On {node}: docker tag {one['id']} {one['reference']}" for one in found["tag"]),
        *(f"{node}: {reference}: not taken away. On {node}: docker image rm {reference}" for reference in found["untag"]),
        *(f"{node}: layers of {one['image'][7:19]}: not forgotten; a later image takes their place" for one in found["forget"]),
    ]


def _tagged(look: World, reference: str) -> str:
    images = look["images"]["images"] if "images" in look else {}
    return images[reference]["id"] if reference in images else ""


def text(document: Rebuild) -> str:
    """The report for a person."""
    if document["errors"]:
        left = "not all is known to be as it was" if document["left"] else "all tags are where they were"
        return "\n".join([f"{document['image']} was not rebuilt; {left}.", *document["errors"], *document["left"]])
    candidate, gate = document["candidate"], document["gate"]
    if candidate is None:
        return f"{document['image']}: its inputs are unchanged, so nothing was built."
    how = f"{gate['profile']} answered with it on {gate['node']}" if gate["ok"] else f"not gated: {gate['why']}"
    nodes = [name for name, image in document["serves_next"].items() if image == candidate["id"]]
    return f"{document['image']}: rebuilt and promoted on {', '.join(nodes)} ({how}). serve.yml starts it.\n{PRUNE}"
