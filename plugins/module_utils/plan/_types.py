# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The launch plan as types. The same, for everybody else, is schemas/plan.json; a test holds them together. PRIVATE to the collection."""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from ._profile_types import Decode, Expect, ImageExpect, Model, Parallel, Question, Recall, Tool


class Definition(TypedDict):
    """What the role image needs of an image definition; `folder` is on the control node."""

    name: str
    reference: str
    folder: str
    base: str | None
    requirements: str | None
    wheels: dict[str, str | None]
    size_gib: float | None
    expect: ImageExpect
    rebuild: str


class Address(TypedDict):
    """A node as the fan-out wants it: one address per rail."""

    name: str
    addresses: list[str]


class Archive(TypedDict):
    path: str
    host: str


class RemoteCode(TypedDict):
    """A checkpoint whose own code runs. `files`: None is unknown, and `files_from` says why; `manifest`: what it is held at, by whom."""

    repo: str
    manifest: str | None
    held_by: str | None
    files: list[str] | None
    files_from: str


class Image(Definition):
    """`lineage`: what it is built on, the lowest first; `nodes`: all of the inventory; `keep`: images of a name per node.

    `pins`: where the control node keeps what it was built from first; a record of an older release has none.
    """

    lineage: list[Definition]
    builder: str
    nodes: list[Address]
    wheels_path: str
    pins: NotRequired[str]
    keep: int
    archive: Archive


class WeightsModel(TypedDict):
    """A checkpoint to stage; `path` is on each node."""

    repo: str
    revision: str | None
    manifest: str | None
    size_gib: float | None
    path: str
    # Who holds it at `manifest`, where that is not the profile.
    held_by: NotRequired[str]


class Weights(TypedDict):
    models: list[WeightsModel]
    nodes: list[Address]
    models_root: str
    state_dir: str
    port: int
    lanes: int
    chains: int


class ServedModel(Model):
    path: str


class DeviceOption(TypedDict):
    host: str
    container: str
    permissions: str


class UlimitOption(TypedDict):
    name: str
    soft: int
    hard: int


class HardwareOptions(TypedDict, total=False):
    """`gx10_container_options`, read."""

    runtime: str
    gpus: str
    devices: list[DeviceOption]
    cap_add: list[str]
    ulimits: list[UlimitOption]


class ContainerOptions(HardwareOptions):
    """`publish` (ADDRESS:HOST:CONTAINER) or `network`."""

    ipc: str
    shm_size: NotRequired[str]
    network: NotRequired[str]
    publish: NotRequired[list[str]]


class Mount(TypedDict):
    source: str
    target: str


class Container(TypedDict):
    name: str
    options: ContainerOptions
    mounts: list[Mount]


class Mod(TypedDict):
    """`path` is on the control node; `ready`: it has a program."""

    name: str
    path: str
    hash: str
    ready: bool


class Members(TypedDict):
    addresses: list[str]
    gpus: int


class Ray(TypedDict):
    """`ports`: what Ray itself listens on, as it is told; `members`: whom the head waits for before it starts the engine."""

    argv: list[str]
    head: str
    # Absent in an older record.
    ports: NotRequired[list[int]]
    members: NotRequired[Members]


class Engine(TypedDict):
    """`health`: the URL that the head's supervisor asks; None on workers."""

    argv: list[str]
    health: str | None


class Node(TypedDict):
    """What one machine runs."""

    name: str
    rank: int
    role: Literal["head", "worker"]
    address: str
    management_address: str
    container: Container
    env: dict[str, str]
    runtime_env: dict[str, str]
    mods: list[Mod]
    ray: Ray | None
    engine: Engine | None
    memory_floor_gib: float


class Speculation(TypedDict):
    min_acceptance: float


class ProbeSet(TypedDict):
    """What the gate asks. `tool` is None where no tool parser is planned."""

    questions: list[Question]
    min_right: int
    recall: Recall
    tool: Tool | None
    decode: Decode
    max_tokens: int
    temperature: float


class Probes(ProbeSet):
    """`rendered`: the engine says what its chat template made."""

    rendered: bool


class Ready(TypedDict):
    """What must be true before the plan is served; `speculative` is None without speculation."""

    url: str
    served_name: str
    boot_minutes: float
    speculative: Speculation | None
    probes: Probes


class MeasuredWith(TypedDict, total=False):
    driver: str
    kernel: str


class WatchSettings(TypedDict):
    """What the supervisor's watch runs with; times in seconds, `busy` and `progress` are names in /metrics."""

    look_seconds: int
    idle_seconds: int
    answer_seconds: int
    frozen_seconds: int
    silent_seconds: int
    busy: list[str]
    progress: list[str]


class Prefill(TypedDict):
    """The longest prefill that the bounds allow for; `*_from`: who says so."""

    tokens: int
    tokens_from: str
    tps: float
    tps_from: str
    margin: float
    step: int


class Within(TypedDict):
    """Seconds until a wedge is ended."""

    frozen: int
    silent: int


class Watch(TypedDict):
    settings: WatchSettings
    prefill: Prefill
    within: Within


class Group(TypedDict):
    """How the supervisors keep together. `address`: where the head's hears the others, on the fabric; None where there are none."""

    address: str | None
    restarts_per_hour: int


class Notify(TypedDict):
    """Who is told of the group's transitions. `texts`: of the files on the head, by name; `secret_file`: on the control node."""

    hash: str
    texts: dict[str, str]
    secret_file: str | None


class Reported(TypedDict):
    kv_cache_gib: float | None
    kv_cache_tokens: int | None


class Estimate(TypedDict):
    """One rank's memory in GiB; None is unknown. `share`: of the node's total; `states_gib`: SGLang's pool of recurrent states;
    `host_gib`: what flags take of the host beside the budget.

    Of the whole group are `kv_cache_tokens` and `requests`, how many it holds at once: as long as they may be in vLLM, by slots in SGLang.
    `request_gib`: of one as long as that, in vLLM.
    """

    weights_gib: float | None
    drafter_gib: float
    reserve_gib: float
    states_gib: float
    share: float | None
    budget_gib: float | None
    host_gib: float
    leaves_gib: float | None
    kv_cache_gib: float | None
    kv_bytes_per_token: float | None
    kv_cache_tokens: int | None
    requests: float | None
    request_gib: float | None
    reported: Reported


class Floor(TypedDict):
    """`needs_gib`: what must be available before a start."""

    floor_gib: float
    floor_because: str
    needs_gib: float


class Memory(Estimate, Floor):
    pass


class Deviation(TypedDict):
    """A key of the profile that the launch has otherwise; None is absence."""

    key: str
    profile: Any
    launch: Any


class AskedOfCheckpoint(TypedDict):
    """What of the profile preflight compares with the checkpoint that a node has."""

    args: dict[str, Any]
    parallel: Parallel
    mods: list[str]


class Body(TypedDict):
    """All of a plan but its hash. `skipped`: checks that had nothing to compare with."""

    format: int
    profile: str
    summary: str
    engine: str
    executor: str
    image: Image
    weights: Weights
    model: ServedModel
    nodes: list[Node]
    idle: list[str]
    ready: Ready
    expect: Expect
    measured_with: MeasuredWith
    watch: Watch
    group: Group
    supervisor: str
    state_dir: str
    drop_caches: bool
    memory: Memory
    skipped: list[str]
    deviations: list[Deviation]
    warnings: list[str]
    # A record of an older release has none.
    asked: NotRequired[AskedOfCheckpoint]
    # 0: nothing is kept of what engines compile; nor with a record of an older release, which has none.
    compiled_gib: NotRequired[int]
    # None: nobody. A record of an older release has none, and leaves things as they are.
    notify: NotRequired[Notify | None]
    # Of a profile with trust-remote-code alone.
    remote_code: NotRequired[list[RemoteCode]]


class Plan(Body):
    """`hash` covers what runs, and so tells whether a group has to be started again."""

    hash: str
