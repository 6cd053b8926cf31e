# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which weights go to which nodes, over which network. PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from ..common._problem import Problem, report, show
from . import _variables
from ._inventory import Cluster, there
from ._inventory import read as read_cluster
from ._profile_types import Drafted, Model
from ._types import Address, RemoteCode, Weights

# A model is a folder of the models root; a revision is a word of the hub's addresses.
# Not "--", as on the hub: in the names of files it stands for the slash.
REPO = re.compile(r"(?!.*--)[A-Za-z0-9][A-Za-z0-9_.-]*/[A-Za-z0-9][A-Za-z0-9_.-]*")
REVISION = re.compile(r"[A-Za-z0-9][A-Za-z0-9_./-]{0,199}")


class Planned(TypedDict):
    """`message`: all problems of the inventory; with one there is no document."""

    document: Weights | None
    message: str


def document(cluster: Cluster, models: Sequence[Drafted | Model], count: int = 0) -> Weights:
    """What the role weights needs.

    `count` takes the first nodes only. The addresses are those of the fabric's rails, or of the management network.
    """
    site = cluster.site
    return {
        "models": [
            {
                "repo": model["repo"],
                "revision": model.get("revision"),
                "manifest": model.get("manifest"),
                "size_gib": model.get("size_gib"),
                "path": f"{site['models_root']}/{model['repo']}",
            }
            for model in models
        ],
        "nodes": addresses(cluster)[: count or len(cluster.nodes)],
        "models_root": site["models_root"],
        "state_dir": site["state_dir"],
        "port": site["fanout_port"],
        "lanes": site["fanout_lanes"],
        # A slow network is the limit itself: several chains would only share the origin's link.
        "chains": 1 if site["fanout_network"] == "management" else 0,
    }


def held(weights: Weights, code: Sequence[RemoteCode]) -> Weights:
    """The same, where checkpoints whose own code runs are held at the manifest of their first use."""
    for model in weights["models"]:
        for one in code:
            if one["repo"] == model["repo"] and not model["manifest"] and one["manifest"] and one["held_by"]:
                model["manifest"], model["held_by"] = one["manifest"], one["held_by"]
    return weights


def addresses(cluster: Cluster) -> list[Address]:
    """Each node as the fan-out wants it, on the network that the site chose for it."""
    management = cluster.site["fanout_network"] == "management"
    return [{"name": node.name, "addresses": [node.management_address] if management else list(node.rails)} for node in cluster.nodes]


def of_models(
    models: Sequence[Drafted],
    hostvars: Mapping[str, Any],
    hosts: Sequence[str],
    known: Sequence[Mapping[str, Any]] = (),
    without: Sequence[str] = (),
) -> Planned:
    """The document for models that no profile names; `known` are problems that were found before, `without` nodes that are gone."""
    others, absent = there(hosts, without)
    cluster, found = read_cluster(hostvars, others, "inventory")
    problems = [*(Problem(**problem) for problem in known), *absent, *found]
    for model in models:
        for key, value, pattern, wanted in (
            ("model", model["repo"], REPO, "ORG/NAME, as the hub has it"),
            ("revision", model.get("revision"), REVISION, "a commit, branch or tag of the hub"),
        ):
            if value is not None and not pattern.fullmatch(value):
                problems.append(Problem("command line", key, show(value), wanted, code="wrong-text"))
    problems = _variables.together(problems, [node.name for node in cluster.nodes])
    message = report("Cannot stage", problems) if problems else ""
    return {"document": None if problems else document(cluster, models), "message": message}
