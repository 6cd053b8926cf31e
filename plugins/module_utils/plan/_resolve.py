# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Resolve a profile and an inventory into one launch plan. Pure: no host is asked, no file is read.

PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypedDict, cast

from ..common import _document, _schema
from ..common._problem import Problem, beyond, nearest, report, show, told
from . import _checkpoint, _code, _compiled, _fit, _memory, _notify, _pins, _probes, _profile, _site, _variables, _watch, _weights
from ._inventory import Cluster, Node, api_of_gone, left, there
from ._inventory import read as read_cluster
from ._profile_types import ImageFile, ModSource, Profile, ProfileContainer, Provenance, Sources
from ._types import Body, ContainerOptions, Definition, Deviation, HardwareOptions, MeasuredWith, Memory, Mod, Plan, Speculation
from ._types import Engine as PlannedEngine
from ._types import Node as PlannedNode
from .engines import _engines
from .executors import _executors

MODULES = "/tmp/gx10-hf-modules"
BOOT_MINUTES = 20.0
UNWEIGHED = "memory: the engine quantizes the weights as it loads them, so what they take is not known"
# Of the plan as a document: counts up when a role needs what a plan in an older record lacks.
FORMAT = 5


class Resolved(TypedDict):
    """`problems`: all of them, and then there is no plan; `message`: the same as one text."""

    plan: Plan | None
    problems: list[str]
    message: str


@dataclasses.dataclass(frozen=True)
class Api:
    """Where the server listens in its container, and the node's address on which Docker publishes it."""

    host: str
    port: int
    published: str


def digest(value: object) -> str:
    """SHA-256 of a value's canonical JSON, as "sha256:HEX"."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return "sha256:" + hashlib.sha256(text.encode()).hexdigest()


def resolve(
    sources: Sources,
    hostvars: Mapping[str, Any],
    hosts: Sequence[str],
    override: Mapping[str, Any] | None = None,
    accept_untested: bool = False,
    settings: Mapping[str, Any] | None = None,
    known: Sequence[Mapping[str, Any]] = (),
    without: Sequence[str] = (),
) -> Resolved:
    """The launch plan, or every problem at once.

    `sources` is what `_sources.read` found; `override` changes the profile for this launch; `accept_untested` is the user's
    word for a profile that nobody has measured; `known` are problems that were found before, as of the verb's arguments; `without`
    names nodes that are gone.
    """
    problems: list[Problem] = [Problem(**problem) for problem in [*known, *sources.get("problems", [])]]
    others, found = there(hosts, without)
    problems += found
    cluster, found = read_cluster(hostvars, others, "inventory", settings or {})
    problems += found + api_of_gone(hostvars, [name for name in without if name in hosts], cluster)
    source = sources["profile"]
    profile: dict[str, Any] = {}
    image: dict[str, Any] = {}
    nodes, judged, checked = cluster.nodes, None, None
    deviations: list[Deviation] = []
    if source:
        profile, own = _document.load(source)
        if not own:
            profile, deviations, own = _profile.override(profile, {} if override is None else override, source["path"])
            image, image_found = _image(profile, sources, source["path"])
            checked = _profile.check(profile, image, sources, source["path"], accept_untested)
            own += checked.problems + image_found
            problems += _site.gpu(image, cluster.site, "inventory", {problem.key for problem in problems})
        if checked and not own:
            # Their schemas have accepted them; from here on flags are what the engine reads.
            profile = {**profile, "args": checked.args}
            nodes, own = _fit.serving(cast(Profile, profile), cluster, source["path"])
            judged = _fit.checkpoint(cast(Profile, profile), cast(ImageFile, image), sources, cluster.site, checked.limits, source["path"])
            # All of a launch counts together: the file is right where it plans alone.
            if deviations and any(problem.key == "memory" for problem in judged.problems):
                alone = resolve(sources, hostvars, hosts, None, accept_untested, settings, known, without)
                own += _profile.of_memory(judged.problems, deviations) if alone["plan"] else judged.problems
            else:
                own += judged.problems
        problems += _profile.blamed(own, source["path"], deviations, profile.get("engine"), image)
    # The site's own is said with it, whatever the profile is.
    refused, undocumented = _fit.environment(profile, image, nodes, checked.limits if checked else [])
    problems += beyond(problems, [*refused, *_fit.api(cluster), *_fit.fanout(cluster)])
    problems = _variables.together(problems, [node.name for node in cluster.nodes])
    plan = None
    if not problems and source and checked and judged:
        job = _executors.Job(profile["engine"], nodes, cluster.site)
        accepted = cast(Profile, profile), cast(ImageFile, image)
        plan = _plan(*accepted, checked, judged, job, cluster, sources, source["name"], deviations, undocumented)
        plan["warnings"] += left(without)
    name = sources.get("name") or "no profile"
    message = report(f"Cannot plan {name}", problems) if problems else ""
    return {"plan": plan, "problems": told(problems), "message": message}


def _image(profile: Mapping[str, Any], sources: Sources, where: str) -> tuple[dict[str, Any], list[Problem]]:
    name = profile.get("image")
    if not isinstance(name, str):
        return {}, []
    if name not in sources["images"]:
        known = sorted(sources["images"])
        return {}, [Problem(where, "image", show(name), "one of " + ", ".join(known), nearest(name, known), "not-a-choice")]
    image, problems = _schema.read(sources["images"][name], sources["image_schema"]["text"])
    return image, problems + _lineage(image, sources)[1]


def _plan(
    profile: Profile,
    image: ImageFile,
    checked: _profile.Checked,
    judged: _fit.Judged,
    job: _executors.Job,
    cluster: Cluster,
    sources: Sources,
    name: str,
    deviations: list[Deviation],
    undocumented: list[str],
) -> Plan:
    site, nodes, count = job.site, job.nodes, len(job.nodes)
    executor = _executors.load(profile["executor"])
    checkpoint, code = judged.checkpoint, judged.code
    memory: Memory = {**judged.estimate, **_memory.floor(judged.estimate, site["memory_floor_gib"])}
    publish = profile["container"].get("publish")
    listen = _fit.listens(cluster)
    # In a network of its own a container listens on all of its addresses; Docker publishes the port on this one of the node's.
    outer, inner = map(int, publish[0].split(":")) if publish else (site["api_port"], site["api_port"])
    api = Api("0.0.0.0" if publish else listen, inner, f"[{listen}]" if ":" in listen else listen)
    # What a client uses: a wildcard is an address to listen on, not to ask.
    wildcard = _site.is_every(listen)
    reach = nodes[0].management_address if wildcard else listen
    opens = [f"the API listens on all of {nodes[0].name}'s addresses (gx10_api_address: {listen}); only its firewall keeps others out"]
    unready = [mod for mod in profile.get("mods", []) if not sources["mods"][mod]["ready"]]
    body: Body = {
        "format": FORMAT,
        "profile": name,
        "summary": profile["summary"],
        "engine": profile["engine"],
        "executor": profile["executor"],
        "image": {
            **_definition(profile["image"], image, sources),
            "lineage": _lineage(image, sources)[0],
            "builder": site["build_host"] or nodes[0].name,
            # All of the inventory: one that does not serve may build, or hold what another lost.
            "nodes": _weights.addresses(cluster),
            "wheels_path": sources["wheels_path"],
            "pins": _pins.folder(site["secrets_dir"]),
            "keep": site["image_keep"],
            "archive": {"path": site["image_archive"], "host": site["image_archive_host"]},
        },
        "weights": _weights.held(_weights.document(cluster, [profile["model"], *profile["model"].get("drafts", [])], count), code),
        "model": {**profile["model"], "path": f"{site['models_root']}/{profile['model']['repo']}"},
        "nodes": [_node(profile, checked.words, job, executor, rank, api, sources, memory["floor_gib"]) for rank in range(count)],
        "idle": [node.name for node in cluster.nodes[count:]],
        "ready": {
            "url": _url(reach, outer),
            "served_name": profile["model"]["served_name"],
            "boot_minutes": profile.get("expect", {}).get("boot_minutes", BOOT_MINUTES),
            "speculative": _speculative(profile),
            "probes": _probes.planned(job.engine, profile.get("args", {}), profile.get("probes", {})),
        },
        "expect": profile.get("expect", {}),
        # Preflight compares the nodes with it.
        "measured_with": _measured_with(profile["provenance"]),
        "watch": _watch.bounds(profile, judged.longest, _engines.load(job.engine).METRICS),
        "group": {
            "address": f"{nodes[0].fabric_address}:{site['group_port']}" if count > 1 else None,
            "restarts_per_hour": site["restarts_per_hour"],
        },
        "notify": _notify.planned(site, sources["notifier"]),
        "supervisor": sources["supervisor"],
        "state_dir": site["state_dir"],
        "drop_caches": site["drop_caches"],
        "compiled_gib": site["compiled_gib"],
        "memory": memory,
        "skipped": judged.skipped + checked.skipped + ([UNWEIGHED] if _memory.converted(profile, checkpoint) else []),
        "deviations": deviations,
        "warnings": checked.warnings
        + undocumented
        + _checkpoint.differences(profile["model"]["repo"], judged.own)
        + _checkpoint.unchecked(profile, checkpoint)
        + (opens if wildcard else [])
        + [f"mod {mod} is declared, but has no run.sh yet: serve refuses it" for mod in unready],
        "asked": {"args": profile.get("args", {}), "parallel": profile["parallel"], "mods": profile.get("mods", [])},
    }
    if code:
        body["remote_code"] = code
    return {"hash": _launch_hash(body), **body}


def other_format(record: Mapping[str, Any]) -> str:
    """Why this release cannot read the plan in a record; empty if it can."""
    plan = record["plan"]
    lacking = sorted(Plan.__required_keys__ - {"format", "asked", "compiled_gib", "notify", "remote_code"} - plan.keys())
    if plan.get("format") == FORMAT and not lacking:
        return ""
    profile, without = plan.get("profile", "NAME"), f" without {', '.join(lacking)}" if lacking else ""
    return (
        f"The record of {profile} has a plan of another release: found format {plan.get('format', 1)}{without}; wanted {FORMAT}. "
        f"ansible-playbook serve.yml -e profile={profile} serves the profile as this release plans it."
    )


def _definition(name: str, image: ImageFile, sources: Sources) -> Definition:
    """What the role image needs of one image definition."""
    return {
        "name": name,
        "reference": image.get("reference", f"{name}:{image.get('tag', 'latest')}"),
        # On the control node: what it is built from.
        "folder": sources["images"][name]["path"].rpartition("/")[0],
        "base": image.get("base"),
        "requirements": image.get("requirements"),
        "wheels": image.get("wheels", {}),
        "size_gib": image.get("size_gib"),
        "expect": image["expect"],
        "rebuild": image.get("rebuild", "Rebuild the image."),
    }


def _lineage(top: Mapping[str, Any], sources: Sources) -> tuple[list[Definition], list[Problem]]:
    """The definitions that an image's base is built from, the lowest first, and their problems; a base that none has is pulled."""
    found: list[Definition] = []
    image: Any = top
    while True:
        name, _colon, tag = str(image.get("base")).partition(":")
        if name not in sources["images"] or name in [item["name"] for item in found]:
            return found, []
        image, problems = _schema.read(sources["images"][name], sources["image_schema"]["text"])
        if problems or image.get("tag", "latest") != (tag or "latest"):
            return found, problems
        found.insert(0, _definition(name, image, sources))


def _launch_hash(plan: Body) -> str:
    """Hash of what runs: a corrected benchmark number that moves no bound, or another checkout, restarts nobody's engine."""
    nodes = [{**node, "mods": [[mod["name"], mod["hash"]] for mod in node["mods"]]} for node in plan["nodes"]]
    return digest([plan["profile"], plan["image"]["reference"], plan["supervisor"], plan["watch"]["settings"], plan["group"], nodes])


def _url(host: str, port: int) -> str:
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"


def _options(hardware: HardwareOptions, container: ProfileContainer, address: str) -> ContainerOptions:
    """Docker's options. A port is never published on all addresses unasked: Docker's rules come before the node's firewall."""
    options = cast(ContainerOptions, {**hardware})
    if "publish" in container:
        options["publish"] = [f"{address}:{pair}" for pair in container["publish"]]
    else:
        options["network"] = "host"
    options["ipc"] = container.get("ipc", "private")
    if "shm_size" in container:
        options["shm_size"] = container["shm_size"]
    return options


def _mod(name: str, source: ModSource) -> Mod:
    return {"name": name, "path": source["path"], "hash": source["hash"], "ready": source["ready"]}


def _measured_with(provenance: Provenance) -> MeasuredWith:
    measured: MeasuredWith = {}
    if "driver" in provenance:
        measured["driver"] = provenance["driver"]
    if "kernel" in provenance:
        measured["kernel"] = provenance["kernel"]
    return measured


def _speculative(profile: Profile) -> Speculation | None:
    """What the gate must see of speculative decoding: None where the profile has none."""
    args = profile.get("args", {})
    if "speculative-config" not in args and "speculative-algorithm" not in args:
        return None
    expected = profile.get("expect", {}).get("speculative", {})
    return {"min_acceptance": expected.get("min_acceptance", 0.01)}


def _remote_code(profile: Profile, node: Node) -> dict[str, str]:
    """The checkpoint's own code is copied before it is imported, by default into the hub cache, which is read-only in the container."""
    wanted = profile.get("args", {}).get(_code.FLAG) and "HF_MODULES_CACHE" not in {**node.env, **profile.get("env", {})}
    return {"HF_MODULES_CACHE": MODULES} if wanted else {}


def _node(
    profile: Profile,
    words: list[str],
    job: _executors.Job,
    executor: _executors.Executor,
    rank: int,
    api: Api,
    sources: Sources,
    floor_gib: float,
) -> PlannedNode:
    node = job.nodes[rank]
    site = job.site
    part = executor.part(job, rank)
    container = profile["container"]
    engine: PlannedEngine | None = None
    if part.ranks is not None:
        serve: _engines.Serve = {
            "model": f"{_engines.MODELS}/{profile['model']['repo']}",
            "served_name": profile["model"]["served_name"],
            "words": words,
            "parallel": profile["parallel"],
            "host": api.host,
            "port": api.port,
        }
        own = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(api.host, api.host)
        health = None if rank else _url(own, api.port)
        engine = {"argv": _engines.load(job.engine).argv(serve, part.ranks), "health": health}
    env = {**node.env, **profile.get("env", {})}
    compiled = _compiled.env(job.engine, env, site["compiled_gib"])
    return {
        "name": node.name,
        "rank": rank,
        "role": "worker" if rank else "head",
        "address": node.fabric_address,
        "management_address": node.management_address,
        "container": {
            "name": container["name"],
            "options": _options(site["container_options"], container, api.published),
            "mounts": [{"source": site["models_root"], "target": _engines.MODELS}],
        },
        "env": env,
        "runtime_env": {**_executors.QUIET, **_remote_code(profile, node), **compiled, **part.env},
        "mods": [_mod(name, sources["mods"][name]) for name in profile.get("mods", [])],
        "ray": part.ray,
        "engine": engine,
        "memory_floor_gib": floor_gib,
    }
