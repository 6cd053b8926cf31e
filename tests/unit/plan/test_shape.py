"""What config.json says of layers and parameters; what it does not say, or says as nonsense, is unknown."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _checkpoint, _parameters, _shape
from hypothesis import given, settings
from hypothesis import strategies as st

GIB = 2**30
BASE = {"num_hidden_layers": 2, "num_key_value_heads": 3, "num_attention_heads": 6, "head_dim": 16, "hidden_size": 81}
DELTA = dict.fromkeys(("linear_num_key_heads", "linear_num_value_heads", "linear_conv_kernel_dim"), 2)
DELTA |= {"linear_num_value_heads": 4, "linear_conv_kernel_dim": 4, "linear_key_head_dim": 8, "linear_value_head_dim": 16}
MAMBA = {"mamba_num_heads": 8, "mamba_head_dim": 4, "n_groups": 2, "ssm_state_size": 16, "conv_kernel": 4}


def published(repo: str) -> dict[str, Any]:
    checkpoint = _checkpoint.known(repo, None)
    assert checkpoint
    return checkpoint["config"]


@pytest.mark.parametrize(
    ("change", "tensor", "dtype", "size"),
    [
        *[({}, 1, "auto", 192), ({}, 1, "fp8_e5m2", 96), ({}, 1, "another", 192), ({}, 3, "auto", 64), ({}, 6, "auto", 64)],
        # Without a word of their own: as many as there are queries, and as wide as the hidden state allows.
        *[({"num_key_value_heads": None}, 1, "auto", 384), ({"head_dim": None}, 1, "auto", 156)],
        *[({"head_dim": None, key: None}, 1, "auto", None) for key in ("hidden_size", "num_attention_heads")],
        *[({"num_hidden_layers": value}, 1, "auto", None) for value in (None, 10_001)],
        ({"num_key_value_heads": None, "num_attention_heads": None}, 1, "auto", None),
        # A latent is on each rank; half a one is none.
        *[({"kv_lora_rank": 512, "qk_rope_head_dim": 64}, tensor, "fp8", 576) for tensor in (1, 4)],
        ({"kv_lora_rank": 512, "qk_rope_head_dim": 64, "num_attention_heads": None, "num_key_value_heads": None}, 1, "auto", 1152),
        ({"kv_lora_rank": 512}, 1, "auto", 192),
    ],
)
def test_bytes_of_a_token(change: Any, tensor: int, dtype: str, size: int | None) -> None:
    found = _shape.read({**BASE, **change})
    assert (found.token_bytes(tensor, dtype) if found else None) == size


@pytest.mark.parametrize(
    ("layers", "attention"),
    [
        *[({}, 2), ({"num_hidden_layers": 10_000}, 10_000), ({"layer_types": ["x", "y"]}, None), ({"layer_types": "full_attention"}, 2)],
        *[({"layer_types": ["full_attention", "linear_attention", "full_attention"]}, 2), ({"layers_block_type": ["moe", "attention"]}, 1)],
        *[({"hybrid_override_pattern": "M*E*-*"}, 3), ({"hybrid_override_pattern": "MEM"}, None)],
        # Another architecture's words for it, which nobody reads here: never all of them.
        ({"linear_attn_config": {"full_attn_layers": [1], "kda_layers": [2]}}, None),
        *[({"attn_layer_period": 8}, None), ({"attn_type_list": [0, 1]}, None), ({"attn_layer_period": None}, 2)],
        ({"attn_layer_indices": [1], "layer_types": ["mamba", "attention"]}, 1),
    ],
)
def test_layers_with_keys_and_values(layers: Any, attention: int | None) -> None:
    found = _shape.read({**BASE, **layers})
    assert (found.attention if found else None) == attention


def test_states_of_recurrent_layers() -> None:
    types = {"layer_types": ["linear_attention", "linear_attention", "full_attention"]}
    delta = _shape.read({**BASE, **types, **DELTA, "mamba_ssm_dtype": "float32"})
    # 2 x 2 x 8 + 4 x 16 channels, and 4 heads of 16 x 8 numbers.
    assert delta and delta.recurrent == _shape.Recurrent(2, 96, (0, 0), 3, 512, 4, 2048)
    assert delta.recurrent.bytes(2, 4, 0) == 48 * 3 * 2 + 256 * 4
    assert delta.recurrent.bytes(2, 2, 2) == 48 * 5 * 2 + 256 * 2
    mamba = _shape.read({**BASE, "hybrid_override_pattern": "MM*", **MAMBA, "chunk_size": 128})
    # 8 x 4 + 2 x 2 x 16 channels: the two groups are whole on each of four ranks, so two more.
    assert mamba and mamba.recurrent == _shape.Recurrent(2, 96, (2, 32), 3, 512, 2, 128)
    assert mamba.recurrent.bytes(4, 4, 0) == (96 + 2 * 32) // 4 * 3 * 2 + 128 * 4
    assert mamba.recurrent.bytes(2, 4, 0) == 48 * 3 * 2 + 256 * 4
    for key in DELTA:
        lacking = _shape.read({**BASE, **types, **DELTA, key: None})
        assert lacking and lacking.recurrent is None


@pytest.mark.parametrize(("value", "found"), [(1, 1), (10**9, 10**9), (10**9 + 1, None), (0, None), (-1, None), (True, None), ("1", None)])
def test_a_number_is_a_whole_one_within_bounds(value: Any, found: int | None) -> None:
    assert _shape.integer({"a": value}, "a") == found
    assert _shape.integer({"text_config": {"a": value}}, "b", "a") == found
    assert _shape.integer({"text_config": "x", "a": value}, "a") == found


def test_parameters_are_those_of_the_checkpoints_on_disk() -> None:
    one = _parameters.count(published("Qwen/Qwen3.5-397B-A17B-FP8"), 1, False)
    # The reports: 372 GiB of Nex-N2-Pro-fp8, and 379 of Qwen's, which has a drafter.
    assert one
    assert one.model / GIB == pytest.approx(372, abs=0.5)
    assert (one.model + one.mtp) / GIB == pytest.approx(379, abs=1)
    four = _parameters.count(published("Qwen/Qwen3.5-397B-A17B-FP8"), 4, True)
    assert four
    # More than a quarter, by the vision encoder, the routers and the replicated keys and values; the report: "~93 GiB".
    assert four.model / GIB == pytest.approx(93.85, abs=0.005)
    assert four.mtp / GIB == pytest.approx(1.548, abs=0.0005)


def test_parameters_of_another_type_are_not_counted() -> None:
    config = published("Qwen/Qwen3.5-397B-A17B-FP8")
    plain = _parameters.count({key: value for key, value in config.items() if key != "quantization_config"}, 1, False)
    fp8 = _parameters.count(config, 1, False)
    # Two bytes each, of what is not two already.
    assert plain and fp8 and 1.9 < plain.model / fp8.model < 2
    changes: list[dict[str, Any]] = [{"architectures": ["Other"]}, {"text_config": {}}, {"vision_config": {}}, {"vision_config": 1}]
    for sides in (None, [128], [0, 128], ["a", 1], [1, 1, 1]):
        changes.append({"quantization_config": {"quant_method": "fp8", "weight_block_size": sides}})
    changes += [{"quantization_config": value} for value in (1, {"quant_method": "modelopt", "weight_block_size": [1, 1]})]
    for change in changes:
        assert _parameters.count({**config, **change}, 1, False) is None, change
    # A scale for each row of a block of one.
    rows = {"quantization_config": {"quant_method": "fp8", "weight_block_size": [1, 128]}}
    each = _parameters.count({**config, **rows}, 1, False)
    assert each and 1.03 < each.model / fp8.model < 1 + 4 / 128
    blind = _parameters.count({key: value for key, value in config.items() if key != "vision_config"}, 1, False)
    assert blind and fp8.model - blind.model == pytest.approx(2 * 456e6, rel=0.01)
    assert _parameters.count(published("r0b0tlab/nex-n2-mini-nvfp4"), 1, False) is None


JSON = st.recursive(st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=4), lambda each: st.lists(each, max_size=3))
KEYS = sorted(
    {*BASE, *DELTA, *MAMBA, "layer_types", "hybrid_override_pattern", "architectures", "text_config", "vision_config", "kv_lora_rank"}
)


@settings(max_examples=300, deadline=None)
@given(st.dictionaries(st.sampled_from(KEYS), JSON))
def test_no_config_crashes_the_reader(change: dict[str, Any]) -> None:
    for config in ({**BASE, **DELTA, **MAMBA, **change}, {"text_config": {**BASE, **change}}):
        _shape.read(config)
        _parameters.count({"architectures": ["Qwen3_5MoeForConditionalGeneration"], **config}, 4, True)


@pytest.mark.parametrize("key", ["hybrid_override_pattern", "layers_block_type", "layer_types"])
def test_more_layers_than_any_model_has_are_unknown(key: str) -> None:
    for length in (10_000, 10_001):
        layers: Any = "*" * length if key == "hybrid_override_pattern" else ["attention"] * length
        shape = _shape.read({"num_attention_heads": 4, "head_dim": 64, key: layers})
        assert (shape is None) == (length > 10_000)
