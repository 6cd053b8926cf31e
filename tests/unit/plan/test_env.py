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
    plan = resolve("qwen397-mtp2", variables=hostvars(4, gx10_env={"NCCL_IBVERBS_LIB": "x"}))["plan"]
    said = "gx10-1, gx10-2, gx10-3 and 1 more: gx10_env.NCCL_IBVERBS_LIB: NCCL reads it, but its manual does not have it"
    assert [text for text in plan["warnings"] if "NCCL" in text] == [said]


def test_what_torch_reads_by_an_older_name_is_a_warning(resolve: Any) -> None:
    plan = resolve("qwen397-mtp2", override={"env": {"NCCL_ASYNC_ERROR_HANDLING": "1"}})["plan"]
    said = "env.NCCL_ASYNC_ERROR_HANDLING: an old name of torch's; the present one is TORCH_NCCL_ASYNC_ERROR_HANDLING"
    assert [text for text in plan["warnings"] if "torch" in text] == [said]


def test_no_weights_come_from_another_machine(resolve: Any) -> None:
    key = "remote-instance-weight-loader-seed-instance-ip"
    found = resolve("nemotron3-super-sglang", override={"args": {"load-format": "remote_instance", key: "10.0.0.9"}})["problems"]
    assert any(f"args.{key}: found a refused flag" in problem and "no manifest holds" in problem for problem in found)


NCCL, SGLANG = ("qwen397-mtp2", "NCCL_IB_DISABLE"), ("nemotron3-super-sglang", "SGLANG_LOG_MS")


@pytest.mark.parametrize(
    ("name", "key", "values", "wanted"),
    [
        # src/misc/param.cc reads with strtoll, base 0, and what it cannot read is 0: "true" would turn InfiniBand on.
        (*NCCL, {"0": 1, "-1": 1, "0x1F": 1, "007": 1, "": 1, "true": 0, "1k": 0, "08": 0, "1.5": 0}, "an integer, 1 or 0 for a truth"),
        ("qwen397-mtp2", "NCCL_DEBUG", {"info": 1, "WARN": 1, "DEBUG": 0}, "one of VERSION, WARN, INFO, ABORT, TRACE (NCCL)"),
        ("qwen397-mtp2", "NCCL_SET_THREAD_NAME", {"T": 1, "false": 1, "yes": 0}, "one of 1, t, true, 0, f, false (NCCL)"),
        # A text, whatever it is.
        ("qwen397-mtp2", "NCCL_IB_HCA", {"=mlx5_0:1": 1, "x y": 1}, ""),
        # srt/environ.py, and get_bool_env_var of srt/utils/common.py, which takes less.
        (*SGLANG, {"Yes": 1, "n": 1, "TRUE": 1, "0": 1, "on": 0, "2": 0}, "one of true, 1, yes, y, false, 0, no, n (sglang 0.5.13)"),
        ("nemotron3-super-sglang", "SGLANG_USE_AITER", {"True": 1, "0": 1, "yes": 0}, "one of true, 1, false, 0 (sglang 0.5.13)"),
        ("nemotron3-super-sglang", "SGLANG_LOG_REQUEST_EXCEEDED_MS", {"-1": 1, "5": 1, "1.5": 0, "x": 0}, "an integer, 1 or 0 for a truth"),
        ("nemotron3-super-sglang", "SGLANG_GRAMMAR_POLL_INTERVAL", {"5": 1, "0.005": 1, "fast": 0}, "a number (sglang 0.5.13)"),
        # A field's older name is read as the field.
        ("nemotron3-super-sglang", "SGLANG_NSA_FUSE_TOPK", {"1": 1, "2": 0}, "one of true, 1, yes, y"),
        ("nemotron3-super-sglang", "SGLANG_CACHE_DIR", {"/x": 1}, ""),
    ],
)
def test_a_value_that_would_be_read_as_another_is_refused(resolve: Any, name: str, key: str, values: dict[str, int], wanted: str) -> None:
    for value, fits in values.items():
        problems = resolve(name, override={"env": {key: value}}, accept_untested=True)["problems"]
        assert [f"override.env.{key}: found {value!r}; wanted {wanted}" in problem for problem in problems] == [True] * (not fits), problems


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
