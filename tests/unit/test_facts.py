"""docs/facts.md: every fact of the field reports has a place, and each place is there and says it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

import pytest
import yaml
from conftest import ROOT

ROW = re.compile(r"\| ([QNMUS])(\d+) \| (.+?) \| (.+) \|")
REPORTS = {"Q": 100, "N": 95, "M": 45, "U": 100, "S": 60}


@cache
def read(path: str) -> str:
    return (ROOT / path).read_text()


@cache
def document(path: str) -> Any:
    return yaml.safe_load(read(path))


def values(found: Any, key: str) -> Iterator[Any]:
    """All values at a dotted key. A key may have dots itself; a list is entered by the `arg`, `env` or `requests` of its members."""
    if not key:
        yield found
    elif isinstance(found, list):
        for member in found:
            names = {str(member[name]) for name in ("arg", "env", "requests") if name in member} if isinstance(member, dict) else set()
            for name in names:
                if key == name or key.startswith(f"{name}."):
                    yield from values(member, key[len(name) + 1 :])
    elif isinstance(found, dict):
        for name in map(str, found):
            if key == name or key.startswith(f"{name}."):
                yield from values(found[name], key[len(name) + 1 :])


def says(found: Any, wanted: Any) -> bool:
    """Is it the value, or a mapping or a text that has it?"""
    if isinstance(wanted, dict):
        return isinstance(found, dict) and all(name in found and says(found[name], value) for name, value in wanted.items())
    return type(found) is type(wanted) and bool(found == wanted)


def missing(place: str) -> str | None:
    """Why a place is none: FILE: key = value, FILE: "text" (of any lines, without backticks), FILE: symbol, or FILE#lesson-N."""
    path, colon, rest = place.partition(": ")
    path, _hash, lesson = path.partition("#lesson-")
    if not (ROOT / path).is_file():
        return "no such file"
    if lesson:
        return None if re.search(rf"^\| {re.escape(lesson)} \|", read(path), re.M) else "no such lesson"
    if not colon:
        return "nothing in the file is named"
    if rest.startswith('"'):
        return None if rest.strip('"').replace("\\|", "|") in " ".join(read(path).replace("`", "").split()) else "no such text"
    key, equals, value = rest.partition(" = ")
    if not equals:
        return None if re.search(rf"^\s*(def |class )?{re.escape(rest)}\b(\(| =|:)", read(path), re.M) else "no such symbol"
    found = list(values(document(path), key))
    wanted = yaml.safe_load(value)
    return None if any(says(one, wanted) for one in found) else f"found {found}"


def rows() -> list[tuple[str, int, str, list[str]]]:
    found = ROW.findall(read("docs/facts.md"))
    return [(report, int(number), fact, re.findall(r"`([^`]+)`", places)) for report, number, fact, places in found]


def test_every_fact_has_a_place_that_says_it() -> None:
    wrong = [
        f"{report}{number} {fact}: {place}: {why}" for report, number, fact, places in rows() for place in places if (why := missing(place))
    ]
    assert not wrong, "\n".join(wrong)
    assert [row[:3] for row in rows() if not row[3]] == []


@pytest.mark.parametrize("report", REPORTS)
def test_facts_are_numbered_and_none_is_lost(report: str) -> None:
    numbers = [number for of, number, _fact, _places in rows() if of == report]
    assert numbers == list(range(1, len(numbers) + 1))
    assert len(numbers) >= REPORTS[report]


@pytest.mark.parametrize(
    "place",
    [
        "model_profiles/qwen397-mtp2.yml: expect.kv_cache_tokens = 551077",
        "model_profiles/qwen397-mtp2.yml: expect.no_such_key = 551076",
        "model_profiles/qwen397-mtp2.yml: expect.bench.concurrency.3.decode_tps = 40.3",
        "model_profiles/qwen397-mtp2.yml: args.enable-prefix-caching = 1",
        "model_profiles/qwen397-mtp2.yml",
        "model_profiles/qwen397.yml: image = vllm-node-mimo",
        "docs/lessons.md#lesson-0",
        'docs/field-notes.md: "the tank is 9 818 liters"',
        "plugins/module_utils/plan/_rules.py: no_such_rule",
    ],
)
def test_what_is_no_place_is_named(place: str) -> None:
    assert missing(place)
