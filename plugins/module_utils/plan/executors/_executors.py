# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface of executors: how one engine is spread over nodes. An executor is one file, `_executor_NAME.py`.

PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
import importlib
import pathlib
from collections.abc import Mapping
from typing import Protocol, cast

from ...common._problem import Problem
from .._inventory import Node, Site
from .._types import Ray


@dataclasses.dataclass(frozen=True)
class Job:
    """What an executor spreads: an engine by name, the nodes in use (rank order), the site's settings."""

    engine: str
    nodes: tuple[Node, ...]
    site: Site


@dataclasses.dataclass(frozen=True)
class Part:
    """What one node runs: its environment, its Ray process (or None), the engine's rank flags (None: no engine here).

    The API is served by rank 0 alone.
    """

    env: Mapping[str, str]
    ray: Ray | None
    ranks: list[str] | None


# Weights are local; an engine tells nobody but its owner that it runs.
QUIET = {
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
    "VLLM_NO_USAGE_STATS": "1",
    "DO_NOT_TRACK": "1",
    "RAY_usage_stats_enabled": "0",
}


class Executor(Protocol):
    """What each executor file offers."""

    # Engines that it can start.
    ENGINES: tuple[str, ...]

    def check(self, job: Job, where: str) -> list[Problem]:
        """Why this executor cannot run the job, apart from its engine."""

    def part(self, job: Job, rank: int) -> Part:
        """What the node of `rank` runs."""


def names() -> list[str]:
    """The executors that exist."""
    return sorted(path.stem[1:] for path in pathlib.Path(__file__).parent.glob("_*.py") if path.stem != "_executors")


def load(name: str) -> Executor:
    """Import an executor by one of `names`."""
    return cast(Executor, importlib.import_module(f"{__package__}._{name}"))
