# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What one node's supervisor gets, and whether the nodes run it already. PRIVATE to the collection."""

from __future__ import annotations

import datetime
from collections.abc import Mapping, Sequence

from ..common._problem import Problem
from ..node._types import Container, Engine, EngineInfo, Listener, Status
from ..plan._resolve import digest
from ..plan._types import Node, Plan
from ..plan.engines._engines import MODELS
from ._types import Part, PartEngine

# Inside the container.
HOME = "/opt/gx10"
RUN = "/run/gx10"
LABEL = "gx10.serving."


def part(plan: Plan, name: str, image_id: str, weights: str) -> Part | None:
    """The supervisor's node.json for node `name`, or None if the plan does not use the node.

    `hash` covers all that the container depends on: the whole plan (a group starts as one), the image's ID, the weights'
    manifest hash; mods and supervisor are in the plan by their hashes.
    """
    node = next((node for node in plan["nodes"] if node["name"] == name), None)
    if node is None:
        return None
    served_name = plan["ready"]["served_name"]
    engine: PartEngine | None = {**node["engine"], "served_name": served_name} if node["engine"] else None
    return {
        "node": name,
        "rank": node["rank"],
        "role": node["role"],
        "profile": plan["profile"],
        "hash": digest([plan["hash"], name, image_id, weights]),
        # A container with a network of its own does not see the fabric.
        "address": node["address"] if node["container"]["options"].get("network") == "host" else None,
        "status_file": f"{RUN}/status.json",
        "mods": [mod["name"] for mod in node["mods"]],
        "mods_dir": f"{HOME}/mods",
        "model_dir": f"{MODELS}/{plan['model']['repo']}",
        "ray": node["ray"],
        "engine": engine,
        "memory_floor_gib": node["memory_floor_gib"],
        # Twice the measured boot time, and never less than ten minutes: a slow start is no failure.
        "deadlines": {"engine": max(600.0, plan["ready"]["boot_minutes"] * 120)},
        "watch": plan["watch"]["settings"],
        "group": {
            **plan["group"],
            "names": [node["name"] for node in plan["nodes"]],
            "launch": digest([plan["hash"], image_id, weights]),
            # The link's key is made of it with a label of its own.
            "secret_file": f"{RUN}/ray_token",
        },
    }


def parts(plan: Plan, names: Sequence[str], image_id: str, weights: str) -> dict[str, Part | None]:
    """`part` of each node."""
    return {name: part(plan, name, image_id, weights) for name in names}


def labels(plan: Plan, node_part: Part) -> dict[str, str]:
    """The container's labels."""
    return {
        f"{LABEL}profile": plan["profile"],
        f"{LABEL}plan": plan["hash"],
        f"{LABEL}hash": node_part["hash"],
        f"{LABEL}rank": str(node_part["rank"]),
        f"{LABEL}mods": " ".join(f"{mod['name']}@{mod['hash']}" for mod in plan["nodes"][0]["mods"]),
    }


def own(node: Node, look: Engine | None) -> Container | None:
    """The container of a plan's node, if it is there."""
    return next((item for item in look["containers"] if item["name"] == node["container"]["name"]), None) if look else None


def over(container: Container) -> bool:
    """Has it ended, or does it only stay to say why it starts nothing any more?"""
    return not container["running"] or container["status"].get("phase") == "failed"


# What a supervisor says when it ends, or is ended by somebody who asks; what it said before tells nothing of its end.
ENDING = ("failing", "failed", "stopping")


def ending(container: Container) -> tuple[str, str]:
    """How a container ended, and why: its supervisor's own word; empty where somebody killed it before it could say one."""
    how, phase = f"exited with code {container['exit_code']}", container["status"].get("phase", "")
    if phase in ENDING:
        return how, container["status"].get("reason") or f"last phase {phase}"
    return f"{how}; its last word was {phase}" if phase else f"{how} without a word of its supervisor", ""


# Of a supervisor whose generation starts, is waited for, or ends so that the next one can start.
COMING = ("starting", "mods", "waiting", "ray", "members", "engine")


def comes(container: Container) -> bool:
    """Will it serve without anybody? It starts, or its group heals: one that has ended where it may restart is about to be told so."""
    status = container["status"]
    again = status.get("phase") == "failing" and status.get("restarts", "never") != "never"
    return container["running"] and (again or status.get("phase") in COMING)


def heals(plan: Plan, infos: Mapping[str, EngineInfo]) -> bool:
    """May a group that does not serve yet still come by itself?"""
    found = [own(node, infos.get(node["name"])) for node in plan["nodes"]]
    return plan["group"]["restarts_per_hour"] > 0 and not any(item is None or over(item) for item in found)


def restarted(status: Status) -> str:
    """What a supervisor says whose group has started again: generation, who has ended the last one and when. Empty where none has."""
    evidence = status.get("evidence") or {}
    culprit, at = evidence.get("ended", ""), evidence.get("ended_at")
    if not culprit or status.get("phase") not in ("serving", "joined"):
        return ""
    return f"generation {status.get('generation')}{_since(at)}; {culprit}"


def _since(at: float | None) -> str:
    return f" since {datetime.datetime.fromtimestamp(at, datetime.UTC):%Y-%m-%d %H:%M:%S} UTC" if at else ""


def restarting(status: Status) -> str:
    """What a supervisor says whose group starts again: generation, restarts, who has ended the last one and when. Empty where none does."""
    phase, evidence = status.get("phase", ""), status.get("evidence") or {}
    culprit = status.get("reason", "") if phase == "failing" else evidence.get("ended", "")
    if status.get("restarts", "never") == "never" or not culprit or phase not in (*COMING, "failing"):
        return ""
    failing = [item["at"] for item in status.get("phases", []) if item["name"] == "failing"]
    at = failing[-1] if phase == "failing" and failing else evidence.get("ended_at")
    reason = status.get("reason", "")
    waits = f" {reason.removesuffix(culprit).rstrip('; ')}" if phase == "waiting" and reason else ""
    return f"restarting{_since(at)}: {phase}{waits}, generation {status.get('generation')}, restart {status['restarts']}; {culprit}"


def holds(container: Container) -> bool:
    """Has it an engine that holds memory? One that waits for its group has none."""
    return not over(container) and container["status"].get("phase") != "waiting"


def owns(container: Container, listener: Listener) -> bool:
    """Is a listener this container's? A published port is held by Docker's proxy."""
    if listener["container"] is not None:
        return listener["container"] == container["id"]
    return "docker-proxy" in listener["command"] and listener["port"] in container["ports"]


def unstopped(away: Sequence[str], looks: Sequence[Engine]) -> list[str]:
    """Nodes that could not be asked to stop, and what they will do when they return; `looks`: what was seen of the others."""
    plans = [look["record"]["plan"] for look in looks if look.get("record")]
    problems = []
    for name in away:
        plan = next((plan for plan in plans if name in [node["name"] for node in plan["nodes"]]), None)
        if plan and len(plan["nodes"]) > 1:
            returns = f"its rank of {plan['profile']} waits for ranks that are gone, and starts nothing"
        else:
            returns = "a rank of several nodes waits and starts nothing, but what it serves alone may serve again (gx10_restarts_per_hour)"
        hint = f"When it returns, {returns}. Then run stop.yml again."
        problems.append(str(Problem(name, "node", "no answer", "one on which nothing of ours is left", hint, code="no-answer")))
    return problems


def start_problems(plan: Plan, infos: Mapping[str, EngineInfo]) -> list[str]:
    """Why the group did not come up, one text per node with its reason, known signs and last log lines; empty if it did."""
    problems = []
    ended = [node for node in plan["nodes"] if any(over(item) for item in infos[node["name"]]["containers"])]
    # Where some have ended, the others have only not come further yet.
    for node in ended or plan["nodes"]:
        info = infos[node["name"]]
        wanted = "serving" if node["role"] == "head" else "joined"
        ours = own(node, info)
        if ours is None:
            problems.append(f"{node['name']} (rank {node['rank']}): found no container; wanted {node['container']['name']}")
            continue
        phase = ours["status"].get("phase", "nothing from the supervisor")
        if ours["running"] and phase == wanted:
            continue
        state, why = f"phase {phase}", restarting(ours["status"]) or ours["status"].get("reason") or ""
        if not ours["running"]:
            how, why = ending(ours)
            state = f"{how} in phase {phase}" if why else how
        text = f"{node['name']} (rank {node['rank']}): found {state}; wanted {wanted}. {why}".rstrip()
        log = info.get("log", {})
        lines = [f"    {line}" for line in [*log.get("signs", []), *log.get("tail", [])]]
        problems.append("\n".join([text, *lines]))
    return problems
