# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The memory of one rank, in GiB: its budget, what the budget leaves of the node, and the floor under which the node is saved.

On a GB10 the engine's budget is host memory: a floor that the budget itself crosses would end every healthy engine. PRIVATE to the
collection.
"""

from __future__ import annotations

import math

from ..common._problem import Problem
from . import _rules
from ._checkpoint import kv_bytes_per_token
from ._profile_types import Checkpoint, ImageFile, Profile
from ._types import Estimate, Floor
from .engines import _flags

# A GB10's 128 GB as free -h shows them in the report (119), and MiaAI-GLM#47 more exactly (to 121.69); a share is taken of this total
# (vllm/v1/worker/utils.py, request_memory, 0.22.1). Preflight takes it of each node's own.
TOTAL_GIB = 119.7
# What of it vLLM sees free on the tightest node of the field report: kernel and driver hold the rest.
VISIBLE_GIB = 111.27
# Of the budget: activations, CUDA context and NCCL buffers. What remains unexplained in the report of Nex-N2-Pro:
# 0.90 x 119.7 - 93 of weights - 6.38 of KV cache on the tightest rank.
RESERVE_GIB = 8.35
# A drafter's parameters on each rank, as measured with MTP on Qwen3.5.
DRAFTER_GIB = 2.0
# The floor: a quarter of what the budget leaves free; the rest is for ranks that differ (1 GiB in the reports) and for the host's own
# programs. Never more than the 8 GiB of the field, never less than the 0.5 GiB that the mod gpu-mem-util-gb keeps.
FLOOR_SHARE, FLOOR_MOST, FLOOR_LEAST = 0.25, 8.0, 0.5
# Where nobody knows the budget.
FLOOR_UNKNOWN = 2.0


def estimate(profile: Profile, image: ImageFile, checkpoint: Checkpoint | None) -> Estimate:
    """Estimate of one rank's memory in GiB. Keys whose inputs are unknown are None; `kv_cache_tokens` is for the whole group.

    An engine for CPUs has no budget: it takes what its weights and its cache need.
    """
    args, parallel = profile.get("args", {}), profile["parallel"]
    ranks = parallel["tensor"] * parallel.get("pipeline", 1)
    size = profile["model"].get("size_gib")
    weights = None if size is None else size / ranks
    share = args.get("gpu-memory-utilization", args.get("mem-fraction-static"))
    # Null says that the image has no CUDA; no word about it says nothing.
    if share is None and image["expect"].get("cuda", "any") is not None:
        # vLLM has a default; SGLang computes one from the GPU.
        table, _note = _flags.pick(profile["engine"], _rules.pinned(image, profile["engine"]))
        share = table.flags.get("gpu-memory-utilization", {}).get("default")
    budget = args.get("gpu-memory-utilization-gb", None if share is None else share * TOTAL_GIB)
    drafter = DRAFTER_GIB if "speculative-config" in args or "speculative-algorithm" in args else 0.0
    left = None if weights is None or budget is None else budget - weights - drafter - RESERVE_GIB
    per_token = None
    if checkpoint is not None:
        per_token = kv_bytes_per_token(checkpoint["config"], parallel["tensor"], str(args.get("kv-cache-dtype", "auto")))
    tokens = None if left is None or not per_token else max(0, int(left * 1024**3 / per_token))

    # Free in form: what is not a number is not measured.
    measured = profile.get("expect", {}).get("bench", {}).get("kv_cache_gib")

    def short(value: float | None) -> float | None:
        return None if value is None else round(value, 2)

    return {
        "weights_gib": short(weights),
        "drafter_gib": drafter,
        "reserve_gib": RESERVE_GIB,
        # Of the node's total; None for a budget in GiB, or none.
        "share": None if "gpu-memory-utilization-gb" in args else share,
        "budget_gib": short(budget),
        "leaves_gib": short(None if budget is None else VISIBLE_GIB - budget),
        "kv_cache_gib": short(left),
        "kv_bytes_per_token": per_token,
        "kv_cache_tokens": tokens,
        "reported": {
            "kv_cache_gib": measured if isinstance(measured, int | float) and not isinstance(measured, bool) else None,
            "kv_cache_tokens": profile.get("expect", {}).get("kv_cache_tokens"),
        },
    }


def problems(found: Estimate, site_floor: float | None, where: str) -> list[Problem]:
    """A budget that the weights alone exceed cannot work; a floor above what the budget leaves would end a healthy engine."""
    out = []
    left, leaves, budget = found["kv_cache_gib"], found["leaves_gib"], found["budget_gib"]
    # The reserve is an estimate, and refuses nobody.
    if left is not None and left + found["reserve_gib"] <= 0:
        needs = f"{found['weights_gib']} GiB of weights per rank, {found['drafter_gib']} of drafter"
        hint = "Give up memory in this order: speculation, then max-num-seqs, then a larger budget or more ranks."
        out.append(Problem(where, "memory", needs, f"less than the budget of {budget} GiB", hint))
    if site_floor is not None and leaves is not None and site_floor > max(FLOOR_LEAST, leaves / 2):
        hint = (
            f"The budget of {budget} GiB leaves {leaves} of the {VISIBLE_GIB} GiB that an engine sees: the floor would end a healthy one."
        )
        wanted = f"at most {max(FLOOR_LEAST, math.floor(leaves * 5) / 10)} GiB with {where}, or nothing: the plan then computes it"
        out.append(Problem("inventory", "gx10_memory_floor_gib", f"{site_floor:g} GiB", wanted, hint))
    return out


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
    return {"floor_gib": gib, "floor_because": because, "needs_gib": round(taken + gib, 2)}
