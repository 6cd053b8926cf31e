"""What a schema takes of a document, and that a mistake is told once, with where it belongs."""

from __future__ import annotations

import datetime
import json
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.common import _document, _schema
from ansible_collections.gx10.serving.plugins.module_utils.plan import _pointers, _sources
from hypothesis import given
from hypothesis import strategies as st

NAME = {"type": "string", "pattern": "^[a-z]+$"}
SCHEMA = json.dumps(
    {
        "type": "object",
        "additionalProperties": False,
        "required": ["model", "size"],
        "properties": {
            "model": {
                "type": "object",
                "additionalProperties": False,
                "required": ["repo", "name"],
                "properties": {"repo": NAME, "name": NAME},
            },
            "size": {"type": "integer", "minimum": 1},
            "list": {"type": "array", "maxItems": 3, "items": NAME},
            "env": {"type": "object", "propertyNames": {"pattern": "^[A-Z]+$"}, "additionalProperties": {"type": "string"}},
            "any": {"anyOf": [NAME, {"type": "object", "minProperties": 1}], "description": "a name or keys"},
            "day": {"type": "string", "format": "date"},
            "versions": {"type": "string", "format": "specifiers"},
            "ports": {"type": "string", "pattern": "^[0-9]+:[0-9]+$", "format": "ports"},
        },
    }
)
GOOD: dict[str, Any] = {"model": {"repo": "a", "name": "b"}, "size": 1}


@pytest.mark.parametrize(
    ("change", "taken", "codes"),
    [
        ({}, {}, []),
        ({"size": 2.0}, {"size": None}, ["wrong-type"]),
        ({"size": True}, {"size": None}, ["wrong-type"]),
        ({"size": 0}, {"size": None}, ["out-of-range"]),
        ({"more": 1}, {}, ["unknown-key"]),
        ({"model": {"repo": "A", "name": "b", "x": 1}}, {"model": {"name": "b"}}, ["wrong-text", "unknown-key"]),
        ({"model": "a"}, {"model": None}, ["wrong-type"]),
        ({"list": ["A", "b", 1]}, {"list": ["b"]}, ["wrong-text", "wrong-type"]),
        ({"list": ["a"] * 4}, {}, ["out-of-range"]),
        ({"env": {"a": "1", "B": 1, "C": "1"}}, {"env": {"C": "1"}}, ["wrong-type", "wrong-key"]),
        ({"any": {}}, {}, ["wrong-type"]),
        ({"day": "2026-02-30"}, {}, ["wrong-text"]),
        ({"day": "2026-02-28"}, {"day": "2026-02-28"}, []),
        ({"versions": ">=1.2,<2"}, {"versions": ">=1.2,<2"}, []),
        ({"versions": "new"}, {}, ["wrong-text"]),
        ({"ports": "1:65535"}, {"ports": "1:65535"}, []),
        ({"ports": "0:1"}, {}, ["wrong-text"]),
        ({"ports": "1:65536"}, {}, ["wrong-text"]),
        ({"ports": "x"}, {}, ["wrong-text"]),
    ],
)
def test_what_is_refused_is_out(change: dict[str, Any], taken: dict[str, Any], codes: list[str]) -> None:
    found, problems = _schema.accept({**GOOD, **change}, SCHEMA, "p")
    assert found == {key: value for key, value in {**GOOD, **taken}.items() if value is not None}
    assert sorted(problem.code for problem in problems) == sorted(codes)


KEYS = st.sampled_from(["model", "size", "list", "env", "any", "day", "repo", "name", "A", "b"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.sampled_from(["a", "A", ""]),
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, JSON, max_size=6))
def test_what_is_left_lacks_at_most_what_is_required(document: dict[str, Any]) -> None:
    taken, problems = _schema.accept(document, SCHEMA, "p")
    again, rest = _schema.accept(taken, SCHEMA, "p")
    assert again == taken
    assert {problem.code for problem in rest} <= {"missing"}
    assert bool(problems) >= (taken != document)


@pytest.mark.parametrize(
    ("document", "texts"),
    [
        # A key that is missing because it is misspelt, or at another place, is one problem.
        (
            {"model": {"repo": "a", "nme": "b"}, "size": 1},
            ["model.nme: found an unknown key; wanted one of name, repo. Did you mean 'name'?"],
        ),
        ({"model": {"repo": "a", "name": "b"}, "sise": 1}, ["sise: found an unknown key"]),
        ({"model": {"repo": "a", "name": "b"}, "nme": 1}, ["nme: found an unknown key", "size: found nothing"]),
        ({"model": "org", "size": 1}, ["model: found 'org'; wanted mapping. Did you mean model.repo: 'org'?"]),
        ({"model": ["org"], "size": 1}, ["model: found ['org']; wanted mapping [wrong-type]"]),
    ],
)
def test_one_mistake_is_one_problem(document: dict[str, Any], texts: list[str]) -> None:
    problems = [str(problem) for problem in _schema.accept(document, SCHEMA, "p")[1]]
    assert len(problems) == len(texts)
    assert all(text in problem for text, problem in zip(texts, problems, strict=True)), problems


@pytest.mark.parametrize(
    ("engine", "key", "place"),
    [
        ("vllm", "tp", "parallel.tensor"),
        ("vllm", "tensor_parallel_size", "parallel.tensor"),
        ("vllm", "tensor-parallel", "parallel.tensor"),
        ("vllm", "pp", "parallel.pipeline"),
        ("vllm", "ep", "parallel.expert"),
        ("vllm", "--max-num-seqs", "args.max-num-seqs"),
        ("vllm", "compilation-config.cudagraph_mode", "args.compilation-config.cudagraph_mode"),
        ("vllm", "mem-fraction-static", ""),
        ("sglang", "mem-fraction-static", "args.mem-fraction-static"),
        ("nobody", "mem-fraction-static", "args.mem-fraction-static"),
        (7, "gpu-memory-utilization", "args.gpu-memory-utilization"),
        ("vllm", "served-model-name", "model.served_name"),
        ("vllm", "port", "gx10_api_port in the inventory"),
        ("vllm", "repo", "model.repo"),
        ("vllm", "shm_size", "container.shm_size"),
        ("vllm", "OMP_NUM_THREADS", "env.OMP_NUM_THREADS"),
        ("vllm", "Summary", ""),
        ("vllm", "x" * 70_000, ""),
    ],
)
def test_a_key_at_another_place_is_told_where_it_belongs(engine: object, key: str, place: str) -> None:
    assert _pointers.hint(engine, _sources.schema())([], key) == (f"It belongs to {place}." if place else "")


def test_plain_data_stays_what_it_is() -> None:
    value: dict[str, Any] = {"a": [1, 1.5, None, True, "x", {"b": []}], "c": {}}
    found, problems = _document.plain(value, "w", "")
    assert (found, problems) == (value, [])
    assert found is not value
    assert _document.plain((1, 2), "w", "")[0] == [1, 2]
    assert _document.plain(10**19 - 1, "w", "")[0] == 10**19 - 1


@pytest.mark.parametrize(
    ("value", "key", "code", "left"),
    [
        ({"a": "x\ny", "b": 1}, "o.a", "control-character", {"b": 1}),
        ({"a": "\ud800"}, "o.a", "control-character", {}),
        ({"a": "x\u2028y"}, "o.a", "control-character", {}),
        ({"a\n": 1}, "o", "control-character", {}),
        ({"a": float("nan")}, "o.a", "out-of-range", {}),
        ({"a": float("-inf")}, "o.a", "out-of-range", {}),
        ({"a": [1, 10**19]}, "o.a[1]", "out-of-range", {"a": [1]}),
        ({"a": 10**5000}, "o.a", "out-of-range", {}),
        ({"a": datetime.date(2026, 1, 1)}, "o.a", "wrong-type", {}),
        ({"a": b"x"}, "o.a", "wrong-type", {}),
        ({1: 2, "b": 1}, "o", "not-a-text-key", {"b": 1}),
        ({"x" * 201: 1}, "o", "too-large", {}),
        ({"a": "x" * 65_537}, "o.a", "too-large", {}),
        (object(), "o", "wrong-type", None),
    ],
)
def test_what_is_no_plain_data_is_left_out(value: Any, key: str, code: str, left: Any) -> None:
    found, (problem,) = _document.plain(value, "w", "o")
    assert (problem.key, problem.code, found) == (key, code, left)
    assert len(str(problem)) <= 500


def test_plain_data_has_bounds() -> None:
    deep: Any = 1
    for _level in range(21):
        deep = [deep]
    assert [problem.code for problem in _document.plain(deep, "w", "o")[1]] == ["too-deep"]
    assert _document.plain(deep[0], "w", "o") == (deep[0], [])
    assert [problem.code for problem in _document.plain([1] * 4998, "w", "o")[1]] == []
    assert [problem.code for problem in _document.plain([1] * 4999, "w", "o")[1]] == ["too-large"]
    assert [problem.code for problem in _document.plain({"a": [1] * 10**6, "b": [1] * 10**6}, "w", "o")[1]] == ["too-large"]
    endless: list[Any] = []
    endless.append(endless)
    assert [problem.code for problem in _document.plain(endless, "w", "o")[1]] == ["too-deep"]
