# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does a node's own firewall drop what nobody let in? It only reads; which ports a rule lets in is its owner's.

Runs on the nodes (Python >= 3.9, standard library). PRIVATE to the collection.
"""

from __future__ import annotations

import contextlib
import json
import shutil
from typing import Any, Literal

from ._docker import Run
from ._types import Firewall

# Tables of each IP version; an inet table is of both.
TABLES = {"ipv4": ("ip", "inet"), "ipv6": ("ip6", "inet")}
ENDS = ("drop", "reject")
# What the tables of iptables-legacy are called while the kernel has some, which nft does not list; and who lists them.
LEGACY = {"ipv4": ("/proc/net/ip_tables_names", "iptables-legacy"), "ipv6": ("/proc/net/ip6_tables_names", "ip6tables-legacy")}


def look(run: Run) -> Firewall:
    """By IP version: is what comes in dropped unless a rule lets it in? None where nobody can say."""
    if shutil.which("nft"):
        code, out, _err = run(["nft", "-j", "list", "ruleset"])
        try:
            found = judge(json.loads(out)["nftables"]) if code == 0 else {"ipv4": None, "ipv6": None}
            return {"ipv4": found["ipv4"] or _legacy(run, "ipv4", found), "ipv6": found["ipv6"] or _legacy(run, "ipv6", found)}
        except (ValueError, LookupError, TypeError, AttributeError, RecursionError):
            return {"ipv4": None, "ipv6": None}
    return {"ipv4": _listed(run, "iptables"), "ipv6": _listed(run, "ip6tables")}


def judge(ruleset: list[dict[str, Any]]) -> Firewall:
    """Of `nft -j list ruleset`, where iptables-nft, ufw and firewalld have theirs, too (libnftables-json(5))."""
    chains: list[tuple[str, str, str]] = []
    for item in ruleset:
        chain = item.get("chain", {})
        if chain.get("hook") == "input" and chain.get("type") == "filter":
            key = (chain["family"], chain["table"], chain["name"])
            rules = [one["rule"] for one in ruleset if "rule" in one and _of(one["rule"]) == key]
            if chain.get("policy") == "drop" or any(_ends(rule.get("expr", [])) for rule in rules):
                chains.append(key)
    found = {version: any(family in families for family, _table, _name in chains) for version, families in TABLES.items()}
    return {"ipv4": found["ipv4"], "ipv6": found["ipv6"]}


def _of(rule: dict[str, Any]) -> tuple[Any, Any, Any]:
    return rule.get("family"), rule.get("table"), rule.get("chain")


def _ends(expressions: list[dict[str, Any]]) -> bool:
    """Does a rule drop or reject whatever reaches it?"""
    words = [next(iter(one)) for one in expressions]
    return bool(words) and words[-1] in ENDS and all(word in ("counter", "log") for word in words[:-1])


def _legacy(run: Run, version: Literal["ipv4", "ipv6"], found: Firewall) -> bool | None:
    """As `_listed`, of the older tables; `found` where there are none: to ask for them would make the kernel load them."""
    names, program = LEGACY[version]
    with contextlib.suppress(OSError), open(names, encoding="ascii") as file:
        if "filter" in file.read().split():
            return _listed(run, program)
    return found[version]


def _listed(run: Run, program: str) -> bool | None:
    """Of `iptables -S INPUT`: its policy, or a rule for everything that ends in DROP or REJECT."""
    if not shutil.which(program):
        return None
    code, out, _err = run([program, "-w", "5", "-S", "INPUT"])
    if code:
        return None
    lines = [line.split() for line in out.splitlines()]
    return any(words[:3] == ["-P", "INPUT", "DROP"] or words[2:4] in (["-j", "DROP"], ["-j", "REJECT"]) for words in lines)
