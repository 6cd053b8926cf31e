# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One node's part of the world, as far as it is asked for; it only reads, and reads no file's whole content.

Runs on the nodes (Python >= 3.9, standard library). PRIVATE to the collection.
"""

from __future__ import annotations

import importlib.util
import json
import math
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from . import _compiled, _firewall, _hardware, _json, _left, _links, _manifest, _notifier, _oci, _paths, _processes
from ._docker import ARCHITECTURES, Docker, DockerError, Run
from ._types import Container, Disk, DockerImage, Engine, Good, Host, Images, ModelLook, WholeWorld

JOURNAL = "/run/systemd/journal/socket"
LABEL = "gx10.serving.profile"
# What builds, sends and receives on a node.
TOOLS = ("docker", "docker-registry", "curl", "nginx", "rsync")
# Of a config.json; those that name each layer that is not quantized have 3 MB. What travels to the control node is the rest.
CONFIG_BYTES, PART_BYTES = 8 * 1024**2, 16 * 1024


def disk(path: str) -> Disk:
    """The file system that would hold `path`: the nearest folder that exists counts. Sizes in bytes."""
    where = os.path.abspath(path)
    while not os.path.exists(where):
        where = os.path.dirname(where)
    system = os.statvfs(where)
    return {
        "path": path,
        "free": system.f_bavail * system.f_frsize,
        "size": system.f_blocks * system.f_frsize,
        "writable": os.access(where, os.W_OK),
        # Tells whether two folders are on one file system.
        "device": os.stat(where).st_dev,
    }


def host(run: Run, asked: Mapping[str, Any]) -> Host:
    """Addresses, tools, disks, memory, fabric, hardware. `asked` has the keys of the option `host` of module world_info."""
    missing = [tool for tool in asked.get("tools") or [] if not shutil.which(tool)]
    if not importlib.util.find_spec("requests"):
        missing.append("python3-requests")
    engine = Docker(run).info() if shutil.which("docker") else {"error": "docker is not installed"}
    paths = [*(asked.get("paths") or []), *([engine["root"]] if engine.get("root") else [])]
    code, out, err = run(["ip", "-j", "address", "show"])
    if code:
        raise OSError(f"ip address show: found exit code {code}: {err.strip()}; wanted iproute2")
    interfaces = _hardware.interfaces(out)
    rails = asked.get("fabric_rails") or []
    look = _hardware.observe({address: interfaces[address] for address in rails if address in interfaces})
    # Without the kernel module of the GPU, nvidia-smi says why, and may load it.
    if look["gpus"] is None and shutil.which(_hardware.SMI[0]):
        gpus = _hardware.smi(run(["timeout", "10", *_hardware.SMI])[1])
        look["gpus"], look["driver"] = list(gpus), next((gpu["driver"] for gpu in gpus), None)
    found: Host = {
        "addresses": list(interfaces),
        "missing_tools": missing,
        "disk": {path: disk(path) for path in paths},
        "memory": {"total": look["memory"]["MemTotal"], "available": look["memory"]["MemAvailable"]},
        "journal": os.path.exists(JOURNAL),
        "docker": engine,
        "hardware": look,
        "firewall": _firewall.look(run),
    }
    if asked.get("fabric_address"):
        found["fabric"] = _links.look(run, asked["fabric_address"], list(asked.get("fabric_peers") or []), list(rails))
    return found


def status(folder: str) -> Any:
    """What a supervisor wrote of itself. Its container is root in that folder: what is no status counts as none, and no text of it can
    tell a terminal what to do."""
    found = _json.read(folder, "status.json")
    try:
        return _printable(found) if _fits(found, STATUS) else {}
    except ValueError:
        return {}


def _text(value: Any) -> bool:
    return isinstance(value, str)


def _number(value: Any) -> bool:
    """Can it be a count, or seconds since the epoch?"""
    return isinstance(value, (int, float)) and 0 <= value < 2**40


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _fits(value: Any, form: Mapping[str, Callable[[Any], bool]]) -> bool:
    """Is it a mapping that has what it has of these keys in their form?"""
    return isinstance(value, dict) and all(right(value[key]) for key, right in form.items() if key in value)


def _phases(value: Any) -> bool:
    form = {"name": _text, "at": _number}
    return isinstance(value, list) and all(_fits(item, form) and form.keys() <= item.keys() for item in value)


def _evidence(value: Any) -> bool:
    return _fits(value, {"ended": _text, "ended_at": _number, "mods": _texts, "members": _texts})


# What others compute with, or print.
STATUS = {"phase": _text, "reason": _text, "generation": _number, "restarts": _text, "phases": _phases, "evidence": _evidence}


def _printable(value: Any, depth: int = 0) -> Any:
    """All texts of a JSON value, keys too, without control characters; raises ValueError for one deeper than any status."""
    if depth > 20:
        raise ValueError(depth)
    if isinstance(value, str):
        return "".join(char if char.isprintable() else ascii(char)[1:-1] for char in value)
    if isinstance(value, list):
        return [_printable(item, depth + 1) for item in value]
    return {_printable(key): _printable(item, depth + 1) for key, item in value.items()} if isinstance(value, dict) else value


def record(*path: str) -> dict[str, Any]:
    """What the gate wrote; empty if there is none with a plan and an image, whatever their form is."""
    found = _json.read(*path)
    return found if isinstance(found.get("plan"), dict) and isinstance(found.get("image_id"), str) else {}


def containers(docker: Docker, state_dir: str) -> list[Container]:
    """Every container that carries our label, with what its supervisor wrote last."""
    found: list[Container] = []
    for item in docker.labelled(LABEL):
        name = item["Name"].lstrip("/")
        found.append(
            {
                "name": name,
                "id": item["Id"],
                "image": item["Image"],
                "labels": {key: value for key, value in (item["Config"]["Labels"] or {}).items() if key.startswith("gx10.")},
                "running": item["State"]["Running"],
                "ports": sorted(int(one["HostPort"]) for rows in (item["HostConfig"]["PortBindings"] or {}).values() for one in rows),
                "exit_code": item["State"]["ExitCode"],
                "started_at": item["State"]["StartedAt"],
                "status": status(os.path.join(state_dir, "run", name)),
            }
        )
    return found


def good(state_dir: str) -> Good:
    """What has passed a gate, and when."""
    path = os.path.join(state_dir, "last-good.json")
    at = os.path.getmtime(path) if os.path.exists(path) else 0.0
    return {"last": record(path), "previous": record(state_dir, "previous-good.json"), "at": at}


def engine(docker: Docker, state_dir: str, ports: Sequence[int], found: list[Container] | None = None, proven: bool = True) -> Engine:
    """Containers (`found`: looked up already), listeners, engine processes, records (`proven`: the gate's good ones, too), who is told."""
    current = record(state_dir, "current.json")
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        boot_id = file.read().strip()
    return {
        "containers": containers(docker, state_dir) if found is None else found,
        "listeners": _processes.listeners(list(ports)),
        "processes": _processes.engine_processes(),
        "record": current,
        "good": good(state_dir) if proven else {"last": {}, "previous": {}, "at": 0.0},
        "image_gone": bool(current) and not docker.inspect("image", [current["image_id"]]),
        "boot_id": boot_id,
        "notifier": _notifier.look(docker.run, state_dir),
    }


def images(docker: Docker, asked: Mapping[str, Any]) -> Images:
    """What Docker has and what the store keeps as layers. `asked`: the option `images` of module world_info.

    Docker is asked only where something is asked of it: an archive may be on a host without one.
    """
    store = asked["store"]
    references, keepers, names = asked.get("references") or [], asked.get("containers") or [], asked.get("names") or []
    where = {"store": disk(store)}
    if references or keepers or names:
        where["docker"] = disk(docker.root())
    rows = docker.inspect("image", references)
    machine = os.uname().machine
    found: dict[str, DockerImage] = {}
    for reference in references:
        named = [item for item in rows if reference == item["Id"] or reference in (item["RepoTags"] or [])]
        # A reference may be written in more ways than Docker lists it.
        for item in named or docker.inspect("image", [reference] if rows else []):
            labels = (item.get("Config") or {}).get("Labels") or {}
            found[reference] = {
                "id": item["Id"],
                "layers": item["RootFS"]["Layers"],
                "labels": labels,
                "size": item["Size"],
                "architecture": item.get("Architecture", ""),
            }
    return {
        "images": found,
        "containers": {item["Name"].lstrip("/"): item["Image"] for item in docker.inspect("container", keepers)},
        "tags": docker.images(names),
        "kept": _oci.kept(store),
        "blobs": _oci.blobs(store),
        "architecture": ARCHITECTURES.get(machine, machine),
        "disk": where,
    }


def config(folder: str) -> dict[str, Any] | None:
    """A checkpoint's config.json without its long parts, if it is a file of at most CONFIG_BYTES with a JSON object in it."""
    try:
        with open(_paths.opened(_paths.must(folder, "config.json")), "rb") as file:
            text = file.read(CONFIG_BYTES + 1)
        # Some have Infinity in them, which is no JSON to others (see _document.parse_json, the control node's reader).
        found = json.loads(text, parse_constant=str, parse_float=_fraction) if len(text) <= CONFIG_BYTES else None
    except (OSError, ValueError, RecursionError):
        return None
    return _short(found) if isinstance(found, dict) else None


def _fraction(text: str) -> float | str:
    value = float(text)
    return value if math.isfinite(value) else text


def _short(config: dict[str, Any]) -> dict[str, Any]:
    """Without the parts that are longer than PART_BYTES as JSON; one level down, too."""
    found: dict[str, Any] = {}
    for key, value in config.items():
        if len(json.dumps(value)) <= PART_BYTES:
            found[key] = value
        elif isinstance(value, dict):
            found[key] = {name: one for name, one in value.items() if len(json.dumps(one)) <= PART_BYTES}
    return found


def weights(models: Sequence[Mapping[str, str]], cache: str, notes: str, mounted: str = "") -> dict[str, ModelLook]:
    """By model's name, what its folder holds; a file's hash is None where the cache does not know it. `notes`: folder of manifests;
    `mounted`: what an engine's container will see."""
    hashes = _manifest.HashCache(cache)
    found: dict[str, ModelLook] = {}
    for model in models:
        path = model["path"]
        look = _manifest.scan(path, hashes, glance=True, mounted=mounted)
        unread = [item for item in look["files"] if item["sha256"] is None]
        found[model["repo"]] = {
            **look,
            "hash": None if unread else _manifest.digest(look["files"]),
            "unread": sum(item["size"] for item in unread),
            "recorded": _manifest.recorded(notes, model["repo"]),
            "hub": _manifest.hub_notes(path),
            "config": config(path),
        }
    return found


def world(run: Run, asked: Mapping[str, Any]) -> WholeWorld:
    """All parts that `asked` names.

    Where Docker does not answer and the host was asked for, the engine and the images are left out: host.docker says why.
    """
    docker = Docker(run)
    found: WholeWorld = {}
    if asked.get("host") is not None:
        found["host"] = host(run, asked["host"])
    if "host" not in found or not found["host"]["docker"]["error"]:
        if asked.get("engine"):
            found["engine"] = engine(docker, asked["engine"]["state_dir"], asked["engine"].get("ports") or [])
        if asked.get("images"):
            found["images"] = images(docker, asked["images"])
    if asked.get("weights"):
        part = asked["weights"]
        found["weights"] = weights(part["models"], part["cache"], part["notes"], part.get("mounted") or "")
    if asked.get("compiled"):
        found["compiled"] = _compiled.look(docker, asked["compiled"])
    if asked.get("lock"):
        found["lock"] = _left.lock(asked["lock"])
    if asked.get("left"):
        found["left"] = _left.look(asked["left"]["state_dir"], asked["left"]["models_root"], asked["left"]["asked_at"])
    return found


__all__ = ["DockerError", "world"]
