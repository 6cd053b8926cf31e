"""The rules that hold beyond one model, at their bounds. That each fires on a report's mistake: test_lessons.py."""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _rules

OFFLINE = {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1"}


def check(profile: Any, versions: Any, cuda: Any = None) -> Any:
    return _rules.check(_rules.view(profile, {"expect": {"versions": versions, "cuda": cuda}}, "p"))


def broken(args: Any = None, engine: str = "vllm", env: Any = OFFLINE, versions: Any = None, repo: str = "a/b") -> list[str]:
    """Keys of the broken rules."""
    profile = {"engine": engine, "args": args or {}, "env": env, "model": {"repo": repo}}
    return [problem.key for problem in check(profile, versions or {})[0]]


@pytest.mark.parametrize(
    ("key", "least", "most", "beyond"),
    [
        ("gpu-memory-utilization", 0.001, 0.9, (0, -1, 0.901)),
        ("gpu-memory-utilization-gb", 0.001, 110, (0, -1, 110.001)),
        ("mem-fraction-static", 0.001, 0.999, (0, -1, 1)),
    ],
)
def test_budgets_have_bounds(key: str, least: float, most: float, beyond: tuple[float, ...]) -> None:
    assert [broken({key: value}) for value in (least, most)] == [[], []]
    assert [broken({key: value}) for value in beyond] == [[f"args.{key}"]] * len(beyond)


def test_a_budget_that_only_a_mod_knows_is_a_number() -> None:
    # The engines' own have a type in their tables.
    key = "gpu-memory-utilization-gb"
    assert [broken({key: value}) for value in ("0.5", True, None)] == [[f"args.{key}"]] * 3


def test_one_budget_and_no_way_around_it() -> None:
    assert broken({"gpu-memory-utilization": 0.5, "gpu-memory-utilization-gb": 50}) == ["args.gpu-memory-utilization-gb"]
    assert broken({"gpu-memory-utilization-gb": 50, "kv-cache-memory-bytes": 1}) == ["args.kv-cache-memory-bytes"]
    assert broken({"gpu-memory-utilization": 0.5, "kv-cache-memory-bytes": 1}) == []


def test_without_a_word_the_hub_is_asked() -> None:
    assert broken(env={}) == ["env.HF_HUB_OFFLINE", "env.TRANSFORMERS_OFFLINE"]


@pytest.mark.parametrize(
    ("args", "cuda", "keys"),
    [
        ({}, "13.0", ["args.gpu-memory-utilization"]), ({}, None, []), ({"gpu-memory-utilization": 0.9}, "13.0", []),
        ({"gpu-memory-utilization-gb": 100}, "13.0", []), ({"kv-cache-memory-bytes": 1}, "13.0", []),
    ],
)  # fmt: skip
def test_a_share_left_out_is_the_engines(args: Any, cuda: Any, keys: list[str]) -> None:
    """0.92 by vLLM's tables. An image for CPUs has none, SGLang computes its own, and two flags stand for it."""
    found = check({"engine": "vllm", "args": args, "env": OFFLINE}, {"vllm": "==0.22.1"}, cuda)[0]
    assert [problem.key for problem in found] == keys
    assert all("found nothing, which is 0.92; wanted more than 0 and at most 0.90" in str(problem) for problem in found)
    assert check({"engine": "sglang", "args": args, "env": OFFLINE}, {}, cuda)[0] == []


@pytest.mark.parametrize(("default", "keys"), [(0.9, []), (0.901, ["args.gpu-memory-utilization"]), (None, [])])
def test_a_default_has_the_same_ceiling(default: float | None, keys: list[str]) -> None:
    seen = _rules.view({"engine": "vllm", "env": OFFLINE}, {"expect": {"versions": {"vllm": "==0.22.1"}}}, "p")
    assert seen.table
    table = dataclasses.replace(seen.table, flags={"gpu-memory-utilization": {"type": "float", "default": default}})
    assert [problem.key for problem in _rules.check(dataclasses.replace(seen, table=table))[0]] == keys
    assert _rules.check(dataclasses.replace(seen, table=None))[0] == []
    (said,) = check({"engine": "vllm", "env": OFFLINE, "args": {"gpu-memory-utilization": 0.95}}, {})[0]
    assert (said.found, said.code) == ("0.95", "out-of-range")
    assert broken({"kv-cache-dtype": "nvfp4"}) == ["args.kv-cache-dtype"] and broken({"kv-cache-dtype": "fp8"}) == []


def test_backends_are_sglangs() -> None:
    super_, fp8 = "nvidia/NVIDIA-Nemotron-3-Super-120B-A12B-NVFP4", "a/Nemotron-FP8"
    for key in ("attention-backend", "prefill-attention-backend", "decode-attention-backend"):
        assert broken({key: "triton"}, "sglang", repo=super_) == [f"args.{key}"]
        assert broken({key: "flashinfer"}, "sglang", repo=super_) == []
        assert broken({key: "triton"}, "vllm", repo=super_) == []
        # Only NemotronH asserts it off.
        assert broken({key: "triton"}, "sglang", repo="openai/gpt-oss-120b") == []
    assert broken({"moe-runner-backend": "triton"}, "sglang", repo=super_) == ["args.moe-runner-backend"]
    assert broken({"moe-runner-backend": "triton", "quantization": "modelopt_fp4"}, "sglang", repo=fp8) == ["args.moe-runner-backend"]
    # The field runs others in NVFP4 so; flashinfer_cutlass asserts on this one.
    assert broken({"moe-runner-backend": "triton"}, "sglang", repo="nvidia/Llama-4-Scout-17B-16E-Instruct-NVFP4") == []
    # Which image lacks cuDNN, the profiles with that image say in their limits.
    assert broken({"fp4-gemm-backend": "flashinfer_cudnn"}, "sglang", repo=super_) == []
    assert broken({"moe-runner-backend": "triton"}, "sglang", repo=fp8) == []


@pytest.mark.parametrize(("version", "keys"), [(">=5.1", []), ("==5.0", []), (">=4.57", ["image"]), ("<5", ["image"]), ("", [])])
def test_qwens_drafter_wants_transformers_5(version: str, keys: list[str]) -> None:
    def said(method: str) -> Any:
        profile = {"engine": "vllm", "env": OFFLINE, "args": {"speculative-config": {"method": method}}, "image": "mine"}
        found, warned = check(profile, {"transformers": version})
        return [problem.key for problem in found], [text for text in warned if "transformers" in text]

    # Of what an image does not say, nobody knows.
    text = "image: mine says nothing of transformers in its image.yml, and the qwen3_next_mtp configuration classes are in transformers 5"
    assert said("qwen3_next_mtp") == (keys, [] if version else [text])
    assert said("mtp") == ([], [])


@pytest.mark.parametrize(
    ("version", "problems", "warnings"),
    [
        *[("==0.21.9", 0, 0), ("==0.22.0", 0, 1), ("==0.22.9", 0, 1), ("==0.23.0", 1, 0), ("==0.24.0", 1, 0)],
        # Not pinned: nobody knows.
        *[(">=0.23", 0, 0), ("", 0, 0)],
    ],
)
def test_a_renamed_variable_warns_then_is_refused(version: str, problems: int, warnings: int) -> None:
    profile = {"engine": "vllm", "env": {**OFFLINE, "VLLM_FLASHINFER_MOE_BACKEND": "x"}}
    found, said = check(profile, {"vllm": version, "sglang": version})
    found = [problem for problem in found if problem.code != "below-floor"]
    assert (len(found), len(said)) == (problems, warnings)
    assert all("VLLM_FLASHINFER_MOE_BACKEND" in str(text) and "args.moe-backend" in str(text) for text in [*found, *said])
    assert check({**profile, "engine": "sglang"}, {"sglang": version}) == ([], [])


@pytest.mark.parametrize(("version", "warnings"), [("==0.22.1rc1.dev123", 0), ("==0.22.1rc1.dev124", 1), ("==0.30.0", 1)])
def test_a_renamed_method_warns(version: str, warnings: int) -> None:
    def warned(method: str) -> Any:
        profile = {"engine": "vllm", "env": OFFLINE, "args": {"speculative-config": {"method": method}}}
        return check(profile, {"vllm": version, "transformers": ">=5"})[1]

    assert ["qwen3_next_mtp is deprecated" in text for text in warned("qwen3_next_mtp")] == [True] * warnings
    assert warned("mtp") == []


def test_parts_of_a_wrong_type_are_empty() -> None:
    found = check({"engine": None, "args": [], "env": "x"}, ["vllm"])
    assert ([problem.key for problem in found[0]], found[1]) == (["env.HF_HUB_OFFLINE", "env.TRANSFORMERS_OFFLINE"], [])
    assert broken({"speculative-config": "qwen3_next_mtp"}) == []
    for drafts, found in (([{"repo": "a/b"}, "x", {"repo": "c/d"}], ["a/b", "c/d"]), ("a/b", []), (None, [])):
        assert _rules.view({"model": {"drafts": drafts}}, {}, "p").drafts == found
