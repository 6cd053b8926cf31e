"""What owners have is not refused: an audit's wrong refusals, each as a case that plans or is counted right."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _checkpoint, _length, _memory, _shape
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _args, _engines, _env, _flags
from conftest import ROOT

QWEN = {"num_hidden_layers": 64, "num_attention_heads": 40, "num_key_value_heads": 8, "head_dim": 128, "max_position_embeddings": 32768}
YARN = {"rope_type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}


ULTRA = "nemotron3-ultra"


@pytest.mark.parametrize(
    ("args", "env", "key"),
    [
        ({"gpu-memory-utilization-gb": None, "gpu-memory-utilization": 0.85}, {}, "args.gpu-memory-utilization-gb"),
        ({"gpu-memory-utilization-gb": None, "gpu-memory-utilization": 0.9}, {}, ""),
        ({}, {"PYTORCH_ALLOC_CONF": "expandable_segments:False"}, "env.PYTORCH_CUDA_ALLOC_CONF"),
        ({}, {"PYTORCH_ALLOC_CONF": "expandable_segments:True", "PYTORCH_CUDA_ALLOC_CONF": None}, ""),
    ],
)
def test_another_way_to_say_it_is_held_to_the_same_limit(resolve: Any, args: Any, env: Any, key: str) -> None:
    found = resolve(ULTRA, override={"args": args, "env": env})["problems"]
    assert [key in text and "[limit]" in text for text in found] == [True] * bool(key), found


def problems(config: Any, args: Any, tensors: Any = (), tensor: int = 1, engine: str = "vllm") -> list[str]:
    profile: Any = {"engine": engine, "parallel": {"tensor": tensor}, "args": args}
    found, _skipped = _checkpoint.check(profile, {"path": "/m", "config": config, "tensors": tensors}, "p")
    return [problem.key for problem in found]


@pytest.mark.parametrize(("length", "refused"), [(131072, False), (131073, True)])
def test_yarn_lengthens_the_context_in_vllm(length: int, refused: bool) -> None:
    keys = ["args.max-model-len"] * refused
    assert problems({**QWEN, "rope_scaling": YARN}, {"max-model-len": length}) == keys
    assert problems(QWEN, {"max-model-len": length, "hf-overrides": {"rope_parameters": YARN}}) == keys
    # SGLang's own length is that of config.json.
    assert problems({**QWEN, "rope_scaling": YARN}, {"context-length": length}, engine="sglang") == ["args.context-length"]


@pytest.mark.parametrize("kind", ["default", "llama3", "longrope"])
def test_other_rotations_do_not(kind: str) -> None:
    assert problems({**QWEN, "rope_scaling": {**YARN, "rope_type": kind}}, {"max-model-len": 32769}) == ["args.max-model-len"]


def test_an_override_of_the_nested_part_counts() -> None:
    args = {"max-model-len": 524288, "hf-overrides": {"text_config": {"max_position_embeddings": 524288}}}
    assert problems(QWEN, args) == []
    assert problems(QWEN, {**args, "max-model-len": 524289}) == ["args.max-model-len"]


def test_a_drafter_of_its_own_needs_no_mtp_layers() -> None:
    mtp = {"method": "mtp", "num_speculative_tokens": 2}
    assert problems(QWEN, {"speculative-config": mtp}) == ["args.speculative-config.method"]
    assert problems(QWEN, {"speculative-config": {**mtp, "model": "/root/.cache/huggingface/a/b"}}) == []
    # Nobody has read the index.
    assert problems(QWEN, {"speculative-config": mtp}, tensors=None) == []


def test_a_pipeline_divides_the_layers() -> None:
    def estimate(pipeline: int) -> Any:
        profile: Any = {"engine": "vllm", "parallel": {"tensor": 1, "pipeline": pipeline}, "model": {"size_gib": 8}, "args": {}}
        return _memory.estimate(profile, {"expect": {"cuda": "13.0"}}, {"config": QWEN, "tensors": [], "path": "/m"})  # type: ignore[typeddict-item]

    assert estimate(1)["kv_bytes_per_token"] == 64 * 2 * 8 * 128 * 2
    # The fullest of three stages has 22 of 64 layers.
    assert estimate(3)["kv_bytes_per_token"] == 22 * 2 * 8 * 128 * 2


@pytest.mark.parametrize(("image", "gib"), [("==0.22.1", 32.0), ("==0.30.0", 8.0)])
def test_a_request_is_as_long_as_the_engine_derives_where_no_flag_says(image: str, gib: float) -> None:
    def asked(config: Any, args: Any) -> Any:
        profile: Any = {"engine": "vllm", "parallel": {"tensor": 1}, "model": {"size_gib": 8}, "args": args}
        expect: Any = {"expect": {"cuda": "13.0", "versions": {"vllm": image}}}
        return _memory.estimate(profile, expect, {"config": config, "tensors": [], "path": "/m"})["request_gib"]

    assert asked(QWEN, {}) == 8.0
    assert asked({**QWEN, "rope_scaling": YARN}, {}) == gib
    assert asked(QWEN, {"hf-overrides": {"rope_parameters": YARN}}) == gib
    assert asked({**QWEN, "rope_scaling": YARN}, {"max-model-len": 16384}) == 4.0


@pytest.mark.parametrize("more", [{"sliding_window": 1024}, {"attention_chunk_size": 8192}, {"block_configs": []}])
def test_what_only_the_engine_can_count_is_not_counted(more: Any) -> None:
    assert _shape.read(QWEN)
    assert _shape.read({**QWEN, **more}) is None
    assert _shape.read({**QWEN, "sliding_window": 1024, "use_sliding_window": False})


def test_every_fourth_layer_is_read_from_the_interval() -> None:
    shape = _shape.read({**QWEN, "num_hidden_layers": 48, "full_attention_interval": 4})
    assert shape and shape.attention == 12


def test_a_switch_that_is_named_as_a_token_is_no_secret() -> None:
    dialect = _engines.load("vllm").DIALECT
    assert _env.check(dialect, {"HF_HUB_DISABLE_IMPLICIT_TOKEN": "1"}, "p") == []
    assert [problem.code for problem in _env.check(dialect, {"MY_API_TOKEN": "1", "DB_PASS": "x"}, "p")] == ["secret"] * 2
    assert [problem.code for problem in _env.check(dialect, {"RANK": "3", "GCONV_PATH": "/x"}, "p")] == ["owned", "refused"]


@pytest.mark.parametrize(("name", "place"), [("VLLM_ATTENTION_BACKEND", "args.attention-backend"), ("VLLM_USE_V1", "leave it out")])
def test_what_older_guides_set_is_told_its_place(resolve: Any, name: str, place: str) -> None:
    (text,) = resolve(ULTRA, override={"env": {name: "1"}})["problems"]
    assert place in text


def test_a_pipeline_divides_the_recurrent_layers_too() -> None:
    delta = dict(
        zip(
            ("linear_num_key_heads", "linear_key_head_dim", "linear_num_value_heads", "linear_value_head_dim"),
            (16, 128, 32, 128),
            strict=True,
        )
    )
    hybrid = {**QWEN, **delta, "linear_conv_kernel_dim": 4, "full_attention_interval": 4}

    def estimate(pipeline: int, **args: Any) -> Any:
        expect = {"mamba_pool": {"slots": 1000, "requests": 1, "min_requests": 1}}
        profile: Any = {"engine": "sglang", "parallel": {"tensor": 1, "pipeline": pipeline}, "model": {}, "args": args, "expect": expect}
        return _memory.estimate(profile, {"expect": {"cuda": "13.0"}}, {"config": hybrid, "tensors": [], "path": "/m"})  # type: ignore[typeddict-item]

    # The fullest of five stages has 10 of 48.
    assert estimate(5)["states_gib"] / estimate(1)["states_gib"] == pytest.approx(10 / 48, rel=0.01)
    # SGLang computes a share that is not said.
    assert (estimate(1)["reserve_gib"], estimate(1, **{"mem-fraction-static": 0.5})["reserve_gib"]) == (0, 4.22)


def test_a_mod_is_required_for_its_engine_alone(resolve: Any) -> None:
    text = (ROOT / "model_profiles/nemotron3-ultra.yml").read_text()
    profile = {**yaml.safe_load(text), "mods": [], "limits": []}
    profile["args"].pop("gpu-memory-utilization-gb")
    assert any("no nemotron-ultra" in problem for problem in resolve(text=yaml.safe_dump(profile, sort_keys=False))["problems"])
    sglang = {"engine": "sglang", "executor": "sglang", "image": "sglang-nemotronh-mtp", "args": {"mem-fraction-static": 0.8}}
    env = {name: profile["env"][name] for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")}
    assert resolve(text=yaml.safe_dump({**profile, **sglang, "env": env}, sort_keys=False))["problems"] == []


def test_what_looks_like_a_number_in_a_free_mapping_is_told() -> None:
    def warned(value: Any) -> list[str]:
        table = _flags.table("vllm", "0.22.1")
        return _args.read(_engines.load("vllm").DIALECT, table, {"override-generation-config": value}, (), "p").warnings

    for text in ("1_000", "010", "-0_1.5", "no", "On", "False"):
        (warning,) = warned({"a": {"top_p": text}})
        assert warning.startswith(f"args.override-generation-config.a.top_p: {text!r} is a text; numbers and truths are written as in JSON")
    # The quotes of JSON's own are meant, and a text is a text.
    assert warned({"a": "0.95", "b": "-5", "c": "1e7", "d": "x1", "e": "1.2.3", "f": "", "g": 0.5, "h": ".", "i": "_1", "j": ".95"}) == []


def test_weights_that_the_engine_quantizes_are_not_weighed() -> None:
    def weights(repo: str, method: str | None, config: Any = None) -> float | None:
        args = {"gpu-memory-utilization": 0.9, **({"quantization": method} if method else {})}
        profile: Any = {"engine": "vllm", "parallel": {"tensor": 1}, "model": {"repo": repo, "size_gib": 135.4}, "args": args}
        checkpoint: Any = None if config is None else {"config": config, "tensors": [], "path": "/m"}
        found = _memory.estimate(profile, {"expect": {"cuda": "13.0"}}, checkpoint)  # type: ignore[typeddict-item]
        assert [one.code for one in _memory.problems(found, None, "p")] == ["out-of-memory"] * (found["weights_gib"] is not None)
        return found["weights_gib"]

    plain, fp8 = "Qwen/Qwen2.5-72B-Instruct", "a/Qwen2.5-72B-FP8"
    assert [weights(plain, method) for method in ("fp8", "bitsandbytes", "mxfp8")] == [None] * 3
    assert [weights(plain, None), weights(fp8, "fp8"), weights(plain, "awq")] == [135.4] * 3
    # config.json knows better than a name.
    assert weights(fp8, "fp8", QWEN) is None
    assert weights(plain, "fp8", {**QWEN, "quantization_config": {"quant_method": "fp8"}}) == 135.4


def test_a_plan_says_that_weights_were_not_weighed(resolve: Any) -> None:
    text = (ROOT / "model_profiles/qwen397-mtp2.yml").read_text()
    profile = {**yaml.safe_load(text), "model": {"repo": "a/b", "served_name": "b", "size_gib": 500}, "limits": []}
    profile["args"] |= {"quantization": "fp8"}
    found = resolve(text=yaml.safe_dump(profile, sort_keys=False))
    assert found["problems"] == []
    assert "memory: the engine quantizes the weights as it loads them, so what they take is not known" in found["plan"]["skipped"]


def test_a_length_is_no_larger_than_any_models() -> None:
    found = [_length.longest({"max_position_embeddings": value}, {}, False, "0.22.1") for value in (1, _shape.LARGEST, _shape.LARGEST + 1)]
    assert found == [(1, "max_position_embeddings"), (_shape.LARGEST, "max_position_embeddings"), None]


@pytest.mark.parametrize(
    ("config", "vllm", "newer", "sglang"),
    [
        ({}, 32768, 32768, 32768),
        # From the config alone: 0.22 multiplies what was first trained, a later one nothing, SGLang only where nobody says what was first.
        ({"rope_scaling": YARN}, 131072, 32768, 32768),
        ({"rope_scaling": {"type": "yarn", "factor": 4.0}}, 131072, 32768, 131072),
        ({"rope_scaling": {"rope_type": "linear", "factor": 2.0}}, 65536, 65536, 65536),
        ({"rope_scaling": {"rope_type": "llama3", "factor": 2.0}}, 32768, 32768, 32768),
        ({"rope_parameters": {"full_attention": {**YARN, "rope_type": "deepseek_yarn"}}}, 131072, 32768, 32768),
        *[({"rope_scaling": {**YARN, "factor": factor}}, 32768, 32768, 32768) for factor in (None, True, "4.0", 0, -1.0, 1e308)],
        # The smallest of vLLM's nine, or the first of SGLang's five; what is model_max_length is that.
        ({"n_positions": 2048}, 2048, 2048, 32768),
        ({"max_position_embeddings": None, "n_positions": 2048}, 2048, 2048, None),
        *[({"model_max_length": 131072}, 131072, 131072, 131072), ({"seq_length": 131072}, 32768, 32768, 131072)],
        ({"model_type": "gemma3_text", "rope_scaling": {"rope_type": "linear", "factor": 8.0}}, 32768, 32768, 262144),
    ],
)
def test_the_longest_context_is_the_engines_own(config: Any, vllm: int, newer: int, sglang: int | None) -> None:
    for whole in ({**QWEN, **config}, {"text_config": {**QWEN, **config}}):
        found = [_length.longest(whole, {}, *how) for how in ((False, "0.22.1"), (False, "0.30.0"), (True, "0.5.13"))]
        assert [one and one[0] for one in found] == [vllm, newer, sglang]
    # A flag's changes are the checkpoint's own, in either place.
    for changes in (config, {"text_config": config}):
        longest = _length.longest(QWEN, changes, False, "0.22.1")
        assert longest and longest[0] == vllm
