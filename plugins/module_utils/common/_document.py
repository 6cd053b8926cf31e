# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles, image and mod definitions are data: a strict YAML reader, and the schema check. PRIVATE to the collection."""

from __future__ import annotations

import copy
import functools
import json
import re
import unicodedata
from collections.abc import Callable, Mapping
from typing import Any

from ._problem import Problem, nearest, show

MAX_BYTES = 256 * 1024
MAX_DEPTH = 20


class Refused(Exception):
    """The text is not the YAML that we read. `line` counts from 1, or is 0 where no line applies."""

    def __init__(self, found: str, wanted: str, line: int = 0) -> None:
        super().__init__(found)
        self.found, self.wanted, self.line = found, wanted, line


@functools.cache
def _loader() -> Any:
    """The loader class. Made at the first use, since nodes import this package without PyYAML."""
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML without surprises: JSON's scalars, unique string keys, no alias, no tag."""

        depth = 0

        def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise Refused("an anchor or alias", "the value written out", line)
            if getattr(event, "tag", None):
                raise Refused(f"the tag {event.tag!r}", "plain data", line)
            self.depth += 1
            if self.depth > MAX_DEPTH:
                raise Refused(f"more than {MAX_DEPTH} levels", f"at most {MAX_DEPTH} levels", line)
            node: yaml.Node | None = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_scalar(self, node: Any) -> Any:
            value = super().construct_scalar(node)
            # Also from "\n" and block scalars: a name or an argument that ends in a newline passes many a regular expression.
            if isinstance(value, str) and any(unicodedata.category(char) == "Cc" for char in value):
                raise Refused(f"a line break or control character in {show(value)}", "text of one line", node.start_mark.line + 1)
            return value

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key_node, _value in node.value:
                key = self.construct_object(key_node)
                if not isinstance(key, str):
                    raise Refused(f"the key {show(key)}", "a text as key", key_node.start_mark.line + 1)
                if key in seen:
                    raise Refused(f"the key {key!r} twice", "each key once", key_node.start_mark.line + 1)
                seen.add(key)
            result: dict[Any, Any] = super().construct_mapping(node, deep=True)
            return result

    # Only what JSON would call null, boolean, integer or number: `no`, `010`, `1_000`, `12:30`, `.inf` and dates stay text.
    Loader.yaml_implicit_resolvers = {}
    for tag, pattern, first in (
        ("null", r"(?:~|null|)", ["~", "n", ""]),
        ("bool", r"(?:true|false)", ["t", "f"]),
        ("int", r"-?(?:0|[1-9][0-9]{0,18})", list("-0123456789")),
        ("float", r"-?(?:0|[1-9][0-9]{0,18})\.[0-9]{1,18}", list("-0123456789")),
    ):
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^{pattern}\Z"), first)
    return Loader


def _bad_character(text: str) -> tuple[str, int] | None:
    """Return the first control or direction-changing character and its line, if there is one."""
    for number, line in enumerate(text.split("\n"), start=1):
        for char in line.rstrip("\r"):
            if char == "\t" or (char != "\ufeff" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co")):
                return f"the character U+{ord(char):04X}", number
    return None


def parse(raw: bytes | str, where: str) -> tuple[dict[str, Any], list[Problem]]:
    """Read one YAML mapping.

    Returns the mapping and no problem, or an empty mapping and the one problem that stopped the reader; never raises.
    """
    import yaml

    try:
        # A plan reads the same profiles and mods at several places; what a caller does with its copy is its own affair.
        return copy.deepcopy(_parse(raw)), []
    except Refused as refused:
        return {}, [Problem(where, f"line {refused.line}" if refused.line else "", refused.found, refused.wanted)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}" if mark else ""
        return {}, [Problem(where, line, f"invalid YAML ({error.problem or error.context})", "valid YAML")]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        return {}, [Problem(where, "", f"invalid YAML ({str(error).splitlines()[0] if str(error) else error!r})", "valid YAML")]


@functools.lru_cache(maxsize=256)
def _parse(raw: bytes | str) -> dict[str, Any]:
    if len(raw) > MAX_BYTES:
        raise Refused(f"{len(raw)} bytes", f"at most {MAX_BYTES} bytes")
    if isinstance(raw, bytes):
        try:
            raw = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Refused(f"bytes that are not UTF-8 at offset {error.start}", "UTF-8") from None
    bad = _bad_character(raw)
    if bad:
        raise Refused(bad[0], "printable text; spaces, not tabs", bad[1])
    import yaml

    value = yaml.load(raw, Loader=_loader())  # noqa: S506 (a SafeLoader, made stricter)
    if not isinstance(value, dict):
        raise Refused(f"{type(value).__name__} {show(value)}", "a mapping of keys")
    return value


def path_of(parts: Any) -> str:
    """Join a schema path: ("args", "x") gives "args.x", a list index "mods[0]"."""
    text = ""
    for part in parts:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else str(part)
    return text


@functools.cache
def _validator(schema: str) -> Any:
    import jsonschema

    return jsonschema.Draft7Validator(json.loads(schema))


def check_schema(value: Mapping[str, Any], schema: str, where: str) -> list[Problem]:
    """Check a document against its JSON Schema (draft 7, as text); one problem per wrong key."""
    problems: list[Problem] = []
    for error in sorted(_validator(schema).iter_errors(value), key=lambda item: [str(part) for part in item.absolute_path]):
        problems += _schema_problems(error, where)
    return problems


def _schema_problems(error: Any, where: str) -> list[Problem]:
    path = list(error.absolute_path)
    rule, found = error.validator, error.instance
    if rule == "additionalProperties":
        known = set(error.schema.get("properties", {}))
        return [
            Problem(where, path_of([*path, key]), "an unknown key", "one of " + ", ".join(sorted(known)), nearest(key, known))
            for key in sorted(set(found) - known)
        ]
    if rule == "required":
        return [
            Problem(where, path_of([*path, key]), "nothing", str(error.schema["properties"].get(key, {}).get("description", "a value")))
            for key in error.validator_value
            if key not in found and f"'{key}'" in error.message
        ]
    wanted: Callable[[Any], str] = {
        "enum": lambda limit: "one of " + ", ".join(str(item) for item in limit),
        "type": lambda limit: " or ".join(limit) if isinstance(limit, list) else str(limit),
        "pattern": lambda limit: f"text like {limit}",
        "minimum": lambda limit: f"at least {limit}",
        "maximum": lambda limit: f"at most {limit}",
        "exclusiveMinimum": lambda limit: f"more than {limit}",
        "minLength": lambda limit: f"at least {limit} characters",
        "maxLength": lambda limit: f"at most {limit} characters",
    }.get(rule, lambda _limit: str(error.message))
    hint = nearest(str(found), map(str, error.validator_value)) if rule == "enum" else ""
    described = error.schema.get("description")
    text = wanted(error.validator_value)
    key = path_of(path)
    if rule == "propertyNames" or "propertyNames" in error.absolute_schema_path:
        key = path_of([*path, found])
        return [Problem(where, key, f"the key {show(found)}", text)]
    return [Problem(where, key, show(found), f"{text} ({described})" if described else text, hint)]
