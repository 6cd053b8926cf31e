# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile's flags, read as the engine's own parser reads them: before anything compares them, however they are spelt.

PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

from ...common._problem import Problem, nearest, show
from ._engines import Dialect
from ._fields import json_flag, part
from ._flags import Spec, Table, elsewhere
from ._values import Wrong, bounded, choose, floating, guessed, integer, kinds, size, texts


@dataclasses.dataclass(frozen=True)
class Read:
    """`args`: by first long names, typed, parts of a JSON flag within it; `words`: the same for a command line, as it was written."""

    args: dict[str, Any]
    words: list[str]
    problems: list[Problem]
    warnings: list[str]


def canonical(dialect: Dialect, table: Table, key: str) -> str:
    """A flag's first long name, with what follows a dot; unknown ones as they are."""
    base, dot, rest = key.lstrip("-").partition(".")
    if dialect.parts:
        base = base.replace("_", "-")
    return table.names.get(base, base) + dot + rest


def read(dialect: Dialect, table: Table, args: Mapping[str, Any], mod_args: Collection[str], where: str) -> Read:
    """Read `args`; `mod_args` are flags that mods add, which no table knows."""
    found = Read({}, [], [], [])
    seen: dict[str, str] = {}
    for key, value in args.items():
        name = canonical(dialect, table, key)
        base, dot, path = name.partition(".")
        at = f"args.{key}"
        spec = table.flags.get(base)
        problem = _refused(dialect, table, base, value, mod_args, where, at)
        twice = next(
            (seen[other] for other in seen if name == other or f"{name}.".startswith(f"{other}.") or other.startswith(f"{name}.")), None
        )
        if problem is None and twice is not None:
            hint = "The engine would keep one of them." if dot or "." in twice else ""
            problem = Problem(where, at, f"the same flag as args.{twice}", "one of them", hint, "flag-twice")
        seen[name] = key
        if table.borrowed and base in table.borrowed:
            found.warnings.append(f"{at}: a flag of {table.engine} {table.borrowed[base]}, which {table.version} does not have")
        if problem is not None:
            found.problems.append(problem)
            # What nobody knows may stand for a flag that a rule would miss.
            if problem.code == "flag-unknown":
                _put(found.args, [base], value)
            continue
        taken = value
        try:
            if spec is None:
                taken = guessed(texts(value))
                found.words.extend(_mod_words(base, taken))
            elif dot:
                taken = part(dialect, table, spec, path.split("."), value, found.warnings, at)
                found.words.extend([f"--{name}", _text(taken, parsed=True)])
            else:
                taken = _flag(dialect, table, base, spec, value, found.warnings, at)
                found.words.extend(_words(base, spec, taken))
        except Wrong as wrong:
            found.problems.append(Problem(where, f"{at}{wrong.path}", wrong.found, wrong.wanted, wrong.hint, wrong.code))
        if spec is not None and "deprecated" in spec:
            successor = spec["deprecated"]
            says = f"the new name is {successor[2:]}" if successor.startswith("--") else successor
            found.warnings.append(f"{at}: deprecated in {table.engine} {table.version}: {says}")
        _put(found.args, [base, *path.split(".")] if dot else [base], taken)
    return found


def _put(args: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        inner = args.setdefault(name, {})
        if not isinstance(inner, dict):
            return  # said twice, which is a problem already
        args = inner
    args[path[-1]] = value


def _refused(dialect: Dialect, table: Table, base: str, value: Any, mod_args: Collection[str], where: str, at: str) -> Problem | None:
    """What is wrong with a flag whatever its value."""
    program = f"{dialect.program} {table.version}"
    spec = table.flags.get(base)
    if base in dialect.owned:
        return Problem(where, at, "a flag that the plan sets", f"the value in {dialect.owned[base]}", code="owned")
    if base in dialect.refused_args:
        return Problem(where, at, "a refused flag", "the profile without it", f"Reason: {dialect.refused_args[base]}.", "refused")
    if spec is not None or base in mod_args:
        return None
    positive = table.names.get(base.removeprefix("no-"), "")
    if base.startswith("no-") and table.flags.get(positive, {}).get("type") in ("bool", "switch"):
        return Problem(where, at, show(value), f"{positive}: {'false' if value is True else 'true'}", code="flag-negated")
    hint = elsewhere(table.engine, table.version, base) or nearest(base, {*table.flags, *mod_args})
    return Problem(where, at, f"an unknown flag of {program}", f"one of the long flags of {dialect.program}", hint, "flag-unknown")


def _flag(dialect: Dialect, table: Table, name: str, spec: Spec, value: Any, warnings: list[str], at: str) -> Any:
    """The value of a whole flag."""
    kind, many = spec["type"], spec.get("nargs", "?") != "?" or "append" in spec
    if kind in ("bool", "switch"):
        if not isinstance(value, bool):
            raise Wrong(value, "true or false")
        if value is False and kind == "switch":
            raise Wrong(value, f"true, or the profile without it: {dialect.program} has no --no-{name}")
        return value
    if value is True and spec.get("nargs") == "?":
        return value
    if isinstance(value, bool):
        raise Wrong(value, "a value: this flag is no switch")
    if isinstance(value, list) and many:
        count = spec.get("nargs")
        if (count == "+" and not value) or (isinstance(count, int) and len(value) != count):
            raise Wrong(value, "at least one value" if count == "+" else f"{count} values")
        return [_one(dialect, table, spec, item, warnings, at) for item in value]
    if isinstance(value, list) and kind != "json":
        raise Wrong(value, f"one value: {dialect.program} takes no list here")
    return _one(dialect, table, spec, value, warnings, at)


def _one(dialect: Dialect, table: Table, spec: Spec, value: Any, warnings: list[str], at: str) -> Any:
    """One value of a flag."""
    kind = spec["type"]
    if value is None or (value == "None" and spec.get("optional")):
        raise Wrong(value, "a value, or the profile without the flag: that is none, too")
    if kind in ("json", "json_or_str"):
        return json_flag(dialect, table, spec, value, warnings, at)
    if isinstance(value, dict | list | bool):
        raise Wrong(value, kinds(kind))
    taken = value
    if kind == "int":
        taken = integer(value)
    elif kind == "float":
        taken = floating(value)
    elif kind in ("size", "size_or_auto"):
        if kind == "size_or_auto" and str(value).strip().lower() in ("auto", "-1"):
            return "auto"
        taken = size(dialect, value)
    else:
        texts(value)
    return choose(table, spec, bounded(spec, taken, f"{table.engine} {table.version}"), warnings, at)


def _words(name: str, spec: Spec, value: Any) -> list[str]:
    """A flag on the command line: true is the bare flag, false its --no- form, a mapping is JSON."""
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    if isinstance(value, list) and ("nargs" in spec or "append" in spec):
        texts = [_text(item) for item in value]
        return [word for text in texts for word in (f"--{name}", text)] if spec.get("append") else [f"--{name}", *texts]
    return [f"--{name}", _text(value)]


def _mod_words(name: str, value: Any) -> list[str]:
    if isinstance(value, bool):
        return [f"--{name}" if value else f"--no-{name}"]
    return [word for item in (value if isinstance(value, list) else [value]) for word in (f"--{name}", _text(item))]


def _text(value: Any, parsed: bool = False) -> str:
    """`parsed`: the engine reads it as JSON first, else as text."""
    if isinstance(value, bool | dict | list) or (parsed and value is None):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)
