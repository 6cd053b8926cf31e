# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The bytes of a model's parameters on one rank, counted from config.json: what is sharded, what each rank holds whole, the drafter.

Only for architectures whose layers are known here, in types whose size is known; a checkpoint's size over its ranks stands for the
rest. PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from . import _shape

BF16 = 2


@dataclasses.dataclass(frozen=True)
class Weights:
    """Bytes on one rank. `mtp`: the model's own drafter, which shares the embeddings."""

    model: float
    mtp: float


def count(config: Mapping[str, Any], tensor: int, whole_vision: bool) -> Weights | None:
    """Of Qwen3.5's mixture of experts (vLLM 0.22.1: models/qwen3_5.py, qwen3_next.py). `whole_vision`: each rank has all of it."""
    names, quantized = config.get("architectures"), _linear_bytes(config)
    if names != ["Qwen3_5MoeForConditionalGeneration"] or quantized is None:
        return None
    shape = _shape.read(config)
    wanted = (
        *("hidden_size", "vocab_size", "num_experts", "moe_intermediate_size", "shared_expert_intermediate_size", "num_hidden_layers"),
        *("num_attention_heads", "linear_num_value_heads", "linear_value_head_dim"),
    )
    found, vision = _all(config, wanted), _vision(config)
    if shape is None or shape.recurrent is None or vision is None or found is None:
        return None
    hidden, vocabulary, experts, routed, shared, layers, queries, value_heads, value = found
    heads, size = shape.token
    # Queries have a gate each; fewer heads of keys and values than ranks are replicated.
    attention = hidden * size * (3 * queries / tensor + 2 * max(1, heads // tensor)) * quantized
    # qkv and z go in, z's width comes out; two numbers a head decide how much is forgotten.
    inner = value_heads * value
    delta = hidden * ((shape.recurrent.channels + 2 * inner) * quantized + 2 * value_heads * BF16) / tensor
    experts_bytes = 3 * hidden * (experts * routed + shared) / tensor * quantized + hidden * experts * BF16
    model = (
        shape.attention * attention
        + shape.recurrent.layers * delta
        + layers * experts_bytes
        + 2 * vocabulary * hidden / tensor * BF16
        + vision * BF16 / (1 if whole_vision else tensor)
    )
    return Weights(model, shape.mtp * (attention + experts_bytes + 2 * hidden * hidden / tensor * BF16))


def _linear_bytes(config: Mapping[str, Any]) -> float | None:
    """Of one parameter of a linear layer, its block's scale (a float32) included; None for a type that mixes."""
    quantization = config.get("quantization_config")
    if quantization is None:
        return float(BF16)
    if not isinstance(quantization, Mapping) or quantization.get("quant_method") != "fp8":
        return None
    sides = quantization.get("weight_block_size")
    if not isinstance(sides, list) or len(sides) != 2 or not all(isinstance(side, int) and side > 0 for side in sides):
        return None
    return 1 + 4 / float(sides[0] * sides[1])


def _all(config: Mapping[str, Any], names: Sequence[str]) -> list[int] | None:
    """Positive integers by these names; None where one of them is not there."""
    found = [number for number in (_shape.integer(config, name) for name in names) if number is not None]
    return found if len(found) == len(names) else None


def _vision(config: Mapping[str, Any]) -> int | None:
    """Parameters of the vision encoder; 0 for a model without one."""
    part = config.get("vision_config")
    if part is None:
        return 0
    wanted = (
        *("depth", "hidden_size", "intermediate_size", "out_hidden_size", "num_position_embeddings"),
        *("patch_size", "temporal_patch_size", "in_channels", "spatial_merge_size"),
    )
    found = _all(part, wanted) if isinstance(part, Mapping) else None
    if found is None:
        return None
    depth, hidden, inner, out, positions, patch, frames, channels, merge = found
    merged = hidden * merge**2
    blocks = depth * (4 * hidden**2 + 2 * hidden * inner)
    return blocks + merged * (merged + out) + hidden * (positions + channels * frames * patch**2)
