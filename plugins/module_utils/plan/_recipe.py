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

from ..common import _schema
from ..common._document import load, parse_json
from ..common._files import Refused
from ..common._problem import Problem, show, told
from ._profile_types import Text
from .engines import _args as flags
from .engines import _flags, _vllm
from .engines._flags import Table

# What a recipe says; keys that are not carried are named in the notes.
SCALAR = {"type": ["string", "number", "integer", "boolean"]}
TEXT = {"type": "string", "minLength": 1}
SCHEMA = json.dumps(
    {
        "required": ["name", "container", "command"],
        "properties": {
            "recipe_version": SCALAR,
            "name": {**TEXT, "description": "text"},
            "container": {**TEXT, "description": "the image's name"},
            "command": {**TEXT, "description": "vllm serve MODEL …"},
            "description": {"type": ["string", "null"]},
            "model": {},
            "mods": {"type": ["array", "null"], "items": TEXT},
            "defaults": {"type": ["object", "null"], "additionalProperties": SCALAR},
            "env": {"type": ["object", "null"], "additionalProperties": SCALAR},
            "cluster_only": {"type": "boolean"},
            "solo_only": {"type": "boolean"},
        },
    }
)
# A value, not a flag.
NEGATIVE = re.compile(r"-[0-9]+(?:\.[0-9]+)?")
CARRIED = set(json.loads(SCHEMA)["properties"])


def convert(source: Text, schema: str, date: str) -> tuple[dict[str, Any], list[str]]:
    """Return a profile that `schema` takes, and notes on what was not carried; an empty profile and the reasons where there is none.

    `date` (YYYY-MM-DD) goes to the profile's provenance.
    """
    where = source["path"]
    recipe, problems = _read(source)
    if problems:
        return {}, told(problems)
    notes = [f"{key}: not carried ({show(recipe[key])})" for key in sorted(set(recipe) - CARRIED)]
    if recipe.get("recipe_version", "1") not in ("1", 1):
        notes.append(f"recipe_version {show(recipe['recipe_version'])}: read as version 1")
    try:
        words = shlex.split(_filled(recipe["command"], recipe.get("defaults") or {}).replace("\\\n", " "))
    except ValueError as error:
        found = f"a placeholder or quote that cannot be filled ({error})"
        return {}, told([Problem(where, "command", found, "closed quotes, and each {NAME} in defaults", code="wrong-text")])
    if words[:2] != ["vllm", "serve"] or len(words) < 3:
        return {}, told([Problem(where, "command", show(" ".join(words[:3])), "vllm serve MODEL …", code="wrong-text")])
    profile = _profile(recipe, words, notes, where, date)
    _taken, problems = _schema.accept(profile, schema, f"the profile of {where}")
    return ({}, told(problems)) if problems else (profile, notes)


def _read(source: Text) -> tuple[dict[str, Any], list[Problem]]:
    if source.get("problem"):
        return load(source)
    text = re.sub(r"^---\n", "", source["text"].replace("\r\n", "\n"))
    # A recipe's command is a block of several lines, which profiles do not have.
    block = re.search(r"^command: *[|>][+-]?\n((?:[ \t][^\n]*\n|\n)+)", f"{text}\n", re.MULTILINE)
    plain = f"{text}\n".replace(block[0], "command: block\n") if block else text
    recipe, problems = _schema.read({"path": source["path"], "text": plain}, SCHEMA)
    return {**recipe, **({"command": block[1]} if block else {})}, problems


def _filled(command: str, defaults: Mapping[str, Any]) -> str:
    """Fill {NAME} in, where {{ and }} are braces. Not `str.format`, to which {NAME:>9999999999} is an order."""

    def fill(match: re.Match[str]) -> str:
        if match[0] in ("{{", "}}"):
            return match[0][0]
        if match[1] not in defaults:
            raise ValueError(show(match[0]))
        return str(defaults[match[1]])

    return re.sub(r"{{|}}|{(\w+)}|[{}]", fill, command)


def _profile(recipe: Mapping[str, Any], words: list[str], notes: list[str], where: str, date: str) -> dict[str, Any]:
    args = _args(words[3:], notes)
    repo = re.sub(r"^/root/\.cache/huggingface/", "", words[2])
    parallel = {"tensor": args.pop("tensor-parallel-size", 1)}
    if "pipeline-parallel-size" in args:
        parallel["pipeline"] = args.pop("pipeline-parallel-size")
    if args.pop("enable-expert-parallel", False):
        parallel["expert"] = parallel["tensor"]
    alone = parallel["tensor"] == parallel.get("pipeline", 1) == 1
    backend = args.pop("distributed-executor-backend", None)
    executor = "ray" if backend == "ray" else "solo" if recipe.get("solo_only") or alone else "mp"
    served = args.pop("served-model-name", repo)
    if isinstance(served, list):
        notes.append(f"--served-model-name: the first of {len(served)} names is carried")
        served = served[0]
    for flag in [flag for flag in args if flag in _vllm.DIALECT.owned]:
        notes.append(f"--{flag} {args.pop(flag)}: belongs to {_vllm.DIALECT.owned[flag]}")
    slug = re.sub(r"[^a-z0-9_.-]+", "-", str(recipe["name"]).lower()).strip("-.")[:62]
    env = recipe.get("env") or {}
    mods = [mod.rstrip("/").rsplit("/", 1)[-1] for mod in recipe.get("mods") or []]
    return {
        "summary": str(recipe.get("description") or recipe["name"])[:200],
        "model": {"repo": repo, "served_name": served},
        "image": str(recipe["container"]).partition(":")[0],
        "engine": "vllm",
        "executor": executor,
        "parallel": parallel,
        "container": {"name": slug, "shm_size": "16g", "ipc": "host"},
        "env": {"HF_HUB_OFFLINE": "1", "TRANSFORMERS_OFFLINE": "1", **{key: str(value) for key, value in env.items()}},
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
    rest = [part for word in words for part in _split(table, word)]
    while rest:
        word = rest.pop(0)
        name = flags.canonical(_vllm.DIALECT, table, word)
        if not word.startswith("--") and name.partition(".")[0] not in table.flags:
            notes.append(f"{word}: not a flag of vllm serve, not carried")
            continue
        values = []
        while rest and (not rest[0].startswith("-") or NEGATIVE.fullmatch(rest[0])):
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


def _split(table: Table, word: str) -> list[str]:
    """A flag and the value that is written to it, as vLLM's parser takes them apart: --a=b, -tp=2, -cc.mode=3, -O3."""
    level = re.fullmatch(r"-O\.?([0-9])", word)
    if level:
        return ["--optimization-level", level[1]]
    name, equals, value = word.partition("=")
    known = word.startswith("--") or flags.canonical(_vllm.DIALECT, table, name).partition(".")[0] in table.flags
    return [name, value] if word.startswith("-") and equals and known else [word]


def _value(text: str) -> Any:
    """Numbers and JSON mappings as themselves, everything else as text."""
    try:
        value = parse_json(text.encode())
    except (Refused, UnicodeEncodeError):
        return text
    return value if isinstance(value, int | float | dict) and not isinstance(value, bool) else text
