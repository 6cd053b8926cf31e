# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Executor `solo`: the engine alone on one node. PRIVATE to the collection."""

from __future__ import annotations

from ...common._problem import Problem
from ._executors import Job, Part

ENGINES = ("vllm", "sglang")


def check(job: Job, where: str) -> list[Problem]:
    """One node must hold all GPUs that the profile asks for."""
    if len(job.nodes) > 1:
        found = f"GPUs of {len(job.nodes)} nodes with executor solo"
        return [Problem(where, "executor", found, "an executor for several nodes, or as many GPUs as one node has", code="parallel")]
    return []


def part(job: Job, rank: int) -> Part:
    """The engine's own process on the only node."""
    return Part({}, None, [])
