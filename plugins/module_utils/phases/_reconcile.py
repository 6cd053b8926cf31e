# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One plan, one look, one decision: what differs, and what will be done about it, before anything is. Pure.

PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TypedDict

from ..node._types import Checkpoint, Engine, Kept, World
from ..plan._context import Context
from ..plan._types import Plan
from . import (
    _actions,
    _engine_actions,
    _firewall_checks,
    _gate,
    _hardware_checks,
    _image_actions,
    _notify_actions,
    _preflight,
    _weights_actions,
)


@dataclasses.dataclass(frozen=True)
class Evidence:
    """`worlds`: by node, in rank order; `contexts`: by definition; `archived`: what the archive keeps; `sources`: by model, a whole
    folder on the control node; `origins`: its path."""

    worlds: Mapping[str, World]
    contexts: Mapping[str, Context]
    archived: Sequence[Kept] = ()
    sources: Mapping[str, Checkpoint] = dataclasses.field(default_factory=dict)
    origins: Mapping[str, str] = dataclasses.field(default_factory=dict)


class GroupDecision(_engine_actions.EngineDecision):
    """`looks`: what the gate need not look at again."""

    looks: dict[str, Engine]


class Undecided(TypedDict):
    """Nothing, since the nodes cannot do it."""


class Decision(TypedDict):
    """Each phase's decision, and all actions in order."""

    image: _image_actions.ImageDecision | Undecided
    weights: _weights_actions.WeightsDecision | Undecided
    engine: GroupDecision | Undecided
    notify: _notify_actions.NotifyDecision | Undecided
    actions: list[_actions.Action]
    problems: list[str]
    proven: bool
    cautions: list[str]


def reconcile(plan: Plan, seen: Evidence, wish: _image_actions.Wish, present: Sequence[str]) -> Decision:
    """`present`: nodes that take part in this run. With a problem nothing is decided after it."""
    worlds = {name: seen.worlds[name] for name in seen.worlds if _answers(seen.worlds[name])}
    hosts = {name: world["host"] for name, world in worlds.items()}
    engines = {name: world["engine"] for name, world in worlds.items() if "engine" in world}
    looks = {name: world["weights"] for name, world in worlds.items() if "weights" in world}
    problems = _preflight.node_problems(plan, hosts, engines, present) + _preflight.checkpoint_problems(plan, looks)
    if problems:
        return {
            "image": {}, "weights": {}, "engine": {}, "notify": {},
            "actions": [], "problems": problems, "proven": False, "cautions": [],
        }  # fmt: skip
    images = {node["name"]: worlds[node["name"]]["images"] for node in plan["image"]["nodes"] if node["name"] in worlds}
    image = _image_actions.decide(plan["image"], images, seen.contexts, seen.archived, wish)
    # Who builds, and who has what another lost, need not be a node of the plan.
    helpers = {plan["image"]["builder"], image["restore"].get("node", "")} if image["actions"] else set()
    lacking = [str(problem) for name in plan["idle"] if name in helpers for problem in _preflight.tools(name, hosts[name])]
    stored = {node["name"]: worlds[node["name"]]["weights"] for node in plan["weights"]["nodes"]}
    weights = _weights_actions.decide(plan["weights"], stored, seen.sources, seen.origins)
    engine = _engine_actions.decide(plan, engines, image["id"], weights["hash"])
    notify = _notify_actions.decide(plan, engines)
    starts = _engine_actions.replaces(engine["actions"])
    # That a group is proven and recorded when it starts goes without saying.
    record = [] if starts else _gate.record_actions(plan, engines, image["id"])
    return {
        "image": image,
        "weights": weights,
        "engine": {**engine, "looks": engines},
        "notify": notify,
        "actions": [*notify["actions"], *image["actions"], *weights["actions"], *engine["actions"], *record, *image["good"]],
        "problems": [*lacking, *image["problems"], *weights["problems"]],
        "proven": not starts and not record,
        "cautions": [*plan["warnings"], *_hardware_checks.warnings(plan, hosts), *map(str, _firewall_checks.warnings(plan, hosts))],
    }


def _answers(world: World) -> bool:
    """Did the node tell all that was asked? Without Docker it cannot, and its host says why."""
    return "host" in world and (bool(world["host"]["docker"]["error"]) or world.keys() >= World.__annotations__.keys())


def lines(decision: Decision) -> list[str]:
    """For a terminal: warnings, then what will be done, or that nothing differs."""
    found = [f"Warning: {text}" for text in decision["cautions"]]
    return found + (_actions.lines(decision["actions"]) or ["Nothing differs from the plan."])
