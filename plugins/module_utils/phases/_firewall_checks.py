# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who keeps strangers from the ranks' ports? Ray's and torch's listen on every address. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping

from ..common._problem import Problem
from ..node._types import Host
from ..plan._types import Plan
from ..plan._variables import names

VERSIONS = {"ipv4": "IPv4", "ipv6": "IPv6"}


def warnings(plan: Plan, infos: Mapping[str, Host]) -> list[Problem]:
    """Nodes that drop nothing of what comes in, once for all that are alike. One whose rules nobody could read is passed over."""
    if len(plan["nodes"]) == 1:
        # Its engine listens on the API's address, and on its own loopback.
        return []
    open_on: dict[str, list[str]] = {}
    for node in plan["nodes"]:
        firewall = infos[node["name"]].get("firewall", {}) if node["name"] in infos else {}
        text = " and ".join(word for version, word in VERSIONS.items() if firewall.get(version) is False)
        if text:
            open_on.setdefault(text, []).append(node["name"])
    port = plan["ready"]["url"].rpartition(":")[2]
    fabric = ", ".join(node["address"] for node in plan["nodes"])
    wanted = f"one that lets in SSH and port {port} of {plan['nodes'][0]['name']}, and everything from {fabric}"
    hint = "Ranks listen on every address, and not all ask for a word (docs/security-ports.md). How: docs/firewall.md."
    return [
        Problem(names(hosts), "firewall", f"no rule that drops what comes in ({text})", wanted, hint, "no-firewall")
        for text, hosts in open_on.items()
    ]
