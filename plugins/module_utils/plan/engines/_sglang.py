# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""SGLang's command line. PRIVATE to the collection."""

from __future__ import annotations

from ._engines import LONG, Caches, Dialect, Metrics, Serve

PLAIN = "health check, watch and gate ask http://ADDRESS:PORT"

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
        "tool-server": "it lets requests run tools on the node",
        "enable-custom-logit-processor": "requests could bring code that runs in the engine",
        "grpc-mode": "health check, watch and gate speak HTTP",
        "grpc-http-sidecar-port": "it is a second, unprotected door to the engine",
        "download-dir": "nothing is downloaded at serve time",
        **dict.fromkeys(
            (
                f"remote-instance-weight-loader-{name}"
                for name in (
                    *("backend", "seed-instance-ip", "seed-instance-service-port", "send-weights-group-ports"),
                    "start-seed-via-transfer-engine",
                )
            ),
            "no manifest holds what is loaded from another machine",
        ),
        "use-ray": "the executor spreads the ranks",
        **dict.fromkeys(("enable-ssl-refresh", "ssl-ca-certs", "ssl-certfile", "ssl-keyfile", "ssl-keyfile-password"), PLAIN),
    },
    refused_env={"SGLANG_TORCH_PROFILER_DIR": "whoever reaches the API could fill it: /start_profile is not protected"},
    parts=False,
    # srt/utils/common.py, human_readable_int.
    sizes={"k": 10**3, "M": 10**6, "G": 10**9, "T": 10**12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40},
    prefixes=("SGLANG_", "SGL_"),
    code=("custom-sigquit-handler", "custom-weight-loader", "forward-hooks", "debug-tensor-dump-inject"),
    unpickles=dict.fromkeys(("load-format", "speculative-draft-load-format"), ("pt", "npcache")),
    files={
        **{"chat-template": "template", "completion-template": "template"},
        **dict.fromkeys(("tokenizer-path", "quantization-param-path", "decrypted-config-file", "decrypted-draft-config-file"), "file"),
        **dict.fromkeys(("crash-dump-folder", "export-metrics-to-file-dir", "file-storage-path", "kt-weight-path"), "file"),
        **dict.fromkeys(("lmcache-config-file", "pdmux-config-path", "speculative-token-map", "debug-tensor-dump-input-file"), "file"),
        **dict.fromkeys(("speculative-ngram-external-corpus-path", "debug-tensor-dump-output-folder"), "file"),
    },
    # srt/server_args.py (check_server_args, _handle_data_parallelism), srt/arg_groups/speculative_hook.py (_handle_eagle_family).
    requires={
        "enable-dp-lm-head": "enable-dp-attention",
        "export-metrics-to-file": "export-metrics-to-file-dir",
        "tokenizer-metrics-allowed-custom-labels": "tokenizer-metrics-custom-labels-header",
        "enable-two-batch-overlap": "moe-a2a-backend",
        "kv-canary-sweep-interval": "kv-canary",
        "speculative-eagle-topk": "speculative-num-steps",
    },
    excludes=(
        ("speculative-algorithm", "enable-mixed-chunk"),
        ("disable-cuda-graph-padding", "enable-torch-compile"),
        ("enable-two-batch-overlap", "enforce-shared-experts-fusion"),
        ("enable-prefill-context-parallel", "enable-nsa-prefill-context-parallel"),
    ),
    orders=(),
    # srt/server_args.py, check_server_args: without chunked-prefill-size it is a power of two, from 2048 on.
    divides=(("page-size", "chunked-prefill-size"),),
    least={
        # srt/server_args.py (a remainder by page_size); managers/tp_worker.py (max_running_request is zero, Memory pool size is too small).
        **dict.fromkeys(("page-size", "max-running-requests", "context-length"), 1),
        **dict.fromkeys(("gpu-id-step", "tokenizer-worker-num", "detokenizer-worker-num", "pp-max-micro-batch-size"), 1),
        **dict.fromkeys(("base-gpu-id", "schedule-conservativeness"), 0),
    },
    multiples={},
    # srt/parser/conversation.py, chat_templates: names without a file.
    templates=r"[\w.-]+",
    within={"speculative-": "speculative-algorithm"},
    off_env={"SGLANG_ALLOW_OVERWRITE_LONGER_CONTEXT_LEN": LONG},
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

# environ.py: SGLANG_CACHE_DIR holds what FlashInfer's autotuner measures, too, which is turned off for the reason in _vllm.py.
CACHES = Caches(
    kept={"SGLANG_CACHE_DIR": "sglang", "SGLANG_DG_CACHE_DIR": "deep_gemm"},
    off={"SGLANG_FLASHINFER_AUTOTUNE_CACHE": "0"},
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
