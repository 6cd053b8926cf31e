# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where a key of a profile belongs that stands elsewhere: a flag at the top, a size by its flag's name. PRIVATE to the collection."""

from __future__ import annotations

import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

from ..common._schema import Hint
from .engines import _engines, _flags

# What people call what no flag is called.
ALIASES = {
    "ep": "parallel.expert",
    "expert-parallel-size": "parallel.expert",
    "tensor-parallel": "parallel.tensor",
    "pipeline-parallel": "parallel.pipeline",
    "model-name": "model.served_name",
    "environment": "env",
    "flags": "args",
}


def hint(engine: object, schema: str) -> Hint:
    """A hint for `_schema.accept`: by the tables of the profile's engine where it is one, else of all."""
    engines = [str(engine)] if engine in _engines.names() else _engines.names()[::-1]

    def belongs(path: list[str | int], key: str) -> str:
        place = next(_places(engines, schema, key), "")
        return f"It belongs to {place}." if place and place != key else ""

    return belongs


def _places(engines: list[str], schema: str, key: str) -> Iterator[str]:
    base, dot, part = key.lstrip("-").partition(".")
    name = base.replace("_", "-")
    if name in ALIASES:
        yield ALIASES[name]
    keys = _keys(schema)
    if name.replace("-", "_") in keys:
        yield keys[name.replace("-", "_")]
    for engine in engines:
        owned = _engines.load(engine).DIALECT.owned
        for version in _flags.versions(engine)[::-1]:
            flag = _flags.table(engine, version).names.get(name)
            if flag:
                # What the plan sets from elsewhere has its place there.
                yield owned.get(flag, f"args.{flag}{dot}{part}")
    if re.fullmatch(r"[A-Z][A-Z0-9]*(_[A-Z0-9]+)+", key):
        yield f"env.{key}"


@functools.cache
def _keys(schema: str) -> Mapping[str, str]:
    """The keys of a profile's parts by their last names; those of a name that several parts have are left out."""
    found: dict[str, str] = {}

    def walk(part: Any, above: str) -> None:
        for key, inner in part.get("properties", {}).items():
            found[key] = "" if key in found else above + key
            walk(inner, f"{above}{key}.")

    for key, part in json.loads(schema)["properties"].items():
        walk(part, f"{key}.")
    return {key: place for key, place in found.items() if place}
