# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A model's cache as its engine lays it out: vLLM in blocks that attention and recurrent layers share, SGLang in two pools.

Counted as vLLM 0.22.1 (v1/core/kv_cache_utils.py, platforms/interface.py) and SGLang 0.5.13
(model_executor/model_runner_kv_cache_mixin.py) count. PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from ._shape import BYTES, Shape

# vLLM's kernels take blocks of a multiple of this many tokens.
BLOCK = 16
# SGLang's slots of one request: it runs in one and leaves two to the prefix cache; two more change places while a draft is verified.
SLOTS, SLOTS_DRAFTING = 3, 5
# SGLang's share of its pools that holds states, to one of keys and values, and its requests where no flag says.
STATE_RATIO, SGLANG_REQUESTS = 0.9, 48


@dataclasses.dataclass(frozen=True)
class Blocks:
    """vLLM's pool: `tokens` of a block, its `bytes` on one rank, `request`: blocks of one sequence of `context` tokens."""

    tokens: int
    bytes: int
    request: int
    context: int

    def capacity(self, memory: float) -> int:
        """What the engine logs as "GPU KV cache size": tokens of sequences as long as they may be."""
        return max(0, int(memory // self.bytes / self.request * self.context))


@dataclasses.dataclass(frozen=True)
class Pools:
    """SGLang's: `slots` for states and the requests they allow, `states`: bytes of both kinds, `token`: bytes of a token."""

    slots: int
    requests: int
    states: float
    token: int


def number(value: Any) -> int:
    """A flag's count; 0 where it is absent or anything else."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else 0


def drafted(args: Mapping[str, Any]) -> tuple[int, bool]:
    """How many tokens a step drafts (0: no speculation), and whether the model's own layers do it."""
    config = args.get("speculative-config")
    if isinstance(config, Mapping):
        return number(config.get("num_speculative_tokens")), "mtp" in str(config.get("method"))
    if "speculative-algorithm" in args:
        return number(args.get("speculative-num-draft-tokens")), "speculative-draft-model-path" not in args
    return 0, False


def context(shape: Shape, args: Mapping[str, Any]) -> int:
    """The longest sequence in tokens; 0 where nobody says."""
    return number(args.get("max-model-len")) or number(args.get("context-length")) or shape.context or 0


def blocks(shape: Shape, args: Mapping[str, Any], tensor: int) -> Blocks | None:
    """None for a model without attention, or with states where nobody says how long a sequence may be."""
    drafts, own = drafted(args)
    attention, longest = shape.attention + (shape.mtp if own else 0), context(shape, args)
    token = shape.token_bytes(tensor, str(args.get("kv-cache-dtype", "auto")))
    state = shape.recurrent
    if not attention or (state and not longest):
        return None
    if state is None:
        # Of any length: as many tokens for each byte.
        longest = longest or BLOCK
        return Blocks(BLOCK, BLOCK * token * attention, math.ceil(longest / BLOCK), longest)
    page = state.bytes(tensor, BYTES.get(str(args.get("mamba-ssm-cache-dtype")), state.state_bytes), drafts)
    mode = _mode(shape, args)
    # A block of attention is as large as a recurrent layer's state, so that both come from one pool.
    step = math.lcm(state.chunk, BLOCK) if mode == "all" else BLOCK
    tokens = max(step * math.ceil(page / token / step), BLOCK)
    few, many = sorted((attention, state.layers))
    # Layers are grouped, each group with a table of blocks: by the smaller kind, unless the other is hardly larger.
    group = many if many < 1.5 * few else few
    whole = math.ceil(longest / tokens)
    # States kept: at the end of every block, the last two, or the running one.
    kept = {"all": whole, "align": 2}.get(mode, 1) + drafts
    request = math.ceil(attention / group) * whole + math.ceil(state.layers / group) * kept
    return Blocks(tokens, tokens * token * group, request, longest)


def _mode(shape: Shape, args: Mapping[str, Any]) -> str:
    """Which states a prefix can be found by (mamba-cache-mode): NemotronH's kernels write all of a prefill's."""
    if not args.get("enable-prefix-caching"):
        return "none"
    stated = args.get("mamba-cache-mode", "none")
    if stated == "none":
        return "all" if shape.architecture == "NemotronHForCausalLM" else "align"
    return str(stated)


def pools(shape: Shape, args: Mapping[str, Any], tensor: int, memory: float, slots: int = 0) -> Pools:
    """`memory`: bytes for both pools; `slots`: as a report saw them, where no flag says."""
    drafts, _own = drafted(args)
    # The drafter's keys and values stand in a pool of its own, as large.
    token = shape.token_bytes(tensor, str(args.get("kv-cache-dtype", "auto"))) * (shape.attention + (shape.mtp if drafts else 0))
    state = shape.recurrent
    if state is None:
        return Pools(0, 0, 0.0, token)
    size = state.layers * state.bytes(tensor, BYTES.get(str(args.get("mamba-ssm-dtype")), state.state_bytes), 0)
    each = 1 if args.get("disable-radix-cache") else SLOTS_DRAFTING if drafts else SLOTS
    ratio = args.get("mamba-full-memory-ratio", STATE_RATIO)
    slots = number(args.get("max-mamba-cache-size")) or slots
    if not slots:
        slots = max(0, int(memory * ratio / (1 + ratio) / (size * (1 + drafts / each))))
    allowed = number(args.get("max-running-requests")) or (SGLANG_REQUESTS if drafts else slots)
    requests = min(allowed, slots // each)
    return Pools(slots, requests, float(size * (slots + requests * drafts)), token)
