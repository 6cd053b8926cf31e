# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile against its checkpoint: what config.json and the index say. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..common._problem import Problem, show
from ._profile_types import Checkpoint, Profile

KV_BYTES = {"fp8": 1, "fp8_e4m3": 1, "fp8_e5m2": 1, "auto": 2, "bfloat16": 2, "float16": 2}
CHECKS = ("context length", "tensor parallel", "expert parallel", "MTP layers", "block-quantized scales")


def text_config(config: Mapping[str, Any]) -> Mapping[str, Any]:
    """The language model's part of config.json: multimodal checkpoints nest it."""
    inner = config.get("text_config")
    return inner if isinstance(inner, Mapping) else config


def _int(config: Mapping[str, Any], *names: str) -> int | None:
    """The first of `names` that is a positive integer, in the language model's part."""
    part = text_config(config)
    for name in names:
        value = part.get(name, config.get(name))
        if isinstance(value, int) and not isinstance(value, bool) and value > 0:
            return value
    return None


def check(profile: Profile, checkpoint: Checkpoint | None, where: str) -> tuple[list[Problem], list[str]]:
    """Problems of a valid profile with its checkpoint, and the checks that were skipped."""
    if checkpoint is None:
        return [], [f"{name}: no config.json at hand" for name in CHECKS]
    config, tensors, path = checkpoint["config"], checkpoint["tensors"], checkpoint["path"]
    args = profile.get("args", {})
    tensor, expert = profile["parallel"]["tensor"], profile["parallel"].get("expert", 1)
    problems: list[Problem] = []
    skipped: list[str] = []

    def need(name: str, value: object) -> bool:
        if value is None:
            skipped.append(f"{name}: config.json does not say")
        return value is not None

    flag = "max-model-len" if "max-model-len" in args else "context-length"
    limit, context = _int(config, "max_position_embeddings"), args.get(flag)
    lifted = args.get("json-model-override-args", {})
    if isinstance(lifted, Mapping) and "max_position_embeddings" in lifted:
        limit = None
        skipped.append("context length: the profile lifts max_position_embeddings")
    elif need("context length", limit) and isinstance(context, int) and limit is not None and context > limit:
        problems.append(Problem(where, f"args.{flag}", show(context), f"at most {limit}, max_position_embeddings of {path}/config.json"))

    heads = _int(config, "num_attention_heads")
    if need("tensor parallel", heads) and heads is not None and heads % tensor:
        problems.append(Problem(where, "parallel.tensor", str(tensor), f"a divisor of {heads}, num_attention_heads of {path}/config.json"))

    experts = _int(config, "num_experts", "n_routed_experts", "num_local_experts")
    if expert > 1:
        if experts is None:
            problems.append(Problem(where, "parallel.expert", str(expert), f"1: {path}/config.json names no experts"))
        elif experts % expert:
            problems.append(Problem(where, "parallel.expert", str(expert), f"a divisor of {experts}, the experts of {path}/config.json"))

    speculative = args.get("speculative-config")
    method = speculative.get("method", "") if isinstance(speculative, Mapping) else ""
    if "mtp" in str(method) and not _has_mtp(config, tensors):
        hint = "Without MTP layers every draft is rejected; drop speculative-config."
        found = f"{method!r}, but no MTP layer in {path}"
        problems.append(Problem(where, "args.speculative-config.method", found, "a checkpoint with MTP layers, or no speculation", hint))

    if "nex-fp8-loader" in profile.get("mods", []):
        if not any(".experts." in name and name.endswith(".weight_scale") for name in tensors):
            problems.append(Problem(where, "mods", "nex-fp8-loader", f"tensors *.experts.*.weight_scale in the index of {path}"))
        quantization = config.get("quantization_config")
        if not isinstance(quantization, Mapping) or "weight_block_size" not in quantization:
            hint = "It would corrupt a per-tensor FP8 checkpoint in silence."
            problems.append(Problem(where, "mods", "nex-fp8-loader", f"weight_block_size in quantization_config of {path}", hint))
    return problems, skipped


def _has_mtp(config: Mapping[str, Any], tensors: Sequence[str]) -> bool:
    layers = _int(config, "num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers")
    return bool(layers) or any(name.startswith("mtp.") or ".mtp." in name for name in tensors)


def kv_bytes_per_token(config: Mapping[str, Any], tensor: int, dtype: str) -> float | None:
    """Bytes of KV cache that one token takes on one rank; None where config.json does not say. Linear layers hold none."""
    layers, heads = _int(config, "num_hidden_layers"), _int(config, "num_key_value_heads", "num_attention_heads")
    size = _int(config, "head_dim")
    hidden, queries = _int(config, "hidden_size"), _int(config, "num_attention_heads")
    if size is None and hidden and queries:
        size = hidden // queries
    if layers is None or heads is None or size is None:
        return None
    types = text_config(config).get("layer_types")
    if isinstance(types, list):
        layers = sum("full" in str(kind) for kind in types) or layers
    # Fewer heads than ranks are replicated.
    return 2.0 * layers * max(1, heads / tensor) * size * KV_BYTES.get(dtype, 2)
