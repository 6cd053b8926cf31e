"""The strict YAML reader: data without surprises, and one typed problem for everything else."""

from __future__ import annotations

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.common._document import MAX_BYTES, parse
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
        ("a:", None),
        ("a: ~", None),
        # What YAML 1.1 would turn into something else stays text.
        ("a: no", "no"),
        ("a: 010", "010"),
        ("a: 1_000", "1_000"),
        ("a: 12:30:45", "12:30:45"),
        ("a: 1e3", "1e3"),
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
