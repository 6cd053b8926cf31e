"""Every lesson of the field reports fires: an override that repeats the mistake gives exactly its problem, with the reason."""

from __future__ import annotations

import re
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _limits
from conftest import ROOT, edited, hostvars
from hypothesis import given, settings
from hypothesis import strategies as st

SAMPLE = yaml.safe_load((ROOT / "inventories/sample/group_vars/gx10.yml").read_text())


def args(**values: Any) -> dict[str, Any]:
    return {"args": {key.replace("_", "-"): value for key, value in values.items()}}


def env(**values: Any) -> dict[str, Any]:
    return {"env": values}


def speculate(method: str, tokens: int) -> dict[str, Any]:
    return {"args": {"speculative-config": {"method": method, "num_speculative_tokens": tokens}}}


QWEN, NEX, ULTRA, MINI, SUPER = "qwen397-mtp2", "nex-n2-pro", "nemotron3-ultra", "nex-n2-mini", "nemotron3-super-sglang"
# id: (profile, override, what each problem contains). The ids stand in docs/lessons.md.
CASES: dict[str, tuple[str, dict[str, Any], list[str | tuple[str, ...]]]] = {
    "mtp5-crash": (QWEN, speculate("qwen3_next_mtp", 5), ["found 5; wanted at most 2. Reason: 5 crashed all ranks"]),
    "mtp3-untested": (QWEN, speculate("qwen3_next_mtp", 3), ["found 3; wanted at most 2"]),
    "memory-0.92": (
        QWEN,
        args(gpu_memory_utilization=0.92),
        ["found 0.92; wanted more than 0 and at most 0.90. Reason: 0.92 crashed twice"],
    ),
    "memory-zero": (QWEN, args(gpu_memory_utilization=0), ["found 0; wanted more than 0"]),
    "sglang-memory-share": (
        SUPER,
        args(mem_fraction_static=5.0),
        ["args.mem-fraction-static: found 5.0; wanted more than 0 and less than 1"],
    ),
    "sglang-memory-negative": (
        SUPER,
        args(mem_fraction_static=-1),
        ["args.mem-fraction-static: found -1; wanted more than 0 and less than 1"],
    ),
    "memory-two-budgets": (ULTRA, args(gpu_memory_utilization=0.85), ["two budgets contradict"]),
    "memory-gb-without-mod": (QWEN, args(gpu_memory_utilization=None, gpu_memory_utilization_gb=100), ["unknown flag of vllm serve"]),
    "memory-gb-cap": (ULTRA, args(gpu_memory_utilization_gb=112), ["110 is the firm cap", "at most 108"]),
    "memory-gb-110": (
        ULTRA,
        args(gpu_memory_utilization_gb=110),
        ["found 110; wanted at most 108. Reason: 110 boots and runs out of memory"],
    ),
    "memory-gb-below-105": (ULTRA, args(gpu_memory_utilization_gb=104), [("at least 105", "give up MTP first")]),
    "memory-kv-bytes": (ULTRA, args(kv_cache_memory_bytes=10**9), ["kv-cache-memory-bytes skips the check of free memory"]),
    "batched-16384": (ULTRA, args(max_num_batched_tokens=16384), ["wanted at most 8192. Reason: 16384 ran the NVRM driver out of memory"]),
    "batched-2096": (MINI, args(max_num_batched_tokens=2048), ["wanted at least 2096. Reason: Mamba block alignment"]),
    "seqs-6": (ULTRA, args(max_num_seqs=8), ["wanted at most 6"]),
    "context-262144-qwen": (QWEN, args(max_model_len=1_000_000), ["wanted at most 262144. Reason: max_position_embeddings"]),
    "context-262144-ultra": (ULTRA, args(max_model_len=1_000_000), ["the model card's 1M is marketing"]),
    "long-context-env": (ULTRA, env(VLLM_ALLOW_LONG_MAX_MODEL_LEN="1"), ["prone to NaN"]),
    "expandable-segments": (ULTRA, env(PYTORCH_CUDA_ALLOC_CONF=None), ["found nothing; wanted 'expandable_segments:True'"]),
    "offline-hub": (QWEN, env(HF_HUB_OFFLINE=None), ["env.HF_HUB_OFFLINE: found nothing; wanted '1'"]),
    "offline-transformers": (NEX, env(TRANSFORMERS_OFFLINE="0"), ["env.TRANSFORMERS_OFFLINE: found '0'; wanted '1'"]),
    "kv-fp8": (ULTRA, args(kv_cache_dtype="auto"), ["found 'auto'; wanted 'fp8'. Reason: the KV cache is the bottleneck"]),
    "kv-nvfp4": (QWEN, args(kv_cache_dtype="nvfp4"), ["needs torch.nvfp4, which is not public"]),
    "mamba-backend": (ULTRA, args(mamba_backend="triton"), ["the Triton Mamba kernel is slower", "rounds on data center Blackwell alone"]),
    "mamba-ssm-dtype": (
        ULTRA,
        args(mamba_ssm_cache_dtype="float32"),
        ["fp32 SSM state doubles the cache", "stochastic-rounding asks for it"],
    ),
    "stochastic-rounding": (ULTRA, args(enable_mamba_cache_stochastic_rounding=None), ["without it fp16 SSM state degrades"]),
    "moe-backend": (ULTRA, args(moe_backend="triton"), ["found 'triton'; wanted 'flashinfer_cutlass'"]),
    "reasoning-parser": (ULTRA, args(reasoning_parser="qwen3"), ["found 'qwen3'; wanted 'nemotron_v3'"]),
    "tool-parser": (ULTRA, args(tool_call_parser="hermes"), ["found 'hermes'; wanted 'qwen3_coder'"]),
    "fuse-allreduce-rms": (
        ULTRA,
        {"args": {"compilation-config": {"pass_config": {"fuse_allreduce_rms": True}}}},
        ["fuse_allreduce_rms: found True; wanted False"],
    ),
    "ultra-mtp5": (ULTRA, speculate("nemotron_h_mtp", 5), ["MTP-5 was only validated at 65536"]),
    "transformers-5": (QWEN, {"image": "vllm-node-tf5"}, ["an image whose image.yml asks for transformers >=5"]),
    "nex-without-mod": (NEX, {"mods": []}, [("mods: found no nex-fp8-loader", "w2_weight_scale")]),
    "mod-on-other-checkpoint": (QWEN, {"mods": ["nex-fp8-loader"]}, ["nex-fp8-loader only with nex-agi/Nex-N2-Pro-fp8"]),
    "ultra-without-mods": (ULTRA, {"mods": []}, ["no nemotron-ultra", "unknown flag of vllm serve"]),
    "sglang-attention-triton": (
        SUPER,
        args(attention_backend="triton"),
        ["wanted 'flashinfer'. Reason: SGLang asserts triton attention off"],
    ),
    "sglang-moe-triton": (SUPER, args(moe_runner_backend="triton"), ["mismatch in expected n", "triton ends at start"]),
    "sglang-fp4-cudnn": (SUPER, args(fp4_gemm_backend="flashinfer_cudnn"), ["cuDNN is not available"]),
    "sglang-eagle-5-5": (
        SUPER,
        args(speculative_num_steps=5, speculative_num_draft_tokens=5),
        ["num-steps: found 5", "num-draft-tokens: found 5"],
    ),
    "token-in-env": (MINI, env(HF_TOKEN="hf_x"), ["it would stand in docker inspect"]),
    "api-key-in-argv": (QWEN, args(api_key="x"), ["it would stand in every process list"]),
    "keep-alive": (QWEN, env(VLLM_KEEP_ALIVE_ON_ENGINE_DEATH="0"), ["it keeps a dead engine answering"]),
    "wrong-executor": (QWEN, {"executor": "sglang"}, ["found 'sglang' with engine vllm; wanted mp or ray or solo"]),
    "sglang-over-ray": (SUPER, {"executor": "ray"}, ["found 'ray' with engine sglang; wanted sglang or solo"]),
    "published-port-on-four-nodes": (QWEN, {"container": {"publish": ["8000:8000"]}}, ["wanted one node"]),
    "too-many-ranks": (QWEN, {"parallel": {"tensor": 8}}, ["8 GPUs; wanted at most 4"]),
    "override-no-mapping": (QWEN, ["x"], ["override: found ['x']; wanted a mapping"]),  # type: ignore[dict-item]
    "override-unknown-key": (QWEN, {"arg": {"x": 1}}, ["arg: found an unknown key"]),
}


def resolve(name: str, override: Any) -> Any:
    variables = hostvars(**SAMPLE)
    return _resolve.resolve(_sources.read(name), variables, list(variables), override)


@pytest.mark.parametrize("lesson", CASES)
def test_lesson_fires(lesson: str) -> None:
    name, override, expected = CASES[lesson]
    found = resolve(name, override)
    assert found["plan"] is None
    assert len(found["problems"]) == len(expected), found["message"]
    for texts in expected:
        wanted = (texts,) if isinstance(texts, str) else texts
        assert any(all(text in problem for text in wanted) for problem in found["problems"]), (wanted, found["problems"])


@pytest.mark.parametrize("name", [QWEN, NEX, ULTRA, MINI, SUPER])
def test_without_the_mistake_it_plans(name: str) -> None:
    assert resolve(name, {})["problems"] == []


def test_an_override_is_a_deviation() -> None:
    plan = resolve(QWEN, {"args": {"max-num-seqs": 8, "reasoning-parser": None}})["plan"]
    assert plan["deviations"] == [
        {"key": "args.max-num-seqs", "profile": 16, "launch": 8},
        {"key": "args.reasoning-parser", "profile": "qwen3", "launch": None},
    ]
    assert "--reasoning-parser" not in plan["nodes"][0]["engine"]["argv"]
    assert plan["hash"] != resolve(QWEN, {})["plan"]["hash"]


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("limits", []), ("limits", None), ("provenance", {"status": "measured"}), ("expect", {"speculative": {"min_acceptance": 0}}),
        ("model", {"repo": "a/b"}), ("model", {"size_gib": 1}), ("probes", {"min_right": 1}), ("engine", "sglang"), ("warnings", []),
        ("summary", "x"),
    ],
)  # fmt: skip
def test_a_launch_changes_how_and_not_what_is_served(key: str, value: Any) -> None:
    found = resolve("qwen397-mtp5", {key: value})
    first = [problem for problem in found["problems"] if problem.startswith(f"command line: override.{key}: ")]
    assert len(first) == 1 and first[0].endswith("[not-overridable]")
    # It changes nothing: what is refused as it stands stays so.
    assert any("provenance.status: found 'refused'" in problem for problem in found["problems"])
    assert len(found["problems"]) == 2


@pytest.mark.parametrize(
    ("name", "override", "key"),
    [
        (QWEN, {"args": {"q": "awq"}}, "args.quantization"),
        (QWEN, {"args": {"dcp": 3}}, "args.decode-context-parallel-size"),
        (QWEN, {"args": {"dp": 2}}, "args.data-parallel-size"),
        (ULTRA, {"env": {"PYTORCH_ALLOC_CONF": "max_split_size_mb:1"}}, "env.PYTORCH_CUDA_ALLOC_CONF"),
    ],
)
def test_what_a_launch_says_by_another_name_is_the_launchs(name: str, override: Any, key: str) -> None:
    (problem,) = resolve(name, override)["problems"]
    assert problem.startswith(f"command line: override.{key}: found ")


def test_the_files_own_problem_stays_the_files_beside_a_launch() -> None:
    sources = edited(_sources.read(QWEN), limits=[{"arg": "sc.num_speculative_tokens", "max": 1, "because": "x"}])
    variables = hostvars(**SAMPLE)
    (problem,) = _resolve.resolve(sources, variables, list(variables), {"args": {"asc": 1}})["problems"]
    assert "qwen397-mtp2.yml: args.speculative-config.num_speculative_tokens: found 2; wanted at most 1" in problem


def test_what_is_as_in_the_profile_is_no_deviation() -> None:
    profile = yaml.safe_load((ROOT / f"model_profiles/{QWEN}.yml").read_text())
    assert resolve(QWEN, {"limits": profile["limits"]})["plan"] == resolve(QWEN, {})["plan"]
    assert resolve(QWEN, {"args": {"max-num-seqs": 16}})["plan"] == resolve(QWEN, {})["plan"]


def test_a_renamed_variable_is_refused_where_the_engine_dropped_it() -> None:
    sources = _sources.read(ULTRA)
    sources["images"]["vllm-node"]["text"] = sources["images"]["vllm-node"]["text"].replace("==0.22.1rc1.dev124", "==0.23.1")
    variables = hostvars(**SAMPLE)
    (problem,) = _resolve.resolve(sources, variables, list(variables), env(VLLM_FLASHINFER_MOE_BACKEND="throughput"))["problems"]
    assert "found 'VLLM_FLASHINFER_MOE_BACKEND'; wanted args.moe-backend. Reason: removed in vllm 0.23.0" in problem


def test_a_deprecated_method_warns() -> None:
    assert any("the new name is mtp" in text for text in resolve(QWEN, {})["plan"]["warnings"])


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
KEYS = st.sampled_from(
    ["args", "env", "model", "parallel", "container", "mods", "limits", "image", "engine", "executor", "expect", "provenance"]
)


@given(
    st.dictionaries(
        KEYS, JSON | st.dictionaries(st.sampled_from(["tensor", "repo", "name", "max-model-len", "HF_HUB_OFFLINE"]), JSON), max_size=4
    )
)
@settings(max_examples=2000, deadline=None)
def test_any_override_gives_a_plan_or_problems(override: dict[str, Any]) -> None:
    sources, variables = SOURCES, hostvars(**SAMPLE)
    found = _resolve.resolve(sources, variables, list(variables), override)
    assert (found["plan"] is None) == bool(found["problems"])


SOURCES = _sources.read("sim-tiny-tp2")


def rows() -> list[list[str]]:
    """The table of docs/lessons.md: number, lesson, source, phase, check, proof."""
    lines = [line for line in (ROOT / "docs/lessons.md").read_text().splitlines() if re.match(r"\| *\d+ ", line)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_lesson_has_a_check_that_fires_or_a_reason() -> None:
    tests = "\n".join(path.read_text() for path in [*ROOT.glob("tests/**/*.py"), *ROOT.glob("molecule/*/tests/**/*.py")])
    found = rows()
    assert [int(row[0]) for row in found] == list(range(1, len(found) + 1))
    assert len(found) >= 38
    cited = set()
    for number, _lesson, source, phase, check, proof in found:
        assert source and phase and check, number
        names = re.findall(r"`([^`]+)`", proof)
        if check.startswith("not checked:"):
            assert len(check) > 30 and not names, f"lesson {number}: a reason and no proof"
            continue
        assert names, f"lesson {number} names no test"
        for name in names:
            assert name in CASES or f"def {name}(" in tests, f"lesson {number}: there is no test {name}"
        cited |= set(names)
    general = {
        "wrong-executor",
        "sglang-over-ray",
        "published-port-on-four-nodes",
        "too-many-ranks",
        "override-no-mapping",
        "override-unknown-key",
        "memory-zero",
        "sglang-memory-share",
        "sglang-memory-negative",
        "keep-alive",
    }
    assert set(CASES) - cited <= general, "cases that no lesson names"


def test_limits_go_down_into_json() -> None:
    assert _limits.value_of({"a": {"b": {"c": 3}}}, "a.b.c") == 3
    assert _limits.value_of({"a": 1}, "a.b") is None
