# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does the group run what the plan says, and if not, why is it replaced? What is left over beside it? Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from ..node._types import Container, Engine
from ..plan._resolve import other_format
from ..plan._types import Mod, Node, Plan
from ._actions import Action, action
from ._engine import LABEL, comes, own, parts, restarting
from ._gate import served_record
from ._types import Part, Record

PHASE = "engine"
WAIT = "wait"
UNKNOWN = "image or weights turn out to be others"


class EngineDecision(TypedDict):
    """`parts`: what each node's supervisor shall get; None where the plan does not use the node. `remove`: containers by node that go
    while the group stays; a group that is replaced takes all of ours with it."""

    parts: dict[str, Part | None]
    remove: dict[str, list[str]]
    actions: list[Action]


def decide(plan: Plan, looks: Mapping[str, Engine], image_id: str, weights_hash: str) -> EngineDecision:
    """What the group shall run, and why it does not.

    `looks`: by node. Without `image_id` or `weights_hash` (only other actions will tell) the
    group is replaced. A group starts as one: if one node differs, all are stopped and started. What is left over is removed beside
    a group that is as planned, unless it runs on one of its nodes: there it holds memory and ports, and the engine has sized its
    KV cache by what was left.
    """
    known = bool(image_id and weights_hash)
    wanted = parts(plan, list(looks), image_id, weights_hash) if known else {}
    reasons = [reason for name in looks for reason in _node(plan, name, looks[name], wanted.get(name), known)]
    certain = [reason for reason in reasons if reason != UNKNOWN]
    if not certain:
        depends = [action(PHASE, "", "depends", f"replace the group, if {UNKNOWN}")] if reasons else []
        remove = {name: left for name in looks if (left := [item["name"] for item in left_over(plan, name, looks[name])])}
        removals = [action(PHASE, name, "remove", f"remove {one}: left over") for name, left in remove.items() for one in left]
        return {"parts": wanted, "remove": remove, "actions": depends + removals + _awaited(plan, looks)}
    running = [name for name, look in looks.items() if any(item["running"] for item in look["containers"])]
    record = served_record(looks)
    told = changes(record, plan, image_id, weights_hash) if running and record else []
    why = "; ".join(dict.fromkeys(told or certain))
    do = "replace" if running else "start"
    return {"parts": wanted, "remove": {}, "actions": [action(PHASE, "", do, f"{do} the group: {why}")]}


def replaces(actions: Sequence[Action]) -> bool:
    """Is the group itself touched, or may it be?"""
    return any(item["do"] not in ("remove", WAIT) for item in actions)


def waits(actions: Sequence[Action]) -> bool:
    """Is the group waited for?"""
    return any(item["do"] == WAIT for item in actions)


def _awaited(plan: Plan, looks: Mapping[str, Engine]) -> list[Action]:
    """A group that starts, or starts again by itself, is as planned, and only has to come."""
    ours = {node["name"]: own(node, looks.get(node["name"])) for node in plan["nodes"]}
    coming = {name: item["status"] for name, item in ours.items() if item and comes(item)}
    if not coming:
        return []
    # The head knows of all.
    told = next((text for status in coming.values() if (text := restarting(status))), "")
    why = told or "; ".join(f"{name} is in phase {status.get('phase')}" for name, status in coming.items())
    return [action(PHASE, "", WAIT, f"wait for the group: {why}")]


def left_over(plan: Plan, name: str, look: Engine) -> list[Container]:
    """Containers of ours that the plan does not name."""
    planned = [node["container"]["name"] for node in plan["nodes"] if node["name"] == name]
    return [item for item in look["containers"] if item["name"] not in planned]


def _node(plan: Plan, name: str, look: Engine, wanted: Part | None, known: bool) -> list[str]:
    """Why a node does not run its part alone; empty if it does, or has none."""
    node = next((node for node in plan["nodes"] if node["name"] == name), None)
    if node is None:
        return []
    beside = [item["name"] for item in left_over(plan, name, look) if item["running"]]
    if beside:
        return [f"{name} runs {', '.join(beside)}, which holds memory and ports"]
    ours = own(node, look)
    if ours is None:
        return [f"{name} has no container"]
    if not ours["running"]:
        return [f"the container on {name} has ended with code {ours['exit_code']}"]
    phase = ours["status"].get("phase")
    if phase in ("failing", "failed", "stopping") and not comes(ours):
        return [f"{name} is {phase}: {ours['status'].get('reason') or 'no reason given'}"]
    # Whatever image and weights will be, another plan is another one.
    which, expected = ("hash", wanted["hash"]) if wanted else ("plan", plan["hash"])
    label = ours["labels"].get(LABEL + which, "none")
    if label != expected:
        return [f"{name} runs another plan ({label[7:19]})"]
    return [] if known else [UNKNOWN]


def changes(record: Record, plan: Plan, image_id: str, weights_hash: str) -> list[str]:
    """What is otherwise than in the record of what runs, in the user's words."""
    if other_format(record):
        return ["served by another release"]
    before = record["plan"]
    if before["profile"] != plan["profile"]:
        return [f"{before['profile']} → {plan['profile']}"]
    found = []
    ours, theirs = [node["name"] for node in plan["nodes"]], [node["name"] for node in before["nodes"]]
    if ours != theirs:
        found.append(f"nodes {', '.join(theirs)} → {', '.join(ours)}")
    for old, new in zip(before["nodes"], plan["nodes"]):
        found += _keys("", _options(_argv(old)), _options(_argv(new)))
        found += _keys("ray ", _options(_ray(old)), _options(_ray(new)))
        found += _keys("", {**old["env"], **old["runtime_env"]}, {**new["env"], **new["runtime_env"]})
        found += _keys("container ", old["container"]["options"], new["container"]["options"])
        found += _keys("mount ", _mounts(old), _mounts(new))
        found += _mods(old["mods"], new["mods"])
        if old["memory_floor_gib"] != new["memory_floor_gib"]:
            found.append(f"memory floor {old['memory_floor_gib']:g} → {new['memory_floor_gib']:g} GiB")
    if before["watch"]["settings"] != plan["watch"]["settings"]:
        found.append("the bounds of its watch")
    if before["group"] != plan["group"]:
        found += _keys("group ", before["group"], plan["group"])
    if before["supervisor"] != plan["supervisor"]:
        found.append("another release of the supervisor")
    if image_id and record["image_id"] != image_id:
        found.append(f"image {record['image_id'][7:19]} → {image_id[7:19]}")
    if weights_hash and _other_weights(record, weights_hash):
        found.append("other weights")
    if not found and before["hash"] != plan["hash"]:
        found.append("something else of the plan")
    return found


def _other_weights(record: Record, weights_hash: str) -> bool:
    """A record has their hash only as part of its parts'."""
    before = record.get("parts", {})
    same = parts(record["plan"], list(before), record["image_id"], weights_hash)
    return any(old and new and old["hash"] != new["hash"] for old, new in zip(before.values(), same.values()))


def _argv(node: Node) -> Sequence[str]:
    return node["engine"]["argv"] if node["engine"] else []


def _ray(node: Node) -> Sequence[str]:
    return node["ray"]["argv"] if node["ray"] else []


def _mounts(node: Node) -> dict[str, str]:
    return {mount["target"]: mount["source"] for mount in node["container"]["mounts"]}


def _options(argv: Sequence[str]) -> dict[str, str]:
    """Flags with their values, as a user wrote them."""
    found: dict[str, str] = {}
    flag = ""
    for word in argv:
        if word.startswith("--"):
            flag, _equals, value = word[2:].partition("=")
            found[flag] = value
        elif flag:
            found[flag] = f"{found[flag]} {word}".strip()
    return found


def _keys(what: str, before: Mapping[str, object], now: Mapping[str, object]) -> list[str]:
    texts = []
    for key in dict.fromkeys([*before, *now]):
        old, new = before.get(key), now.get(key)
        if old != new:
            shown = ["absent" if value is None else str(value) or "set" for value in (old, new)]
            texts.append(f"{what}{key} {shown[0]} → {shown[1]}")
    return texts


def _mods(before: Sequence[Mod], now: Sequence[Mod]) -> list[str]:
    old, new = ({mod["name"]: mod["hash"][:19] for mod in mods} for mods in (before, now))
    return _keys("mod ", old, new)
