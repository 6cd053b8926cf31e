"""The strict YAML reader: data without surprises, and one typed problem for everything else."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.common._document import MAX_BYTES, parse
from ansible_collections.gx10.serving.plugins.module_utils.common._schema import accept
from hypothesis import given, settings
from hypothesis import strategies as st


@given(st.binary(max_size=400))
@settings(max_examples=500, deadline=None)
def test_any_bytes_give_a_mapping_or_one_problem(raw: bytes) -> None:
    value, problems = parse(raw, "p.yml")
    assert isinstance(value, dict)
    assert len(problems) <= 1
    assert not (value and problems)


# Built from YAML's own pieces, so that the reader is reached past the first byte.
@given(st.lists(st.sampled_from([*list("abc:-{}[]&*!|>'\"#%@`\n \t,?~\u202e\ufeff\x00"), "k: ", "- ", "!!", "---\n", "<<: "]), max_size=40))
@settings(max_examples=500, deadline=None)
def test_any_yaml_like_text_gives_a_mapping_or_one_problem(pieces: list[str]) -> None:
    value, problems = parse("".join(pieces), "p.yml")
    assert isinstance(value, dict)
    assert len(problems) <= 1


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("a: 1", 1),
        ("a: -1", -1),
        ("a: 0.90", 0.9),
        ("a: true", True),
        ("a: True", True),
        ("a: FALSE", False),
        # As a checkpoint's config.json and people write them; as text, rope_theta would end the engine in its first step.
        ("a: 1e7", 1e7),
        ("a: 6e-1", 0.6),
        ("a: .95", 0.95),
        ("a: -5.E+3", -5000.0),
        ("a: +5", 5),
        ("a:", None),
        ("a: ~", None),
        ("a: NULL", None),
        ("a: Null", None),
        # What YAML 1.1 would turn into something else stays text.
        ("a: no", "no"),
        ("a: 010", "010"),
        ("a: 0o17", "0o17"),
        ("a: 0xff", "0xff"),
        ("a: 1_000", "1_000"),
        ("a: 12:30:45", "12:30:45"),
        ("a: 1e400", "1e400"),
        ("a: .inf", ".inf"),
        ("a: 2026-06-13", "2026-06-13"),
        ('a: \'{{ lookup("pipe", "id") }}\'', '{{ lookup("pipe", "id") }}'),
    ],
)
def test_scalars(text: str, value: object) -> None:
    found, problems = parse(text, "p.yml")
    assert (found, problems) == ({"a": value}, [])
    assert type(found["a"]) is type(value)


@pytest.mark.parametrize(
    ("text", "line", "found"),
    [
        ("a: 1\na: 2", "line 2", "the key 'a' twice"),
        ("a:\n  b: 1\n  b: 1", "line 3", "the key 'b' twice"),
        ("a: &x 1\nb: *x", "line 1", "an anchor or alias"),
        ("a: !!python/object/apply:os.system [id]", "line 1", "the tag"),
        ("a: 1\n\tb: 2", "line 2", "the character U+0009"),
        ("a: x\u202ey", "line 1", "the character U+202E"),
        ("1: x", "line 1", "the key 1"),
        ("- a", "", "list"),
        ("", "", "NoneType"),
        ("a: [1", "line 1", "invalid YAML"),
        ("a: 1\n---\nb: 2", "line 2", "invalid YAML"),
        ("a: " + "[" * 50 + "]" * 50, "line 1", "more than 20 levels"),
        ("a: " + "x" * MAX_BYTES, "", "bytes"),
    ],
)
def test_refused(text: str, line: str, found: str) -> None:
    value, problems = parse(text, "p.yml")
    assert value == {}
    (problem,) = problems
    assert problem.key == line
    assert found in problem.found


def test_bytes_that_are_not_utf8() -> None:
    _value, (problem,) = parse(b"a: \xff", "p.yml")
    assert "offset 3" in problem.found


def test_levels_and_bytes_have_bounds() -> None:
    assert parse("a: " + "[" * 19 + "]" * 19, "p.yml")[1] == []
    assert len(parse("a: " + "[" * 20 + "]" * 20, "p.yml")[1]) == 1
    assert parse("a: '" + "x" * (MAX_BYTES - 5) + "'", "p.yml")[1] == []
    assert len(parse("a: '" + "x" * (MAX_BYTES - 4) + "'", "p.yml")[1]) == 1


def test_line_ends_and_a_byte_order_mark_are_no_content() -> None:
    assert parse("\ufeffa: x\r\nb: y\r\n".encode(), "p.yml") == ({"a": "x", "b": "y"}, [])
    for text in ("\ra: x", "a: x\ry"):
        assert "U+000D" in parse(text, "p.yml")[1][0].found


def test_what_a_caller_does_with_a_document_is_its_own_affair() -> None:
    parse("a: [1]", "p.yml")[0]["a"].append(2)
    assert parse("a: [1]", "p.yml")[0] == {"a": [1]}


SCHEMA: dict[str, Any] = {
    "additionalProperties": False,
    "required": ["kind"],
    "properties": {
        "kind": {"enum": ["small", "large", 3], "description": "the size"},
        "many": {"type": ["integer", "null"]},
        "text": {"type": "string", "minLength": 2, "maxLength": 4, "pattern": "^a"},
        "share": {"exclusiveMinimum": 0, "maximum": 1},
        "count": {"minimum": 2, "multipleOf": 2},
        "list": {"items": {"type": "string"}},
        "env": {"propertyNames": {"pattern": "^[A-Z]+$"}},
    },
}


@pytest.mark.parametrize(
    ("change", "problems"),
    [
        ({"kind": "larg"}, ["kind: found 'larg'; wanted one of small, large, 3 (the size). Did you mean 'large'?"]),
        ({"kind": None}, ["kind: found nothing; wanted the size"]),
        ({"many": "x"}, ["many: found 'x'; wanted integer or null"]),
        ({"text": "a"}, ["text: found 'a'; wanted at least 2 characters"]),
        ({"text": "aaaaa"}, ["text: found 'aaaaa'; wanted at most 4 characters"]),
        ({"text": "bb"}, ["text: found 'bb'; wanted text like ^a"]),
        ({"share": 0}, ["share: found 0; wanted more than 0"]),
        ({"share": 2}, ["share: found 2; wanted at most 1"]),
        ({"count": 0}, ["count: found 0; wanted at least 2"]),
        ({"count": 3}, ["count: found 3; wanted 3 is not a multiple of 2"]),
        ({"list": ["x", 1]}, ["list[1]: found 1; wanted string"]),
        ({"env": {"a": "1"}}, ["env.a: found the key 'a'; wanted text like ^[A-Z]+$"]),
        (
            {"texts": 1, "zzz": 1, "many": "x"},
            [
                "texts: found an unknown key; wanted one of count, env, kind, list, many, share, text. Did you mean 'text'?",
                "zzz: found an unknown key; wanted one of count, env, kind, list, many, share, text",
                "many: found 'x'; wanted integer or null",
            ],
        ),
    ],
)
def test_each_wrong_key_is_a_problem_in_words(change: Any, problems: list[str]) -> None:
    document = {key: value for key, value in {"kind": "small", **change}.items() if value is not None}
    found = accept(document, json.dumps(SCHEMA), "p")[1]
    assert [str(dataclasses.replace(problem, code="")) for problem in found] == [f"p: {text}" for text in problems]
    assert all(problem.code for problem in found)
