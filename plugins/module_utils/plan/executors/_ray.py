# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Executor `ray`: one Ray node per machine, and the engine on the head. PRIVATE to the collection."""

from __future__ import annotations

from ...common._problem import Problem
from .._site import RAY_CLIENT_PORT
from .._types import Members
from ._executors import Job, Part

ENGINES = ("vllm",)
# Ray's memory monitor kills workers while weights load into unified memory; the supervisor watches memory instead.
# Ray takes lines for alike that differ in their numbers: without RAY_DEDUP_LOGS=0 the tightest rank's KV cache is not in the log.
ENV = {
    "RAY_memory_monitor_refresh_ms": "0",
    "RAY_DEDUP_LOGS": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_AUTH_TOKEN_PATH": "/run/gx10/ray_token",
}
# The autoscaler's monitor has nothing to scale here and serves its metrics without a token on every address. Ray's client server cannot
# be turned off where grpc is installed; it listens on the head's fabric address alone and asks for the token.
DOORS = ["--include-dashboard=false", "--no-monitor", "--ray-client-server-port", str(RAY_CLIENT_PORT)]


def check(job: Job, where: str) -> list[Problem]:
    """Ray serves any number of nodes."""
    return []


def part(job: Job, rank: int) -> Part:
    """The Ray argv of `rank`, and on the head (rank 0) the engine's."""
    node, head, site = job.nodes[rank], job.nodes[0], job.site
    common = [
        *("--block", "--node-ip-address", node.fabric_address),
        *("--num-gpus", str(site["gpus_per_node"]), "--num-cpus", str(site["ray_cpus"])),
        *("--object-store-memory", str(site["ray_object_store_bytes"]), "--disable-usage-stats"),
    ]
    address = f"{head.fabric_address}:{site['ray_port']}"
    env = {**ENV, "VLLM_HOST_IP": node.fabric_address}
    if rank:
        return Part(env, {"argv": ["ray", "start", "--address", address, *common], "head": address}, None)
    ray = ["ray", "start", "--head", "--port", str(site["ray_port"]), *DOORS, *common]
    members: Members = {"addresses": [item.fabric_address for item in job.nodes], "gpus": len(job.nodes) * site["gpus_per_node"]}
    ranks = ["--distributed-executor-backend", "ray"]
    return Part({**env, "RAY_ADDRESS": address}, {"argv": ray, "head": address, "members": members}, ranks)
