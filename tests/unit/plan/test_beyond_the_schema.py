"""Profiles that the schema accepts and the engine refuses, by its parser, its classes, or its asserts: none gets a plan."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources
from conftest import edited, hostvars

QWEN, SUPER = "qwen397-mtp2", "nemotron3-super-sglang"
# Profile, args, and parallel of a launch.
REFUSED: list[tuple[str, dict[str, Any], dict[str, int]]] = [
    (QWEN, {"max-num-seqs": 0}, {}),
    (QWEN, {"max-num-seqs": 9000}, {}),
    (QWEN, {"max-num-batched-tokens": 0}, {}),
    (QWEN, {"enable-chunked-prefill": False}, {}),
    (QWEN, {"tool-call-parser": None}, {}),
    (QWEN, {"enable-log-outputs": True}, {}),
    (QWEN, {"attention-config": {"backend": "flashinfer"}}, {}),
    (
        QWEN,
        {"cudagraph-capture-sizes": [1], "compilation-config.cudagraph_mode": None, "compilation-config": {"cudagraph_capture_sizes": [2]}},
        {},
    ),
    (
        QWEN,
        {
            "max-cudagraph-capture-size": 4,
            "compilation-config.cudagraph_mode": None,
            "compilation-config": {"max_cudagraph_capture_size": 8},
        },
        {},
    ),
    (QWEN, {"enable-flashinfer-autotune": True, "kernel-config": {"enable_flashinfer_autotune": True}}, {}),
    (QWEN, {"numa-bind-nodes": [0]}, {}),
    (QWEN, {"eplb-config": {"num_redundant_experts": 2}}, {}),
    (QWEN, {"enable-eplb": True}, {}),
    (QWEN, {"decode-context-parallel-size": 3}, {}),
    (QWEN, {"data-parallel-size": 2}, {}),
    (QWEN, {"prefill-context-parallel-size": 2}, {}),
    (QWEN, {"data-parallel-external-lb": True}, {}),
    (QWEN, {}, {"expert": 3}),
    (QWEN, {"speculative-config": {"method": "eagle3", "num_speculative_tokens": 2}}, {}),
    (QWEN, {"speculative-config": {"num_speculative_tokens": 2}}, {}),
    (QWEN, {"speculative-config": {"method": "ngram"}}, {}),
    (QWEN, {"speculative-config": {"method": "ngram", "num_speculative_tokens": 2, "prompt_lookup_min": 5, "prompt_lookup_max": 2}}, {}),
    (QWEN, {"speculative-config": {"method": "mtp", "num_speculative_tokens": 0}}, {}),
    (QWEN, {"speculative-config": {"method": "mtp", "num_speculative_tokens": 2, "draft_tensor_parallel_size": 0}}, {}),
    (QWEN, {"speculative-config": {"method": "mtp", "num_speculative_tokens": 2, "draft_tensor_parallel_size": 3}}, {}),
    (QWEN, {"speculative-config": {"method": "custom_class", "num_speculative_tokens": 2}}, {}),
    (QWEN, {"speculative-config": {"method": "mtp", "num_speculative_tokens": 1, "max_model_len": 0}}, {}),
    (QWEN, {"quantization": "modelopt_fp4"}, {}),
    (QWEN, {"quantization": "gptq"}, {}),
    (QWEN, {"gpu-memory-utilization": 1.2}, {}),
    (QWEN, {"lora-modules": ["a=/x"]}, {}),
    (QWEN, {"enable-lora": True, "max-loras": 0}, {}),
    (QWEN, {"enable-lora": True, "max-loras": 4, "max-cpu-loras": 2}, {}),
    (QWEN, {"video-pruning-rate": 1.0}, {}),
    (QWEN, {"mm-processor-cache-gb": -1}, {}),
    (QWEN, {"kv-cache-metrics-sample": 0}, {}),
    (QWEN, {"stream-interval": 0}, {}),
    (QWEN, {"max-long-partial-prefills": 4, "max-num-partial-prefills": 2}, {}),
    (QWEN, {"long-prefill-token-threshold": 300000}, {}),
    (QWEN, {"hf-overrides": "notafunction"}, {}),
    (QWEN, {"dtype": "fp16"}, {}),
    (QWEN, {"max-model-len": 0}, {}),
    (QWEN, {"compilation-config.cudagraph_mode": "ful"}, {}),
    (QWEN, {"tokenizer": "Qwen/other"}, {}),
    (QWEN, {"shutdown-timeout": -1}, {}),
    (QWEN, {"api-server-count": 0}, {}),
    (QWEN, {"kv-transfer-config": {"kv_role": "both"}}, {}),
    (QWEN, {"kv-transfer-config": {"kv_connector": "X"}}, {}),
    (QWEN, {"enable-prompt-embeds": "yes"}, {}),
    (QWEN, {"mamba-block-size": 0}, {}),
    (QWEN, {"pipeline-parallel-size": 2}, {}),
    (QWEN, {"spec-tokens": 2}, {}),
    (SUPER, {"speculative-num-steps": None}, {}),
    (SUPER, {"speculative-algorithm": "STANDALONE"}, {}),
    (SUPER, {"data-parallel-size": 3, "enable-dp-attention": True}, {}),
    (SUPER, {"enable-dp-lm-head": True}, {}),
    (SUPER, {"ssl-keyfile": "/k"}, {}),
    (SUPER, {"enable-two-batch-overlap": True}, {}),
    (SUPER, {}, {"expert": 2}),
    (SUPER, {}, {"expert": 3}),
    (SUPER, {"quantization": "fp8"}, {}),
    (SUPER, {"export-metrics-to-file": True}, {}),
    (SUPER, {"enable-mixed-chunk": True}, {}),
    (SUPER, {"moe-dense-tp-size": 2}, {}),
    (SUPER, {"gpu-id-step": 0}, {}),
    (SUPER, {"base-gpu-id": -1}, {}),
    (SUPER, {"tokenizer-worker-num": 0}, {}),
    (SUPER, {"kv-canary-sweep-interval": 3}, {}),
    (SUPER, {"disable-cuda-graph-padding": True, "enable-torch-compile": True}, {}),
    (SUPER, {"mem-fraction-static": 1.5}, {}),
    (SUPER, {}, {"tensor": 2, "pipeline": 2}),
    (SUPER, {"context-length": 1000000}, {}),
    (SUPER, {"attention-backend": "trtllm_mla"}, {}),
]


@pytest.mark.parametrize(("name", "args", "parallel"), REFUSED)
def test_what_the_engine_refuses_gets_no_plan(name: str, args: dict[str, Any], parallel: dict[str, int]) -> None:
    variables = hostvars()
    found = _resolve.resolve(_sources.read(name), variables, list(variables), {"args": args, "parallel": parallel})
    assert found["plan"] is None
    assert all(problem.endswith("]") for problem in found["problems"]), "a problem without a code"


@pytest.mark.parametrize("value", [None, list(range(1, 102)), [], {}])
def test_what_a_flag_may_be_is_said(value: Any) -> None:
    args = {"cudagraph-capture-sizes": value, "gpu-memory-utilization": 0.9}
    found = _resolve.resolve(edited(_sources.read("qwen397-mtp2"), args=args, limits=[]), hostvars(), list(hostvars()), None, True)
    (problem,) = found["problems"]
    assert "args.cudagraph-capture-sizes: found " in problem
    assert (
        "; wanted a text, number, true or false, a list of 1 to 100 of these, or a mapping; what is not set is left out [wrong-type]"
        in problem
    )
