# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Does every node of a plan reach every other's fabric address, by the fabric's interface? Names the culprit, not its victims. PRIVATE."""

from __future__ import annotations

from collections.abc import Mapping

from ..common._problem import Problem
from ..node._hardware_types import Fabric
from ..node._types import Host
from ..plan._types import Plan


def problems(plan: Plan, infos: Mapping[str, Host]) -> list[Problem]:
    """`infos` by node. What nobody could see refuses nobody."""
    return between({node["name"]: node["address"] for node in plan["nodes"] if node["name"] in infos}, infos)


def between(addresses: Mapping[str, str], infos: Mapping[str, Host]) -> list[Problem]:
    """`addresses`: on the fabric, by node; of nodes that are in `infos`."""
    looks = {name: infos[name]["fabric"] for name in addresses if "fabric" in infos[name]}
    found: list[Problem] = []
    blamed: set[str] = set()
    for name, address in addresses.items():
        seen = looks.get(name)
        if address not in infos[name]["addresses"]:
            down = ", ".join(seen["down"] if seen else []) or "none"
            held = f"{', '.join(infos[name]['addresses'])}; links that are not up: {down}"
            hint = f"Is the cable in, and the other end up? On {name}: ip -br link show; ip -br address show"
            found.append(Problem(name, "gx10_fabric_address", held, address, hint, code="not-the-nodes-address"))
            blamed.add(name)
        elif seen and seen["interface"] and seen["state"] != "UP":
            own = seen["interface"]
            hint = f"Is the cable in, and the other end up? On {name}: ip link set {own} up; ip -br link show {own}"
            found.append(Problem(name, f"fabric interface {own} ({address})", f"link {seen['state']}", "link UP", hint, code="link-down"))
            blamed.add(name)
    for name in _most_silent_first(addresses, looks):
        silent = [other for other in _cut_off(name, addresses, looks) if other not in blamed]
        if name in blamed or not silent:
            continue
        address, interface = addresses[name], looks[name]["interface"] if name in looks else None
        ping = f"ping -I {looks[silent[0]]['interface']} {address}"
        hint = f"Compare cable, switch port, VLAN and MTU of {interface} on {name}; from {silent[0]}: {ping}"
        found.append(
            Problem(
                name,
                f"fabric interface {interface} ({address})",
                f"no answer to {', '.join(silent)} (TCP, ARP)",
                "an answer",
                hint,
                code="no-answer",
            )
        )
        # Calls go both ways: its own fail for the same reason.
        blamed.add(name)
    for name, seen in looks.items():
        found += _routes(name, addresses, seen)
    return found


def warnings(plan: Plan, infos: Mapping[str, Host]) -> list[Problem]:
    """Peers of whom nobody can tell: in another network, where ARP does not reach, and silent over TCP."""
    found = []
    for node in plan["nodes"]:
        info = infos.get(node["name"])
        seen = info.get("fabric") if info else None
        if seen is None:
            continue
        unknown = [other["name"] for other in plan["nodes"] if other is not node and seen["reached"].get(other["address"], False) is None]
        if unknown:
            key = f"fabric interface {seen['interface']} ({node['address']})"
            hint = f"A firewall, or no way at all? On {node['name']}: ping -I {seen['interface']} ADDRESS"
            text = f"no answer of {', '.join(unknown)} over TCP, and ARP does not reach them"
            found.append(Problem(node["name"], key, text, "an answer, or all fabric addresses in one network", hint, code="no-answer"))
    return found


def _cut_off(name: str, addresses: Mapping[str, str], looks: Mapping[str, Fabric]) -> list[str]:
    """The nodes that a node does not answer."""
    return [other for other, seen in looks.items() if other != name and seen["reached"].get(addresses[name]) is False]


def _most_silent_first(addresses: Mapping[str, str], looks: Mapping[str, Fabric]) -> list[str]:
    """Who answers nobody is the culprit of all that fails between it and the others."""
    return sorted(addresses, key=lambda name: -len(_cut_off(name, addresses, looks)))


def _routes(name: str, addresses: Mapping[str, str], seen: Fabric) -> list[Problem]:
    """Traffic to a peer must leave by the interface that holds the fabric address, or by another one in the same network."""
    fabric = {seen["interface"], *seen["beside"]}
    wrong: dict[str, list[str]] = {}
    for other, address in addresses.items():
        device = seen["routes"].get(address, seen["interface"])
        if device not in fabric:
            wrong.setdefault(f"by {device}" if device else "none", []).append(f"{other} ({address})")
    return [
        Problem(
            name,
            f"route to {', '.join(peers)}",
            device,
            f"by {seen['interface']}, which holds {addresses[name]}",
            f"Check the prefix length of the address on {name}: ip route get {peers[0].split('(')[1].rstrip(')')}",
            code="wrong-route",
        )
        for device, peers in wrong.items()
    ]
