# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of one rank, in GiB: its budget, what the budget leaves of the node, and the floor under which the node is saved.

On a GB10 the engine's budget is host memory: a floor that the budget itself crosses would end every healthy engine. PRIVATE to the
collection.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import Any

from ..common._problem import Problem
from . import _agreement, _cache, _checkpoint, _length, _parameters, _rules, _shape
from ._profile_types import Asked, Checkpoint, ImageFile, Profile
from ._types import Estimate, Floor
from .engines import _flags
from .engines._limits import value_of

GIB = 1024**3
# A GB10's 128 GB as free -h shows them in the report (119), and MiaAI-GLM#47 more exactly (to 121.69); a share is taken of this total
# (vllm/v1/worker/utils.py, request_memory, 0.22.1). Preflight takes it of each node's own.
TOTAL_GIB = 119.7
# What of it vLLM sees free on the tightest node of the field report: kernel and driver hold the rest.
VISIBLE_GIB = 111.27
# Of the budget: the peak of activations while vLLM profiles a step of 8192 tokens, and all that is not torch's (CUDA context, NCCL, what
# the process takes of the host's memory). The one number that is fitted: what remains in the report of Nex-N2-Pro without speculation,
# 0.90 x 119.7 - 93.85 of weights - 6.38 of KV cache on the tightest rank.
RESERVE_GIB = 7.5
# Of a step's tokens, hidden states of BF16 that a drafter adds: two buffers of its own (v1/spec_decode/llm_base_proposer.py, 0.22.1), and
# the model's, which are kept while it runs.
DRAFTER_STATES = 3
# Parameters counted further off a checkpoint's size than this are of another type.
UNLIKE = 0.1
# Tokens of a step where no flag says, for a server on 70 GiB or more (engine/arg_utils.py, get_batch_defaults).
STEP = 8192
# What makes quantized weights of others while it loads them, where it finds others.
CONVERTS = (
    *("bitsandbytes", "experts_int8", "fp8", "fp8_per_block", "fp8_per_tensor", "int8_per_channel_weight_only", "mxfp8", "online"),
    *("w8a8_fp8", "w8a8_int8"),
)
# SGLang's hicache-ratio where no flag says (0.5.13).
HICACHE = 2.0
# The flag that has the KV cache's memory in bytes.
FIXED = "kv-cache-memory-bytes"
ORDER = "Give up memory in this order: speculation, then max-num-seqs, then a larger budget or more ranks."
# The floor: a quarter of what the budget leaves free; the rest is for ranks that differ (1 GiB in the reports) and for the host's own
# programs. Never more than the 8 GiB of the field, never less than the 0.5 GiB that the mod gpu-mem-util-gb keeps.
FLOOR_SHARE, FLOOR_MOST, FLOOR_LEAST = 0.25, 8.0, 0.5
# Where nobody knows the budget.
FLOOR_UNKNOWN = 2.0


@dataclasses.dataclass(frozen=True)
class Budget:
    """What the engine may take, in GiB, and its share of the node's total: None for a budget in GiB, or none."""

    gib: float | None
    share: float | None


def budgeted(args: Mapping[str, Any]) -> dict[str, Any]:
    """Flags with the budget in GiB, also where it is said as a share of the whole: a limit of the one is one of the other."""
    share, gib = args.get("gpu-memory-utilization"), "gpu-memory-utilization-gb"
    if gib in args or isinstance(share, bool) or not isinstance(share, int | float):
        return dict(args)
    return {**args, gib: round(share * TOTAL_GIB, 2)}


def estimate(profile: Profile, image: ImageFile, checkpoint: Checkpoint | None) -> Estimate:
    """Of one rank of a profile, in GiB."""
    version = _flags.pick(profile["engine"], _rules.pinned(image, profile["engine"]))[0].version
    return rank(profile, budget(profile, image), checkpoint, version)


def budget(profile: Profile, image: ImageFile) -> Budget:
    """An engine for CPUs has none: it takes what its weights and its cache need."""
    args = profile.get("args", {})
    if "gpu-memory-utilization-gb" in args:
        return Budget(args["gpu-memory-utilization-gb"], None)
    share = args.get("gpu-memory-utilization", args.get("mem-fraction-static"))
    # Null says that the image has no CUDA; no word about it says nothing.
    if share is None and image["expect"].get("cuda", "any") is not None:
        # vLLM has a default; SGLang computes one from the GPU.
        table, _note = _flags.pick(profile["engine"], _rules.pinned(image, profile["engine"]))
        share = table.flags.get("gpu-memory-utilization", {}).get("default")
    return Budget(None if share is None else share * TOTAL_GIB, share)


def rank(asked: Asked, taken: Budget, checkpoint: Checkpoint | None, version: str = "0.22.1") -> Estimate:
    """Keys whose inputs are unknown are None; `kv_cache_tokens` and `requests` are of the whole group. `version`: of the engine's table."""
    args, tensor = asked.get("args", {}), asked["parallel"]["tensor"]
    shape, longest = None if checkpoint is None else _shape.read(checkpoint["config"]), _length.of(asked, checkpoint, version)
    if shape is not None:
        # Where no flag says, the engine asks for room for one request of what it derives.
        shape = dataclasses.replace(shape, context=longest and longest[0])
    pipeline = asked["parallel"].get("pipeline", 1)
    weights, drafter = _weights(asked, checkpoint, shape)
    if shape is not None and pipeline > 1:
        # The fullest stage.
        recurrent = shape.recurrent and dataclasses.replace(shape.recurrent, layers=-(-shape.recurrent.layers // pipeline))
        shape = dataclasses.replace(shape, attention=-(-shape.attention // pipeline), recurrent=recurrent)
    reserve, states, tokens, requests, per_token, one = RESERVE_GIB, 0.0, None, None, None, None
    left = None
    if asked["engine"] == "sglang":
        # It shares out what is free before it loads (0.5.13: _profile_available_bytes); activations come out of the rest.
        reserve = (taken.share or 0.0) * (TOTAL_GIB - VISIBLE_GIB)
    fixed = _cache.number(args.get(FIXED)) / GIB
    if fixed and taken.gib is not None:
        # vLLM then takes these beside all else, and asks neither its share nor what is free (v1/worker/gpu_worker.py, 0.22.1).
        left, taken = fixed, Budget(None if weights is None else weights + drafter + reserve + fixed, None)
    elif weights is not None and taken.gib is not None:
        left = taken.gib - weights - drafter - reserve
    if shape is not None and asked["engine"] == "sglang":
        slots = asked.get("expect", {}).get("mamba_pool", {}).get("slots", 0)
        pools = _cache.pools(shape, args, tensor, max(0.0, left or 0.0) * GIB, slots)
        per_token, states = float(pools.token), pools.states / GIB
        if left is not None and pools.token:
            left -= states
            tokens = max(0, int(left * GIB / pools.token))
        requests = float(pools.requests) if shape.recurrent else None
    elif shape is not None:
        blocks = _cache.blocks(shape, args, tensor)
        if blocks is not None:
            per_token = blocks.bytes * blocks.request / blocks.context
            # "auto" is as long as the memory allows.
            one = None if args.get("max-model-len") == "auto" else blocks.bytes * blocks.request / GIB
            if left is not None:
                tokens = blocks.capacity(left * GIB)
                requests = round(tokens / blocks.context, 2)

    host = _host(asked, left)
    # Free in form: what is not a number is not measured.
    measured = asked.get("expect", {}).get("bench", {}).get("kv_cache_gib")

    def short(value: float | None) -> float | None:
        return None if value is None else round(value, 2)

    return {
        "weights_gib": short(weights),
        "drafter_gib": round(drafter, 2),
        "reserve_gib": round(reserve, 2),
        "states_gib": round(states, 2),
        "share": taken.share,
        "budget_gib": short(taken.gib),
        "host_gib": round(host, 2),
        "leaves_gib": short(None if taken.gib is None else VISIBLE_GIB - taken.gib - host),
        "kv_cache_gib": short(left),
        "kv_bytes_per_token": None if per_token is None else round(per_token, 1),
        "kv_cache_tokens": tokens,
        "requests": requests,
        "request_gib": short(one),
        "reported": {
            "kv_cache_gib": measured if isinstance(measured, int | float) and not isinstance(measured, bool) else None,
            "kv_cache_tokens": asked.get("expect", {}).get("kv_cache_tokens"),
        },
    }


def _host(asked: Asked, left: float | None) -> float:
    """GiB on one rank that flags take of the host's memory, which on a GB10 is the same; `left`: for SGLang's KV cache.

    vLLM's sizes of a KV cache that is offloaded are of all ranks together; SGLang's, in GB, of each, or a multiple of the cache itself.
    """
    args, ranks = asked.get("args", {}), asked["parallel"]["tensor"] * asked["parallel"].get("pipeline", 1)

    def real(key: str) -> float:
        value = value_of(args, key)
        return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else 0.0

    found = real("cpu-offload-gb")
    if asked["engine"] == "vllm":
        moved = real("kv-transfer-config.kv_connector_extra_config.cpu_bytes_to_use") / GIB
        return found + (real("kv-offloading-size") + moved) / ranks
    if not args.get("enable-hierarchical-cache"):
        return found
    return found + (real("hicache-size") * 1e9 / GIB or max(0.0, left or 0.0) * (real("hicache-ratio") or HICACHE))


def converted(asked: Asked, checkpoint: Checkpoint | None) -> bool:
    """Does the engine quantize the weights as it loads them? Then nobody knows here what stays of them."""
    if asked.get("args", {}).get("quantization") not in CONVERTS:
        return False
    if checkpoint is not None:
        return not _checkpoint.quantized(checkpoint["config"])
    return not _agreement.kind(asked["model"]["repo"])


def _weights(asked: Asked, checkpoint: Checkpoint | None, shape: _shape.Shape | None) -> tuple[float | None, float]:
    """GiB of the model's and of the drafter's on one rank; a drafter of the model's own is in its checkpoint's size, once."""
    args, model = asked.get("args", {}), asked["model"]
    tensor, pipeline = asked["parallel"]["tensor"], asked["parallel"].get("pipeline", 1)
    size = None if converted(asked, checkpoint) else model.get("size_gib")
    weights = None if size is None else size / (tensor * pipeline)
    tokens, own = _cache.drafted(args)
    counted = None
    if checkpoint is not None and pipeline == 1 and not converted(asked, checkpoint):
        counted = _parameters.count(checkpoint["config"], tensor, args.get("mm-encoder-tp-mode") == "data")
    # A config.json that does not tell its quantization (ModelOpt has a file of its own) is no reason to count another type.
    if counted is not None and weights is not None and abs(counted.model / GIB / weights - 1) > UNLIKE:
        counted = None
    if counted is not None:
        weights = counted.model / GIB
    drafter = 0.0
    if tokens and own and counted is not None:
        drafter = counted.mtp / GIB
    elif tokens and not own:
        drafter = sum(draft.get("size_gib", 0.0) for draft in model.get("drafts", [])) / tensor
    if tokens and asked["engine"] == "vllm" and (own or drafter) and shape is not None and shape.hidden:
        step = _cache.number(args.get("max-num-batched-tokens")) or STEP
        drafter += DRAFTER_STATES * step * shape.hidden * 2 / GIB
    return weights, drafter


def problems(found: Estimate, site_floor: float | None, where: str, limits: Sequence[Mapping[str, Any]] = ()) -> list[Problem]:
    """A budget that the weights alone exceed cannot work; a floor above what the budget leaves would end a healthy engine.

    `limits`: the profile's, of which those of a budget hold for a KV cache in bytes, too.
    """
    out = _fixed(found, where, limits)
    left, leaves, budget = found["kv_cache_gib"], found["leaves_gib"], found["budget_gib"]
    # The reserve is an estimate, and refuses nobody.
    most = None if left is None else left + found["reserve_gib"]
    if most is not None and most <= 0:
        needs = f"{found['weights_gib']} GiB of weights per rank, {found['drafter_gib']} of drafter"
        if found["states_gib"]:
            needs += f", {found['states_gib']} of recurrent states"
        out.append(Problem(where, "memory", needs, f"less than the budget of {budget} GiB", ORDER, code="out-of-memory"))
    elif most is not None and found["request_gib"] is not None and found["request_gib"] > most:
        needs = f"{found['request_gib']} GiB of KV cache per rank for one request of the longest context"
        wanted = f"at most {round(most, 2)}, which the budget of {budget} GiB leaves beside weights and drafter"
        out.append(Problem(where, "memory", needs, wanted, f"Ask for a shorter context, or: {ORDER}", code="out-of-memory"))
    host = found["host_gib"]
    if host and leaves is not None and leaves < 0:
        needs = f"{host} GiB of the host's memory per rank, for what flags offload to it"
        wanted = f"at most {round(leaves + host, 2)}: the budget of {budget} GiB is of the same memory, of which {VISIBLE_GIB:g} are free"
        out.append(Problem(where, "memory", needs, wanted, "On a GB10 nothing is gained by it.", code="out-of-memory"))
    if site_floor is not None and leaves is not None and site_floor > max(FLOOR_LEAST, leaves / 2):
        hint = (
            f"The budget of {budget} GiB leaves {leaves} of the {VISIBLE_GIB} GiB that an engine sees: the floor would end a healthy one."
        )
        wanted = f"at most {max(FLOOR_LEAST, math.floor(leaves * 5) / 10)} GiB with {where}, or nothing: the plan then computes it"
        out.append(Problem("inventory", "gx10_memory_floor_gib", f"{site_floor:g} GiB", wanted, hint, code="out-of-range"))
    return out


def _fixed(found: Estimate, where: str, limits: Sequence[Mapping[str, Any]]) -> list[Problem]:
    """A KV cache in bytes that leads beyond what a budget may be. No budget does: what is left for its KV cache is within it."""
    left = found["kv_cache_gib"]
    if left is None or found["share"] is not None:
        return []
    beside = (found["weights_gib"] or 0.0) + found["drafter_gib"]
    bounds = [(_rules.CEILING * TOTAL_GIB, f"{_rules.CEILING:.2f} of {TOTAL_GIB} GiB is the proven ceiling")]
    for limit in limits:
        unit, most = {"gpu-memory-utilization": TOTAL_GIB, "gpu-memory-utilization-gb": 1.0}.get(str(limit.get("arg"))), limit.get("max")
        if unit is not None and isinstance(most, int | float):
            bounds.append((most * unit, f"{limit['arg']} of at most {most}: {limit.get('because')}"))
    most, because = min(bounds)
    if left + beside <= most:
        return []
    text = f"{left} GiB per rank, beside {beside:.2f} of weights and drafter"
    return [Problem(where, f"args.{FIXED}", text, f"at most {max(0.0, most - beside):.2f}", f"Reason: {because}.", "out-of-memory")]


def floor(found: Estimate, site_floor: float | None) -> Floor:
    """What the supervisor and preflight compare with.

    What must be available before a start is the budget (or the weights, where there is none) and the floor.
    """
    leaves, budget = found["leaves_gib"], found["budget_gib"]
    if site_floor is not None:
        gib, because = site_floor, "gx10_memory_floor_gib"
    elif leaves is None:
        gib, because = FLOOR_UNKNOWN, "the plan knows no budget"
    else:
        gib = max(FLOOR_LEAST, min(FLOOR_MOST, math.floor(leaves * FLOOR_SHARE * 10) / 10))
        because = f"a quarter of the {leaves:g} GiB that the budget leaves of {VISIBLE_GIB:g}"
    taken = budget if budget is not None else (found["weights_gib"] or 0.0) + RESERVE_GIB
    return {"floor_gib": gib, "floor_because": because, "needs_gib": round(taken + found["host_gib"] + gib, 2)}
