# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Profiles, image and mod definitions, overrides and checkpoints' configs are data, and are read once into plain values within bounds.

PRIVATE to the collection.
"""

from __future__ import annotations

import copy
import functools
import itertools
import json
import math
import re
import unicodedata
from collections.abc import Iterator, Mapping
from typing import Any

from ._files import Refused
from ._problem import Problem, printable, show

MAX_BYTES = 64 * 1024
MAX_DEPTH = 20
# Keys and values of a document; a profile has about 100.
MAX_VALUES = 5000
MAX_KEY = 200
MAX_NUMBER = 10**19
# Of a checkpoint's JSON: the configuration of one whose layers are quantized each in its own way has tens of thousands of values, the
# index of one with 512 experts in 60 layers, four tensors of each matrix, 370,000 names in 38 MiB.
MAX_JSON_VALUES = 400_000
JSON_DEPTH = 40


@functools.cache
def _loader() -> Any:
    """The loader class. Made at the first use, since nodes import this package without PyYAML."""
    import yaml

    class Loader(yaml.SafeLoader):
        """YAML without surprises: JSON's scalars, unique string keys, no alias, no tag."""

        depth = 0
        values = 0

        def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
            event: Any = self.peek_event()  # type: ignore[no-untyped-call]
            line = event.start_mark.line + 1
            if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None):
                raise Refused("an anchor or alias", "the value written out", line)
            if getattr(event, "tag", None):
                raise Refused(f"the tag {show(event.tag)}", "plain data", line)
            self.depth += 1
            self.values += 1
            if self.depth > MAX_DEPTH:
                raise Refused(f"more than {MAX_DEPTH} levels", f"at most {MAX_DEPTH} levels", line, "too-deep")
            if self.values > MAX_VALUES:
                raise Refused(f"more than {MAX_VALUES} values", f"at most {MAX_VALUES} keys and values", line, "too-large")
            node: yaml.Node | None = super().compose_node(parent, index)
            self.depth -= 1
            return node

        def construct_scalar(self, node: Any) -> Any:
            value = super().construct_scalar(node)
            # Also from "\n" and block scalars: a name or an argument that ends in a newline passes many a regular expression.
            if isinstance(value, str) and not _plain_text(value):
                raise Refused(*_control(value), node.start_mark.line + 1, "control-character")
            return value

        def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
            seen: set[str] = set()
            for key_node, _value in node.value:
                key = self.construct_object(key_node)
                if not isinstance(key, str):
                    raise Refused(f"the key {show(key)}", "a text as key", key_node.start_mark.line + 1, "not-a-text-key")
                if key in seen:
                    raise Refused(f"the key {show(key)} twice", "each key once", key_node.start_mark.line + 1, "key-twice")
                seen.add(key)
            result: dict[Any, Any] = super().construct_mapping(node, deep=True)
            return result

    # YAML 1.2's core schema without 0o17, 0xff and infinities: `no`, `010`, `1_000`, `12:30`, `.inf` and dates stay text.
    Loader.yaml_implicit_resolvers = {}
    whole = "(?:0|[1-9][0-9]{0,18})"
    for tag, pattern, first in (
        ("null", r"(?:~|null|Null|NULL|)", ["~", "n", "N", ""]),
        ("bool", r"(?:true|True|TRUE|false|False|FALSE)", list("tTfF")),
        ("int", r"[-+]?(?:0|[1-9][0-9]{0,18})", list("-+0123456789")),
        # Of two digits, an exponent leaves it finite.
        ("float", rf"[-+]?(?:{whole}\.[0-9]{{0,18}}|\.[0-9]{{1,18}}|{whole}(?=[eE]))(?:[eE][-+]?[0-9]{{1,2}})?", list("-+.0123456789")),
    ):
        Loader.add_implicit_resolver(f"tag:yaml.org,2002:{tag}", re.compile(rf"^{pattern}\Z"), first)
    return Loader


def _bad(char: str) -> bool:
    """A control character, a change of direction, a surrogate, or a line break by another name."""
    return char != "\ufeff" and unicodedata.category(char) in ("Cc", "Cf", "Cs", "Co", "Zl", "Zp")


def _plain_text(text: str) -> bool:
    return text.isprintable() or not any(map(_bad, text))


def _control(text: str) -> tuple[str, str]:
    """What is found and wanted of a text that is not plain."""
    return f"a line break or control character in {show(text)}", "text of one line"


def _bad_character(text: str) -> tuple[str, int] | None:
    """Return the first control or direction-changing character and its line, if there is one."""
    for number, line in enumerate(text.split("\n"), start=1):
        line = line.rstrip("\r")
        for char in "" if line.isprintable() else line:
            if _bad(char):
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
        return {}, [problem(refused, where)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = f"line {mark.line + 1}" if mark else ""
        return {}, [Problem(where, line, f"invalid YAML ({error.problem or error.context})", "valid YAML", code="not-yaml")]
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        reason = printable(str(error))[:200] or type(error).__name__
        return {}, [Problem(where, "", f"invalid YAML ({reason})", "valid YAML", code="not-yaml")]


def load(source: Mapping[str, Any]) -> tuple[dict[str, Any], list[Problem]]:
    """`parse` what `_sources.read` found: the text of a file, or why it could not be read."""
    return ({}, [Problem(**source["problem"])]) if source.get("problem") else parse(source["text"], source["path"])


def problem(refused: Refused, where: str) -> Problem:
    """A refusal as a problem of the document that was read."""
    return Problem(where, f"line {refused.line}" if refused.line else "", refused.found, refused.wanted, code=refused.code)


@functools.lru_cache(maxsize=256)
def _parse(raw: bytes | str) -> dict[str, Any]:
    if len(raw) > MAX_BYTES:
        raise Refused(f"{len(raw)} bytes", f"at most {MAX_BYTES} bytes", code="too-large")
    if isinstance(raw, bytes):
        try:
            raw = raw.decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise Refused(f"bytes that are not UTF-8 at offset {error.start}", "UTF-8") from None
    bad = _bad_character(raw)
    if bad:
        raise Refused(bad[0], "printable text; spaces, not tabs", bad[1], "control-character")
    import yaml

    value = yaml.load(raw, Loader=_loader())  # noqa: S506 (a SafeLoader, made stricter)
    if not isinstance(value, dict):
        raise Refused(f"{type(value).__name__} {show(value)}", "a mapping of keys", code="not-a-mapping")
    return value


def parse_json(raw: bytes, nonfinite: bool = False, digits: int = 19, most: int = MAX_JSON_VALUES) -> Any:
    """One JSON value within bounds, without a key twice; raises Refused.

    `nonfinite`: NaN and Infinity, which is no JSON, but stands in published config.json (time_step_limit), become texts: nobody computes
    with them. `digits`: of the longest integer.
    """
    if raw.count(b",") + raw.count(b"[") + raw.count(b"{") > most:
        raise Refused(f"more than {most} values", f"at most {most} values", code="too-large")

    def integer(text: str) -> int:
        if len(text) > digits + 1:
            raise Refused(f"an integer of {len(text)} digits", f"one of at most {digits}", code="out-of-range")
        return int(text)

    def number(text: str) -> float | str:
        return float(text) if math.isfinite(float(text)) else constant(text)

    def constant(text: str) -> str:
        if nonfinite:
            return text
        raise Refused(show(text), "a finite number", code="out-of-range")

    def mapping(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        found = dict(pairs)
        if len(found) != len(pairs):
            seen: set[str] = set()
            twice = next(key for key, _value in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
            raise Refused(f"the key {show(twice)} twice", "each key once", code="key-twice")
        return found

    try:
        text = raw.decode("utf-8")
        del raw
        value = json.loads(text, parse_int=integer, parse_float=number, parse_constant=constant, object_pairs_hook=mapping)
    except RecursionError:
        raise Refused(f"more than {JSON_DEPTH} levels", f"at most {JSON_DEPTH} levels", code="too-deep") from None
    except ValueError as error:
        raise Refused(f"invalid JSON ({printable(str(error))[:200]})", "valid JSON", code="not-json") from None
    # A lone surrogate comes of its escape alone.
    surrogates = "\\u" in text
    for item, depth in _walk(value):
        if depth > JSON_DEPTH:
            raise Refused(f"more than {JSON_DEPTH} levels", f"at most {JSON_DEPTH} levels", code="too-deep")
        if surrogates and any(not one.isprintable() and re.search("[\ud800-\udfff]", one) for one in _texts(item)):
            raise Refused("half a character (a lone surrogate)", "text that is Unicode", code="control-character")
    return value


def _texts(item: Any) -> list[str]:
    return [item] if isinstance(item, str) else list(item) if isinstance(item, dict) else []


def _walk(value: Any) -> Iterator[tuple[Any, int]]:
    """Every value with its level, without recursion."""
    above: list[Iterator[Any]] = [iter((value,))]
    while above:
        depth = len(above) - 1
        for item in above[-1]:
            yield item, depth
            if isinstance(item, dict | list):
                above.append(iter(item.values() if isinstance(item, dict) else item))
                break
        else:
            above.pop()


class _Plain:
    """Copies what Ansible brings as plain data; what is none is left out, and noted."""

    OUT = object()

    def __init__(self, where: str) -> None:
        self.where, self.left = where, MAX_VALUES
        self.problems: list[Problem] = []

    def refuse(self, at: str, found: str, wanted: str, code: str) -> object:
        self.problems.append(Problem(self.where, at, found, wanted, code=code))
        return self.OUT

    def value(self, item: Any, at: str, depth: int) -> Any:
        self.left -= 1
        if self.left <= 0:
            return self.refuse(at, f"more than {MAX_VALUES} values", f"at most {MAX_VALUES}", "too-large") if self.left == 0 else self.OUT
        if depth > MAX_DEPTH:
            return self.refuse(at, f"more than {MAX_DEPTH} levels", f"at most {MAX_DEPTH} levels", "too-deep")
        if item is None or isinstance(item, bool):
            return item
        if isinstance(item, str):
            return self.text(item, at, MAX_BYTES)
        if isinstance(item, int | float):
            if abs(item) < MAX_NUMBER:
                return int(item) if isinstance(item, int) else float(item)
            return self.refuse(at, show(item), "a number of at most 19 digits", "out-of-range")
        if isinstance(item, Mapping):
            pairs = (self.pair(key, one, at, depth) for key, one in itertools.islice(item.items(), MAX_VALUES))
            return {key: one for key, one in pairs if one is not self.OUT}
        if isinstance(item, list | tuple):
            values = (self.value(one, f"{at}[{index}]", depth + 1) for index, one in enumerate(item[:MAX_VALUES]))
            return [one for one in values if one is not self.OUT]
        if type(item).__name__ == "_OmitType":
            found = "omit, which leaves out an argument of a task and no variable"
            return self.refuse(at, found, "a value, or the variable left out", "wrong-type")
        return self.refuse(at, show(item), "text, a number, true, false, null, a list or a mapping", "wrong-type")

    def text(self, item: str, at: str, most: int) -> Any:
        if len(item) > most:
            return self.refuse(at, f"{show(item)}, {len(item)} characters", f"at most {most}", "too-large")
        return str(item) if _plain_text(item) else self.refuse(at, *_control(item), "control-character")

    def pair(self, key: Any, item: Any, at: str, depth: int) -> tuple[str, Any]:
        if self.left <= 0:
            return "", self.OUT
        if not isinstance(key, str):
            return "", self.refuse(at, f"the key {show(key)}", "a text as key", "not-a-text-key")
        name = self.text(key, at, MAX_KEY)
        return ("", name) if name is self.OUT else (name, self.value(item, f"{at}.{name}" if at else name, depth + 1))


def plain(value: Any, where: str, at: str) -> tuple[Any, list[Problem]]:
    """A value that Ansible brings (a variable), as plain data within the bounds of a file, and what had to be left out."""
    reader = _Plain(where)
    found = reader.value(value, at, 0)
    return None if found is _Plain.OUT else found, reader.problems
