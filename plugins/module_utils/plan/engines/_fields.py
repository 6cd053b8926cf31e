# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""JSON flags, and what their mappings fill: the engine's configuration classes, field by field. PRIVATE to the collection."""

from __future__ import annotations

import re
from typing import Any

from ...common._document import parse_json, plain
from ...common._files import Refused
from ...common._problem import Problem, nearest, show
from . import _lookalikes
from ._engines import Dialect
from ._flags import Spec, Table
from ._values import Wrong, bounded, choose, floating, integer, size, texts

TRUE, FALSE = ("true", "1", "yes", "y", "on", "t"), ("false", "0", "no", "n", "off", "f")


class _NoJson(Wrong):
    """A text that is not JSON."""


def json_flag(dialect: Dialect, table: Table, spec: Spec, value: Any, warnings: list[str], at: str) -> Any:
    """A JSON flag: a mapping or list of the profile, or the JSON text of one."""
    taken = value
    if isinstance(value, str):
        texts(value)
        if spec["type"] == "json_or_str" and not re.fullmatch(r"(?s)\s*\{.*\}\s*", value):
            return value
        text = value
        if spec.get("sizes"):
            # Outside of quotes, as in _expand_json_human_readable_numbers of vLLM's arg_utils; a quote that nobody closes is no JSON.
            parts = re.split(r'("(?:[^"\\]|\\.)*(?:"|\\?\Z))', value)
            parts[::2] = [re.sub(r"\b\d+(?:\.\d+)?[kKmMgGtT]\b", lambda match: str(size(dialect, match[0])), part) for part in parts[::2]]
            text = "".join(parts)
        taken = _parsed(text)
    elif isinstance(value, list) and spec["type"] == "json_or_str":
        raise Wrong(value, "a text or a mapping")
    if "of" in spec:
        return _filled(table, spec["of"], taken, "", warnings, at)
    warnings += [
        f"{at}{path}: {show(text)} is a text; numbers and truths are written as in JSON (0.95, true)"
        for path, text in _lookalikes.texts(taken, "")
    ]
    return taken


def _parsed(text: str) -> Any:
    """The value of a JSON text, within the bounds that it would have as a mapping of the profile."""
    try:
        value, problems = plain(parse_json(text.encode()), "", "")
    except Refused as refused:
        if refused.code == "not-json":
            raise _NoJson(text, "a mapping, or its JSON text") from None
        problems = [Problem("", "", refused.found, refused.wanted, code=refused.code)]
    if problems:
        wrong = Wrong(text, problems[0].wanted, code=problems[0].code)
        wrong.found = problems[0].found
        raise wrong
    return value


def part(dialect: Dialect, table: Table, spec: Spec, path: list[str], value: Any, warnings: list[str], at: str) -> Any:
    """The value of one part of a JSON flag (--flag.part value)."""
    if not dialect.parts or spec["type"] not in ("json", "json_or_str"):
        raise Wrong(value, f"the flag without a part: {dialect.program} has none of it")
    taken = value
    if isinstance(value, str):
        texts(value)
        try:
            taken = _parsed(value)
        except _NoJson:
            try:
                taken = size(dialect, value)
            except Wrong:
                taken = value
    of = spec.get("of")
    for index, name in enumerate(path):
        if of is None:
            return taken
        field = known_field(table, of, name, "")
        if index == len(path) - 1:
            return _typed(table, field, taken, "", warnings, at)
        of = field.get("of")
    return taken


def known_field(table: Table, of: str, name: str, path: str) -> Spec:
    """One field of a configuration class."""
    fields = table.fields[of]
    if name not in fields:
        raise Wrong(name, f"one of the fields of {table.engine} {table.version}'s {of}", nearest(name, fields), path, "unknown-key")
    return fields[name]


def _filled(table: Table, of: str, value: Any, path: str, warnings: list[str], at: str) -> dict[str, Any]:
    """A mapping that fills a configuration class."""
    if not isinstance(value, dict):
        raise Wrong(value, "a mapping", path=path)
    return {
        name: _typed(table, known_field(table, of, str(name), path), item, f"{path}.{name}", warnings, at) for name, item in value.items()
    }


def _typed(table: Table, spec: Spec, value: Any, path: str, warnings: list[str], at: str) -> Any:
    """A field's value as pydantic takes it: texts that are numbers or truths are those."""
    kinds, version = spec["type"].split("|"), f"{table.engine} {table.version}"
    if (value is None and spec.get("optional")) or kinds == ["any"]:
        return value
    if isinstance(value, dict) and "of" in spec:
        return _filled(table, spec["of"], value, path, warnings, at)
    try:
        for kind in kinds:
            if type(value).__name__ == kind and kind != "float":
                return choose(table, spec, bounded(spec, value, version), warnings, at + path)
        for kind in kinds:
            if kind == "bool" and str(value).lower() in (*TRUE, *FALSE):
                return str(value).lower() in TRUE
            if kind == "int" and not isinstance(value, bool):
                integral = isinstance(value, float) and value.is_integer()
                return choose(table, spec, bounded(spec, int(value) if integral else integer(value), version), warnings, at + path)
            if kind == "float" and not isinstance(value, bool):
                return bounded(spec, floating(value), version)
    except Wrong as wrong:
        raise Wrong(value, wrong.wanted, wrong.hint, path, wrong.code) from None
    words = {"str": "a text", "int": "an integer", "float": "a number", "bool": "true or false", "list": "a list", "dict": "a mapping"}
    raise Wrong(value, " or ".join(words[kind] for kind in kinds), path=path)
