# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface of engines. An engine is one file, `_NAME.py`, and its tables in flags/. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import importlib
from collections.abc import Mapping
from typing import Protocol, TypedDict, cast

from .._profile_types import Parallel
from ._flags import engines

# Where the models root is mounted in the container; engines look for the hub cache there.
MODELS = "/root/.cache/huggingface"
LONG = "beyond max_position_embeddings attention is prone to NaN"


@dataclasses.dataclass(frozen=True)
class Dialect:
    """How an engine reads its command line beyond its tables, and what a profile may not say in it.

    `owned`: flags set from elsewhere, to where; they would be said twice, and the last one wins. `refused_*`: to the reason.
    `code`: flags (dots go down into JSON) whose value names code; `files`: those whose value is a path in the container, to what it may
    be (file, template: or its text, models: a folder of them); `requires`: flags to what they need; `excludes`: pairs; `orders`: pairs of
    numbers, the first at most the second; `divides`: the same, the first a divisor; `least`: of a number that no table bounds, alone or in
    a list or mapping; `multiples`: of what a number is one; `within`: prefixes of flags that nothing reads without another; `templates`:
    what the engine's own chat templates are called.
    `unpickles`: flags to the values by which weights come from pickles. `off_env`: variables that may only be "0", to the reason.
    `parts`: whether --flag.part sets a part of a JSON flag, and _ in a flag's name is -. `sizes`: what may follow an integer where it
    takes 1k, to its value. `prefixes`: of variables that are its own.
    """

    program: str
    owned: Mapping[str, str]
    refused_args: Mapping[str, str]
    refused_env: Mapping[str, str]
    parts: bool
    sizes: Mapping[str, int]
    prefixes: tuple[str, ...]
    code: tuple[str, ...]
    unpickles: Mapping[str, tuple[str, ...]]
    files: Mapping[str, str]
    requires: Mapping[str, str]
    excludes: tuple[tuple[str, str], ...]
    orders: tuple[tuple[str, str], ...]
    divides: tuple[tuple[str, str], ...]
    least: Mapping[str, int]
    multiples: Mapping[str, int]
    templates: str
    within: Mapping[str, str]
    off_env: Mapping[str, str]


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Names in an engine's /metrics. `busy`: requests that run or wait; `progress`: what moves only when the engine itself has worked."""

    busy: tuple[str, ...]
    progress: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Caches:
    """Variables of an engine's caches. `kept`: to a folder of what it compiles, each rank by itself; `tuned`: where it keeps which kernel
    was the fastest, measured in step with other ranks; `off`: what turns such off, to its value."""

    kept: Mapping[str, str]
    tuned: tuple[str, ...] = ()
    off: Mapping[str, str] = dataclasses.field(default_factory=dict)


class Serve(TypedDict):
    """What is served, how, and where it listens; `model` is a path in the container, `words` the profile's flags as argv."""

    model: str
    served_name: str
    host: str
    port: int
    words: list[str]
    parallel: Parallel


class Engine(Protocol):
    """What each engine file offers."""

    DIALECT: Dialect
    METRICS: Metrics
    CACHES: Caches

    def argv(self, job: Serve, ranks: list[str]) -> list[str]:
        """The command line. `ranks`: the executor's flags."""


def names() -> list[str]:
    """The engines that exist."""
    return engines()


def load(name: str) -> Engine:
    """Import an engine by one of `names`."""
    return cast(Engine, importlib.import_module(f"{__package__}._{name}"))
