"""Variables of the engine and of NCCL: names that this version reads, with values that it takes."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _engines, _env, _flags
from conftest import edited, hostvars

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
    assert [problem.partition(";")[0] for problem in problems] == [
        "inventory: gx10_env.LD_PRELOAD: found '/x.so'",
        "inventory: gx10_env.NCCL_SOCKET_IFNAM: found a variable that NCCL does not read",
    ]
    assert problems[1].endswith("Did you mean 'NCCL_SOCKET_IFNAME'? [variable-unknown]")
    # One node has the one alone, and two the other.
    del variables["gx10-1"]["gx10_env"], variables["gx10-2"]["gx10_env"]
    variables["gx10-3"]["gx10_env"] = {"NCCL_SOCKET_IFNAM": "eth0"}
    problems = _resolve.resolve(_sources.read("qwen397-mtp2"), variables, list(variables), None, True)["problems"]
    assert [problem.split(": found")[0] for problem in problems] == [
        "inventory: gx10-3, gx10-4: gx10_env.NCCL_SOCKET_IFNAM",
        "inventory: gx10-4.gx10_env.LD_PRELOAD",
    ]


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


@pytest.mark.parametrize(
    ("own", "profile", "key"),
    [
        # torch reads the newer name first.
        ({"PYTORCH_ALLOC_CONF": "max_split_size_mb:128"}, {}, "PYTORCH_ALLOC_CONF"),
        ({"PYTORCH_ALLOC_CONF": "expandable_segments:True"}, {}, ""),
        # The profile's own wins, and is what the limit was compared with.
        *[({"PYTORCH_CUDA_ALLOC_CONF": "max_split_size_mb:128"}, {}, ""), ({"OMP_NUM_THREADS": 20}, {"OMP_NUM_THREADS": "4"}, "")],
        *[
            ({"OMP_NUM_THREADS": 4}, {}, ""),
            ({"OMP_NUM_THREADS": 5}, {}, "OMP_NUM_THREADS"),
            ({"OMP_NUM_THREADS": "20"}, {}, "OMP_NUM_THREADS"),
        ],
    ],
)
def test_a_nodes_own_variables_keep_the_profiles_limits(own: dict[str, Any], profile: dict[str, str], key: str) -> None:
    sources = _sources.read("nemotron3-ultra")
    stated = yaml.safe_load(sources["profile"]["text"])["limits"]  # type: ignore[index]
    limits = [*stated, {"env": "OMP_NUM_THREADS", "max": 4, "because": "more are slower"}]
    variables = hostvars(4)
    variables["gx10-3"]["gx10_env"] = own
    found = _resolve.resolve(edited(sources, limits=limits), variables, list(variables), {"env": profile} if profile else None, True)
    wanted = [f"inventory: gx10-3.gx10_env.{key}: found {str(own[key])!r}; wanted "] if key else []
    assert [text[: len(wanted[0])] for text in found["problems"]] == wanted if wanted else found["problems"] == []
    assert all(text.endswith("[limit]") and "Reason: " in text for text in found["problems"])


@pytest.mark.parametrize("version", _flags.versions("vllm"))
@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        ("VLLM_USE_DEEP_GEMM", ["0", "1", " 1 "], ["false", "True", "", "1.0"]),
        ("VLLM_ENGINE_READY_TIMEOUT_S", ["600"], ["10m", "6e2"]),
        ("VLLM_LOGGING_PREFIX", ["x", "1"], []),
    ],
)
def test_a_variable_that_is_read_as_a_number_is_one(version: str, key: str, good: list[str], bad: list[str]) -> None:
    def said(value: str) -> list[tuple[str, str]]:
        found, _warnings = _env.names(_engines.load("vllm").DIALECT, _flags.table("vllm", version), {key: value}, "p.yml")
        return [(problem.wanted, problem.code) for problem in found]

    assert [said(value) for value in good] == [[]] * len(good)
    assert [said(value) for value in bad] == [[(f"an integer, 1 or 0 for a truth (vllm {version})", "wrong-type")]] * len(bad)
