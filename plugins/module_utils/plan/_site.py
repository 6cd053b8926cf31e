# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The inventory's settings of the whole group: which there are, and what each may be. PRIVATE to the collection."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any, Literal, TypedDict

from ..common._problem import Problem, show
from . import _notify, _options
from ._types import HardwareOptions

# Every setting, with its default (None: required, or found per node).
SITE_DEFAULTS: dict[str, Any] = {
    "gx10_models_root": "/srv/models",
    "gx10_state_dir": "/var/lib/gx10",
    "gx10_api_address": None,
    # The owner's word for an API that is open to whoever reaches the head.
    "gx10_accept_open_api": False,
    "gx10_api_port": 8000,
    "gx10_ray_port": 6379,
    "gx10_ray_first_port": 10000,
    "gx10_master_port": 29501,
    "gx10_group_port": 8733,
    # 0: a group that has ended stays down.
    "gx10_restarts_per_hour": 3,
    "gx10_ray_cpus": 2,
    "gx10_ray_object_store_bytes": 1024**3,
    "gx10_gpus_per_node": 1,
    "gx10_memory_floor_gib": None,
    "gx10_drop_caches": True,
    "gx10_fabric_routed": False,
    # ORG/NAME to a folder on the control node.
    "gx10_weights_sources": {},
    "gx10_fanout_network": "fabric",
    "gx10_fanout_port": 8731,
    "gx10_fanout_lanes": 0,
    "gx10_build_host": None,
    # How many images of a name each node keeps, in Docker and as layers, for the next one to travel by its changed layers only.
    "gx10_image_keep": 2,
    # Of what engines have compiled, on each node; 0: nothing is kept.
    "gx10_compiled_gib": 20,
    # A folder for verified copies on a host; empty: none.
    "gx10_image_archive": "~/.local/share/gx10/images",
    "gx10_image_archive_host": "localhost",
    "gx10_container_options": {},
    # Who is told of the group's transitions.
    "gx10_notify_command": None,
    "gx10_notify_url": None,
    "gx10_notify_headers": {},
    "gx10_notify_secret_file": None,
    # Read by the roles, whose defaults are meant where there is none.
    "gx10_secrets_dir": None,
    "gx10_hub_token_file": None,
    "gx10_hub_endpoint": None,
    # The owner's word for a token that travels in clear.
    "gx10_accept_plain_hub": False,
}
NETWORKS = ("fabric", "management")
# Ray's own ports on every node begin at gx10_ray_first_port. One for each of its processes that listen, and of its workers, each of which
# needs one for as long as it lives: Ray starts as many ahead as gx10_ray_cpus says, and refuses those beyond its ports.
RAY, RAY_PORTS = "ray_first_port", 1000
# From here on a kernel's connections take theirs, unless its owner has said otherwise (net.ipv4.ip_local_port_range).
EPHEMERAL = 32768
NUMBERS = (
    ("api_port", 1, 65535),
    ("ray_port", 1, 65535),
    # Ray takes none of its own below 1024.
    ("ray_first_port", 1024, EPHEMERAL - RAY_PORTS),
    ("master_port", 1, 65535),
    ("group_port", 1, 65535),
    ("restarts_per_hour", 0, 60),
    ("fanout_port", 1, 65535),
    ("fanout_lanes", 0, 64),
    ("ray_cpus", 1, RAY_PORTS // 2),
    ("ray_object_store_bytes", 78643200, 2**36),
    ("gpus_per_node", 1, 16),
    ("image_keep", 1, 100),
    ("compiled_gib", 0, 1000),
)


class Site(TypedDict):
    """The site's settings: keys of SITE_DEFAULTS without the prefix."""

    models_root: str
    state_dir: str
    api_address: str | None
    accept_open_api: bool
    api_port: int
    ray_port: int
    ray_first_port: int
    master_port: int
    group_port: int
    restarts_per_hour: int
    ray_cpus: int
    ray_object_store_bytes: int
    gpus_per_node: int
    memory_floor_gib: float | None
    drop_caches: bool
    fabric_routed: bool
    weights_sources: Mapping[str, str] | None
    fanout_network: Literal["fabric", "management"]
    fanout_port: int
    fanout_lanes: int
    build_host: str | None
    image_keep: int
    compiled_gib: int
    image_archive: str
    image_archive_host: str
    container_options: HardwareOptions
    notify_command: list[str] | None
    notify_url: str | None
    notify_headers: Mapping[str, str] | None
    notify_secret_file: str | None
    secrets_dir: str | None
    hub_token_file: str | None
    hub_endpoint: str | None
    accept_plain_hub: bool


def whole(value: object, low: int, high: int) -> int | None:
    """A whole number within bounds, or none; text of digits is one, as `-e gx10_api_port=8001` has it."""
    if isinstance(value, str) and re.fullmatch(r"[0-9]{1,18}", value):
        value = int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) and low <= value <= high else None


def address(value: object, key: str, where: str, problems: list[Problem], wanted: str, versions: tuple[int, ...]) -> str:
    """The value as an IP address of one of `versions`, or a problem and an empty text."""
    try:
        found = ipaddress.ip_address(value) if isinstance(value, str) else None
        # 0.0.0.0 by another name is what a socket makes of ::ffff:0.0.0.0.
        found = (found.ipv4_mapped or found) if isinstance(found, ipaddress.IPv6Address) else found
        scope = getattr(found, "scope_id", None)
        scoped = scope is None or (found is not None and found.is_link_local and re.fullmatch(r"[\w.-]+", scope, re.ASCII))
        if found and found.version in versions and scoped:
            return str(found)
    except ValueError:
        pass
    problems.append(Problem(where, key, "nothing" if value is None else show(value), wanted, code="not-an-address"))
    return ""


def is_every(text: str) -> bool:
    """Is an address all of the machine's?"""
    return ipaddress.ip_address(text).is_unspecified


# Nobody keeps weights or state there, and parts of the state are removed.
SYSTEM = re.compile(
    r"/(?:(?:bin|boot|dev|etc|lib|lib64|proc|run|sbin|sys|var/run)(?:/.*)?|(?:usr|usr/bin|usr/lib|usr/local|var|var/lib|home|root|tmp)"
    r"|var/lib/docker(?:/.*)?|(?:root|home/[^/]+)/\.ssh(?:/.*)?)"
)
TRUTHS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


def truth(value: object) -> bool | None:
    """True or false in one of Ansible's spellings: from the command line and a template both come as text. None for anything else."""
    return TRUTHS.get(str(value).lower())


def check(site: dict[str, Any], where: str) -> list[Problem]:
    """What is wrong with the settings; what is right is kept in the type that is meant."""
    problems: list[Problem] = []

    def bad(key: str, wanted: str, hint: str = "", code: str = "wrong-type") -> None:
        problems.append(Problem(where, f"gx10_{key}", show(site[key]), wanted, hint, code))

    for key, low, high in NUMBERS:
        number = whole(site[key], low, high)
        if number is None:
            bad(key, f"a whole number from {low} to {high}", code="out-of-range")
        else:
            site[key] = number
    if site["api_address"] is not None:
        listen = address(site["api_address"], "gx10_api_address", where, problems, "an IP address of the head, or 0.0.0.0", (4, 6))
        site["api_address"] = listen or site["api_address"]
        if listen and (ipaddress.ip_address(listen).is_multicast or listen == "255.255.255.255"):
            bad("api_address", "an IP address of the head, or 0.0.0.0", code="wrong-address")
    for key in ("models_root", "state_dir"):
        path = site[key]
        if not _is_path(path) or not path.strip("/"):
            bad(key, "an absolute path of letters, digits and . _ - + @, without '..'", code="wrong-path")
            continue
        # Two slashes, which POSIX leaves at the start, and /./ name the same folder.
        path = posixpath.normpath("/" + path.lstrip("/"))
        if SYSTEM.fullmatch(path):
            bad(key, "a folder of its own, as /srv/models and /var/lib/gx10: this one is the system's", code="wrong-path")
        else:
            site[key] = path
    wrong = {problem.key for problem in problems}
    problems += _nested(site, where) if wrong.isdisjoint(("gx10_models_root", "gx10_state_dir")) else []
    problems += _ports(site, where, wrong)
    sources = site["weights_sources"] or {}
    if not isinstance(sources, Mapping) or not all(
        re.fullmatch(r"[^/\s]+/[^/\s]+", repo) and isinstance(path, str) and path for repo, path in sources.items()
    ):
        bad("weights_sources", "a mapping of ORG/NAME to a folder on the control node")
    archive = site["image_archive"]
    if not isinstance(archive, str) or (archive and not archive.startswith(("/", "~/"))):
        bad("image_archive", "an absolute path, one below ~/, or '' for none", code="wrong-path")
    for key in ("secrets_dir", "hub_token_file"):
        path = site[key]
        if path is not None and not (isinstance(path, str) and (path.startswith(("/", "~/")) or (key == "hub_token_file" and not path))):
            bad(key, "an absolute path on the control node, or one below ~/", code="wrong-path")
    if site["hub_endpoint"] not in (None, "") and not re.fullmatch(r"https?://[\w.\-\[\]:/]+", str(site["hub_endpoint"])):
        # It may have a password in it, and a message goes into logs.
        hint = "A user's token goes by gx10_hub_token_file."
        problems.append(Problem(where, "gx10_hub_endpoint", "another text", "http://HOST or https://HOST", hint, "wrong-text"))
    elif site["hub_token_file"] and _in_clear(str(site["hub_endpoint"] or "")) and truth(site["accept_plain_hub"]) is not True:
        hint = "Whoever is on the way reads the token. Where nobody can be, gx10_accept_plain_hub: true is your word for it."
        wanted = "https://HOST, or no gx10_hub_token_file"
        problems.append(Problem(where, "gx10_hub_endpoint", "http:// with a token", wanted, hint, "token-in-clear"))
    for key in ("drop_caches", "fabric_routed", "accept_open_api", "accept_plain_hub"):
        if truth(site[key]) is None:
            bad(key, "true or false")
        else:
            site[key] = truth(site[key])
    if site["fanout_network"] not in NETWORKS:
        bad("fanout_network", " or ".join(NETWORKS), code="not-a-choice")
    floor = site["memory_floor_gib"]
    if floor is not None and (isinstance(floor, bool) or not re.fullmatch(r"[0-9]{1,4}(\.[0-9]+)?", str(floor))):
        bad("memory_floor_gib", "GiB as a number, or nothing: the plan then computes it")
        site["memory_floor_gib"] = None
    elif floor is not None:
        site["memory_floor_gib"] = float(floor)
    site["container_options"], found = _options.parse(site["container_options"], where)
    return problems + found + _notify.check(site, where)


def _in_clear(endpoint: str) -> bool:
    """Does what is said to a hub leave the node that downloads, unencrypted?"""
    return re.match(r"http://(?!(?:localhost|127(?:\.\d+){3}|\[::1\])(?:[:/]|$))", endpoint, re.IGNORECASE) is not None


def _is_path(path: object) -> bool:
    # Docker's mounts and nginx's configuration take no others unquoted.
    return isinstance(path, str) and re.fullmatch(r"/[\w./@+-]*", path) is not None and ".." not in path.split("/")


def _nested(site: Mapping[str, Any], where: str) -> list[Problem]:
    """The models root is mounted read-only and listed model by model; the state folder is written, and its parts are removed."""
    root, state = (f"{site[key]}/" for key in ("models_root", "state_dir"))
    if not (root.startswith(state) or state.startswith(root)):
        return []
    found, wanted = f"{show(site['state_dir'])} with gx10_models_root {show(site['models_root'])}", "two folders, neither in the other"
    return [Problem(where, "gx10_state_dir", found, wanted, code="nested-folders")]


def ports(site: Mapping[str, Any]) -> Iterator[tuple[str, range]]:
    """Each setting that has ports, and which, where it is right. Ray's own come first: others get out of their way."""
    for key, low, high in sorted((item for item in NUMBERS if item[0].endswith("_port")), key=lambda item: item[0] != RAY):
        first = whole(site.get(key), low, high)
        if first is not None:
            yield f"gx10_{key}", range(first, first + (RAY_PORTS if key == RAY else 1))


def _ports(site: Mapping[str, Any], where: str, wrong: set[str]) -> list[Problem]:
    """All of them may listen on the head at one time."""
    seen: dict[int, str] = {}
    problems = []
    for key, found in ports(site):
        if key in wrong:
            continue
        if found[0] in seen:
            other = seen[found[0]]
            told = f"{found[0]}, {f'one of the {RAY_PORTS} from {other} on' if other == f'gx10_{RAY}' else f'as {other}'}"
            problems.append(Problem(where, key, told, "a port that no other setting has", code="not-unique"))
        else:
            seen |= dict.fromkeys(found, key)
    return problems


# What gives a container no GPU: Docker's default, and others that know nothing of them.
NO_GPU = re.compile(r"(?:io\.containerd\.)?(?:runc|crun|youki|runsc|kata)(?:[.-].*)?")


def gpu(image: Mapping[str, Any], site: Mapping[str, Any], where: str, said: Collection[str] = ()) -> list[Problem]:
    """A CUDA image without an option that gives its container a GPU; none where such an option is wrong, as a key that is `said`."""
    expected = image.get("expect")
    cuda = expected.get("cuda") if isinstance(expected, Mapping) else None
    options = site.get("container_options")
    runtime = (options or {}).get("runtime")
    wrong = any(f".{key}".endswith((f".{_options.KEY}", f".{_options.KEY}.runtime", f".{_options.KEY}.gpus")) for key in said)
    if not cuda or wrong or options is None or "gpus" in options or (runtime and not NO_GPU.fullmatch(runtime)):
        return []
    hint = "inventories/sample has what GB10 and ConnectX-7 need."
    wanted = f"runtime: nvidia or gpus: all, as the image is made for CUDA {show(cuda)}"
    found = f"the runtime {runtime}, which gives the container none" if runtime else "nothing that gives the container a GPU"
    return [Problem(where, "gx10_container_options", found, wanted, hint, "no-gpu")]
