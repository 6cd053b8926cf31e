# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile against its checkpoint: what config.json and the index say. PRIVATE to the collection."""

from __future__ import annotations

import functools
import json
import math
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..common._problem import Problem, show
from . import _length
from ._profile_types import Asked, Checkpoint, Profile
from ._shape import integer, text_config

CHECKS = ("context length", "tensor parallel", "expert parallel", "MTP layers", "block-quantized scales")
# Heads that a rank has a whole number of, by their keys in config.json.
DIVIDED = ("num_attention_heads", "linear_num_key_heads", "linear_num_value_heads", "mamba_num_heads")
# How many experts a layer has (vllm/transformers_utils/model_arch_config_convertor.py, get_num_experts); of a list the most counts.
EXPERTS = ("num_experts", "moe_num_experts", "n_routed_experts", "num_local_experts")
# What engines tell apart of quantized weights (vllm/config/model.py, _verify_quantization), by a part of the word; the first that fits.
# Methods that read several (moe_wna16, humming) have none; neither have SGLang's W8A8, which read compressed-tensors.
METHODS = ("compressed-tensors", "gptq", "awq", "modelopt", "bitsandbytes", "gguf", "quark", "torchao", "mxfp4", "fp8")
# Rows and columns of a block that vLLM makes of a larger one, at the least.
FINEST = 32
# The flags of the context, and the keys of config.json by which it is lengthened.
LENGTHS, ROPES = ("max-model-len", "context-length"), ("rope_parameters", "rope_scaling")
# Published config.json of the profiles' checkpoints: the keys that are read here, and where they come from.
PUBLISHED = pathlib.Path(__file__).parent / "configs"


@functools.cache
def _published() -> dict[str, Mapping[str, Any]]:
    documents = [json.loads(path.read_text(encoding="utf-8")) for path in sorted(PUBLISHED.glob("*.json"))]
    return {repo: document["config"] for document in documents for repo in document["repos"]}


def known(repo: str, found: Checkpoint | None) -> Checkpoint | None:
    """A checkpoint at hand, else what is published of it; nobody has looked at the names of its tensors then."""
    config = _published().get(repo)
    if found is not None or config is None:
        return found
    return {"path": f"huggingface.co/{repo}", "config": dict(config), "tensors": None}


def differences(repo: str, found: Checkpoint | None) -> list[str]:
    """What a checkpoint at hand says otherwise than the published one, as one text; the one at hand is what counts."""
    published = dict(_leaves(_published().get(repo, {})))
    if found is None:
        return []
    own = dict(_leaves(found["config"]))
    other = [
        f"{key} {show(own[key], 40)} (published: {show(published[key], 40)})"
        for key in published
        if own.get(key, published[key]) != published[key]
    ]
    more = f", and {len(other) - 5} more" if len(other) > 5 else ""
    return [f"{found['path']}/config.json is not the published one of {repo}: {', '.join(other[:5])}{more}"] if other else []


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, object]]:
    for key, value in config.items():
        if isinstance(value, Mapping) and not prefix:
            yield from _leaves(value, f"{key}.")
        else:
            yield prefix + str(key), value


def check(profile: Asked, checkpoint: Checkpoint | None, where: str, version: str = "0.22.1") -> tuple[list[Problem], list[str]]:
    """Problems of a valid profile with its checkpoint, and the checks that were skipped. `version`: of the engine's table."""
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
    context, longest, changes = args.get(flag), _length.of(profile, checkpoint, version), _length.changed(profile)[1]
    if need("context length", longest) and isinstance(context, int) and longest is not None and context > longest[0]:
        wanted = f"at most {longest[0]}, {longest[1]} of {path}/config.json{f' with args.{changes}' if changes else ''}"
        problems.append(Problem(where, f"args.{flag}", show(context), wanted, code="out-of-range"))

    need("tensor parallel", integer(config, "num_attention_heads"))
    for name in DIVIDED:
        heads = integer(config, name)
        if heads is not None and heads % tensor:
            wanted = f"a divisor of {heads}, {name} of {path}/config.json"
            problems.append(Problem(where, "parallel.tensor", str(tensor), wanted, code="not-a-divisor"))
    shared = integer(config, "num_key_value_heads")
    if shared is not None and shared % tensor and tensor % shared:
        wanted = f"a divisor or a multiple of {shared}, num_key_value_heads of {path}/config.json"
        problems.append(Problem(where, "parallel.tensor", str(tensor), wanted, code="not-a-divisor"))

    experts = _experts(config)
    if expert > 1:
        if experts is None:
            problems.append(Problem(where, "parallel.expert", str(expert), f"1: {path}/config.json names no experts", code="no-experts"))
        # vLLM gives what is left over to the first ranks (fused_moe, determine_expert_map), unless it balances them.
        elif experts % expert and (profile.get("engine") != "vllm" or args.get("enable-eplb")):
            wanted = f"a divisor of {experts}, the experts of {path}/config.json"
            problems.append(Problem(where, "parallel.expert", str(expert), wanted, code="not-a-divisor"))

    sides, size = _block(config), integer(config, "moe_intermediate_size", *(("intermediate_size",) if experts else ()))
    parts = max(1, tensor // expert)
    if sides and size is not None and (size % parts or _cut(config, size // parts, parts, sides, profile.get("engine"), version)):
        hint = f"Keep experts whole (parallel.expert {tensor}), or take fewer ranks."
        wanted = f"a split of the experts' {size} into whole blocks of {sides[0]}, weight_block_size of {path}/config.json"
        problems.append(Problem(where, "parallel.tensor", str(tensor), wanted, hint, code="not-a-divisor"))

    method, stated = str(args.get("quantization", "")), quantized(config)
    kinds = [next((name for name in METHODS if name in text and "w8a8" not in text), None) for text in (method, stated)]
    if None not in kinds and kinds[0] != kinds[1]:
        wanted = f"the profile without it: quant_method of {path}/config.json is {show(stated)}"
        hint = "The engine takes its weights as they are quantized, and refuses another method."
        problems.append(Problem(where, "args.quantization", show(method), wanted, hint, code="quantization"))

    speculative = args.get("speculative-config")
    method = speculative.get("method", "") if isinstance(speculative, Mapping) else ""
    drafts = isinstance(speculative, Mapping) and "model" in speculative
    if "mtp" in str(method) and not drafts and tensors is None and not _has_mtp(config, []):
        skipped.append("MTP layers: only the checkpoint's index tells")
    elif "mtp" in str(method) and not drafts and not _has_mtp(config, tensors or []):
        hint = "Without MTP layers every draft is rejected; drop speculative-config."
        found = f"{method!r}, but no MTP layer in {path}"
        wanted = "a checkpoint with MTP layers, or no speculation"
        problems.append(Problem(where, "args.speculative-config.method", found, wanted, hint, code="no-drafter"))

    if "nex-fp8-loader" in profile.get("mods", []):
        if tensors is None:
            skipped.append("block-quantized scales: only the checkpoint's index tells")
        elif not any(".experts." in name and name.endswith(".weight_scale") for name in tensors):
            wanted = f"tensors *.experts.*.weight_scale in the index of {path}"
            problems.append(Problem(where, "mods", "nex-fp8-loader", wanted, code="mod-unfit"))
        quantization = config.get("quantization_config")
        if not isinstance(quantization, Mapping) or "weight_block_size" not in quantization:
            hint = "It would corrupt a per-tensor FP8 checkpoint in silence."
            wanted = f"weight_block_size in quantization_config of {path}"
            problems.append(Problem(where, "mods", "nex-fp8-loader", wanted, hint, code="mod-unfit"))
    return problems, skipped


def _experts(config: Mapping[str, Any]) -> int | None:
    """How many a layer has; the most, where layers have each their own."""
    part = text_config(config)
    lists = [found for name in EXPERTS if isinstance(found := part.get(name, config.get(name)), list)]
    blocks = part.get("block_configs")
    each = [integer({"each": one}, "each") for found in lists for one in found]
    each += [integer(block, "n_routed_experts") for block in (blocks if isinstance(blocks, list) else []) if isinstance(block, Mapping)]
    return integer(config, *EXPERTS) or max(filter(None, each), default=None)


def _block(config: Mapping[str, Any]) -> list[int]:
    """Rows and columns of a block of FP8 weights; none where config.json does not say."""
    found = config.get("quantization_config")
    sides = found.get("weight_block_size") if isinstance(found, Mapping) else None
    right = isinstance(sides, list) and all(isinstance(side, int) and not isinstance(side, bool) and side > 0 for side in sides)
    return list(sides) if right and isinstance(sides, list) and "fp8" in quantized(config) else []


def _cut(config: Mapping[str, Any], share: int, parts: int, sides: Sequence[int], engine: object, version: str) -> bool:
    """Is a rank's share of an expert cut within a block? No engine takes that (fused_moe's create_weights of both) but for later vLLM.

    It splits blocks down to 32 (fused_moe/oracle/fp8.py, refine_fp8_moe_block_shape, 0.30.0).
    """
    if share % sides[0] == 0 and (parts == 1 or share % sides[-1] == 0):
        return False
    finer = math.gcd(*sides, share, integer(config, "hidden_size") or 0)
    return engine != "vllm" or version.startswith("0.22.") or finer < FINEST


def quantized(config: Mapping[str, Any]) -> str:
    """How a checkpoint's weights are quantized, in its own word; empty where config.json does not say."""
    for part in (config, text_config(config)):
        for key in ("quantization_config", "compression_config"):
            found = part.get(key)
            if isinstance(found, Mapping) and isinstance(found.get("quant_method"), str):
                return str(found["quant_method"]).lower().replace("_", "-")
    return ""


def unchecked(profile: Profile, checkpoint: Checkpoint | None) -> list[str]:
    """A factor of the context that nothing at hand bounds, as a warning: the engine would take it as it is."""
    stated = checkpoint is not None and integer(checkpoint["config"], "max_position_embeddings") is not None
    if stated or any(str(limit.get("arg")).replace("_", "-") in LENGTHS and "max" in limit for limit in profile.get("limits", [])):
        return []
    args, found = profile.get("args", {}), []
    for flag in ("hf-overrides", "json-model-override-args"):
        changed = args.get(flag)
        part = text_config(changed) if isinstance(changed, Mapping) else {}
        found += [
            f"args.{flag}: {key} with factor {show(part[key]['factor'])} lengthens a context that neither a config.json at hand nor"
            " the profile's limits say: nobody has checked how far it may go"
            for key in ROPES
            if isinstance(part.get(key), Mapping) and "factor" in part[key]
        ]
    return found


def _has_mtp(config: Mapping[str, Any], tensors: Sequence[str]) -> bool:
    layers = integer(config, "num_nextn_predict_layers", "mtp_num_hidden_layers", "num_mtp_layers")
    return bool(layers) or any(name.startswith("mtp.") or ".mtp." in name for name in tensors)
