"""A run's record: written, read again, and refused where it is another thing."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import jsonschema
import pytest
from ansible_collections.gx10.serving.plugins.module_utils.bench import _record, _rows
from conftest import ROOT, launch
from runs import NO_DRAFTS, asked, record, row, run
from test_schema import of_schema, of_type

SCHEMA = json.loads(_record.SCHEMA.read_text(encoding="utf-8"))
ROWS = [row(1.0, 11.0, arrivals=[1.0, 6, 11.0]), row(None, 30.0, stream=1, output=0, error="HTTP 500")]
POINT = _record.point(asked(2), [run(ROWS), run(copy.deepcopy(ROWS), started="2026-11-30T12:01:00Z")], NO_DRAFTS)
CLIENT: _rows.Client = {"name": "gx10", "version": "1.0.0", "command": ["bench", "--streams", "2"]}


def test_its_schema_and_its_type_are_one() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert of_schema(SCHEMA, SCHEMA) == of_type(_rows.Record)


def test_it_says_what_was_served() -> None:
    plan = launch("nex-n2-pro")
    found = _record.record(plan, "sha256:" + "1" * 64, CLIENT, [POINT], {"versions": {"vllm": "0.22.0"}})
    assert found["profile"] == "nex-n2-pro" and found["plan"] == plan["hash"] and found["engine"] == "vllm"
    assert found["image"] == {"reference": plan["image"]["reference"], "id": "sha256:" + "1" * 64}
    assert [mod["name"] for mod in found["mods"]] == ["nex-fp8-loader"]
    assert found["started"] == "2026-11-30T12:00:00Z"
    assert (found["partial"], found["reason"]) == (False, "")
    assert (found["versions"], found["hardware"], found["sampling"]) == ({"vllm": "0.22.0"}, {}, {})
    assert list(jsonschema.Draft202012Validator(SCHEMA).iter_errors(found)) == []


def test_a_run_that_ended_early_is_partial_with_its_reason() -> None:
    for points in ([], [POINT], [_record.point(asked(2), [], NO_DRAFTS)]):
        found = _record.record(launch("nex-n2-pro"), "sha256:" + "1" * 64, CLIENT, points, {}, "the engine died")
        assert (found["partial"], found["reason"]) == (True, "the engine died")
        assert _record.read(_record.text(found).encode(), "r.json") == (found, [])


def test_a_point_has_its_figures_over_the_repeats() -> None:
    assert [repeat["figures"]["failed"] for repeat in POINT["repeats"]] == [1, 1]
    assert POINT["figures"]["ttft_s"] == {"median": 1.0, "low": 1.0, "high": 1.0, "repeats": 2}
    assert POINT["repeats"][0]["found"] is None
    needle = _record.point(asked(1, test="needle", depth=0.5), [run(ROWS[:1], found=True)], NO_DRAFTS)
    assert needle["repeats"][0]["found"] is True


def test_what_is_read_has_the_rows_own_figures() -> None:
    found = record([copy.deepcopy(POINT)])
    found["points"][0]["repeats"][0]["figures"]["decode_tps"] = 1e9
    found["points"][0]["figures"]["decode_tps"]["median"] = 1e9
    read, problems = _record.read(_record.text(found).encode(), "r.json")
    assert problems == [] and read == record([POINT])


def test_it_is_the_same_bytes_each_time() -> None:
    one = _record.text(record([POINT]))
    read, _problems = _record.read(one.encode(), "r.json")
    assert read and _record.text(read) == one


def edit(*path: Any, to: Any) -> Callable[[Any], None]:
    def change(found: Any) -> None:
        *above, last = path
        for part in above:
            found = found[part]
        found[last] = to

    return change


AT = ("points", 0, "repeats", 1, "rows", 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (edit("format", to=2), "r.json: format: found 2; wanted 1"),
        (edit("plan", to="sha256:1"), "r.json: plan: found 'sha256:1'; wanted text like"),
        (edit("colour", to="red"), "r.json: colour: found an unknown key"),
        (edit(*AT, "output", to=-1), "r.json: points[0].repeats[1].rows[0].output: found -1; wanted at least 0"),
        (edit(*AT, "output", to=100.0), "points[0].repeats[1].rows[0].output: found 100.0; wanted integer"),
        (edit(*AT, "arrivals", to=[1.0, "2"]), "points[0].repeats[1].rows[0].arrivals[1]: found '2'; wanted number"),
        (edit(*AT, "arrivals", to=[True]), "points[0].repeats[1].rows[0].arrivals[0]: found True; wanted number"),
        (edit(*AT, "arrivals", to="1.0"), "points[0].repeats[1].rows[0].arrivals: found '1.0'; wanted list"),
        (edit(*AT, "first", to=0.0), ""),
        (edit(*AT, "first", to=-1.0), "points[0].repeats[1].rows[0]: found [0.0, -1.0, 11.0]; wanted start, first and end in this order"),
        (edit(*AT, "end", to=0.5), "points[0].repeats[1].rows[0]: found [0.0, 1.0, 0.5]"),
        (edit("points", 0, "test", to="nap"), "points[0].test: found 'nap'; wanted one of sweep"),
        (edit("points", to={}), "points: found {}; wanted list"),
        (edit("points", to=[7]), "points[0]: found 7; wanted mapping"),
    ],
)
def test_another_form_is_refused_by_its_place(change: Callable[[Any], None], said: str) -> None:
    found: Any = record([copy.deepcopy(POINT)])
    change(found)
    read, problems = _record.read(_record.text(found).encode(), "r.json")
    assert (read is None) == bool(said) == bool(problems)
    if said:
        assert said in str(problems[0]), str(problems[0])
        assert all(problem.code for problem in problems)


def test_a_row_without_arrivals_is_refused() -> None:
    found: Any = record([copy.deepcopy(POINT)])
    del found["points"][0]["repeats"][0]["rows"][1]["arrivals"]
    (problem,) = _record.read(_record.text(found).encode(), "r.json")[1]
    assert (problem.key, problem.code) == ("points[0].repeats[0].rows[1].arrivals", "missing")


@pytest.mark.parametrize(
    ("raw", "code"), [(b"", "not-json"), (b"[]", "not-a-mapping"), (b"{}", "other-format"), (b'{"format": NaN}', "out-of-range")]
)
def test_what_is_no_record_is_refused(raw: bytes, code: str) -> None:
    read, (problem,) = _record.read(raw, "r.json")
    assert read is None and problem.code == code


def test_an_hours_arrivals_can_be_read() -> None:
    many = row(0.0, 450.0, arrivals=[float(number) / 1000 for number in range(450_000)])
    found = record([_record.point(asked(1), [run([many])], NO_DRAFTS)])
    read, problems = _record.read(_record.text(found).encode(), "r.json")
    assert problems == [] and read and len(read["points"][0]["repeats"][0]["rows"][0]["arrivals"]) == 450_000


def test_the_page_names_the_schema() -> None:
    assert f"(../{_record.SCHEMA.resolve().relative_to(ROOT)})" in (ROOT / "docs/bench.md").read_text(encoding="utf-8")
