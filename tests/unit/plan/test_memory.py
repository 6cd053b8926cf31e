"""The memory of one rank: its budget, weights, drafter and cache, counted from what profile and config.json say."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _checkpoint, _memory, _parameters
from conftest import launch

CONFIG = {"num_hidden_layers": 4, "num_key_value_heads": 4, "num_attention_heads": 8, "head_dim": 64}


def estimate(cuda: Any = "13.0", checkpoint: Any = CONFIG, expect: Any = None, **args: Any) -> Any:
    """Two by two ranks of a model of 80 GiB."""
    profile: Any = {"engine": "vllm", "parallel": {"tensor": 2, "pipeline": 2}, "model": {"size_gib": 80}, "expect": expect or {}}
    profile["args"] = {key.replace("_", "-"): value for key, value in args.items()}
    image: Any = {"expect": {"cuda": cuda} if cuda != "any" else {}}
    return _memory.estimate(profile, image, {"config": checkpoint, "tensors": [], "path": "/m"} if checkpoint else None)


def test_an_estimate_is_one_ranks() -> None:
    assert estimate(gpu_memory_utilization_gb=100) == {
        "weights_gib": 20.0,
        "drafter_gib": 0.0,
        "reserve_gib": 7.5,
        "states_gib": 0.0,
        "share": None,
        "budget_gib": 100,
        "host_gib": 0.0,
        "leaves_gib": 11.27,
        "kv_cache_gib": 72.5,
        # Keys and values of two of the four layers, two of the four heads, 64 numbers of two bytes each.
        "kv_bytes_per_token": 1024.0,
        "kv_cache_tokens": int(72.5 * 2**20),
        "requests": 4751360.0,
        "request_gib": 0.0,
        "reported": {"kv_cache_gib": None, "kv_cache_tokens": None},
    }


@pytest.mark.parametrize(
    ("cuda", "args", "share", "budget"),
    [
        ("13.0", {}, 0.92, 110.12),
        # No word about CUDA says nothing; null is an image for CPUs.
        *[("any", {}, 0.92, 110.12), (None, {}, None, None)],
        *[(None, {"gpu_memory_utilization": 0.5}, 0.5, 59.85), ("13.0", {"mem_fraction_static": 0.5}, 0.5, 59.85)],
        ("13.0", {"gpu_memory_utilization": 0.5, "gpu_memory_utilization_gb": 60}, None, 60),
    ],
)
def test_the_budget_is_of_the_profile_or_the_engine(cuda: Any, args: Any, share: float | None, budget: float | None) -> None:
    found = estimate(cuda, **args)
    assert (found["share"], found["budget_gib"]) == (share, budget)
    assert found["leaves_gib"] == (None if budget is None else round(111.27 - budget, 2))
    assert (found["kv_cache_tokens"] is None) is (budget is None)


DRAFTS = {"method": "mtp", "num_speculative_tokens": 2}


def counted(**args: Any) -> Any:
    """Four ranks of a published checkpoint whose parameters are counted."""
    profile: Any = {"engine": "vllm", "parallel": {"tensor": 4}, "model": {"size_gib": 372}}
    profile["args"] = {"gpu-memory-utilization-gb": 108, **{key.replace("_", "-"): value for key, value in args.items()}}
    return _memory.rank(profile, _memory.Budget(108, None), _checkpoint.known("Qwen/Qwen3.5-397B-A17B-FP8", None))


def test_a_drafter_counts_once_and_by_its_step() -> None:
    alone = counted()
    assert alone["drafter_gib"] == 0.0
    # A whole vision encoder on each rank, or a quarter of it.
    assert [counted(mm_encoder_tp_mode=mode)["weights_gib"] for mode in ("data", "weights")] == [93.85, 93.21]
    # One layer of 1.55 GiB, and three times 8192 or 16384 tokens of 4096 numbers.
    assert counted(speculative_config=DRAFTS)["drafter_gib"] == 1.74
    assert counted(speculative_config=DRAFTS, max_num_batched_tokens=16384)["drafter_gib"] == 1.92
    assert counted(speculative_config={"method": "mtp"})["drafter_gib"] == 0.0
    # Another method has no layers of the model's, and no states of a drafter.
    assert counted(speculative_config={**DRAFTS, "method": "ngram"})["drafter_gib"] == 0.0
    assert counted(speculative_config=DRAFTS)["kv_cache_gib"] == round(108 - 93.21 - 1.7357 - 7.5, 2)


def test_a_checkpoints_size_has_its_drafter_in_it() -> None:
    shape = {**CONFIG, "hidden_size": 1024}
    assert estimate(gpu_memory_utilization_gb=100, checkpoint=shape, speculative_config=DRAFTS)["drafter_gib"] == 0.05
    profile: Any = {"engine": "vllm", "parallel": {"tensor": 2}, "model": {"size_gib": 80, "drafts": [{"repo": "a/b", "size_gib": 6}]}}
    for tokens, drafter in ((2, 3.0), (0, 0.0)):
        profile["args"] = {"speculative-config": {"method": "eagle", "num_speculative_tokens": tokens}}
        assert _memory.rank(profile, _memory.Budget(100, None), None)["drafter_gib"] == drafter


@pytest.mark.parametrize(("size", "weights"), [(338.0, 84.5), (339.5, 93.21), (414.0, 93.21), (415.0, 103.75), (None, 93.21)])
def test_parameters_of_another_type_than_the_checkpoints_are_not_counted(size: float | None, weights: float) -> None:
    profile: Any = {"engine": "vllm", "parallel": {"tensor": 4}, "model": {} if size is None else {"size_gib": size}}
    found = _memory.rank(profile, _memory.Budget(108, None), _checkpoint.known("Qwen/Qwen3.5-397B-A17B-FP8", None))
    assert found["weights_gib"] == weights


def test_as_far_off_as_may_be_is_still_the_same_type(monkeypatch: pytest.MonkeyPatch) -> None:
    profile: Any = {"engine": "vllm", "parallel": {"tensor": 1}, "model": {"size_gib": 400}}
    checkpoint = _checkpoint.known("Qwen/Qwen3.5-397B-A17B-FP8", None)
    assert checkpoint
    counted = _parameters.count(checkpoint["config"], 1, False)
    assert counted
    monkeypatch.setattr(_memory, "UNLIKE", abs(counted.model / 1024**3 / 400 - 1))
    assert _memory.rank(profile, _memory.Budget(None, None), checkpoint)["weights_gib"] == 372.1


def test_sglang_takes_its_share_of_what_is_free() -> None:
    memory = launch("nemotron3-super-sglang")["memory"]
    assert (memory["budget_gib"], memory["reserve_gib"], memory["states_gib"], memory["requests"]) == (95.76, 6.74, 6.82, 19.0)
    assert memory["kv_cache_gib"] == round(0.8 * _memory.VISIBLE_GIB - 62.4 / 4 - 6.8172, 2)
    assert memory["kv_cache_tokens"] == pytest.approx(66.6 * 2**30 / 2304, rel=1e-4)


def test_what_is_not_known_stays_unknown() -> None:
    assert estimate(checkpoint=None)["kv_cache_tokens"] is None
    assert estimate(gpu_memory_utilization_gb=10)["kv_cache_tokens"] == 0
    assert estimate(kv_cache_dtype="fp8")["kv_bytes_per_token"] == 512.0
    for value, known in ((6.38, 6.38), (6, 6), (True, None), ("6", None)):
        expect = {"bench": {"kv_cache_gib": value}, "kv_cache_tokens": 7}
        assert estimate(expect=expect)["reported"] == {"kv_cache_gib": known, "kv_cache_tokens": 7}


@pytest.mark.parametrize(("budget", "refused"), [(20.0, True), (20.1, False)])
def test_a_budget_holds_the_weights_at_least(budget: float, refused: bool) -> None:
    found = _memory.problems(estimate(gpu_memory_utilization_gb=budget), None, "p")
    assert [problem.code for problem in found] == ["out-of-memory"] * refused


# A request of 4 Mi tokens of 1024 bytes takes 4 GiB; the reserve refuses nobody.
@pytest.mark.parametrize(("budget", "said"), [(20.0, "weights"), (23.9, "one request"), (24.0, ""), (31.0, "")])
def test_a_budget_holds_one_request_of_the_longest_context(budget: float, said: str) -> None:
    found = estimate(gpu_memory_utilization_gb=budget, max_model_len=2**22)
    assert found["request_gib"] == 4.0
    problems = _memory.problems(found, None, "p")
    assert [problem.code for problem in problems] == ["out-of-memory"] * bool(said)
    assert all(said in problem.found for problem in problems)


@pytest.mark.parametrize(("gib", "refused"), [(1, False), (87.73, False), (87.74, True), (200, True)])
def test_a_cache_in_bytes_is_a_budget_with_the_same_ceiling(gib: float, refused: bool) -> None:
    found = estimate(gpu_memory_utilization=0.5, kv_cache_memory_bytes=int(gib * 2**30))
    # Beside 20 GiB of weights and the reserve, whatever the share says.
    assert (found["kv_cache_gib"], found["share"]) == (gib, None)
    assert found["budget_gib"] == pytest.approx(27.5 + gib, abs=0.01)
    # 0.90 of 119.7; the reserve refuses nobody.
    problems = _memory.problems(found, None, "p")
    assert [(one.where, one.key, one.code) for one in problems] == [("p", "args.kv-cache-memory-bytes", "out-of-memory")] * refused
    assert all(one.wanted == "at most 87.73" and "0.90 of 119.7 GiB" in one.hint for one in problems)


def test_a_limit_of_a_budget_holds_for_a_cache_in_bytes() -> None:
    found = estimate(kv_cache_memory_bytes=40 * 2**30)
    for arg, most, refused in (
        *(("gpu-memory-utilization", 0.51, False), ("gpu-memory-utilization", 0.50, True)),
        *(("gpu-memory-utilization-gb", 60, False), ("gpu-memory-utilization-gb", 59.9, True), ("max-num-seqs", 1, False)),
    ):
        problems = _memory.problems(found, None, "p", [{"arg": arg, "max": most, "because": "it broke"}, {"arg": arg, "min": 1}])
        assert [one.hint for one in problems] == [f"Reason: {arg} of at most {most}: it broke."] * refused
    # Without a checkpoint's size the bytes alone are known, and no floor is computed from half of a budget.
    profile: Any = {"engine": "vllm", "parallel": {"tensor": 2}, "model": {}, "args": {"kv-cache-memory-bytes": 108 * 2**30}}
    found = _memory.estimate(profile, {"expect": {"cuda": "13.0"}}, None)  # type: ignore[typeddict-item]
    assert (found["budget_gib"], found["kv_cache_gib"], _memory.floor(found, None)["floor_gib"]) == (None, 108.0, 2.0)
    assert [one.key for one in _memory.problems(found, None, "p")] == ["args.kv-cache-memory-bytes"]
    profile["args"] = {"kv-cache-memory-bytes": int(107.5 * 2**30)}
    assert _memory.problems(_memory.estimate(profile, {"expect": {"cuda": "13.0"}}, None), None, "p") == []  # type: ignore[typeddict-item]


def test_a_cache_in_bytes_dodges_no_limit(resolve: Any) -> None:
    args = {"gpu-memory-utilization": None, "kv-cache-memory-bytes": "100G"}
    (problem,) = resolve("qwen397-mtp2", override={"args": args})["problems"]
    assert problem.startswith("command line: override.args.kv-cache-memory-bytes: found 100.0 GiB per rank, beside 9")
    (problem,) = resolve("qwen397-mtp2", override={"args": {"num-gpu-blocks-override": 10**8}})["problems"]
    assert "a refused flag" in problem and "whatever memory there is" in problem


@pytest.mark.parametrize(
    ("args", "host"),
    [
        # Two by two ranks; a buffer of vLLM's is of all together.
        *[({}, 0.0), ({"cpu_offload_gb": 11}, 11.0), ({"kv_offloading_size": 44}, 11.0), ({"kv_offloading_size": None}, 0.0)],
        *[
            ({"kv_transfer_config": {"kv_connector_extra_config": {"cpu_bytes_to_use": 8 * 2**30}}}, 2.0),
            ({"cpu_offload_gb": 12}, 12.0),
            ({"cpu_offload_gb": 1}, 1.0),
            ({"cpu_offload_gb": 11.27}, 11.27),
        ],
        *[
            ({"kv_transfer_config": {"kv_connector_extra_config": {"cpu_bytes_to_use": "x"}}}, 0.0),
            ({"enable_hierarchical_cache": True}, 0.0),
        ],
    ],
)
def test_what_is_offloaded_to_the_host_is_of_the_same_memory(args: Any, host: float) -> None:
    found = estimate(gpu_memory_utilization_gb=100, **args)
    assert (found["host_gib"], found["leaves_gib"]) == (host, pytest.approx(11.27 - host))
    assert _memory.floor(found, 1.0)["needs_gib"] == 101 + host
    problems = _memory.problems(found, None, "p")
    assert [(one.key, one.code) for one in problems] == [("memory", "out-of-memory")] * (host > 11.27)
    assert all("wanted at most 11.27: the budget of 100 GiB" in str(one) for one in problems)


def test_sglangs_second_cache_is_a_multiple_of_the_first() -> None:
    def host(**args: Any) -> float:
        named = {"mem-fraction-static": 0.5, **{key.replace("_", "-"): value for key, value in args.items()}}
        profile: Any = {"engine": "sglang", "parallel": {"tensor": 2}, "model": {"size_gib": 40}, "args": named}
        found = _memory.estimate(profile, {"expect": {"cuda": "13.0"}}, None)  # type: ignore[typeddict-item]
        # 59.85 less 20 of weights and 4.215 of what was not free.
        assert found["kv_cache_gib"] == pytest.approx(35.63, abs=0.01)
        return found["host_gib"]

    assert host() == host(hicache_size=100) == 0.0
    assert host(enable_hierarchical_cache=True) == pytest.approx(71.27, abs=0.02)
    assert host(enable_hierarchical_cache=True, hicache_ratio=1.5) == pytest.approx(53.45, abs=0.02)
    assert host(enable_hierarchical_cache=True, hicache_size=20, cpu_offload_gb=3) == pytest.approx(21.63, abs=0.01)
    assert host(enable_hierarchical_cache=True, hicache_size=10**8) == round(10**17 / 2**30, 2)
    # Of a cache that nobody knows, no multiple is known.
    args = {"mem-fraction-static": 0.5, "enable-hierarchical-cache": True}
    unknown: Any = {"engine": "sglang", "parallel": {"tensor": 1}, "model": {}, "args": args}
    assert _memory.estimate(unknown, {"expect": {"cuda": "13.0"}}, None)["host_gib"] == 0.0  # type: ignore[typeddict-item]


def test_a_budget_is_said_once_in_gib() -> None:
    share, gib = "gpu-memory-utilization", "gpu-memory-utilization-gb"
    assert _memory.budgeted({share: 0.5}) == {share: 0.5, gib: 59.85}
    for args in ({share: 0.5, gib: 100}, {gib: 100}, {share: True}, {share: "0.5"}, {}):
        assert _memory.budgeted(args) == args


def test_what_is_quantized_already_is_counted() -> None:
    assert counted(quantization="fp8")["weights_gib"] == counted()["weights_gib"]


def test_what_nobody_knows_takes_nothing() -> None:
    assert estimate(gpu_memory_utilization_gb=100, max_model_len="auto")["request_gib"] is None
    mamba = {"mamba_num_heads": 8, "mamba_head_dim": 4, "n_groups": 2, "ssm_state_size": 16, "conv_kernel": 4}
    config = {"num_hidden_layers": 2, "num_key_value_heads": 2, "num_attention_heads": 4, "head_dim": 16, **mamba}
    profile: Any = {"engine": "sglang", "parallel": {"tensor": 1}, "model": {}, "args": {"mem-fraction-static": 0.5}}
    for pattern, requests in (("M*", 0.0), ("**", None)):
        checkpoint: Any = {"config": {**config, "hybrid_override_pattern": pattern}, "tensors": [], "path": "/m"}
        found = _memory.estimate(profile, {"expect": {"cuda": "13.0"}}, checkpoint)  # type: ignore[typeddict-item]
        assert (found["weights_gib"], found["states_gib"], found["requests"]) == (None, 0.0, requests)
