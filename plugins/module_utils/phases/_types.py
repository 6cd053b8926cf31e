# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the phases hand on, as types: a node's part of a plan, records, evidence, checks, the result. PRIVATE to the collection."""

from __future__ import annotations

from typing import Any, TypedDict

from ..node._types import Facts, LeftKey
from ..plan._types import Deviation, Engine, Plan, Ray, WatchSettings


class PartEngine(Engine):
    served_name: str


class Deadlines(TypedDict):
    """Seconds."""

    engine: float


class PartGroup(TypedDict):
    """`launch` is the same on all nodes; `names` are in rank order; `secret_file` is in the container."""

    names: list[str]
    launch: str
    address: str | None
    secret_file: str
    restarts_per_hour: int


class Part(TypedDict):
    """The supervisor's node.json."""

    node: str
    rank: int
    role: str
    profile: str
    hash: str
    address: str | None
    status_file: str
    mods: list[str]
    mods_dir: str
    model_dir: str
    ray: Ray | None
    engine: PartEngine | None
    memory_floor_gib: float
    deadlines: Deadlines
    watch: WatchSettings
    group: PartGroup


class Boot(TypedDict):
    """What an engine said when it booted; `started_at` is the container's, None where there is none."""

    started_at: str | None
    facts: Facts


class Record(TypedDict, total=False):
    """What is, or was, served; empty where nothing is. An older release's plan has another format, and no `boots`.
    `refused`: its last gate has failed.
    """

    plan: Plan
    image_id: str
    parts: dict[str, Part | None]
    boots: dict[str, Boot]
    refused: bool


class Chat(TypedDict):
    status: int
    text: str
    error: str


class Answer(TypedDict):
    """To one probe: status 0 where nothing answered; `answer` is the server's JSON."""

    status: int
    error: str
    answer: dict[str, Any]


class Api(TypedDict):
    """Module api_info, as far as the gate reads it."""

    health: int
    models: list[Any]
    chat: Chat
    probes: dict[str, Answer]
    metrics: dict[str, float]


class Check(TypedDict):
    """`ok` is None where it is unknown, which is never a pass."""

    name: str
    node: str
    ok: bool | None
    found: str
    wanted: str
    hint: str


class Rank(TypedDict):
    name: str
    rank: int
    role: str
    address: str


class BootPhase(TypedDict):
    phase: str
    seconds: float


class Result(TypedDict):
    """The playbook's result; ok only if every check passed. `restarting`: what a group says that heals by itself, else empty.
    `restarted`: what one that serves again says of its last end."""

    ok: bool
    profile: str
    plan: str
    url: str
    model: str
    nodes: list[Rank]
    restarting: str
    restarted: str
    deviations: list[Deviation]
    boot: list[BootPhase]
    answer: str
    checks: list[Check]


class Chosen(TypedDict):
    """The plan of what is served, empty where nothing is, or `problem` says why it cannot be read."""

    plan: Any
    image_id: str
    problem: str


class Finding(TypedDict):
    """What differs from the plan. `mend`: the command, or what to look at; `mends`: doctor.yml itself does it, if it may."""

    node: str
    what: str
    found: str
    wanted: str
    mend: str
    code: str
    mends: bool


class Mending(TypedDict):
    """What a doctor may take away on a node; containers by ID."""

    lock: bool
    files: list[LeftKey]
    works: list[str]
    containers: list[str]


class Unmended(TypedDict):
    """What doctor.yml tried to mend, by the code of the findings, and could not."""

    node: str
    code: str
    why: str


class Diagnosis(TypedDict):
    """Of doctor.yml. `serving` is None where there is no plan; `nodes`: what was seen of each; `mend`: by node; `unmended`: what failed."""

    ok: bool
    verdict: str
    exit_code: int
    profile: str
    plan: str
    url: str
    serving: bool | None
    findings: list[Finding]
    mended: list[Finding]
    unmended: list[Unmended]
    notes: list[str]
    nodes: dict[str, dict[str, Any]]
    mend: dict[str, Mending]
