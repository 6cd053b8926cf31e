# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Before anything is stopped or started: can these nodes run this plan? PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from . import _hardware_checks
from ._node_part import owns
from ._problem import Problem

# Debian's and Ubuntu's packages, where they have another name than the program.
PACKAGES = {"docker": "docker.io", "nginx": "nginx-light"}


def node_problems(plan: Mapping[str, Any], infos: Mapping[str, Any], engines: Mapping[str, Any], present: Sequence[str]) -> list[str]:
    """Every reason why the plan cannot run.

    `infos`: module node_info by node; `engines`: module engine_info by node; `present`: nodes that take part in this run.
    """
    problems: list[Problem] = []
    for mod in plan["nodes"][0]["mods"]:
        if not mod["ready"]:
            hint = "It is declared only; give the mod's folder a run.sh, in a folder named by mods_path."
            problems.append(Problem(f"mod {mod['name']}", "run.sh", "nothing", f"a program in {mod['path']}", hint))
    for name in [node["name"] for node in plan["nodes"]] + list(plan["idle"]):
        if name not in present or name not in infos:
            hint = "Is it powered on? Does ssh work? Leave --limit out: the nodes of a plan belong together."
            problems.append(Problem(name, "node", "no answer, or left out by --limit", "all nodes of the inventory", hint))
    for node in plan["nodes"]:
        name = node["name"]
        if name in infos:
            problems += _one(plan, node, infos[name], engines.get(name, {}))
    problems += _hardware_checks.problems(plan, infos)
    return [str(problem) for problem in problems]


def _one(plan: Mapping[str, Any], node: Mapping[str, Any], info: Mapping[str, Any], engine: Mapping[str, Any]) -> list[Problem]:
    name = node["name"]
    problems = []
    if node["address"] not in info["addresses"]:
        found = ", ".join(info["addresses"])
        problems.append(Problem(name, "gx10_fabric_address", found, node["address"], "Is the fabric's link up?"))
    if info["missing_tools"]:
        missing = " ".join(info["missing_tools"])
        packages = " ".join(PACKAGES.get(tool, tool) for tool in info["missing_tools"])
        problems.append(Problem(name, "tools", f"no {missing}", "all of them installed", f"apt-get install {packages}"))
    if info["docker"]["error"]:
        problems.append(Problem(name, "Docker engine", info["docker"]["error"], "an engine that answers", "systemctl start docker"))
    models = plan["model"]["path"].removesuffix("/" + plan["model"]["repo"])
    disk = info["disk"].get(models)
    if disk and not disk["writable"]:
        problems.append(Problem(name, models, "a folder that cannot be written", "a writable one", "Check the mount and gx10_models_root."))
    available = info["memory"]["available"] / 1024**3
    # What our own running engine holds comes back when it is replaced.
    if available < node["memory_floor_gib"] and not engine.get("containers"):
        found = f"{available:.1f} GiB available"
        problems.append(Problem(name, "memory", found, f"more than the floor of {node['memory_floor_gib']} GiB", "End what holds it."))
    for listener in engine.get("listeners", []):
        if not any(owns(container, listener) for container in engine.get("containers", [])):
            found = f"pid {listener['pid']} ({listener['command'] or 'unknown'})"
            hint = "End that process, or change gx10_api_port or gx10_ray_port."
            problems.append(Problem(name, f"port {listener['port']}", found, "a free port", hint))
    return problems
