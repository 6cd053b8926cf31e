# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What config.json says of a model's layers, as numbers: where keys and values are kept, and what a recurrent layer remembers.

Every value is bounded and of one type; what is absent or anything else is unknown. PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

# No dimension of a model is larger; what is, is damage.
LARGEST = 10**9
# More layers than any model has; they would only cost time and memory.
MOST_LAYERS = 10_000
# Bytes of one number. Any other word is read as the model's own type, of two.
BYTES = {"float32": 4, "float16": 2, "bfloat16": 2, "fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1}
# A layer of hybrid_override_pattern (NemotronH).
LETTERS = {"*": "attention", "M": "mamba"}
ATTENTION = ("attention", "full_attention")
# Of most checkpoints, of InternVL and of DeepSeek-VL2; Qwen-Omni's is in its thinker's.
TEXT = ("text_config", "llm_config", "language_config")
# Where other architectures (Kimi-Linear, Jamba, MiniMax-M1, Bamba, LFM2, RecurrentGemma, Zamba, Ring) say which layers keep tokens.
UNREAD = (
    *("linear_attn_config", "attn_layer_period", "attn_type_list", "attn_layer_indices", "full_attn_idxs", "block_types"),
    *("hybrid_layer_ids", "layer_group_size"),
)
RECURRENT = ("mamba", "linear_attention")


@dataclasses.dataclass(frozen=True)
class Recurrent:
    """One recurrent layer (Mamba-2, gated delta net), unsharded. Its state is as large for one token as for all.

    `channels` and `taps`: of its convolution; `groups`: channels that a rank holds whole, as (how many, channels of each); `chunk`:
    tokens of its kernel's step.
    """

    layers: int
    channels: int
    groups: tuple[int, int]
    taps: int
    state: int
    state_bytes: int
    chunk: int

    def bytes(self, tensor: int, state_bytes: int, drafts: int) -> int:
        """Of one sequence's state on one rank; each drafted token is one more row of the convolution."""
        count, size = self.groups
        # A group that ranks share is on each of them.
        extra = 0 if count % tensor == 0 else tensor - count
        return (self.channels + extra * size) // tensor * (self.taps + drafts) * 2 + self.state // tensor * state_bytes


@dataclasses.dataclass(frozen=True)
class Shape:
    """`attention`: layers with keys and values; `mtp`: those of the model's own drafter; `token`: numbers of a token and layer that
    ranks share, as (heads, each); `latent`: numbers that each rank holds (MLA)."""

    attention: int
    mtp: int
    token: tuple[int, int]
    latent: int
    recurrent: Recurrent | None
    hidden: int | None
    context: int | None
    architecture: str

    def token_bytes(self, tensor: int, dtype: str) -> int:
        """Of one token's keys and values in one layer on one rank. Fewer heads than ranks are replicated."""
        heads, each = self.token
        return (self.latent or 2 * max(1, heads // tensor) * each) * BYTES.get(dtype, 2)


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The language model's part of config.json: multimodal checkpoints nest it, under names of their own."""
    thinker = config.get("thinker_config")
    inner = next((part for part in map(config.get, TEXT) if isinstance(part, Mapping)), None)
    return inner if inner is not None else text_config(thinker) if isinstance(thinker, Mapping) else config


def integer(config: Mapping[str, Any], *names: str) -> int | None:
    """The first of `names` that is a positive integer, in the language model's part."""
    part = text_config(config)
    for name in names:
        value = part.get(name, config.get(name))
        if isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST:
            return value
    return None


def read(config: Mapping[str, Any]) -> Shape | None:
    """None where config.json does not say how many numbers a token leaves behind."""
    layers = _layers(config)
    heads, size = integer(config, "num_key_value_heads", "num_attention_heads"), integer(config, "head_dim")
    hidden, queries = integer(config, "hidden_size"), integer(config, "num_attention_heads")
    if size is None and hidden and queries:
        size = hidden // queries
    rank, rope = integer(config, "kv_lora_rank"), integer(config, "qk_rope_head_dim")
    latent = rank + rope if rank and rope else 0
    if layers is None or ((heads is None or size is None) and not latent):
        return None
    part = text_config(config)
    windowed = part.get("sliding_window") and part.get("use_sliding_window") is not False and "layer_types" not in part
    if windowed or "attention_chunk_size" in part or "block_configs" in part or _unread(part):
        return None  # which layers keep all tokens, only the engine's model knows
    attention = sum(kind in ATTENTION for kind in layers)
    names = config.get("architectures")
    return Shape(
        attention=attention,
        # NemotronH's drafter has one attention layer a step; all others are attention.
        mtp=integer(config, "num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers") or 0,
        token=(heads or 1, size or 1),
        latent=latent,
        recurrent=_recurrent(config, sum(kind in RECURRENT for kind in layers)),
        hidden=hidden,
        context=integer(config, "max_position_embeddings"),
        architecture=str(names[0]) if isinstance(names, list) and names else "",
    )


def _unread(part: Mapping[str, Any]) -> bool:
    """Do layers differ in words that are not read here? A list or pattern without attention has such."""
    pattern, stated = part.get("hybrid_override_pattern"), part.get("layers_block_type", part.get("layer_types"))
    if isinstance(pattern, str) and pattern:
        return "*" not in pattern
    if isinstance(stated, list) and stated:
        return not any(kind in stated for kind in ATTENTION)
    return any(part.get(key) is not None for key in UNREAD)


def _layers(config: Mapping[str, Any]) -> list[str] | None:
    """The kind of each layer; a list or pattern that names no attention is another model's, and all layers count. None is unknown."""
    part, count = text_config(config), integer(config, "num_hidden_layers")
    pattern = part.get("hybrid_override_pattern")
    if isinstance(pattern, str | list) and len(pattern) > MOST_LAYERS:
        return None
    if isinstance(pattern, str):
        kinds = [LETTERS.get(letter, "") for letter in pattern]
    else:
        stated = part.get("layers_block_type", part.get("layer_types"))
        kinds = [str(kind) for kind in stated[: MOST_LAYERS + 1]] if isinstance(stated, list) else []
        if len(kinds) > MOST_LAYERS:
            return None
    interval = integer(config, "full_attention_interval")
    if not kinds and interval and count and count <= MOST_LAYERS:
        kinds = ["linear_attention" if (index + 1) % interval else "full_attention" for index in range(count)]
    if any(kind in ATTENTION for kind in kinds):
        return kinds
    return ["attention"] * count if count and count <= MOST_LAYERS else None


def _recurrent(config: Mapping[str, Any], layers: int) -> Recurrent | None:
    def need(*names: str) -> list[int]:
        return [value for value in (integer(config, name) for name in names) if value is not None]

    delta = need("linear_num_key_heads", "linear_key_head_dim", "linear_num_value_heads", "linear_value_head_dim", "linear_conv_kernel_dim")
    mamba = need("mamba_num_heads", "mamba_head_dim", "n_groups", "ssm_state_size", "conv_kernel")
    part = text_config(config)
    state_bytes = BYTES.get(str(part.get("mamba_ssm_dtype", part.get("mamba_ssm_cache_dtype"))), 2)
    chunk = integer(config, "mamba_chunk_size", "chunk_size") or 2048
    if not layers or (len(delta) < 5 and len(mamba) < 5):
        return None
    if len(delta) == 5:
        key_heads, key, value_heads, value, taps = delta
        channels, groups, state = 2 * key_heads * key + value_heads * value, (0, 0), value_heads * value * key
    else:
        heads, size, count, numbers, taps = mamba
        channels, groups, state = heads * size + 2 * count * numbers, (count, 2 * numbers), heads * size * numbers
    return Recurrent(layers, channels, groups, taps - 1, state, state_bytes, chunk)
