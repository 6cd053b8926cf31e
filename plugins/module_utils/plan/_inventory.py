# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's part of a plan: nodes in rank order, and what the site says about all of them. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from ..common import _document
from ..common._problem import Problem, nearest, printable, show
from . import _notify, _pins, _site, _variables
from ._site import SITE_DEFAULTS, Site

# In paths, options of ssh and names of containers and files.
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,252}")
# IPv4, as the interface that holds it is looked up by it and Ray's addresses are written HOST:PORT.
FABRIC = "the node's IPv4 address on the fabric"
# Nobody has a fabric whose network is wider; how wide it is, only the nodes know, and preflight asks them.
WIDEST = 16
LAST_RANK = 9999
MAX_ENV = 200
# Begins what a plan warns of.
LEFT_OUT = "left out, as it is gone"
# Of NCCL and UCX: comma lists of interfaces or HCAs.
LISTS = ("NCCL_IB_HCA", "NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "UCX_NET_DEVICES")


@dataclasses.dataclass(frozen=True)
class Node:
    """One machine. Addresses are IPv4 or IPv6 text; `rails` are its addresses on all halves of the fabric's ports.

    `env` is its own `gx10_env`: interfaces, HCAs and GIDs may have other names on each machine.
    """

    name: str
    rank: int
    fabric_address: str
    management_address: str
    rails: tuple[str, ...] = ()
    env: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The nodes in rank order; what `site` holds is right where `read` found no problem."""

    nodes: tuple[Node, ...]
    site: Site


def setting(key: str, variables: Mapping[str, Any]) -> Any:
    """A setting of the site as one host's variables have it; where no plan is at hand. Not checked."""
    return variables.get(key, SITE_DEFAULTS[key])


def api_of_gone(hostvars: Mapping[str, Any], gone: Sequence[str], cluster: Cluster) -> list[Problem]:
    """The API's address, where it is one of a node that is left out: the engine could not bind it, when all else has been stopped."""
    address = cluster.site.get("api_address") if cluster.nodes else None
    keys = ("gx10_management_address", "ansible_host", "gx10_fabric_address")
    held = [name for name in gone if isinstance(address, str) and address in [hostvars[name].get(key) for key in keys]]
    wanted, hint = f"an address of the head, {cluster.nodes[0].name if cluster.nodes else ''}", "Give it with -e for now."
    return [
        Problem("inventory", "gx10_api_address", f"{address}, of {name}, which is left out", wanted, hint, "wrong-address") for name in held
    ]


def head(hostvars: Mapping[str, Any], hosts: Sequence[str]) -> str:
    """Name of the node of rank 0, which holds the group's lock; where no plan is at hand. Not checked."""
    ranks = {name: str(hostvars[name].get("gx10_rank", position)) for position, name in enumerate(hosts)}
    return min(hosts, key=lambda name: int(ranks[name]) if ranks[name].isdigit() else 0, default="")


def hosts_without(group: str, without: Sequence[str] | str | None) -> str:
    """A group but for some of its hosts, as the keyword `hosts` of a play has it. Not checked."""
    return ":".join([group, *(f"!{name}" for name in ([without] if isinstance(without, str) else without or []) if name)])


def hosts_of(plan: Mapping[str, Any], group: str) -> list[str] | str:
    """The hosts of a plan, who serves first, as the keyword `hosts` of a play has them; without a plan the group."""
    return [*(node["name"] for node in plan["nodes"]), *plan["idle"]] if plan else group


def there(hosts: Sequence[str], without: Sequence[str]) -> tuple[list[str], list[Problem]]:
    """The hosts of a group that are not left out, and what is wrong with those that are."""
    problems = []
    for name in without:
        if name not in hosts:
            problems.append(
                Problem(
                    "command line",
                    "without",
                    show(name),
                    f"nodes of the group: {_variables.names(hosts)}",
                    nearest(name, hosts),
                    "not-a-choice",
                )
            )
    left = [name for name in hosts if name not in without]
    if hosts and not left:
        problems.append(Problem("command line", "without", "all nodes of the group", "at least one that is there", code="missing"))
    return left or list(hosts), problems


def left(without: Sequence[str]) -> list[str]:
    """What the user should know of nodes that a plan leaves as they are."""
    if not without:
        return []
    back = "an engine of ours that comes back there starts nothing by itself, unless it was that node's alone"
    return [f"{', '.join(without)}: {LEFT_OUT}, and nothing is stopped there; {back}. serve.yml takes it in again"]


def read(
    hostvars: Mapping[str, Any], hosts: Sequence[str], where: str, settings: Mapping[str, Any] = MappingProxyType({})
) -> tuple[Cluster, list[Problem]]:
    """Read nodes and settings from inventory variables.

    `hosts` are names of `hostvars` in inventory order. A setting is the group's, so a host with another value is a problem; only the API's
    address may be each host's own, and the head's counts. `settings` are taken in place of the inventory's, by their names there.
    """
    problems, given = _settings(settings)
    # Whatever the inventory says, until it is checked.
    site: Any = {}
    if not hosts:
        hint = "Start the virtual cluster with `make sim-up`, or name an inventory with -i (inventories/sample is one)."
        return Cluster((), site), [Problem(where, "group gx10", "no node", "at least one node", hint, "missing")]
    if len(hosts) > _variables.MAX_HOSTS:
        problems.append(Problem(where, "group gx10", f"{len(hosts)} hosts", f"at most {_variables.MAX_HOSTS}", code="too-many"))
        hosts = hosts[: _variables.MAX_HOSTS]
    variables, broken, found = _variables.read(hostvars, hosts, where)
    problems += found
    # Of a variable that has a problem already, nothing is said again.
    said = {f"{printable(name)}.{key}" for name, key in broken}
    nodes = []
    for position, name in enumerate(variables):
        node, found = _node(name, position, variables[name], where)
        nodes.append(node)
        problems += [problem for problem in found if problem.key not in said]
    problems += _same(nodes, variables, where)

    nodes.sort(key=lambda node: node.rank)
    site = {key.removeprefix("gx10_"): given.get(key, setting(key, variables[nodes[0].name])) for key in SITE_DEFAULTS}
    wrong = _site.check(site, where)
    # Whether routers lead from one network to another, only the nodes know, and preflight asks them.
    problems += [] if site["fabric_routed"] else _subnets(nodes, where)
    # Only a host of the group is looked at, and has an address that layers travel from.
    if site["build_host"] and site["build_host"] not in [node.name for node in nodes]:
        hint = "Add it to the group, after the nodes that serve: it need not serve itself."
        names = [node.name for node in nodes]
        wanted = f"a host of the group ({', '.join(names[:8])}{', …' if len(names) > 8 else ''}), or nothing for the head"
        more = nearest(site["build_host"], names) if isinstance(site["build_host"], str) else ""
        wrong.append(Problem(where, "gx10_build_host", show(site["build_host"]), wanted, more or hint, "not-a-choice"))
    others = {address: node.name for node in nodes[1:] for address in (node.management_address, node.fabric_address, *node.rails)}
    if isinstance(site["api_address"], str) and site["api_address"] in others:
        found_at, wanted = (
            f"{site['api_address']}, of {others[site['api_address']]}",
            f"an address of the head, {nodes[0].name}, or 0.0.0.0",
        )
        problems.append(Problem(where, "gx10_api_address", found_at, wanted, "The head serves the API.", "wrong-address"))
    archive = site["image_archive_host"]
    if not isinstance(archive, str) or (archive != "localhost" and archive not in hostvars):
        hint = "Add it to the inventory, outside of the group too."
        wanted = "localhost or a host of the inventory"
        wrong.append(Problem(where, "gx10_image_archive_host", show(archive), wanted, hint, "not-a-choice"))
    # What is wrong as the head has it is not held against the others.
    known = SITE_DEFAULTS.keys() - {re.split(r"[.\[]", problem.key)[0] for problem in wrong}
    problems += _differences(variables, [node.name for node in nodes], known, broken, where) + wrong
    return Cluster(tuple(nodes), site), problems


def settings(hostvars: Mapping[str, Any], hosts: Sequence[str], where: str) -> list[Problem]:
    """What is wrong with the settings; for verbs that need no plan, and may be the way out of a group that is not well."""
    if not hosts:
        return []
    variables, _broken, problems = _variables.read(hostvars, hosts[: _variables.MAX_HOSTS], where)
    first = variables[str(head(variables, list(variables)))]
    site = {key.removeprefix("gx10_"): setting(key, first) for key in SITE_DEFAULTS}
    # Each host's own is read there, so that they may differ.
    return problems + _site.check(site, where)


def weights_sources(hostvars: Mapping[str, Any], hosts: Sequence[str]) -> Any:
    """The group's folders of weights on the control node; none where `read` has a problem with them."""
    variables, _broken, _problems = _variables.read(hostvars, hosts[:1], "inventory")
    found = next(iter(variables.values()), {}).get("gx10_weights_sources")
    return found if isinstance(found, dict) else {}


def pins(hostvars: Mapping[str, Any], hosts: Sequence[str]) -> str:
    """Where the control node records what was first used; the default where `read` has a problem with the setting."""
    variables, _broken, _problems = _variables.read(hostvars, hosts[:1], "inventory")
    found = next(iter(variables.values()), {}).get("gx10_secrets_dir")
    return _pins.folder(found if isinstance(found, str) else None)


def notify_secret(hostvars: Mapping[str, Any], hosts: Sequence[str]) -> str:
    """The file of the notifier's secret; "" where there is none, or `read` has a problem with the setting."""
    variables, _broken, _problems = _variables.read(hostvars, hosts[:1], "inventory")
    found = next(iter(variables.values()), {}).get("gx10_notify_secret_file")
    return found if _notify.is_file(found) else ""


def _settings(settings: Mapping[str, Any]) -> tuple[list[Problem], dict[str, Any]]:
    """Settings that are taken in place of the inventory's."""
    given, problems = _document.plain(settings, "settings", "")
    if not isinstance(given, dict):
        return problems or [Problem("settings", "", show(settings), "a mapping", code="wrong-type")], {}
    wanted = "one of " + ", ".join(SITE_DEFAULTS)
    unknown = sorted(set(given) - set(SITE_DEFAULTS))
    found = [Problem("settings", key, "no setting of the group", wanted, nearest(key, SITE_DEFAULTS), "unknown-key") for key in unknown]
    return problems + found, {key: value for key, value in given.items() if key in SITE_DEFAULTS}


def _node(name: str, position: int, variables: Mapping[str, Any], where: str) -> tuple[Node, list[Problem]]:
    """One machine, and what is wrong with what it says of itself."""
    problems: list[Problem] = []
    at = printable(name)

    def bad(key: str, value: object, wanted: str, code: str = "wrong-type") -> None:
        problems.append(Problem(where, f"{at}.{key}", show(value), wanted, code=code))

    if not NAME.fullmatch(name):
        wanted = "a host name: letters, digits, dots, dashes and underscores, at most 253, none of '.-' first"
        problems.append(Problem(where, show(name), "a name that no path or option takes", wanted, code="wrong-name"))
    fabric = _rail(variables.get("gx10_fabric_address"), f"{at}.gx10_fabric_address", where, problems)
    rank = _site.whole(variables.get("gx10_rank", position), 0, LAST_RANK)
    if rank is None:
        bad("gx10_rank", variables["gx10_rank"], f"a whole number from 0 to {LAST_RANK}", "out-of-range")
        # As no other node can have.
        rank = LAST_RANK + 1 + position
    rails = variables.get("gx10_fabric_rails") or ([fabric] if fabric else [])
    if not isinstance(rails, list):
        bad("gx10_fabric_rails", rails, "a list of addresses")
        rails = []
    # The fabric address alone is checked already.
    if variables.get("gx10_fabric_rails"):
        rails = [_rail(rail, f"{at}.gx10_fabric_rails", where, problems) for rail in rails]
    for twice in sorted({rail for rail in rails if rail and rails.count(rail) > 1}):
        bad("gx10_fabric_rails", f"{twice} twice", "each address once", "not-unique")
    key = _management(variables)
    management = variables.get(key) or fabric
    if not is_host(management) and management != "":
        bad(key, management, "an address of the node's own, or its name", "not-an-address")
        management = ""
    env = variables.get("gx10_env", {})
    if not isinstance(env, dict) or len(env) > MAX_ENV:
        bad("gx10_env", env, f"a mapping of at most {MAX_ENV} names")
        env = {}
    for word, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", word):
            problems.append(Problem(where, f"{at}.gx10_env", f"the name {show(word)}", "a variable's name", code="wrong-name"))
        elif isinstance(value, bool) or not isinstance(value, str | int | float):
            bad(f"gx10_env.{word}", value, "text or a number; the text that is meant, in quotes")
    for word in LISTS:
        parts = str(env.get(word, "")).lstrip("=^").split(",")
        if len(set(parts)) < len(parts):
            bad(f"gx10_env.{word}", env[word], "each interface once", "not-unique")
    own = {str(key): str(value) for key, value in env.items()}
    return Node(name, rank, fabric, str(management), tuple(rails), own), problems


def _rail(value: object, key: str, where: str, problems: list[Problem]) -> str:
    """An address of a node on the fabric, or a problem and an empty text. Link-local ones are: NVIDIA's playbooks use them."""
    text = _site.address(value, key, where, problems, FABRIC, (4,))
    if not text:
        return ""
    address = ipaddress.IPv4Address(text)
    kinds = {
        "an unspecified": address.is_unspecified,
        "a loopback": address.is_loopback,
        "a multicast": address.is_multicast,
        "a broadcast": text == "255.255.255.255",
        "a reserved": address.is_reserved or text.startswith("0."),
    }
    kind = next((kind for kind, holds in kinds.items() if holds), "")
    if kind:
        problems.append(Problem(where, key, f"{text}, {kind} address", FABRIC, code="wrong-address"))
    return "" if kind else text


def is_host(value: object) -> bool:
    """Is it a host name, or an address that a machine can have?"""
    if not isinstance(value, str):
        return False
    try:
        address = ipaddress.ip_address(value)
    except ValueError:
        return bool(NAME.fullmatch(value)) and not re.fullmatch(r"[0-9.]+", value)
    return not (address.is_unspecified or address.is_multicast or str(address) == "255.255.255.255")


def _management(variables: Mapping[str, Any]) -> str:
    """The variable that has the management address: the one that the user has set is blamed."""
    return "gx10_management_address" if variables.get("gx10_management_address") else "ansible_host"


def _addresses(node: Node, variables: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """A node's addresses with the variable that has them, each once."""
    found = {rail: "gx10_fabric_rails" for rail in node.rails}
    found = {node.management_address: _management(variables), **found, node.fabric_address: "gx10_fabric_address"}
    # Of the same port of the control node, each by another forwarded one.
    yield from ((text, key) for text, key in found.items() if text and not (is_address(text) and ipaddress.ip_address(text).is_loopback))


def _same(nodes: Sequence[Node], variables: Mapping[str, Any], where: str) -> list[Problem]:
    """Ranks and addresses that two nodes have."""
    problems = []
    ranks: dict[int, str] = {}
    owners: dict[str, str] = {}
    wanted = "one that no other node has"
    for node in nodes:
        at = printable(node.name)
        if node.rank in ranks:
            problems.append(Problem(where, f"{at}.gx10_rank", f"{node.rank}, as on {ranks[node.rank]}", wanted, code="not-unique"))
        ranks.setdefault(node.rank, at)
        for text, key in _addresses(node, variables[node.name]):
            if text in owners:
                # ansible_port tells them apart for Ansible alone.
                hint = "Nodes behind one address by their ports are told apart by gx10_management_address." if key == "ansible_host" else ""
                problems.append(Problem(where, f"{at}.{key}", f"{text}, as on {owners[text]}", wanted, hint, "not-unique"))
            owners.setdefault(text, at)
    return problems


def _subnets(nodes: Sequence[Node], where: str) -> list[Problem]:
    """Addresses of the fabric, and those of one rail, that no network holds together with the first node's."""
    problems = []
    hint = "Rails are in the same order on each node; of a fabric with routers between its networks say gx10_fabric_routed: true."
    firsts: dict[str, tuple[str, str]] = {}
    for node in nodes:
        at = printable(node.name)
        rails = {f"gx10_fabric_rails[{index}]": rail for index, rail in enumerate(node.rails) if len(node.rails) > 1}
        for key, text in {"gx10_fabric_address": node.fabric_address, **rails}.items():
            network = text and str(ipaddress.ip_network(f"{text}/{WIDEST}", strict=False))
            first, name = firsts.setdefault(key, (network, at)) if network else ("", "")
            if network != first:
                wanted = f"one of the network that {name} is on ({first} or a part of it)"
                problems.append(Problem(where, f"{at}.{key}", text, wanted, hint, "other-network"))
    return problems


def _differences(
    variables: Mapping[str, Any], names: Sequence[str], keys: Collection[str], broken: Collection[tuple[str, str]], where: str
) -> list[Problem]:
    """Settings of the group, of `keys`, of which a host has its own; those that are `broken` are told already."""
    found = []
    for key in SITE_DEFAULTS:
        having = [name for name in names if (name, key) not in broken]
        if key == "gx10_api_address" or key not in keys or not having:
            continue
        wanted = setting(key, variables[having[0]])
        others = [name for name in having if _plain(setting(key, variables[name])) != _plain(wanted)]
        if others:
            value = show(setting(key, variables[others[0]]))
            text, hint = f"{show(wanted)}, as on {having[0]}", "It is a setting of the group: put it in its vars."
            found.append(Problem(where, f"{_variables.names(others)}: {key}", value, text, hint, "differs"))
    return found


def _plain(value: Any) -> Any:
    """What two spellings of a setting have in common: 8000 and "8000", /srv/models and /srv/models/."""
    return value if isinstance(value, Mapping | list | bool) else str(value).rstrip("/")


def is_address(text: str) -> bool:
    """Is it an IP address, of either version?"""
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
