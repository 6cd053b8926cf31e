# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's part of a plan: nodes in rank order, and what the site says about all of them. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import ipaddress
import re
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any, Literal, TypedDict

from ..common._problem import Problem, show
from . import _options
from ._types import HardwareOptions

# Every inventory variable that resolve reads, with its default (None: required, or found per node).
SITE_DEFAULTS: dict[str, Any] = {
    "gx10_models_root": "/srv/models",
    "gx10_state_dir": "/var/lib/gx10",
    "gx10_api_address": None,
    "gx10_api_port": 8000,
    "gx10_ray_port": 6379,
    "gx10_master_port": 29501,
    "gx10_ray_cpus": 2,
    "gx10_ray_object_store_bytes": 1024**3,
    "gx10_gpus_per_node": 1,
    "gx10_memory_floor_gib": None,
    "gx10_drop_caches": True,
    # ORG/NAME to a folder on the control node.
    "gx10_weights_sources": {},
    "gx10_fanout_network": "fabric",
    "gx10_fanout_port": 8731,
    "gx10_fanout_lanes": 0,
    "gx10_build_host": None,
    # How many images of a name each node keeps, in Docker and as layers, for the next one to travel by its changed layers only.
    "gx10_image_keep": 2,
    # A folder for verified copies on a host; empty: none.
    "gx10_image_archive": "~/.local/share/gx10/images",
    "gx10_image_archive_host": "localhost",
    "gx10_container_options": {},
}
NETWORKS = ("fabric", "management")


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


class Site(TypedDict):
    """The site's settings: keys of SITE_DEFAULTS without the prefix."""

    models_root: str
    state_dir: str
    api_address: str | None
    api_port: int
    ray_port: int
    master_port: int
    ray_cpus: int
    ray_object_store_bytes: int
    gpus_per_node: int
    memory_floor_gib: float | None
    drop_caches: bool
    weights_sources: Mapping[str, str] | None
    fanout_network: Literal["fabric", "management"]
    fanout_port: int
    fanout_lanes: int
    build_host: str | None
    image_keep: int
    image_archive: str
    image_archive_host: str
    container_options: HardwareOptions


@dataclasses.dataclass(frozen=True)
class Cluster:
    """The nodes in rank order; what `site` holds is right where `read` found no problem."""

    nodes: tuple[Node, ...]
    site: Site


def setting(key: str, variables: Mapping[str, Any]) -> Any:
    """A setting of the site as one host's variables have it; where no plan is at hand. Not checked."""
    return variables.get(key, SITE_DEFAULTS[key])


def head(hostvars: Mapping[str, Any], hosts: Sequence[str]) -> str:
    """Name of the node of rank 0, which holds the group's lock; where no plan is at hand. Not checked."""
    ranks = {name: str(hostvars[name].get("gx10_rank", position)) for position, name in enumerate(hosts)}
    return min(hosts, key=lambda name: int(ranks[name]) if ranks[name].isdigit() else 0, default="")


def read(
    hostvars: Mapping[str, Any], hosts: Sequence[str], where: str, settings: Mapping[str, Any] = MappingProxyType({})
) -> tuple[Cluster, list[Problem]]:
    """Read nodes and settings from inventory variables.

    `hosts` are names of `hostvars` in inventory order. A setting is the group's, so a host with another value is a problem; only the API's
    address may be each host's own, and the head's counts. `settings` are taken in place of the inventory's, by their names there.
    """
    unknown = sorted(set(settings) - set(SITE_DEFAULTS))
    problems = [Problem("settings", name, "no setting of the group", "one of " + ", ".join(SITE_DEFAULTS)) for name in unknown]
    # Whatever the inventory says, until it is checked.
    site: Any = {}
    if not hosts:
        hint = "Start the virtual cluster with `make sim-up`, or name an inventory with -i (inventories/sample is one)."
        return Cluster((), site), [Problem(where, "group gx10", "no node", "at least one node", hint)]

    nodes = []
    for position, name in enumerate(hosts):
        variables = hostvars[name]
        # IPv4, as the interface that holds it is looked up by it and Ray's addresses are written HOST:PORT.
        wanted, key = "the node's IPv4 address on the fabric", f"{name}.gx10_fabric_address"
        fabric = _address(variables.get("gx10_fabric_address"), key, where, problems, wanted, (4,))
        management = variables.get("gx10_management_address") or variables.get("ansible_host") or fabric
        rank = variables.get("gx10_rank", position)
        if not re.fullmatch(r"[0-9]{1,4}", str(rank)):
            problems.append(Problem(where, f"{name}.gx10_rank", show(rank), "a whole number from 0"))
            rank = position
        rails = variables.get("gx10_fabric_rails") or ([fabric] if fabric else [])
        if not isinstance(rails, list | tuple):
            problems.append(Problem(where, f"{name}.gx10_fabric_rails", show(rails), "a list of addresses"))
            rails = []
        checked = [_address(rail, f"{name}.gx10_fabric_rails", where, problems, wanted, (4,)) for rail in rails]
        env = variables.get("gx10_env", {})
        if not isinstance(env, Mapping):
            problems.append(Problem(where, f"{name}.gx10_env", show(env), "a mapping"))
            env = {}
        own = {str(key): str(value) for key, value in env.items()}
        nodes.append(Node(str(name), int(rank), fabric, str(management), tuple(checked), own))
    for field in ("rank", "fabric_address"):
        seen: dict[Any, str] = {}
        for node in nodes:
            value = getattr(node, field)
            if value != "" and value in seen:
                problems.append(Problem(where, f"{node.name}.gx10_{field}", f"{value}, as on {seen[value]}", "one that no other node has"))
            seen[value] = node.name

    nodes.sort(key=lambda node: node.rank)
    head = hostvars[nodes[0].name]
    site = {key.removeprefix("gx10_"): settings.get(key, setting(key, head)) for key in SITE_DEFAULTS}
    problems += _differences(hostvars, nodes, where)
    problems += _check_site(site, where)
    # Only a host of the group is looked at, and has an address that layers travel from.
    if site["build_host"] and site["build_host"] not in [node.name for node in nodes]:
        hint = "Add it to the group, after the nodes that serve: it need not serve itself."
        wanted = f"a host of the group ({', '.join(node.name for node in nodes)}), or nothing for the head"
        problems.append(Problem(where, "gx10_build_host", show(site["build_host"]), wanted, hint))
    archive = site["image_archive_host"]
    if not isinstance(archive, str) or (archive != "localhost" and archive not in hostvars):
        hint = "Add it to the inventory, outside of the group too."
        problems.append(Problem(where, "gx10_image_archive_host", show(archive), "localhost or a host of the inventory", hint))
    return Cluster(tuple(nodes), site), problems


def _differences(hostvars: Mapping[str, Any], nodes: Sequence[Node], where: str) -> list[Problem]:
    """Settings of the group of which a host has its own."""
    found = []
    for key in SITE_DEFAULTS:
        wanted = setting(key, hostvars[nodes[0].name])
        others = [node.name for node in nodes if _plain(setting(key, hostvars[node.name])) != _plain(wanted)]
        if key != "gx10_api_address" and others:
            value = setting(key, hostvars[others[0]])
            text = f"{show(wanted)}, as on {nodes[0].name}"
            found.append(
                Problem(where, f"{', '.join(others)}: {key}", show(value), text, "It is a setting of the group: put it in its vars.")
            )
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


def _address(value: object, key: str, where: str, problems: list[Problem], wanted: str, versions: tuple[int, ...]) -> str:
    """The value as an IP address of one of `versions`, or a problem and an empty text."""
    try:
        address = ipaddress.ip_address(str(value))
        if address.version in versions:
            return str(address)
    except ValueError:
        pass
    problems.append(Problem(where, key, "nothing" if value is None else show(value), wanted))
    return ""


def _check_site(site: dict[str, Any], where: str) -> list[Problem]:
    problems: list[Problem] = []
    for key, low, high in (
        ("api_port", 1, 65535),
        ("ray_port", 1, 65535),
        ("master_port", 1, 65535),
        ("fanout_port", 1, 65535),
        ("fanout_lanes", 0, 64),
        ("ray_cpus", 1, 1024),
        ("ray_object_store_bytes", 78643200, 2**50),
        ("gpus_per_node", 1, 16),
        ("image_keep", 1, 100),
    ):
        text = str(site[key])
        if not re.fullmatch(r"[0-9]{1,18}", text) or not low <= int(text) <= high:
            problems.append(Problem(where, f"gx10_{key}", show(site[key]), f"a whole number from {low} to {high}"))
        else:
            site[key] = int(text)
    if site["api_address"] is not None:
        _address(site["api_address"], "gx10_api_address", where, problems, "an IP address of the head, or 0.0.0.0", (4, 6))
    for key in ("models_root", "state_dir"):
        path = str(site[key])
        if not path.startswith("/") or ".." in path.split("/") or any(char in path for char in ",:\n") or path == "/":
            problems.append(Problem(where, f"gx10_{key}", show(site[key]), "an absolute path without '..', ',' or ':'"))
        else:
            site[key] = path.rstrip("/")
    sources = site["weights_sources"] or {}
    if not isinstance(sources, Mapping) or not all(isinstance(path, str) and path for path in sources.values()):
        problems.append(Problem(where, "gx10_weights_sources", show(sources), "a mapping of ORG/NAME to a folder on the control node"))
    archive = site["image_archive"]
    if not isinstance(archive, str) or (archive and not archive.startswith(("/", "~/"))):
        problems.append(Problem(where, "gx10_image_archive", show(archive), "an absolute path, one below ~/, or '' for none"))
    if not isinstance(site["drop_caches"], bool):
        problems.append(Problem(where, "gx10_drop_caches", show(site["drop_caches"]), "true or false"))
    if site["fanout_network"] not in NETWORKS:
        problems.append(Problem(where, "gx10_fanout_network", show(site["fanout_network"]), " or ".join(NETWORKS)))
    floor = site["memory_floor_gib"]
    if floor is not None and (isinstance(floor, bool) or not re.fullmatch(r"[0-9]{1,4}(\.[0-9]+)?", str(floor))):
        problems.append(Problem(where, "gx10_memory_floor_gib", show(floor), "GiB as a number, or nothing: the plan then computes it"))
        site["memory_floor_gib"] = None
    elif floor is not None:
        site["memory_floor_gib"] = float(floor)
    site["container_options"], found = _options.parse(site["container_options"], where)
    return problems + found
