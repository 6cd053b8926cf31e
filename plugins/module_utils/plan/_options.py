# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the hardware asks of Docker: read once from the inventory; the printed command and the container come from the same values.

Docker's command line and its API write the same limit differently (`memlock=-1:-1` and `memlock:-1:-1`), and the API takes the wrong
one without a word. PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
import posixpath
import re
from collections.abc import Callable, Container, Mapping
from typing import Any

from ..common._problem import Problem, nearest, show
from ._types import HardwareOptions

KEY = "gx10_container_options"
# setrlimit(2)'s names as Docker spells them (docker/go-units, ulimit.go).
ULIMITS = (
    *("core", "cpu", "data", "fsize", "locks", "memlock", "msgqueue", "nice", "nofile", "nproc"),
    *("rss", "rtprio", "rttime", "sigpending", "stack"),
)
KEYS = ("runtime", "gpus", "devices", "cap_add", "ulimits", "accept")
# What an engine opens: RDMA's verbs and their connection manager, and what NVIDIA's runtime gives where none is used.
DEVICES = re.compile(
    r"/dev/(infiniband|infiniband/(rdma_cm|uverbs[0-9]{1,3})|nvidia[0-9]{1,2}|nvidiactl|nvidia-uvm|nvidia-uvm-tools|nvidia-modeset)"
)
# RDMA locks memory, and an engine may bind itself to a NUMA node.
CAPABILITIES = ("IPC_LOCK", "SYS_NICE")
# The machine's memory, and everything at once: no word allows them.
NEVER = ("/dev", "/dev/mem", "/dev/kmem", "/dev/port")


@dataclasses.dataclass(frozen=True)
class Device:
    """A device, or a folder of devices, given to the container; permissions of r(ead), w(rite), m(knod)."""

    host: str
    container: str
    permissions: str

    def __str__(self) -> str:
        """The short form where it says the same."""
        if self.permissions != "rwm":
            return f"{self.host}:{self.container}:{self.permissions}"
        return self.host if self.container == self.host else f"{self.host}:{self.container}"


@dataclasses.dataclass(frozen=True)
class Refusal:
    """What is wanted in place of a value, and what to do."""

    wanted: str
    hint: str = ""
    code: str = "wrong-text"


@dataclasses.dataclass(frozen=True)
class Ulimit:
    """A resource limit; -1 is unlimited. Sizes are in bytes."""

    name: str
    soft: int
    hard: int


def _path(text: str) -> str:
    """A device's name as the node has it; empty for what is none, or is never given."""
    # ".." leads out of /dev. Of bytes that are not ASCII, others may look alike.
    if not re.fullmatch(r"/dev/[\w./-]+", text, re.ASCII) or ".." in text:
        return ""
    path = posixpath.normpath(text)
    return "" if path in NEVER else path


def _capability(value: object) -> str:
    """A capability's name without its prefix; empty for what is none, or is never given."""
    name = value.upper().removeprefix("CAP_") if isinstance(value, str) else ""
    return name if re.fullmatch(r"(?!CAP_)[A-Z][A-Z_]+", name) and name != "ALL" else ""


def _device(value: object, accepted: Container[str]) -> Device | Refusal:
    parts = value.split(":") if isinstance(value, str) else [""]
    host, container = (_path(part) for part in (parts[0], parts[1] if len(parts) > 1 else parts[0]))
    permissions = parts[2] if len(parts) > 2 else "rwm"
    if len(parts) > 3 or not host or not container or not 0 < len(permissions) == len(set(permissions) & set("rwm")):
        if isinstance(value, str) and re.match(r"[\w.-]+/[\w.-]+=", value):
            return Refusal("a path below /dev, as /dev/infiniband; a GPU by its CDI name is asked for with gpus: all")
        return Refusal("a path below /dev, as /dev/infiniband or HOST:CONTAINER:rwm; never the machine's memory")
    for path in (host, container):
        if not DEVICES.fullmatch(path) and path not in accepted:
            close = nearest(path, ("/dev/infiniband",))
            why = f"Where it is meant, name {path} in {KEY}.accept, too: the engine, and who gets into it, then has it."
            return Refusal("a device that an engine needs: /dev/infiniband, or one of NVIDIA's", f"{close} {why}".lstrip(), "refused")
    return Device(host, container, permissions)


def _ulimit(value: object) -> Ulimit | Refusal:
    """NAME=SOFT[:HARD] as `docker run` has it, or NAME:SOFT[:HARD] as community.docker has it."""
    match = re.fullmatch(r"([a-z]+)[=:](-1|[0-9]{1,19})(?::(-1|[0-9]{1,19}))?", value) if isinstance(value, str) else None
    if not match or match[1] not in ULIMITS:
        return Refusal(f"NAME=SOFT:HARD, with -1 for unlimited and NAME one of {', '.join(ULIMITS)}")
    soft = int(match[2])
    hard = soft if match[3] is None else int(match[3])
    if hard != -1 and (soft == -1 or soft > hard):
        return Refusal("a soft limit of at most the hard one")
    return Ulimit(match[1], soft, hard)


def parse(raw: Any, where: str) -> tuple[HardwareOptions, list[Problem]]:
    """Read `gx10_container_options` into plain typed data, a part of the plan: the options that are given, and all problems."""
    if not isinstance(raw, Mapping):
        return {}, [Problem(where, KEY, show(raw), "a mapping", code="wrong-type")]
    problems: list[Problem] = []
    found: HardwareOptions = {}

    def bad(key: str, value: object, wanted: str, hint: str = "", code: str = "wrong-text") -> None:
        problems.append(Problem(where, f"{KEY}.{key}", show(value), wanted, hint, code))

    def items(key: str, read: Callable[[object], object]) -> list[Any]:
        if not isinstance(raw[key], list | tuple):
            bad(key, raw[key], "a list", code="wrong-type")
            return []
        results = [(value, read(value)) for value in raw[key]]
        for value, result in results:
            if isinstance(result, Refusal):
                bad(key, value, result.wanted, result.hint, result.code)
        kept = dict.fromkeys(result for _value, result in results if isinstance(result, Device | Ulimit))
        return [dataclasses.asdict(result) for result in kept]

    for key in raw:
        if key not in KEYS:
            wanted = f"one of {', '.join(KEYS)}"
            hint = nearest(str(key), KEYS)
            problems.append(Problem(where, f"{KEY}.{key}", "an unknown option", wanted, hint, "unknown-key"))
    accepted = _accepted(raw.get("accept", []), bad)
    if "runtime" in raw:
        if isinstance(raw["runtime"], str) and re.fullmatch(r"[A-Za-z0-9][\w.-]*", raw["runtime"]):
            found["runtime"] = raw["runtime"]
        else:
            bad("runtime", raw["runtime"], "a runtime's name, as nvidia")
    if "gpus" in raw:
        if str(raw["gpus"]) == "all" or (re.fullmatch(r"[0-9]{1,2}", str(raw["gpus"])) and 0 < int(raw["gpus"]) <= 64):
            found["gpus"] = str(raw["gpus"])
        else:
            bad("gpus", raw["gpus"], "all, or how many")
    if "runtime" in raw and "gpus" in raw:
        bad("gpus", raw["gpus"], "runtime or gpus, not both", "Either gives the container the node's GPUs.", "exclusive")
    if "devices" in raw:
        found["devices"] = items("devices", lambda value: _device(value, accepted))
    if "ulimits" in raw:
        found["ulimits"] = items("ulimits", _ulimit)
    names = [limit["name"] for limit in found.get("ulimits", [])]
    for name in sorted({name for name in names if names.count(name) > 1}):
        bad("ulimits", f"{name} {names.count(name)} times", "each limit once", code="not-unique")
    if "cap_add" in raw:
        given = raw["cap_add"] if isinstance(raw["cap_add"], list | tuple) else [None]
        names = [name for name in map(_capability, given) if name]
        found["cap_add"] = list(dict.fromkeys(names))
        if len(names) != len(given):
            hint = "ALL would undo the isolation; RDMA needs IPC_LOCK alone."
            bad("cap_add", raw["cap_add"], "a list of capabilities by name, as [IPC_LOCK]", hint)
        for name in found["cap_add"]:
            if name not in CAPABILITIES and name not in accepted:
                hint = f"Where it is meant, name {name} in {KEY}.accept, too: the engine, and who gets into it, then has it."
                bad("cap_add", name, f"a capability that an engine needs: {' or '.join(CAPABILITIES)}", hint, "refused")
    return found, problems


def _accepted(raw: object, bad: Callable[..., None]) -> frozenset[str]:
    """Devices and capabilities beyond what an engine needs, which the site allows by their names."""
    if not isinstance(raw, list | tuple):
        bad("accept", raw, "a list", code="wrong-type")
        return frozenset()
    names = [(value, _path(value) or _capability(value) if isinstance(value, str) else "") for value in raw]
    for value, name in names:
        if not name:
            hint = "/dev as a whole, the machine's memory and ALL are never given."
            bad("accept", value, "a device's path, as /dev/fuse, or a capability's name, as SYS_PTRACE", hint)
    return frozenset(name for _value, name in names)


def flags(options: HardwareOptions) -> list[tuple[str, str]]:
    """(flag, value) of `docker run` for what `parse` found, in Docker's own syntax."""
    found = [("--runtime", options["runtime"])] if "runtime" in options else []
    found += [("--gpus", options["gpus"])] if "gpus" in options else []
    found += [("--device", str(Device(**device))) for device in options.get("devices", [])]
    found += [("--cap-add", name) for name in options.get("cap_add", [])]
    return found + [("--ulimit", f"{limit['name']}={limit['soft']}:{limit['hard']}") for limit in options.get("ulimits", [])]


def parameters(options: HardwareOptions) -> dict[str, Any]:
    """The same as parameters of the module community.docker.docker_container; only what is given."""
    found: dict[str, Any] = {"runtime": options["runtime"]} if "runtime" in options else {}
    if "gpus" in options:
        found["device_requests"] = [{"count": -1 if options["gpus"] == "all" else int(options["gpus"]), "capabilities": [["gpu"]]}]
    if "devices" in options:
        found["devices"] = [f"{device['host']}:{device['container']}:{device['permissions']}" for device in options["devices"]]
    if "cap_add" in options:
        found["capabilities"] = list(options["cap_add"])
    if "ulimits" in options:
        found["ulimits"] = [f"{limit['name']}:{limit['soft']}:{limit['hard']}" for limit in options["ulimits"]]
    return found
