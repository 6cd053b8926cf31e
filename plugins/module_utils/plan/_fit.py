# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profile, site and checkpoint beside each other: what none of them shows alone.

What a site says is judged whatever the profile is, so that one answer has all problems. PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
import ipaddress
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..common._problem import Problem, printable, show
from . import _checkpoint, _code, _length, _memory, _rules, _site, _variables
from ._inventory import Cluster, Node, is_address, is_host
from ._profile_types import Checkpoint, ImageFile, Profile, Sources
from ._types import Estimate, RemoteCode
from .engines import _engines, _env, _flags, _limits
from .executors import _executors

WANTED = "an IP address, with gx10_fanout_network: management"


def serving(profile: Profile, cluster: Cluster, where: str) -> tuple[tuple[Node, ...], list[Problem]]:
    """The nodes that serve a profile, and why they cannot; all of them where the site does not say how many GPUs each has."""
    parallel, per_node = profile["parallel"], _site.whole(cluster.site.get("gpus_per_node"), 1, 16)
    tensor, pipeline = parallel["tensor"], parallel.get("pipeline", 1)
    gpus = tensor * pipeline
    if per_node is None or not cluster.nodes:
        return cluster.nodes, []
    count = -(-gpus // per_node)
    if gpus % per_node and count > 1:
        return cluster.nodes, [Problem(where, "parallel", f"{gpus} GPUs", f"a multiple of {per_node}, the GPUs of a node", code="parallel")]
    if count > len(cluster.nodes):
        found = f"tensor {tensor} x pipeline {pipeline} = {gpus} GPUs"
        wanted = f"at most {len(cluster.nodes) * per_node}: the inventory has {len(cluster.nodes)} nodes with {per_node} each"
        return cluster.nodes, [Problem(where, "parallel", found, wanted, code="parallel")]
    nodes, engine = cluster.nodes[:count], profile["engine"]
    executor = _executors.load(profile["executor"])
    problems = executor.check(_executors.Job(engine, nodes, cluster.site), where)
    if engine not in executor.ENGINES:
        wanted = " or ".join(name for name in _executors.names() if engine in _executors.load(name).ENGINES)
        problems.append(Problem(where, "executor", f"{profile['executor']!r} with engine {engine}", wanted, code="executor"))
    publish = profile["container"].get("publish", [])
    outer = [pair.split(":")[0] for pair in publish]
    for port in sorted({port for port in outer if outer.count(port) > 1}):
        problems.append(Problem(where, "container.publish", f"port {port} twice", "each of the node's ports once", code="not-unique"))
    problems += _published(publish, cluster.site, where)
    if count > 1 and publish:
        problems.append(Problem(where, "container.publish", f"{count} nodes", "one node: ranks need the host's network", code="publish"))
    return nodes, problems


def _published(publish: Sequence[str], site: Mapping[str, Any], where: str) -> Iterator[Problem]:
    """Ports of a profile that the site has for something else. The first is the API's, in place of gx10_api_port."""
    ours = {port: key for key, ports in _site.ports(site) for port in ports}
    for index, pair in enumerate(publish):
        port = int(pair.split(":")[0])
        key = ours.get(port)
        # What comes again is told as that.
        again = any(int(other.split(":")[0]) == port for other in publish[:index])
        if key and not again and (index or key != "gx10_api_port"):
            other = next((free for free in range(port + 1, 65536) if free not in ours), 1024)
            wanted, hint = "a port that is not ours", f"Another one outside, as {other}:{pair.split(':')[1]}; or change {key}."
            yield Problem(where, f"container.publish[{index}]", f"{port}, of {key}", wanted, hint, "not-unique")


def environment(
    profile: Mapping[str, Any], image: Mapping[str, Any], nodes: Sequence[Node], limits: Sequence[Mapping[str, Any]]
) -> tuple[list[Problem], list[str]]:
    """The engine's environment as the inventory has it: what holds for a profile's holds for a node's. The profile need not be right.

    `limits`: the profile's, as the engine reads them.
    """
    problems: list[Problem] = []
    engine, own = profile.get("engine"), profile.get("env")
    known = isinstance(engine, str) and engine in _engines.names()
    # Where nobody knows which engine it is for, what every one refuses.
    dialects = [_engines.load(name).DIALECT for name in ([str(engine)] if known else _engines.names())]
    warnings: dict[str, list[str]] = {}
    for node in nodes:
        at = f"{printable(node.name)}.gx10_env"
        refused = [_env.check(dialect, node.env, "inventory", at) for dialect in dialects]
        problems += [problem for problem in refused[0] if all(problem in others for others in refused)]
        if known:
            table, _note = _flags.pick(str(engine), _rules.pinned(image, str(engine)))
            found, warned = _env.names(dialects[0], table, node.env, "inventory", at)
            problems += found + _limits.of_node(dialects[0], table, limits, own if isinstance(own, Mapping) else {}, node.env, at)
            for text in warned:
                warnings.setdefault(text.removeprefix(f"{printable(node.name)}."), []).append(node.name)
        # In the order of the container's.
        for key, value in {**(own if isinstance(own, Mapping) else {}), **_executors.QUIET}.items():
            if node.env.get(key, value) != value:
                by = "the plan" if key in _executors.QUIET else "the profile"
                text = f"gx10_env.{key}: {show(node.env[key])} is not used, since {by} sets {show(value)}"
                warnings.setdefault(text, []).append(node.name)
    return problems, [f"{_variables.names(hosts)}: {text}" for text, hosts in warnings.items()]


def listens(cluster: Cluster) -> str:
    """The address on which the API listens."""
    return str(cluster.site["api_address"] or cluster.nodes[0].management_address)


def api(cluster: Cluster) -> list[Problem]:
    """What is wrong with the address of the API, beyond its form."""
    text = listens(cluster) if cluster.nodes else ""
    if not is_host(text) and not (is_address(text) and _site.is_every(text)):
        return []
    if not is_address(text):
        hint = "A name may lead to another address on the head itself (127.0.1.1 in /etc/hosts); give gx10_api_address the head's."
        return [Problem("inventory", "gx10_api_address", show(text), "an IP address of the head", hint, "not-an-address")]
    if cluster.site["accept_open_api"] is True or not (_site.is_every(text) or ipaddress.ip_address(text).is_global):
        return []
    found = f"{text}, all of {cluster.nodes[0].name}'s addresses" if _site.is_every(text) else f"{text}, an address of the Internet"
    wanted = "an address of the management network or the fabric, or 127.0.0.1 with a proxy before it (docs/proxy.md)"
    hint = "The API has no users and no TLS. Where a firewall of yours is the boundary, gx10_accept_open_api: true is your word for it."
    return [Problem("inventory", "gx10_api_address", found, wanted, hint, "api-open")]


def fanout(cluster: Cluster) -> list[Problem]:
    """Nodes that cannot distribute over the management network: nginx lets in addresses, and listens on one."""
    if len(cluster.nodes) < 2 or cluster.site["fanout_network"] != "management":
        return []
    hint = "Give each node gx10_management_address; ansible_host may stay a name."
    return [
        Problem("inventory", f"{node.name}.gx10_management_address", show(node.management_address), WANTED, hint, "not-an-address")
        for node in cluster.nodes
        if is_host(node.management_address) and not is_address(node.management_address)
    ]


@dataclasses.dataclass(frozen=True)
class Judged:
    """A profile beside its checkpoint. `own`: what the site has of it; `skipped`: not checked; `longest`: as `_length.of` has it."""

    problems: list[Problem]
    skipped: list[str]
    own: Checkpoint | None
    checkpoint: Checkpoint | None
    longest: tuple[int, str] | None
    estimate: Estimate
    code: list[RemoteCode]


def checkpoint(
    profile: Profile, image: ImageFile, sources: Sources, site: Mapping[str, Any], limits: Sequence[Mapping[str, Any]], where: str
) -> Judged:
    """Is it the checkpoint that the profile means, does it fit into memory, and which code of it would run?"""
    problems: list[Problem] = []
    repo = profile["model"]["repo"]
    own = sources["checkpoints"].get(repo)
    if own and "problem" in own:
        problems, own = [Problem(**own["problem"])], None
    known = _checkpoint.known(repo, own)
    version = _flags.pick(profile["engine"], _rules.pinned(image, profile["engine"]))[0].version
    disagreements, skipped = _checkpoint.check(profile, known, where, version)
    estimate = _memory.estimate(profile, image, known)
    problems += disagreements + _memory.problems(estimate, site.get("memory_floor_gib"), where, limits)
    code, unheld = _code.planned(profile, own, sources["code"])
    return Judged(problems + unheld, skipped, own, known, _length.of(profile, known, version), estimate, code)
