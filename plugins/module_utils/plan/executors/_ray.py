# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Executor `ray`: one Ray node per machine, and the engine on the head. PRIVATE to the collection."""

from __future__ import annotations

from ...common._problem import Problem
from .._site import RAY_PORTS, Site
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
# The autoscaler's monitor has nothing to scale here and serves its metrics without a token on every address.
DOORS = ["--include-dashboard=false", "--no-monitor"]
# Ray's own ports (2.54 and 2.60: scripts/scripts.py, _private/parameter.py), in the order that they have from gx10_ray_first_port on. The
# client server cannot be turned off where grpc is installed; it listens on the head's fabric address alone and asks for the token. Workers
# get the head's two as well: Ray refuses a range of workers' ports that has the default of one that it does not start.
PORTS = (
    *("node-manager", "ray-client-server", "object-manager", "runtime-env-agent", "dashboard-agent-grpc", "dashboard-agent-listen"),
    *("metrics-export", "dashboard"),
)
# Without a dashboard its process still serves its own metrics, by a variable (dashboard/consts.py).
DASHBOARD_METRICS = "DASHBOARD_METRIC_PORT"


def check(job: Job, where: str) -> list[Problem]:
    """Ray serves any number of nodes."""
    return []


def _ports(site: Site) -> tuple[dict[str, str], list[str], list[int]]:
    """Ray's own ports: its environment, its flags, and those that must be free before it starts; each worker takes a free one."""
    found = range(site["ray_first_port"], site["ray_first_port"] + RAY_PORTS)
    own, metrics, workers = found[: len(PORTS)], found[len(PORTS)], found[len(PORTS) + 1 :]
    flags = [word for name, port in zip(PORTS, own, strict=True) for word in (f"--{name}-port", str(port))]
    flags += ["--min-worker-port", str(workers[0]), "--max-worker-port", str(workers[-1])]
    return {DASHBOARD_METRICS: str(metrics)}, flags, [*own, metrics]


def part(job: Job, rank: int) -> Part:
    """The Ray argv of `rank`, and on the head (rank 0) the engine's."""
    node, head, site = job.nodes[rank], job.nodes[0], job.site
    pinned, ports, fixed = _ports(site)
    common = [
        *("--block", "--node-ip-address", node.fabric_address),
        *("--num-gpus", str(site["gpus_per_node"]), "--num-cpus", str(site["ray_cpus"])),
        *("--object-store-memory", str(site["ray_object_store_bytes"]), "--disable-usage-stats"),
        *ports,
    ]
    address = f"{head.fabric_address}:{site['ray_port']}"
    env = {**ENV, **pinned, "VLLM_HOST_IP": node.fabric_address}
    if rank:
        return Part(env, {"argv": ["ray", "start", "--address", address, *common], "head": address, "ports": fixed}, None)
    ray = ["ray", "start", "--head", "--port", str(site["ray_port"]), *DOORS, *common]
    members: Members = {"addresses": [item.fabric_address for item in job.nodes], "gpus": len(job.nodes) * site["gpus_per_node"]}
    ranks = ["--distributed-executor-backend", "ray"]
    return Part({**env, "RAY_ADDRESS": address}, {"argv": ray, "head": address, "ports": fixed, "members": members}, ranks)
