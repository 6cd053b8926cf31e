# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is seen of a node, as types: the parts of module world_info, manifests, images as files.

Hardware has types of its own (_hardware_types.py). Keys that may be absent are in a class of their own with total=False: a node's Python
has no NotRequired. PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any, TypedDict

from ._hardware_types import Fabric, Hardware


class File(TypedDict):
    """Size in bytes. The hash is None where a glance did not read the file and nobody had before."""

    path: str
    size: int
    sha256: str | None


class TreeFile(File):
    mode: str


class Differing(File):
    """A file of a manifest that a node lacks or holds otherwise."""

    why: str


class Hub(TypedDict):
    """What `hf download` noted: one commit, and hashes by path."""

    revision: str | None
    sha256: dict[str, str]


class Listing(TypedDict):
    files: list[File]


class Scan(Listing):
    """A checkpoint folder; `problems`: why it is not whole."""

    size: int
    problems: list[str]


class Checkpoint(Scan):
    """`hash`: over all files; None after a glance that left some unread."""

    hash: str | None
    hub: Hub


class Manifest(Listing):
    """What a checkpoint was when it was staged. Read back, only `hash` and `files` are proven to be there."""

    repo: str
    revision: str | None
    origin: str
    hash: str
    size: int
    hub: dict[str, str]


class Staged(Checkpoint):
    """Module manifest_info: a checkpoint folder and the record that the node keeps of it."""

    recorded: Manifest | None


class ModelLook(Staged):
    """`unread`: bytes that nobody has hashed; `config`: its config.json, None where there is none that can be read."""

    unread: int
    config: dict[str, Any] | None


class Disk(TypedDict):
    """A file system, sizes in bytes; `device` tells whether two folders are on one."""

    path: str
    free: int
    size: int
    writable: bool
    device: int


class _DockerAnswer(TypedDict):
    error: str


class DockerInfo(_DockerAnswer, total=False):
    version: str
    root: str


class Memory(TypedDict):
    total: int
    available: int


class _Host(TypedDict):
    addresses: list[str]
    missing_tools: list[str]
    disk: dict[str, Disk]
    memory: Memory
    journal: bool
    docker: DockerInfo
    hardware: Hardware


class Firewall(TypedDict):
    """Is what comes in dropped unless a rule lets it in? None where nobody can say."""

    ipv4: bool | None
    ipv6: bool | None


class Host(_Host, total=False):
    """`fabric` is absent where no address on it was asked for: an idle node."""

    fabric: Fabric
    firewall: Firewall


class Phase(TypedDict):
    name: str
    at: float


class Status(TypedDict, total=False):
    """The supervisor's status file; empty where it has written none. `restarts`: how many of how many, in words."""

    phase: str
    reason: str
    generation: int
    restarts: str
    phases: list[Phase]
    evidence: dict[str, Any]


class Container(TypedDict):
    name: str
    id: str
    image: str
    labels: dict[str, str]
    running: bool
    ports: list[int]
    exit_code: int
    started_at: str
    status: Status


class Listener(TypedDict):
    port: int
    pid: int
    command: str
    container: str | None


class Process(TypedDict):
    """`container`: the ID of the one that it belongs to."""

    pid: int
    command: str
    container: str | None


class Good(TypedDict):
    """Records of what has passed a gate, empty where nothing has; `at`: seconds since the epoch."""

    last: Any
    previous: Any
    at: float


class Compiled(TypedDict):
    """What engines have compiled for one image, mods and ranks. `stamp`: the launch that has passed its gate with it, or empty."""

    name: str
    image: str
    image_gone: bool
    stamp: str
    bytes: int


class Notifier(TypedDict):
    """Role notify's. `hash`: of all that is installed, empty where nothing is; `active`: systemd looks for notices."""

    hash: str
    active: bool


class Engine(TypedDict):
    """What runs. `record` is what the gate wrote, empty where nothing is; only the gate knows its form."""

    containers: list[Container]
    listeners: list[Listener]
    processes: list[Process]
    record: Any
    good: Good
    image_gone: bool
    boot_id: str
    notifier: Notifier


class Facts(TypedDict, total=False):
    """What an engine's log says; what it does not say is unknown."""

    kv_cache_gib: list[float]
    kv_cache_tokens: int
    acceptance_rate: float
    weights_seconds: float
    init_seconds: float
    mamba_slots: int
    max_running_requests: int
    engine_version: str


class Log(TypedDict, total=False):
    """`facts` and `signs` are of the last generation; `whole`: its start is in the log, so that what it does not say was not said."""

    facts: Facts
    whole: bool
    signs: list[str]
    tail: list[str]


class EngineInfo(Engine, total=False):
    """Module engine_info; with `log` where it was asked for."""

    log: Log


class Tagged(TypedDict):
    """An image of a repository; `created` is ISO 8601, UTC."""

    id: str
    created: str
    tags: list[str]


class DockerImage(TypedDict):
    id: str
    layers: list[str]
    labels: dict[str, str]
    size: int
    architecture: str


class Noted(TypedDict):
    """An image that a store keeps as layers: Docker's ID, and the digest of the manifest."""

    name: str
    image: str
    digest: str


class Kept(Noted):
    """`architecture` is empty where it is not known."""

    complete: bool
    files: list[File]
    layers: list[str]
    labels: dict[str, str]
    architecture: str


class Images(TypedDict):
    """`images`: by reference, as Docker has them; `containers`: an image's ID by container; `blobs`: bytes by path."""

    images: dict[str, DockerImage]
    containers: dict[str, str]
    tags: list[Tagged]
    kept: list[Kept]
    blobs: dict[str, int]
    architecture: str
    disk: dict[str, Disk]


class LeftKey(TypedDict):
    """`which`: tells a file from another one that gets its name."""

    path: str
    which: str


class LeftFile(LeftKey):
    """A file that never got its name; age in seconds."""

    age: int
    size: int


class Clock(TypedDict):
    """Seconds since the epoch: the caller's clock when it asked, and this node's when it was looked at."""

    asked: float
    here: float


class _Lock(TypedDict):
    error: str


class Lock(_Lock, total=False):
    """`error`: what lies there is no lock. `age`, `held`: seconds since it was renewed, and taken, by the node's own clock."""

    holder: dict[str, Any]
    age: float
    held: float


class Left(TypedDict):
    """What runs that ended early have left. `works`: folders of programs that run no more; `stages`: models in pieces."""

    clock: Clock
    lock: Lock | None
    files: list[LeftFile]
    works: list[str]
    stages: list[str]


class World(TypedDict, total=False):
    """The parts that were asked for; without `engine` and `images` where Docker does not answer."""

    host: Host
    engine: Engine
    images: Images
    weights: dict[str, ModelLook]


class WholeWorld(World, total=False):
    """With what only a start asks for, with the cluster's lock as it lies there, and with what only a doctor asks for."""

    compiled: list[Compiled]
    lock: Lock | None
    left: Left


class ModelFolder(TypedDict):
    """An ORG/NAME folder, by names and sizes; `manifest`: the recorded one's hash, or empty."""

    name: str
    path: str
    bytes: int
    files: int
    staged: int
    whole: bool
    problems: list[str]
    manifest: str
    differing: list[str]
    unknown: list[str]


class HubCache(TypedDict):
    name: str
    path: str
    bytes: int


class ModelsDisk(TypedDict):
    path: str
    mount: str
    type: str
    free: int
    size: int
    read_only: bool
    writable: bool


class Models(TypedDict):
    """Module models_info."""

    models: list[ModelFolder]
    caches: list[HubCache]
    disk: ModelsDisk
    user: str
