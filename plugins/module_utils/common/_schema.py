# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Check a document against its schema, and take out what it refuses: no code after it meets a type that it does not expect.

PRIVATE to the collection.
"""

from __future__ import annotations

import copy
import datetime
import functools
import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from ._document import load
from ._problem import Problem, nearest, show

# Gives a hint for an unknown key at a path.
Hint = Callable[[list[str | int], str], str]


def path_of(parts: Any) -> str:
    """Join a schema path: ("args", "x") gives "args.x", a list index "mods[0]"."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


@functools.cache
def _validator(schema: str) -> Any:
    import jsonschema

    # JSON Schema takes 2.0 for an integer, which is none to what counts with it.
    types = jsonschema.Draft7Validator.TYPE_CHECKER.redefine(
        "integer", lambda _checker, item: isinstance(item, int) and not isinstance(item, bool)
    )
    extend: Any = jsonschema.validators.extend
    return extend(jsonschema.Draft7Validator, type_checker=types)(json.loads(schema), format_checker=_formats())


# Characters of a version's specifiers.
MAX_SPECIFIERS = 200
# Beyond JSON Schema's patterns; in words.
FORMATS = {
    "date": "a day of the calendar, as 2026-06-13",
    "ports": "HOST:CONTAINER, both from 1 to 65535",
    "specifiers": f"version specifiers, as >=1.2,<2, at most {MAX_SPECIFIERS} characters",
}


def _are_ports(text: str) -> bool:
    match = re.fullmatch(r"([1-9][0-9]{0,4}):([1-9][0-9]{0,4})", text)
    return match is not None and all(int(port) < 2**16 for port in match.groups())


def _are_specifiers(reader: Any, text: str) -> bool:
    """Python reads no number of more than 4300 digits."""
    return len(text) <= MAX_SPECIFIERS and reader(text) is not None


def _formats() -> Any:
    import jsonschema
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    checker: Any = jsonschema.FormatChecker(formats=())
    checker.checks("date", raises=ValueError)(lambda item: not isinstance(item, str) or datetime.date.fromisoformat(item))
    checker.checks("ports")(lambda item: not isinstance(item, str) or _are_ports(item))
    checker.checks("specifiers", raises=InvalidSpecifier)(lambda item: not isinstance(item, str) or _are_specifiers(SpecifierSet, item))
    return checker


def read(source: Mapping[str, Any], schema: str, hint: Hint | None = None) -> tuple[dict[str, Any], list[Problem]]:
    """Read a text that `_sources.read` found, and check it; see `accept`."""
    value, problems = load(source)
    return (value, problems) if problems else accept(value, schema, source["path"], hint)


def accept(value: Mapping[str, Any], schema: str, where: str, hint: Hint | None = None) -> tuple[dict[str, Any], list[Problem]]:
    """What a JSON Schema (draft 7, as text) takes of a document, and a problem for each key that is left out or lacks.

    In what is returned each key that is there has the type that the schema says. `hint`: where an unknown key belongs.
    """
    taken: dict[str, Any] = copy.deepcopy(dict(value))
    problems: list[Problem] = []
    missing: list[Problem] = []
    out: list[list[str | int]] = []
    for error in sorted(_validator(schema).iter_errors(taken), key=lambda item: [str(part) for part in item.absolute_path]):
        if error.validator == "format" and list(error.absolute_path) in out:
            continue  # its pattern has refused it
        found = _schema_problems(error, where, hint)
        if error.validator == "required":
            missing += found
            continue
        problems += found
        path = list(error.absolute_path)
        if error.validator == "additionalProperties":
            out += [[*path, key] for key in set(error.instance) - set(error.schema.get("properties", {}))]
        elif _of_a_name(error):
            out.append([*path, error.instance])
        else:
            out.append(path)
    # A key that is missing because it is misspelt, or elsewhere, is one problem.
    unknown = [one for one in problems if one.code == "unknown-key"]
    problems += [one for one in missing if not any(_means(other, one.key) for other in unknown)]
    # From the end, since what is taken out of a list moves the rest.
    for path in sorted(out, key=lambda path: [(isinstance(part, str), str(part).zfill(9)) for part in path], reverse=True):
        _take_out(taken, path)
    return taken, problems


def _means(unknown: Problem, key: str) -> bool:
    """Does the hint of an unknown key name this one, or one within it, or one beside it?"""
    above, _dot, last = key.rpartition(".")
    beside = unknown.key.rpartition(".")[0] == above
    return any(word == key or word.startswith(f"{key}.") or (beside and word == last) for word in re.findall(r"[\w.-]*\w", unknown.hint))


def _take_out(value: Any, path: list[str | int]) -> None:
    if not path:
        value.clear()
        return
    try:
        for part in path[:-1]:
            value = value[part]
        del value[path[-1]]
    except (KeyError, IndexError, TypeError):
        pass  # gone with what it was in


def _of_a_name(error: Any) -> bool:
    return error.validator == "propertyNames" or "propertyNames" in error.absolute_schema_path


# YAML's words for JSON's types.
TYPES = {"object": "mapping", "array": "list"}
CODES = {
    "additionalProperties": "unknown-key",
    "required": "missing",
    "type": "wrong-type",
    "anyOf": "wrong-type",
    "enum": "not-a-choice",
    "pattern": "wrong-text",
    "format": "wrong-text",
    "minLength": "wrong-text",
    "maxLength": "wrong-text",
}


def _schema_problems(error: Any, where: str, hint: Hint | None) -> list[Problem]:
    path = list(error.absolute_path)
    rule, found = error.validator, error.instance
    code = CODES.get(rule, "out-of-range")
    if rule == "additionalProperties":
        known = set(error.schema.get("properties", {}))
        return [
            Problem(
                where, path_of([*path, key]), "an unknown key", "one of " + ", ".join(sorted(known)), _hint(hint, path, key, known), code
            )
            for key in sorted(set(found) - known)
        ]
    if rule == "required":
        return [
            Problem(
                where,
                path_of([*path, key]),
                "nothing",
                str(error.schema["properties"].get(key, {}).get("description", "a value")),
                "",
                code,
            )
            for key in error.validator_value
            if key not in found and f"'{key}'" in error.message
        ]
    wanted: Callable[[Any], str] = {
        "enum": lambda limit: "one of " + ", ".join(str(item) for item in limit),
        "type": lambda limit: " or ".join(str(TYPES.get(one, one)) for one in (limit if isinstance(limit, list) else [limit])),
        "pattern": lambda limit: f"text like {limit}",
        "minimum": lambda limit: f"at least {limit}",
        "maximum": lambda limit: f"at most {limit}",
        "exclusiveMinimum": lambda limit: f"more than {limit}",
        "minLength": lambda limit: f"at least {limit} characters",
        "maxLength": lambda limit: f"at most {limit} characters",
        "minItems": lambda limit: f"at least {limit} of a list",
        "maxItems": lambda limit: f"at most {limit} of a list",
        "minProperties": lambda limit: f"at least {limit} key",
        "maxProperties": lambda limit: f"at most {limit} keys",
        "anyOf": lambda _limit: "another type",
        "format": lambda limit: FORMATS[limit],
    }.get(rule, lambda _limit: str(error.message))
    more = nearest(str(found), map(str, error.validator_value)) if rule == "enum" else ""
    if rule == "type" and error.validator_value == "object" and error.schema.get("required") and not isinstance(found, list):
        inner = path_of([*path, error.schema["required"][0]])
        more = f"Did you mean {inner}: {show(found, 40)}?"
    described = error.schema.get("description")
    text = described if described and rule == "anyOf" else wanted(error.validator_value)
    key = path_of(path)
    if _of_a_name(error):
        return [Problem(where, path_of([*path, found]), f"the key {show(found)}", text, code="wrong-key")]
    return [Problem(where, key, show(found), f"{text} ({described})" if described and rule != "anyOf" else text, more, code)]


def _hint(hint: Hint | None, path: list[str | int], key: str, known: set[str]) -> str:
    return (hint(path, key) if hint else "") or nearest(key, known)
