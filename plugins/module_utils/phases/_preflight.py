# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before anything is stopped or started: can these nodes run this plan? PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from ..common._problem import Problem
from ..node._types import Engine, Host, Memory, ModelLook
from ..plan import _checkpoint, _rules
from ..plan import _memory as _memory_estimate
from ..plan._profile_types import Asked, Checkpoint
from ..plan._types import Node, Plan
from ..plan.engines import _flags
from . import _hardware_checks, _link_checks
from ._engine import holds, owns

# An engine's processes hold memory beside its budget: Ray's object store, the API server (GiB).
BESIDE_GIB = 2.0
# Debian's and Ubuntu's packages, where they have another name than the program.
PACKAGES = {"docker": "docker.io", "nginx": "nginx-light"}


def node_problems(plan: Plan, infos: Mapping[str, Host], engines: Mapping[str, Engine], present: Sequence[str]) -> list[str]:
    """Every reason why the plan cannot run.

    `engines`: of the nodes on which Docker answered; `present`: nodes that take part in this run.
    """
    problems: list[Problem] = []
    for name in [node["name"] for node in plan["nodes"]] + list(plan["idle"]):
        if name not in present or name not in infos:
            hint = f"Is it powered on? Does ssh work? Leave --limit out. If it is gone: -e without={name} serves on the others."
            problems.append(
                Problem(name, "node", "no answer, or left out by --limit", "all nodes of the inventory", hint, code="no-answer")
            )
    return [str(problem) for problem in problems + unfit(plan, infos, engines)]


def unfit(plan: Plan, infos: Mapping[str, Host], engines: Mapping[str, Engine]) -> list[Problem]:
    """Those of the nodes that have answered."""
    problems: list[Problem] = []
    for mod in plan["nodes"][0]["mods"]:
        if not mod["ready"]:
            hint = "It is declared only; give the mod's folder a run.sh, in a folder named by mods_path."
            problems.append(Problem(f"mod {mod['name']}", "run.sh", "nothing", f"a program in {mod['path']}", hint, code="no-program"))
    for node in plan["nodes"]:
        name = node["name"]
        if name in infos:
            problems += _one(plan, node, infos[name], engines.get(name))
    # What runs there has to be known, to be stopped.
    for name in plan["idle"]:
        if name in infos:
            problems += _docker(name, infos[name])
    problems += _link_checks.problems(plan, infos)
    return problems + _hardware_checks.problems(plan, infos)


def checkpoint_problems(plan: Plan, looks: Mapping[str, Mapping[str, ModelLook]]) -> list[str]:
    """`unfit_checkpoint`, as texts."""
    return [str(problem) for problem in unfit_checkpoint(plan, looks)]


def unfit_checkpoint(plan: Plan, looks: Mapping[str, Mapping[str, ModelLook]]) -> list[Problem]:
    """What the plan asks of the checkpoint that nodes have, by node in rank order; each other config.json is compared once.

    A node without one gets the model from another, or serves nothing: the weights' phase says so.
    """
    problems: list[Problem] = []
    compared: list[object] = []
    model, memory = plan["model"], plan["memory"]
    version = _flags.pick(plan["engine"], _rules.pinned(plan["image"], plan["engine"]))[0].version
    for node in plan["nodes"]:
        look = looks[node["name"]].get(model["repo"]) if node["name"] in looks else None
        config = look["config"] if look else None
        if config is None or config in compared or "asked" not in plan:
            continue
        compared.append(config)
        found: Checkpoint = {"path": model["path"], "config": config, "tensors": None}
        asked: Asked = {"model": model, "engine": plan["engine"], "expect": plan["expect"], **plan["asked"]}
        problems += _checkpoint.check(asked, found, node["name"], version)[0]
        taken = _memory_estimate.Budget(memory["budget_gib"], memory["share"])
        problems += _memory_estimate.problems(_memory_estimate.rank(asked, taken, found, version), None, node["name"])
    return problems


def _memory(plan: Plan, name: str, seen: Memory, engine: Engine | None) -> list[Problem]:
    """Is there room for the plan's budget and floor? MemAvailable counts page cache as free, as the engine does.

    A share is one of the node's own total, as the engine takes it. `seen`: in bytes.
    """
    memory, held = plan["memory"], 0.0
    available, total = seen["available"] / 1024**3, seen["total"] / 1024**3
    own = round(memory["share"] * total, 2) if memory["share"] else memory["budget_gib"]
    # Of a plan in an older record, nobody knows what was offloaded.
    host = memory.get("host_gib", 0.0)
    needs = memory["needs_gib"] if own is None else round(own + host + memory["floor_gib"], 2)
    if engine and any(map(holds, engine["containers"])):
        # Comes back when our own engine is replaced; where nobody recorded how much, nothing can be said.
        record = (engine["record"] or {"plan": {}})["plan"].get("memory") or {}
        # A record of an older release has no share, and its budget is too small.
        if record.get("budget_gib") is None or "share" not in record:
            return []
        held = BESIDE_GIB + record.get("host_gib", 0.0) + (record["share"] * total if record["share"] else record["budget_gib"])
    if available + held >= needs:
        return []
    found = f"{available:.1f} GiB available" + (f" and {held:.1f} GiB that the running engine gives back" if held else "")
    budget = "weights and reserve" if own is None else f"a budget of {own:g} GiB" + (f", {host:g} offloaded to the host" if host else "")
    wanted = f"at least {needs:g} GiB: {budget} and a floor of {memory['floor_gib']:g} GiB"
    return [
        Problem(
            name,
            "memory",
            found,
            wanted,
            f"On {name}, end what holds it (ps -eo rss,args --sort=-rss | head), or plan a smaller budget.",
            code="too-little-memory",
        )
    ]


def _docker(name: str, info: Host) -> list[Problem]:
    error = info["docker"]["error"]
    return [Problem(name, "Docker engine", error, "an engine that answers", "systemctl start docker", code="no-answer")] if error else []


def tools(name: str, info: Host) -> list[Problem]:
    """The programs that a node lacks, which builds, sends or receives."""
    if not info["missing_tools"]:
        return []
    packages = " ".join(PACKAGES.get(tool, tool) for tool in info["missing_tools"])
    return [
        Problem(
            name,
            "tools",
            f"no {' '.join(info['missing_tools'])}",
            "all of them installed",
            f"apt-get install {packages}",
            code="no-program",
        )
    ]


def _one(plan: Plan, node: Node, info: Host, engine: Engine | None) -> list[Problem]:
    name = node["name"]
    problems = tools(name, info) + _docker(name, info)
    if not info["journal"]:
        hint = "systemctl start systemd-journald.socket; the engine's supervisor tells the journal what it does."
        problems.append(Problem(name, "/run/systemd/journal/socket", "nothing", "the socket of systemd-journald", hint, code="no-journal"))
    models = plan["model"]["path"].removesuffix("/" + plan["model"]["repo"])
    disk = info["disk"].get(models)
    if disk and not disk["writable"]:
        problems.append(
            Problem(
                name,
                models,
                "a folder that cannot be written",
                "a writable one",
                "Check the mount and gx10_models_root.",
                code="not-writable",
            )
        )
    problems += _memory(plan, name, info["memory"], engine)
    if engine is None:
        return problems
    for listener in engine["listeners"]:
        if not any(owns(container, listener) for container in engine["containers"]):
            found = f"pid {listener['pid']} ({listener['command'] or 'unknown'})"
            hint = "End that process, or change gx10_api_port, gx10_ray_port, gx10_ray_first_port or gx10_group_port."
            problems.append(Problem(name, f"port {listener['port']}", found, "a free port", hint, code="port-taken"))
    return problems
