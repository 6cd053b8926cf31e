# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a plan is made of, as types: the texts that were read, and a profile and image definitions once their schemas accept them.

A test compares them with model_profiles/schema.json and files/images/schema.json. PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any, Literal, NotRequired, TypedDict

from ._pins import HeldCode


class ImageExpect(TypedDict):
    """What a throwaway container must print. `cuda`: None for a CPU build; a key that is absent was never recorded."""

    imports: list[str]
    torch: NotRequired[str]
    cuda: NotRequired[str | None]
    versions: NotRequired[dict[str, str]]
    nccl: NotRequired[str]


class ImageFile(TypedDict):
    """An image.yml."""

    summary: str
    expect: ImageExpect
    tag: NotRequired[str]
    base: NotRequired[str]
    wheels: NotRequired[dict[str, str | None]]
    requirements: NotRequired[str]
    rebuild: NotRequired[str]
    reference: NotRequired[str]
    size_gib: NotRequired[float]


class Drafted(TypedDict):
    """A checkpoint of the hub."""

    repo: str
    revision: NotRequired[str]
    manifest: NotRequired[str]
    size_gib: NotRequired[float]


class Model(TypedDict):
    repo: str
    served_name: str
    revision: NotRequired[str | None]
    manifest: NotRequired[str]
    size_gib: NotRequired[float]
    drafts: NotRequired[list[Drafted]]


class Parallel(TypedDict):
    tensor: int
    pipeline: NotRequired[int]
    expert: NotRequired[int]


class ProfileContainer(TypedDict):
    name: str
    shm_size: NotRequired[str]
    ipc: NotRequired[Literal["host", "private"]]
    publish: NotRequired[list[str]]


class Limit(TypedDict):
    because: str
    arg: NotRequired[str]
    env: NotRequired[str]
    min: NotRequired[float]
    max: NotRequired[float]
    equals: NotRequired[Any]


class ExpectedSpeculation(TypedDict, total=False):
    min_acceptance: float


class MambaPool(TypedDict):
    slots: int
    requests: int
    min_requests: int


class Expect(TypedDict, total=False):
    """What the report measured; `bench` is free in form."""

    boot_minutes: float
    kv_cache_tokens: int
    speculative: ExpectedSpeculation
    mamba_pool: MambaPool
    bench: dict[str, Any]


class Question(TypedDict):
    about: str
    ask: str
    answer: str


class Recall(TypedDict):
    lines: int


class Tool(TypedDict):
    ask: str
    function: str
    arguments: dict[str, str]


class Decode(TypedDict):
    ask: str
    min_chars: int
    max_repetition: float
    max_foreign: float


class StatedDecode(TypedDict, total=False):
    ask: str
    min_chars: int
    max_repetition: float
    max_foreign: float


class StatedProbes(TypedDict, total=False):
    """What a profile says of the gate's questions; the default set stands for the rest."""

    questions: list[Question]
    min_right: int
    recall: Recall
    tool: Tool
    decode: StatedDecode
    max_tokens: int
    temperature: float


class Provenance(TypedDict):
    source: str
    hardware: str
    status: Literal["measured", "refused", "untested"]
    date: NotRequired[str]
    engine: NotRequired[str]
    driver: NotRequired[str]
    kernel: NotRequired[str]
    because: NotRequired[str]


class Profile(TypedDict):
    """A file of model_profiles, with a launch's overrides."""

    summary: str
    model: Model
    image: str
    engine: str
    executor: str
    parallel: Parallel
    container: ProfileContainer
    provenance: Provenance
    env: NotRequired[dict[str, str]]
    args: NotRequired[dict[str, Any]]
    mods: NotRequired[list[str]]
    limits: NotRequired[list[Limit]]
    expect: NotRequired[Expect]
    probes: NotRequired[StatedProbes]
    warnings: NotRequired[list[str]]


class Asked(TypedDict):
    """What of a profile is compared with its checkpoint; a profile is one."""

    model: Model
    engine: str
    parallel: Parallel
    args: NotRequired[dict[str, Any]]
    mods: NotRequired[list[str]]
    expect: NotRequired[Expect]


class Text(TypedDict):
    """A file; `problem`: why it could not be read, and then its text is empty."""

    path: str
    text: str
    problem: NotRequired[dict[str, str]]


class NamedText(Text):
    name: str


class ModSource(TypedDict):
    """`ready`: it has a program; `about`: its mod.yml, which field mods lack; `problem`: why it cannot be used."""

    path: str
    hash: str
    ready: bool
    about: Text | None
    problem: NotRequired[dict[str, str]]


class Checkpoint(TypedDict):
    """Where it is, its config.json, and the names of its tensors: None where nobody looked; `problem`: why they cannot be read.

    `code`: its Python files; `others`: what may name code beside config.json, None where it cannot be read.
    """

    path: str
    config: dict[str, Any]
    tensors: list[str] | None
    code: NotRequired[list[str]]
    others: NotRequired[dict[str, Any]]
    problem: NotRequired[dict[str, str]]


class Sources(TypedDict):
    """What the lookup `sources` found. `profile` is None where none was named or there is none of that name.

    `shipped`: the collection's profiles where `profile` is a user's own.
    """

    name: str | None
    profiles: dict[str, Text]
    checkpoints: dict[str, Checkpoint | None]
    # Of checkpoints whose own code was run, by repository.
    code: dict[str, HeldCode]
    profile: NamedText | None
    shipped: dict[str, Text]
    schema: Text
    image_schema: Text
    mod_schema: Text
    images: dict[str, Text]
    mods: dict[str, ModSource]
    wheels_path: str
    supervisor: str
    notifier: str
    problems: list[dict[str, str]]
