# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long a sequence may be by a checkpoint's config.json, as each engine derives it. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeGuard

from ._agreement import POSITIONS
from ._profile_types import Asked, Checkpoint
from ._shape import LARGEST, text_config

# SGLang takes the first of these (utils/hf_transformers/common.py, CONTEXT_LENGTH_KEYS, 0.5.13), vLLM the smallest of POSITIONS.
FIRST = ("max_sequence_length", "seq_length", "max_seq_len", "model_max_length", "max_position_embeddings")
# Rotations whose factor does not lengthen what config.json says.
FIXED = ("default", "su", "longrope", "llama3", None)
# Their factor is in it already, says vLLM from a version after 0.22 on; 0.22 multiplies (config/model.py, _get_and_verify_max_len).
YARN = ("yarn", "deepseek_yarn", "deepseek_llama_scaling")

# Flags that change what config.json says.
CHANGES = ("json-model-override-args", "hf-overrides")


def of(asked: Asked, checkpoint: Checkpoint | None, version: str) -> tuple[int, str] | None:
    """`longest` of a profile with its checkpoint, whose flags may change what config.json says."""
    return longest(checkpoint["config"], changed(asked)[0], asked.get("engine") == "sglang", version) if checkpoint is not None else None


def changed(asked: Asked) -> tuple[Mapping[str, Any], str]:
    """What a flag puts in the place of config.json's keys, and which one does."""
    args = asked.get("args", {})
    return next(((args[flag], flag) for flag in CHANGES if isinstance(args.get(flag), Mapping) and args[flag]), ({}, ""))


def longest(config: Mapping[str, Any], changes: Mapping[str, Any], sglang: bool, version: str) -> tuple[int, str] | None:
    """Tokens, and the key that says so; None where none does. `changes`: of a flag; `version`: of the engine's table."""
    whole = [{**part, **text_config(part)} for part in (changes, config)]
    stated = {**whole[1], **whole[0]}
    found = [(stated[name], name) for name in (FIRST if sglang else POSITIONS) if _is_length(stated.get(name))]
    if not found:
        return None
    length, key = found[0] if sglang else min(found)
    if not sglang and _is_length(stated.get("model_max_length")):
        length, key = stated["model_max_length"], "model_max_length"
    # Gemma 3's is scaled already.
    for rope in [] if not sglang and "gemma3" in str(stated.get("model_type")) else _ropes(whole):
        kind, factor, first = rope.get("rope_type", rope.get("type")), rope.get("factor"), rope.get("original_max_position_embeddings")
        # What a file says may be anything.
        if isinstance(factor, bool) or not isinstance(factor, int | float) or not 0 < factor <= LARGEST:
            continue
        if sglang:
            length = length if first is not None or rope.get("rope_type") == "llama3" else int(length * factor)
        elif kind not in FIXED and (kind not in YARN or version.startswith("0.22.")):
            length = int((first if kind == "yarn" and _is_length(first) else length) * factor)
        # All kinds of layers have the same.
        break
    return length, key


def _is_length(value: Any) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 < value <= LARGEST


def _ropes(parts: list[dict[str, Any]]) -> Iterator[Mapping[str, Any]]:
    """The rotation, or those of each kind of layer; a flag's is in the place of the checkpoint's."""
    found = [part.get("rope_parameters") or part.get("rope_scaling") for part in parts]
    rope = next((one for one in found if isinstance(one, Mapping)), {})
    inner = [one for one in rope.values() if isinstance(one, Mapping)]
    yield from inner or [rope]
