# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile's flags, read as the engine's own parser reads them: before anything compares them, however they are spelt.

PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
import json
import math
import operator
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from ...common._document import parse_json, plain
from ...common._files import Refused
from ...common._problem import Problem, nearest, show
from . import _lookalikes
from ._engines import Dialect
from ._flags import Spec, Table, elsewhere

# Of choices in a message.
SHOWN = 12
# Of a name: one letter more or less makes another word of a shorter one.
SHORTEST = 5
FOLDS: Mapping[str, Callable[[str], str]] = {"lower": str.lower, "snake": lambda text: text.lower().replace("-", "_")}
BOUNDS: Sequence[tuple[str, str, Callable[[float, float], bool]]] = (
    *(("ge", "at least", operator.ge), ("gt", "more than", operator.gt)),
    *(("le", "at most", operator.le), ("lt", "less than", operator.lt)),
)
TRUE, FALSE = ("true", "1", "yes", "y", "on", "t"), ("false", "0", "no", "n", "off", "f")


@dataclasses.dataclass(frozen=True)
class Read:
    """`args`: by first long names, typed, parts of a JSON flag within it; `words`: the same for a command line, as it was written."""

    args: dict[str, Any]
    words: list[str]
    problems: list[Problem]
    warnings: list[str]


class Wrong(Exception):
    """A value that the engine would not take; `path`: below the flag."""

    def __init__(self, value: Any, wanted: str, hint: str = "", path: str = "", code: str = "wrong-type") -> None:
        super().__init__(wanted)
        self.found, self.wanted, self.hint, self.path, self.code = show(value), wanted, hint, path, code


class _NoJson(Wrong):
    """A text that is not JSON."""


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
                taken = _number(_texts(value))
                found.words.extend(_mod_words(base, taken))
            elif dot:
                taken = _part(dialect, table, spec, path.split("."), value, found.warnings, at)
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
        return _json(dialect, table, spec, value, warnings, at)
    if isinstance(value, dict | list | bool):
        raise Wrong(value, _kinds(kind))
    taken = value
    if kind == "int":
        taken = _int(value)
    elif kind == "float":
        taken = _float(value)
    elif kind in ("size", "size_or_auto"):
        if kind == "size_or_auto" and str(value).strip().lower() in ("auto", "-1"):
            return "auto"
        taken = _size(dialect, value)
    else:
        _texts(value)
    return _choose(table, spec, _bounded(spec, taken, f"{table.engine} {table.version}"), warnings, at)


def _bounded(spec: Spec, value: Any, version: str) -> Any:
    """A number within what the engine's configuration class takes."""
    for key, word, within in BOUNDS:
        bound = spec.get(key)
        if isinstance(bound, int | float) and isinstance(value, int | float) and not within(value, bound):
            raise Wrong(value, f"{word} {bound} ({version})", code="out-of-range")
    return value


def _kinds(kind: str) -> str:
    words = {"int": "an integer", "float": "a number", "size": "an integer", "size_or_auto": "an integer", "str": "a text"}
    return words.get(kind, kind.replace("|", " or "))


def _int(value: Any) -> int:
    try:
        if isinstance(value, str):
            return int(value)
    except ValueError:
        pass
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(value, "an integer")
    return value


def _float(value: Any) -> int | float:
    number = value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            number = None
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise Wrong(value, "a number")
    return number


def _size(dialect: Dialect, value: Any) -> int:
    """An integer; as text it may have one of the engine's suffixes, with decimals before a decimal one only."""
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)([A-Za-z]{1,2})", value.strip()) if isinstance(value, str) else None
    if match is None:
        return _int(value)
    unit = dialect.sizes.get(match[2])
    if unit is None or ("." in match[1] and unit % 1000):
        raise Wrong(value, f"an integer, or one with {', '.join(dialect.sizes)} behind it (decimals only before powers of ten)")
    return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def _texts(value: Any) -> Any:
    """No text that would be read as another flag, or that no process can be given."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str) and (item == "" or "\x00" in item):
            raise Wrong(item, "a text that is not empty")
        if isinstance(item, str) and item.startswith("-"):
            raise Wrong(item, "a text that does not start with '-': it would be read as a flag")
    return value


def _number(value: Any) -> Any:
    """A text that is a number as that number: what a mod's flag takes is not known."""
    if isinstance(value, str):
        for convert in (_int, _float):
            try:
                return convert(value)
            except Wrong:
                pass
    return value


def _choose(table: Table, spec: Spec, value: Any, warnings: list[str], at: str) -> Any:
    """A value that is one of the choices, as the table writes it where the engine folds what was written."""
    known = spec.get("choices")
    if known is None or any(str(choice) == str(value) for choice in known):
        return value
    fold = FOLDS.get(spec.get("folds", ""), str)
    for choice in known:
        if fold(str(choice)) == fold(str(value)):
            return choice
    names = [str(choice) for choice in known]
    near = nearest(str(value), names)
    if (spec.get("open") or table.borrowed is not None) and not any(_slip(fold(str(value)), name) for name in names):
        by = "a plugin" if spec.get("open") else "the image's other version"
        warnings.append(f"{at}: {show(value)} is none of {table.engine} {table.version}'s own; {by} must bring it. {near}".rstrip())
        return value
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise Wrong(value, f"one of {', '.join(names[:SHOWN])}{more} ({table.engine} {table.version})", near, code="not-a-choice")


def _slip(word: str, name: str) -> bool:
    """Is a word a name but for one letter that is missing, too much or another? One digit off is another version's name."""
    long, short = sorted((word, name), key=len, reverse=True)
    if len(short) < SHORTEST or len(long) > len(short) + 1:
        return False
    if len(long) == len(short):
        others = [pair for pair in zip(long, short, strict=True) if pair[0] != pair[1]]
        return len(others) == 1 and not any(char.isdigit() for char in others[0])
    return any(long[:at] + long[at + 1 :] == short and not char.isdigit() for at, char in enumerate(long))


def _json(dialect: Dialect, table: Table, spec: Spec, value: Any, warnings: list[str], at: str) -> Any:
    """A JSON flag: a mapping or list of the profile, or the JSON text of one."""
    taken = value
    if isinstance(value, str):
        _texts(value)
        if spec["type"] == "json_or_str" and not re.fullmatch(r"(?s)\s*\{.*\}\s*", value):
            return value
        text = value
        if spec.get("sizes"):
            # Outside of quotes, as in _expand_json_human_readable_numbers of vLLM's arg_utils; a quote that nobody closes is no JSON.
            parts = re.split(r'("(?:[^"\\]|\\.)*(?:"|\\?\Z))', value)
            parts[::2] = [re.sub(r"\b\d+(?:\.\d+)?[kKmMgGtT]\b", lambda match: str(_size(dialect, match[0])), part) for part in parts[::2]]
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


def _part(dialect: Dialect, table: Table, spec: Spec, path: list[str], value: Any, warnings: list[str], at: str) -> Any:
    """The value of one part of a JSON flag (--flag.part value)."""
    if not dialect.parts or spec["type"] not in ("json", "json_or_str"):
        raise Wrong(value, f"the flag without a part: {dialect.program} has none of it")
    taken = value
    if isinstance(value, str):
        _texts(value)
        try:
            taken = _parsed(value)
        except _NoJson:
            try:
                taken = _size(dialect, value)
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
                return _choose(table, spec, _bounded(spec, value, version), warnings, at + path)
        for kind in kinds:
            if kind == "bool" and str(value).lower() in (*TRUE, *FALSE):
                return str(value).lower() in TRUE
            if kind == "int" and not isinstance(value, bool):
                integral = isinstance(value, float) and value.is_integer()
                return _choose(table, spec, _bounded(spec, int(value) if integral else _int(value), version), warnings, at + path)
            if kind == "float" and not isinstance(value, bool):
                return _bounded(spec, _float(value), version)
    except Wrong as wrong:
        raise Wrong(value, wrong.wanted, wrong.hint, path, wrong.code) from None
    words = {"str": "a text", "int": "an integer", "float": "a number", "bool": "true or false", "list": "a list", "dict": "a mapping"}
    raise Wrong(value, " or ".join(words[kind] for kind in kinds), path=path)


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
