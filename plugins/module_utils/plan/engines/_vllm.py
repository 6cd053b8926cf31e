# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""vLLM's command line. PRIVATE to the collection."""

from __future__ import annotations

from ._engines import LONG, Caches, Dialect, Metrics, Serve

# Both ends of a connection are the plan's: gate, watch and health check speak HTTP over TCP.
PLAIN = "health check, watch and gate ask http://ADDRESS:PORT"
ONE = "the plan starts one engine over tensor x pipeline GPUs"

DIALECT = Dialect(
    program="vllm serve",
    owned={
        "model": "model.repo",
        "served-model-name": "model.served_name",
        "revision": "model.revision",
        "host": "gx10_api_address in the inventory",
        "port": "gx10_api_port in the inventory",
        "tensor-parallel-size": "parallel.tensor",
        "pipeline-parallel-size": "parallel.pipeline",
        "enable-expert-parallel": "parallel.expert",
        "distributed-executor-backend": "executor",
        "nnodes": "executor",
        "node-rank": "executor",
        "master-addr": "executor",
        "master-port": "executor",
        "headless": "executor",
    },
    refused_args={
        "api-key": "it would stand in every process list and, up to 0.26, in the log; give it in a file of mode 0600",
        "hf-token": "it would stand in every process list; weights are local at serve time",
        "config": "the profile is the one place of the flags",
        "enable-tokenizer-info-endpoint": "it shows the chat template and tokenizer to everybody who reaches the port",
        "profiler-config": "its endpoints are not protected",
        "tool-server": "it lets requests run tools on the node",
        "spec-method": "limits, memory and the gate know it as speculative-config.method",
        "spec-model": "limits, memory and the gate know it as speculative-config.model",
        "spec-tokens": "limits, memory and the gate know it as speculative-config.num_speculative_tokens",
        "trust-request-chat-template": "a request's template could take the processor or the memory (PYSEC-2026-4344, PYSEC-2026-4349)",
        "grpc": "it is a second, unprotected door to the engine",
        "enable-prompt-embeds": "a request could end the engine up to 0.23 (PYSEC-2026-2303), and brings tensors that are loaded",
        "num-gpu-blocks-override": "it is for tests: vLLM takes as many blocks, whatever memory there is; kv-cache-memory-bytes is counted",
        "download-dir": "nothing is downloaded at serve time",
        "enable-elastic-ep": ONE,
        **dict.fromkeys(
            ("uds", "enable-ssl-refresh", *(f"ssl-{name}" for name in ("ca-certs", "cert-reqs", "certfile", "ciphers", "keyfile"))), PLAIN
        ),
        **{
            f"data-parallel-{name}": ONE
            for name in (
                *("address", "backend", "external-lb", "hybrid-lb", "multi-port-external-lb", "rank", "rpc-port", "size-local"),
                *("start-rank", "supervisor-port"),
            )
        },
    },
    refused_env={
        "VLLM_SERVER_DEV_MODE": "its endpoints run code",
        "VLLM_ALLOW_RUNTIME_LORA_UPDATING": "requests could load adapters",
        "VLLM_ALLOW_INSECURE_SERIALIZATION": "it unpickles what it is sent",
        "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH": "it keeps a dead engine answering",
        "VLLM_PROCESS_NAME_PREFIX": "stop recognises the engine's processes by their names",
        "VLLM_API_KEY": "it would stand in docker inspect; give it in a file of mode 0600",
    },
    parts=True,
    # utils/argparse_utils.py, human_readable_int.
    sizes={"k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "K": 2**10, "M": 2**20, "G": 2**30, "T": 2**40},
    prefixes=("VLLM_",),
    code=(
        *("middleware", "worker-cls", "worker-extension-cls", "scheduler-cls", "logits-processors", "io-processor-plugin"),
        *("tool-parser-plugin", "reasoning-parser-plugin", "model-class-overrides"),
    ),
    # 0.22 and 0.30: model_executor/model_loader/weight_utils.py (torch.load with weights_only).
    unpickles=dict.fromkeys(("load-format", "speculative-config.draft_load_config.load_format"), ("pt", "npcache")),
    files={
        **{"chat-template": "template", "allowed-local-media-path": "models"},
        **dict.fromkeys(("hf-config-path", "log-config-file", "tokenizer"), "file"),
        **dict.fromkeys(("mm-encoder-fp8-scale-path", "mm-encoder-fp8-scale-save-path"), "file"),
    },
    # entrypoints/openai/cli_args.py (validate_parsed_serve_args), config/parallel.py (validators), engine/arg_utils.py.
    requires={
        "enable-auto-tool-choice": "tool-call-parser",
        "enable-log-outputs": "enable-log-requests",
        "numa-bind-nodes": "numa-bind",
        "numa-bind-cpus": "numa-bind",
        "lora-modules": "enable-lora",
        "kv-transfer-config.kv_connector": "kv-transfer-config.kv_role",
        "eplb-config.num_redundant_experts": "enable-eplb",
    },
    # engine/arg_utils.py, create_engine_config.
    excludes=(
        ("attention-backend", "attention-config.backend"),
        ("cudagraph-capture-sizes", "compilation-config.cudagraph_capture_sizes"),
        ("max-cudagraph-capture-size", "compilation-config.max_cudagraph_capture_size"),
        ("enable-flashinfer-autotune", "kernel-config.enable_flashinfer_autotune"),
        ("moe-backend", "kernel-config.moe_backend"),
    ),
    # config/scheduler.py (verify_max_model_len), config/lora.py, config/speculative.py.
    orders=(
        *(("max-num-seqs", "max-num-batched-tokens"), ("max-long-partial-prefills", "max-num-partial-prefills")),
        *(("long-prefill-token-threshold", "max-model-len"), ("max-loras", "max-cpu-loras")),
        ("speculative-config.prompt_lookup_min", "speculative-config.prompt_lookup_max"),
    ),
    divides=(),
    least={
        # entrypoints/cli/serve.py; config/parallel.py (_validate_numa_bind_nodes); config/multimodal.py (BaseDummyOptions).
        **{"api-server-count": 1, "numa-bind-nodes": 0, "limit-mm-per-prompt": 0},
        # v1/worker/gpu_worker.py gives it to torch.distributed, whose watchdog ends a collective that is not done by then.
        "distributed-timeout-seconds": 1,
    },
    # v1/attention/backends: CUDA's kernels take 16, 32, 64, 128, 256 or multiples of 16; with another size platforms/cuda.py finds none
    # ("No valid attention backend found").
    multiples={"block-size": 16},
    # entrypoints/chat_utils.py (validate_chat_template) looks for a file of that name in transformers_utils/chat_templates.
    templates=r"[\w-]+\.jinja",
    within={},
    off_env={"VLLM_ALLOW_LONG_MAX_MODEL_LEN": LONG},
)

# 0.22.1 and 0.30.0: v1/engine/async_llm.py (output_handler) counts tokens only of steps that had outputs, so in a lone chunked prefill no
# counter moves; but v1/core/sched/scheduler.py (make_stats) sends the KV cache's usage with each step, and it grows chunk by chunk.
METRICS = Metrics(
    busy=("vllm:num_requests_running", "vllm:num_requests_waiting"),
    progress=(
        "vllm:generation_tokens_total",
        "vllm:prompt_tokens_total",
        "vllm:iteration_tokens_total_count",
        "vllm:kv_cache_usage_perc",
        "vllm:prefix_cache_queries_total",
    ),
)

# 0.22 and 0.30: envs.py; compilation/ puts graphs, Inductor's and Triton's below it. What model_executor/warmup/kernel_warmup.py measures
# it would keep there, too: with a rank that has it and one that has not, or only in parts, later releases hang (#54618, #57423).
CACHES = Caches(kept={"VLLM_CACHE_ROOT": "vllm"}, tuned=("VLLM_FLASHINFER_AUTOTUNE_CACHE_DIR",))


def argv(job: Serve, ranks: list[str]) -> list[str]:
    """``vllm serve MODEL …``; see `_engines.Engine`."""
    parallel = job["parallel"]
    split = ["--tensor-parallel-size", str(parallel["tensor"])]
    if parallel.get("pipeline", 1) > 1:
        split += ["--pipeline-parallel-size", str(parallel["pipeline"])]
    if parallel.get("expert", 1) > 1:
        split.append("--enable-expert-parallel")
    return [
        *("vllm", "serve", job["model"], "--served-model-name", job["served_name"], "--host", job["host"], "--port", str(job["port"])),
        *job["words"],
        *split,
        *ranks,
    ]
