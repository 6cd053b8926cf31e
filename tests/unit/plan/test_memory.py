"""The memory floor against the budgets of the field reports: none of the nine profiles may be ended by its own default."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _preflight
from ansible_collections.gx10.serving.plugins.module_utils.plan import _checkpoint, _memory, _parameters, _resolve, _sources
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from conftest import ROOT, UNKNOWN, hostvars

sys.path.insert(0, str(ROOT / "roles/engine/files/supervisor"))
import memory as supervisor_memory

REPORTED = sorted(path.stem for path in (ROOT / "model_profiles").glob("*.yml") if not path.stem.startswith(("sim-", "qwen397-mtp5")))


def planned(name: str, **site: Any) -> Plan:
    variables = hostvars(**site)
    found = _resolve.resolve(_sources.read(name), variables, list(variables), None, True)
    assert found["plan"], found["message"]
    return found["plan"]


def watch(readings: list[float], floor: float, step: float = 0.5) -> str | None:
    """Feed the supervisor's floor one reading every half second, as it looks."""
    now = [0.0]
    rest = iter(readings)
    guard = supervisor_memory.Floor(floor, read=lambda: next(rest), clock=lambda: now[0])
    for _reading in readings:
        verdict = guard.crossed()
        if verdict:
            return verdict
        now[0] += step
    return None


@pytest.mark.parametrize("name", REPORTED)
def test_a_healthy_engine_at_its_own_budget_is_left_alone(name: str) -> None:
    """The tightest node of the reports: 111.27 GiB seen, the whole budget taken, and 1 GiB more, as the reports' ranks differ."""
    plan = planned(name)
    budget = plan["memory"]["budget_gib"]
    assert budget
    # With 121.69 GiB, the largest total of the field, a share takes more, and the same is free.
    largest = plan["memory"]["share"] * 121.69 if plan["memory"]["share"] else budget
    free = _memory.VISIBLE_GIB - min(largest, 110.0) - 0.3
    assert free > plan["nodes"][0]["memory_floor_gib"]
    assert watch([free] * 600, plan["nodes"][0]["memory_floor_gib"]) is None


def test_the_old_floor_would_have_ended_the_reports_largest_budget() -> None:
    budget = planned("nemotron3-ultra")["memory"]["budget_gib"]
    assert budget
    free = _memory.VISIBLE_GIB - budget
    assert watch([free] * 10, 8.0) is not None


def test_a_dip_is_no_collapse_and_a_collapse_is_ended_in_two_seconds() -> None:
    assert watch([4.0, 0.1, 0.1, 0.1, 4.0] * 20, 0.8) is None
    verdict = watch([4.0, 0.1, 0.1, 0.1, 0.1, 0.1], 0.8)
    assert verdict is not None
    assert "less than 0.8 GiB of memory available for 2 s (0.1 now)" in verdict


@pytest.mark.parametrize(("name", "floor"), [("nemotron3-ultra", 0.8), ("qwen397-mtp2", 0.8), ("nex-n2-mini", 0.8), ("sim-tiny-tp4", 2.0)])
def test_the_floor_follows_the_budget(name: str, floor: float) -> None:
    assert planned(name)["memory"]["floor_gib"] == floor


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
    memory = planned("nemotron3-super-sglang")["memory"]
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


@pytest.mark.parametrize(
    ("budget", "most", "said"),
    # Half of what the budget leaves, never under the least; rounded down for people.
    [(108, 1.635, "at most 1.6 GiB"), (110.27, 0.5, "at most 0.5 GiB"), (111, 0.5, "at most 0.5 GiB")],
)
def test_the_sites_floor_leaves_half_to_a_healthy_engine(budget: float, most: float, said: str) -> None:
    found = estimate(gpu_memory_utilization_gb=budget)
    assert _memory.problems(found, None, "p") == _memory.problems(found, most, "p") == []
    (problem,) = _memory.problems(found, most + 0.001, "p")
    assert (problem.key, problem.wanted.split(" with")[0]) == ("gx10_memory_floor_gib", said)
    assert _memory.problems(estimate(None), 100.0, "p") == []


@pytest.mark.parametrize(("leaves", "gib"), [(100.0, 8.0), (32.0, 8.0), (20.0, 5.0), (3.27, 0.8), (2.0, 0.5), (0.1, 0.5)])
def test_the_floor_is_a_quarter_within_bounds(leaves: float, gib: float) -> None:
    found = estimate(gpu_memory_utilization_gb=round(111.27 - leaves, 2))
    floor = _memory.floor(found, None)
    assert (floor["floor_gib"], floor["needs_gib"]) == (gib, round(111.27 - leaves + gib, 2))


def test_a_start_needs_the_budget_or_the_weights_and_the_floor() -> None:
    cpus = _memory.floor(estimate(None), None)
    assert (cpus["floor_gib"], cpus["needs_gib"]) == (2.0, 29.5)
    site = _memory.floor(estimate(gpu_memory_utilization_gb=100), 3.0)
    assert (site["floor_gib"], site["floor_because"], site["needs_gib"]) == (3.0, "gx10_memory_floor_gib", 103.0)
    unknown = estimate(None)
    unknown["weights_gib"] = None
    assert _memory.floor(unknown, 1.0)["needs_gib"] == 8.5


def test_a_floor_that_the_budget_crosses_is_refused_with_numbers(resolve: Any) -> None:
    (problem,) = resolve("nemotron3-ultra", variables=hostvars(gx10_memory_floor_gib=8))["problems"]
    assert "gx10_memory_floor_gib: found 8 GiB; wanted at most 1.6 GiB with" in problem
    assert "The budget of 108 GiB leaves 3.27 of the 111.27 GiB" in problem
    assert planned("nemotron3-ultra", gx10_memory_floor_gib=1.5)["memory"]["floor_gib"] == 1.5


@pytest.mark.parametrize("value", ["8 GiB", -1, True, [8], "nan", ""])
def test_a_floor_that_is_no_number(resolve: Any, value: Any) -> None:
    (problem,) = resolve("sim-tiny-tp2", variables=hostvars(gx10_memory_floor_gib=value))["problems"]
    assert "gx10_memory_floor_gib" in problem
    assert "GiB as a number" in problem


def test_the_plan_says_what_a_start_needs_and_when_a_rank_is_ended(resolve: Any) -> None:
    from ansible_collections.gx10.serving.plugins.module_utils.plan import _commands

    text = _commands.commands(planned("nemotron3-ultra"))
    assert "#   needs 108.8 GiB available on each node before a start" in text
    assert "#   the supervisor ends a rank under 0.8 GiB available: a quarter of the 3.27 GiB that the budget leaves of 111.27" in text


def info(available: float) -> Any:
    return {
        "addresses": [f"192.168.177.1{number}" for number in range(1, 5)], "missing_tools": [], "docker": {"error": ""}, "disk": {},
        "journal": True, "hardware": UNKNOWN,
        "memory": {"total": 119 * 1024**3, "available": int(available * 1024**3)},
    }  # fmt: skip


def refusals(plan: Plan, available: float, engine: Any = None) -> list[str]:
    names = [node["name"] for node in plan["nodes"]]
    infos = {name: info(available if name == "gx10-2" else 115.0) for name in names}
    return _preflight.node_problems(plan, infos, {name: engine for name in names if engine}, names)


def test_preflight_compares_what_is_available_with_what_the_plan_needs() -> None:
    plan = planned("nemotron3-ultra")
    assert refusals(plan, 111.27) == []
    (problem,) = refusals(plan, 40.0)
    assert problem.startswith("gx10-2: memory: found 40.0 GiB available; wanted at least 108.8 GiB")
    assert "budget of 108 GiB" in problem


def test_as_much_as_a_start_needs_is_enough() -> None:
    plan = planned("nemotron3-ultra")
    assert [len(refusals(plan, available)) for available in (108.8001, 108.79)] == [0, 1]
    # A share is one of the node's own total of 119 GiB: 107.1, and the floor of 0.8.
    share = planned("qwen397-mtp2")
    assert [len(refusals(share, available)) for available in (107.9001, 107.89)] == [0, 1]
    (problem,) = refusals(planned("sim-tiny-tp4"), 1.0)
    assert "at least 9.5 GiB: weights and reserve and a floor of 2 GiB" in problem


@pytest.mark.parametrize(
    ("memory", "enough"),
    # Two GiB beside its budget come back: of a share of 119 GiB, or in GiB. A record of an older release says nothing of use.
    [({"budget_gib": 50, "share": 0.5}, 47.3001), ({"budget_gib": 50, "share": None}, 56.8001), ({"budget_gib": 50}, None), ({}, None)],
)
def test_what_an_engine_gives_back_is_what_its_record_says(memory: Any, enough: float | None) -> None:
    plan = planned("nemotron3-ultra")
    runs = {
        "containers": [{"running": False, "status": {}}, {"running": True, "status": {}}],
        "listeners": [],
        "record": {"plan": {"memory": memory}},
    }
    assert refusals(plan, 0.0 if enough is None else enough, runs) == []
    assert len(refusals(plan, 0.0 if enough is None else enough - 0.01, runs)) == (enough is not None)


def test_what_our_own_engine_holds_comes_back() -> None:
    plan = planned("nemotron3-ultra")
    runs = {
        "containers": [{"running": True, "status": {"phase": "serving"}}],
        "listeners": [],
        "record": {"plan": {"memory": {"budget_gib": 107.73, "share": 0.9}}},
    }
    assert refusals(plan, 3.6, runs) == []
    (problem,) = refusals(plan, -2.0, runs)
    assert "found -2.0 GiB available and 109.1 GiB that the running engine gives back" in problem
    # Nobody knows what it holds: an unknown refuses nobody.
    assert refusals(plan, 3.0, {"containers": [{"running": True, "status": {"phase": "serving"}}], "listeners": [], "record": {}}) == []
    # One that has ended, or waits for its group, holds nothing.
    for phase in ("waiting", "failed"):
        waits = {"containers": [{"running": True, "status": {"phase": phase}}], "listeners": [], "record": runs["record"]}
        assert len(refusals(plan, 3.6, waits)) == 1
    assert len(refusals(plan, 3.0, {"containers": [{"running": False, "status": {}}], "listeners": [], "record": runs["record"]})) == 1


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
