# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Turn a spark-vllm-docker recipe into a profile, and say what could not be carried. PRIVATE to the collection."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Mapping
from typing import Any

from ..common._document import parse
from .engines import _args as flags
from .engines import _flags, _vllm

# Recipe keys that have a place in a profile; the others are named in the notes.
CARRIED = {"name", "recipe_version", "container", "command", "description", "model", "mods", "defaults", "env", "cluster_only", "solo_only"}


def convert(text: str, where: str, date: str) -> tuple[dict[str, Any], list[str]]:
    """Return the profile and notes on what was not carried; an empty profile and the reasons where nothing could be made.

    `date` (YYYY-MM-DD) goes to the profile's provenance.
    """
    recipe, problems = parse(re.sub(r"^---\n", "", text), where)
    # A recipe's command is a block of several lines, which profiles do not have.
    block = re.search(r"^command: *[|>][+-]?\n((?:[ \t]+.*\n?|\n)+)", text, re.MULTILINE)
    if problems and block:
        recipe, problems = parse(text.replace(block.group(0), "command: block\n"), where)
        recipe["command"] = block.group(1)
    if problems:
        return {}, [str(problem) for problem in problems]
    missing = [key for key in ("name", "container", "command") if not isinstance(recipe.get(key), str)]
    if missing:
        return {}, [f"{where}: {key}: found nothing; wanted text" for key in missing]
    notes = [f"{key}: not carried ({recipe[key]!r})" for key in sorted(set(recipe) - CARRIED)]
    if recipe.get("recipe_version", "1") not in ("1", 1):
        notes.append(f"recipe_version {recipe['recipe_version']!r}: read as version 1")
    defaults = recipe.get("defaults") if isinstance(recipe.get("defaults"), Mapping) else {}
    try:
        words = shlex.split(recipe["command"].format(**(defaults or {})).replace("\\\n", " "))
    except (KeyError, IndexError, ValueError) as error:
        return {}, [f"{where}: command: found a placeholder or quote that cannot be filled ({error!r}); wanted values in defaults"]
    if words[:2] != ["vllm", "serve"] or len(words) < 3:
        return {}, [f"{where}: command: found {' '.join(words[:3])!r}; wanted vllm serve MODEL …"]
    profile = _profile(recipe, words, notes, where, date)
    return profile, notes


def _profile(recipe: Mapping[str, Any], words: list[str], notes: list[str], where: str, date: str) -> dict[str, Any]:
    args = _args(words[3:], notes)
    repo = re.sub(r"^/root/\.cache/huggingface/", "", words[2])
    parallel = {"tensor": args.pop("tensor-parallel-size", 1)}
    if "pipeline-parallel-size" in args:
        parallel["pipeline"] = args.pop("pipeline-parallel-size")
    if args.pop("enable-expert-parallel", False):
        parallel["expert"] = parallel["tensor"]
    ranks = parallel["tensor"] * parallel.get("pipeline", 1)
    backend = args.pop("distributed-executor-backend", None)
    executor = "ray" if backend == "ray" else "solo" if recipe.get("solo_only") or ranks == 1 else "mp"
    served = args.pop("served-model-name", repo)
    for flag in [flag for flag in args if flag in _vllm.DIALECT.owned]:
        notes.append(f"--{flag} {args.pop(flag)}: belongs to {_vllm.DIALECT.owned[flag]}")
    slug = re.sub(r"[^a-z0-9_.-]+", "-", str(recipe["name"]).lower()).strip("-.")[:62]
    env = recipe.get("env") if isinstance(recipe.get("env"), Mapping) else {}
    mods = [str(mod).rstrip("/").rsplit("/", 1)[-1] for mod in recipe.get("mods") or []]
    return {
        "summary": str(recipe.get("description") or recipe["name"])[:200],
        "model": {"repo": repo, "served_name": served},
        "image": str(recipe["container"]).partition(":")[0],
        "engine": "vllm",
        "executor": executor,
        "parallel": parallel,
        "container": {"name": slug, "shm_size": "16g", "ipc": "host"},
        "env": {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", **{str(key): str(value) for key, value in (env or {}).items()}},
        "args": args,
        "mods": mods,
        "provenance": {
            "source": f"recipe {where.rsplit('/', 1)[-1]}",
            "date": date,
            "hardware": "unknown",
            "status": "untested",
            "because": "imported from a recipe; nobody has measured it with this collection",
        },
    }


def _args(words: list[str], notes: list[str]) -> dict[str, Any]:
    """argv as a profile's `args`."""
    # A recipe does not say which vLLM it is for.
    table = _flags.table("vllm", _flags.versions("vllm")[-1])
    args: dict[str, Any] = {}
    rest = [part for word in words for part in (word.split("=", 1) if word.startswith("--") and "=" in word else [word])]
    while rest:
        word = rest.pop(0)
        name = flags.canonical(_vllm.DIALECT, table, word)
        if not word.startswith("--") and name.partition(".")[0] not in table.flags:
            notes.append(f"{word}: not a flag of vllm serve, not carried")
            continue
        values = []
        while rest and not rest[0].startswith("-"):
            values.append(_value(rest.pop(0)))
        if name.startswith("no-") and table.flags.get(name[3:], {}).get("type") == "bool":
            args[name[3:]] = False
        elif not values:
            args[name] = True
        else:
            args[name] = values[0] if len(values) == 1 else values
        if name.split(".")[0] not in table.flags and not name.startswith("no-"):
            notes.append(f"--{name}: not a flag of vllm serve as this collection knows it; a mod may add it")
    return args


def _value(text: str) -> Any:
    """Numbers and JSON mappings as themselves, everything else as text."""
    try:
        value = json.loads(text)
    except ValueError:
        return text
    return value if isinstance(value, int | float | dict) and not isinstance(value, bool) else text
