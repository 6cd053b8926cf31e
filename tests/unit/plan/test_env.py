"""Variables of the engine and of NCCL: names that this version reads, with values that it takes."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _engines, _env, _flags
from conftest import hostvars

ENV: list[tuple[str, dict[str, str], str]] = [
    (
        "qwen397-mtp2",
        {"VLLM_USE_DEEPGEMM": "0"},
        "a variable that vllm 0.22.1 does not read; wanted one of vllm 0.22.1's variables. Did you mean 'VLLM_USE_",
    ),
    ("sim-tiny-tp2", {"VLLM_FLASHINFER_MOE_BACKEND": "throughput"}, "wanted args.moe-backend. Reason: removed in vllm 0.23.0"),
    ("sim-tiny-tp2", {"VLLM_CPU_KVCACHE_SPAC": "1"}, "Did you mean 'VLLM_CPU_KVCACHE_SPACE'?"),
    ("qwen397-mtp2", {"VLLM_WORKER_MULTIPROC_METHOD": "spwan"}, "wanted one of fork, spawn (vllm 0.22.1). Did you mean 'spawn'?"),
    (
        "qwen397-mtp2",
        {"NCCL_IB_HCAS": "x"},
        "a variable that NCCL does not read; wanted one of the variables of NCCL's manual. Did you mean 'NCCL_IB_HCA'?",
    ),
    ("nemotron3-super-sglang", {"SGLANG_ENABLE_SPEC_V3": "1"}, "a variable that sglang 0.5.13 does not read"),
]


@pytest.mark.parametrize(("name", "env", "words"), ENV)
def test_a_variable_that_nobody_reads_is_refused(resolve: Any, name: str, env: dict[str, str], words: str) -> None:
    (problem,) = resolve(name, override={"env": env})["problems"]
    assert words in problem


def test_variables_of_the_inventory_are_held_to_the_same() -> None:
    variables = hostvars(4, gx10_env={"NCCL_SOCKET_IFNAM": "eth0", "LD_PRELOAD": "/x.so"})
    problems = _resolve.resolve(_sources.read("qwen397-mtp2"), variables, list(variables), None, True)["problems"]
    assert len(problems) == 8
    assert "inventory: gx10-1.gx10_env.NCCL_SOCKET_IFNAM: found a variable that NCCL does not read" in problems[1]
    assert problems[1].endswith("Did you mean 'NCCL_SOCKET_IFNAME'? [variable-unknown]")
    assert "inventory: gx10-1.gx10_env.LD_PRELOAD" in problems[0]


def test_what_nccl_reads_and_does_not_document_is_a_warning(resolve: Any) -> None:
    plan = resolve("qwen397-mtp2", override={"env": {"NCCL_IBVERBS_LIB": "x", "NCCL_IB_HCA": "x", "NCCL_DEBUG": "INFO"}})["plan"]
    assert plan is not None
    assert [text for text in plan["warnings"] if "NCCL" in text] == ["env.NCCL_IBVERBS_LIB: NCCL reads it, but its manual does not have it"]


def test_a_variable_of_another_version_names_it() -> None:
    dialect = _engines.load("vllm").DIALECT
    old, new = (_flags.table("vllm", version) for version in ("0.22.1", "0.30.0"))
    gone, added = sorted(set(old.env) - set(new.env)), sorted(set(new.env) - set(old.env))
    assert gone and added
    (problem,), _none = _env.names(dialect, new, {gone[0]: "1"}, "p.yml")
    assert problem.hint == "Removed after vllm 0.22.1."
    (problem,), _none = _env.names(dialect, old, {added[0]: "1"}, "p.yml")
    assert problem.hint == "vllm 0.30.0 has it."
