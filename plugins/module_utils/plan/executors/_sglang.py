# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Executor `sglang`: SGLang's own multi-node processes. PRIVATE to the collection."""

from __future__ import annotations

from ...common._problem import Problem
from ._executors import Job, Part

ENGINES = ("sglang",)


def check(job: Job, where: str) -> list[Problem]:
    """Any number of nodes."""
    return []


def part(job: Job, rank: int) -> Part:
    """The engine's process of `rank`; rank 0 serves the API."""
    head = job.nodes[0].fabric_address
    address = f"[{head}]" if ":" in head else head
    ranks = ["--nnodes", str(len(job.nodes)), "--node-rank", str(rank), "--dist-init-addr", f"{address}:{job.site['master_port']}"]
    return Part({}, None, ranks)
