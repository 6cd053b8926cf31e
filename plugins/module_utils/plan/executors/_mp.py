# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Executor `mp`: vLLM's own multi-node processes, no Ray. PRIVATE to the collection."""

from __future__ import annotations

from ...common._problem import Problem
from ._executors import Job, Part

ENGINES = ("vllm",)


def check(job: Job, where: str) -> list[Problem]:
    """Any number of nodes."""
    return []


def part(job: Job, rank: int) -> Part:
    """The engine's process of `rank`; workers have no API."""
    ranks = ["--distributed-executor-backend", "mp"]
    if len(job.nodes) > 1:
        ranks += ["--nnodes", str(len(job.nodes)), "--node-rank", str(rank)]
        ranks += ["--master-addr", job.nodes[0].fabric_address, "--master-port", str(job.site["master_port"])]
    if rank:
        ranks.append("--headless")
    return Part({"VLLM_HOST_IP": job.nodes[rank].fabric_address}, None, ranks)
