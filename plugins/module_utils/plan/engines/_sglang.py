# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SGLang's command line. PRIVATE to the collection."""

from __future__ import annotations

from ._engines import Dialect, Metrics, Serve

DIALECT = Dialect(
    program="sglang.launch_server",
    owned={
        "model-path": "model.repo",
        "served-model-name": "model.served_name",
        "revision": "model.revision",
        "host": "gx10_api_address in the inventory",
        "port": "gx10_api_port in the inventory",
        "tensor-parallel-size": "parallel.tensor",
        "pipeline-parallel-size": "parallel.pipeline",
        "expert-parallel-size": "parallel.expert",
        "nnodes": "executor",
        "node-rank": "executor",
        "dist-init-addr": "executor",
        "enable-metrics": "the plan itself, which always sets it: the watch and the gate read /metrics",
    },
    refused_args={
        "api-key": "it would stand in every process list; give it in a file of mode 0600",
        "admin-api-key": "it would stand in every process list; give it in a file of mode 0600",
        "config": "the profile is the one place of the flags",
    },
    refused_env={"SGLANG_TORCH_PROFILER_DIR": "whoever reaches the API could fill it: /start_profile is not protected"},
    parts=False,
    # srt/utils/common.py, human_readable_int.
    sizes={"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40},
    prefixes=("SGLANG_", "SGL_"),
)

# 0.5.12 to 0.5.23, srt/observability/metrics_collector.py. The scheduler counts realtime_tokens_total with each prefill chunk and each
# 40th decode step. num_running_reqs is 0 in a lone prefill (it counts decoding requests), and the last value stays up to 30 s when idle.
METRICS = Metrics(
    busy=("sglang:num_running_reqs", "sglang:num_queue_reqs"),
    progress=(
        "sglang:realtime_tokens_total",
        "sglang:generation_tokens_total",
        "sglang:prompt_tokens_total",
        "sglang:token_usage",
        "sglang:num_used_tokens",
    ),
)


def argv(job: Serve, ranks: list[str]) -> list[str]:
    """``python3 -m sglang.launch_server …``; see `_engines.Engine`."""
    parallel = job["parallel"]
    split = ["--tp-size", str(parallel["tensor"]), "--pp-size", str(parallel.get("pipeline", 1))]
    if parallel.get("expert", 1) > 1:
        split += ["--ep-size", str(parallel["expert"])]
    return [
        *("python3", "-m", "sglang.launch_server", "--model-path", job["model"], "--served-model-name", job["served_name"]),
        *("--host", job["host"], "--port", str(job["port"])),
        # Without it /metrics is 404 (entrypoints/http_server.py).
        "--enable-metrics",
        *job["words"],
        *split,
        *ranks,
    ]
