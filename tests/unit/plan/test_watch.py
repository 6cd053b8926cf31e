"""When is an engine wedged? The bounds that the profiles give. tests/unit/node has the judgement, and hours of an engine's life."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _engine
from ansible_collections.gx10.serving.plugins.module_utils.plan import _commands, _length, _watch
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Watch
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _engines
from conftest import ROOT, launch

PROFILES = sorted(path.stem for path in (ROOT / "model_profiles").glob("*.yml"))


def bounds(profile: Any, longest: tuple[int, str] | None = None) -> Watch:
    """Of the parts that count."""
    return _watch.bounds(profile, longest, _engines.load("vllm").METRICS)


@pytest.mark.parametrize(
    ("name", "tps", "margin", "frozen", "silent"),
    [
        ("qwen397-mtp2", 1584, 1.5, 70, 370),
        ("nex-n2-pro-mtp2", 1227, 1.5, 80, 450),
        ("nemotron3-ultra", 1224, 1.5, 80, 450),
        # Measured with short prompts only; not measured at all.
        ("nex-n2-mini", 1974, 2, 70, 390),
        ("qwen397-mtp3", 1000, 2, 80, 650),
        ("nemotron3-super-sglang", 1000, 2, 100, 1170),
    ],
)
def test_bounds_of_the_reports_profiles(name: str, tps: float, margin: float, frozen: int, silent: int) -> None:
    found = launch(name)["watch"]
    assert (found["prefill"]["tps"], found["prefill"]["margin"]) == (tps, margin)
    assert (found["settings"]["frozen_seconds"], found["settings"]["silent_seconds"]) == (frozen, silent)


@pytest.mark.parametrize("name", [name for name in PROFILES if name != "qwen397-mtp5"])
def test_no_profile_ends_what_it_has_measured(name: str) -> None:
    document = launch(name)
    bench = document["expect"].get("bench", {})
    measured = [row["ttft_s"] for row in [bench.get("needle", {}), *bench.get("concurrency", [])] if "ttft_s" in row]
    assert all(document["watch"]["settings"]["silent_seconds"] > 1.5 * seconds for seconds in measured)


def test_a_longer_context_than_measured_is_taken_as_quadratic() -> None:
    bench = {"needle": {"input_tokens": 200_000, "prefill_tps": 1000}}
    profile = {"args": {"max-model-len": 1048576}, "expect": {"bench": bench}}
    prefill = bounds(profile)["prefill"]
    assert (prefill["tokens"], prefill["margin"]) == (1048576, 5.24)


def test_without_chunks_a_step_is_the_whole_prompt() -> None:
    profile = {"args": {"max-model-len": 100_000, "enable-chunked-prefill": False}}
    found = bounds(profile)
    assert found["prefill"]["step"] == 100_000
    assert found["settings"]["frozen_seconds"] == 260


@pytest.mark.parametrize(
    ("engine", "version", "tokens"),
    # vLLM 0.22 multiplies by YaRN's factor; for 0.30 it is in the length already, and for SGLang where the first length is said.
    [("vllm", "0.22.1", 131072), ("vllm", "0.30.0", 40960), ("sglang", "0.5.13", 40960)],
)
def test_the_context_comes_from_the_checkpoint_where_no_flag_says(engine: str, version: str, tokens: int) -> None:
    rope = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}
    checkpoint: Any = {"config": {"text_config": {"max_position_embeddings": 40960, "rope_parameters": rope}}}
    profile: Any = {"engine": engine, "args": {"max-model-len": "auto"}}
    assert bounds(profile, _length.of(profile, checkpoint, version))["prefill"]["tokens"] == tokens
    changed = {"max_position_embeddings": 50000, "rope_parameters": {"rope_type": "default"}}
    profile["args"]["json-model-override-args" if engine == "sglang" else "hf-overrides"] = changed
    prefill = bounds(profile, _length.of(profile, checkpoint, version))["prefill"]
    assert (prefill["tokens"], prefill["tokens_from"]) == (50000, "max_position_embeddings")
    assert bounds(profile)["prefill"]["tokens"] == 262144


@pytest.mark.parametrize(
    "bench", [{"needle": "lost"}, {"prefill_tps": "fast"}, {"concurrency": {"requests": 1}}, {"prefill_tps": {"pp1": 0}}]
)
def test_a_bench_of_another_form_is_not_measured(bench: Any) -> None:
    assert bounds({"expect": {"bench": bench}})["prefill"]["tps_from"] == "not measured"


MEASURED = {"needle": {"input_tokens": 50_000, "prefill_tps": 1000}}


def test_bounds_follow_from_prefill_margin_and_what_a_look_may_take() -> None:
    found = bounds({"args": {"max-model-len": 100_000, "max-num-batched-tokens": 2048}, "expect": {"bench": MEASURED}})
    # 60 s and a step of 2048 tokens, 120 s and all of them; twice as deep as measured.
    assert (found["settings"]["frozen_seconds"], found["settings"]["silent_seconds"]) == (70, 320)
    assert [found["settings"][key] for key in ("look_seconds", "idle_seconds", "answer_seconds")] == [5, 60, 10]
    assert found["prefill"] == {
        "tokens": 100_000, "tokens_from": "max-model-len", "tps": 1000.0, "tps_from": "measured at 50000 tokens", "margin": 2.0,
        "step": 2048,
    }  # fmt: skip
    assert found["within"] == {"frozen": 160, "silent": 410}


@pytest.mark.parametrize(
    ("args", "step"),
    [
        ({}, 16384),
        ({"max-num-batched-tokens": 4096, "chunked-prefill-size": 2048}, 4096),
        ({"chunked-prefill-size": 2048}, 2048),
        *[({"chunked-prefill-size": -1}, 40_000), ({"enable-chunked-prefill": False}, 40_000), ({"enable-chunked-prefill": True}, 16384)],
        ({"max-num-batched-tokens": 50_000}, 40_000),
    ],
)
def test_a_step_is_what_the_flags_say_and_never_more_than_a_prompt(args: Any, step: int) -> None:
    assert bounds({"args": {"context-length": 40_000, **args}})["prefill"]["step"] == step


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        *[(1, 1), (3_000_000, 3_000_000)],
        # A text is read as its engine reads it before it comes here.
        *[(value, None) for value in (0, -1, True, 1.5, "1g", "0", "-1", None, [1])],
    ],
)
def test_a_count_of_tokens(value: Any, tokens: int | None) -> None:
    assert bounds({"args": {"context-length": value}})["prefill"]["tokens"] == (tokens or _watch.CONTEXT)
    profile: Any = {}
    longest = _length.of(profile, {"path": "/m", "config": {"max_position_embeddings": value}, "tensors": []}, "0.22.1")
    said = "max_position_embeddings" if tokens else "assumed: no flag and no config.json says"
    assert bounds(profile, longest)["prefill"]["tokens_from"] == said


@pytest.mark.parametrize(
    ("bench", "rate", "margin"),
    [
        (MEASURED, 1000, 2.0),
        ({"needle": {"input_tokens": 99_000, "prefill_tps": 1500.5}}, 1500.5, 1.5),
        *[({"needle": {**MEASURED["needle"], key: value}}, 1000.0, 2.0) for key in ("input_tokens",) for value in (0, None, True, "9")],
        *[({"needle": {**MEASURED["needle"], "prefill_tps": value}, "prefill_tps": 700}, 700, 2.0) for value in (0, None, True, -1)],
        # Of short prompts the slowest; several requests at once are a sum.
        (
            {"prefill_tps": {"a": 900, "b": 800}, "concurrency": [{"requests": 2, "prefill_tps": 1}, {"requests": 1, "prefill_tps": 750}]},
            750,
            2,
        ),
        ({"prefill_tps": 1, "concurrency": ["x"]}, 1, 2.0),
        ({"prefill_tps": 0.5, "concurrency": None}, 0.5, 2.0),
    ],
)
def test_the_rate_is_the_deepest_measured_or_the_slowest(bench: Any, rate: float, margin: float) -> None:
    prefill = bounds({"args": {"max-model-len": 100_000}, "expect": {"bench": bench}})["prefill"]
    assert (prefill["tps"], prefill["margin"]) == (rate, margin)


def test_plan_part_and_terminal_have_the_bounds() -> None:
    document = launch("qwen397-mtp2")
    part = _engine.part(document, "gx10-1", "sha256:i", "sha256:w")
    assert part is not None
    assert part["watch"] == document["watch"]["settings"]
    text = _commands.commands(document)
    assert "# Watch: a frozen engine (no CPU time, no progress) is ended within 160 s, one that computes in silence within 460 s" in text
    assert "longest prefill 262144 tokens (max-model-len) at 1584 t/s (measured at 199402 tokens) x 1.5 + 120 s" in text


def test_the_launch_hash_covers_the_bounds() -> None:
    slower = {"expect": {"bench": {"needle": {"input_tokens": 199402, "prefill_tps": 1000}}}}
    assert launch("qwen397-mtp2")["hash"] != launch("qwen397-mtp2", **slower)["hash"]
