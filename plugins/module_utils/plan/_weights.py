# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which weights go to which nodes, over which network. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..common._problem import report
from ._inventory import Cluster
from ._inventory import read as read_cluster


def document(cluster: Cluster, models: Sequence[Mapping[str, Any]], count: int = 0) -> dict[str, Any]:
    """What the role weights needs: models [{repo, revision, manifest, path}], nodes [{name, addresses}] and the site's settings.

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


def addresses(cluster: Cluster) -> list[dict[str, Any]]:
    """Each node as the fan-out wants it: {name, addresses} on the network that the site chose for it."""
    management = cluster.site["fanout_network"] == "management"
    return [{"name": node.name, "addresses": [node.management_address] if management else list(node.rails)} for node in cluster.nodes]


def of_models(models: Sequence[Mapping[str, Any]], hostvars: Mapping[str, Any], hosts: Sequence[str]) -> dict[str, Any]:
    """The document for models that no profile names: {"document", "message": all problems of the inventory}."""
    cluster, problems = read_cluster(hostvars, hosts, "inventory")
    message = report("Cannot stage", problems) if problems else ""
    return {"document": None if problems else document(cluster, models), "message": message}
