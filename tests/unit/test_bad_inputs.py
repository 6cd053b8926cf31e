"""A few of the generated bad inputs, what the generator counts, and any JSON value at any key of any document."""

from __future__ import annotations

import importlib
import json
import time
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

runner: Any = importlib.import_module("tools.bad_inputs.__main__")
entries: Any = importlib.import_module("tools.bad_inputs.entries")
keys: Any = importlib.import_module("tools.bad_inputs.keys")
entry: Any = importlib.import_module("tools.bad_inputs.case")


def test_a_few_of_them() -> None:
    found = list(runner.run(seed=1, count=300))
    assert len(found) == 300
    assert [(number, verdict) for number, verdict in found if verdict.found] == []


def fails(_folder: Path) -> list[str]:
    raise ValueError


@pytest.mark.parametrize(
    ("run", "more", "found"),
    [
        (lambda _folder: [], {}, []),
        (lambda _folder: ["x"], {"oracle": "refuse"}, []),
        (fails, {}, ["traceback"]),
        (fails, {"oracle": "refuse", "says": "x"}, ["traceback"]),
        (lambda _folder: ["\ud800"], {}, ["traceback"]),
        (lambda _folder: [], {"oracle": "refuse"}, ["accepted"]),
        (lambda _folder: ["x"], {"oracle": "accept"}, ["refused"]),
        (lambda _folder: ["x"], {"says": "y"}, ["unsaid"]),
        (lambda _folder: ["x"] * 51, {}, ["many"]),
        (lambda _folder: ["x" * 501], {}, ["long"]),
        (lambda _folder: [str(len(b"x" * (230 * 1024**2)))], {}, ["memory"]),
    ],
)
def test_what_is_counted(run: Any, more: dict[str, str], found: list[str], tmp_path: Path) -> None:
    assert runner.judge(entry.Case("kind", run, **more), tmp_path).found == found


def test_one_that_waits_is_counted_and_the_rest_goes_on(monkeypatch: pytest.MonkeyPatch) -> None:
    def case(_seed: int, number: int) -> Any:
        return entry.Case("kind", lambda _folder: entry.time.sleep(60) if number == 1 else [])

    monkeypatch.setattr(runner, "WAIT", 3.0)
    monkeypatch.setattr(runner, "case", case)
    monkeypatch.setattr(entry, "time", importlib.import_module("time"), raising=False)
    assert [(number, verdict.found) for number, verdict in runner.run(1, 3)] == [(0, []), (1, ["hang"]), (2, [])]


@pytest.mark.parametrize(
    ("override", "settings"),
    [
        ({"env": {"A": "://" + ":" * 60_000}}, {}),
        ({"args": {"attention-config": "{" + '\\"' * 30_000 + "}"}}, {}),
        ({"args": {"hf-overrides": {"a": "1" * 60_000 + "x"}}}, {}),
        ({}, {"gx10_container_options": {"devices": ["/dev/x:/dev/x:" + "".join(map(chr, range(0x4E00, 0x4E00 + 14_000)))]}}),
        ({}, {"gx10_env": {f"A{number}": "://" + ":" * 60_000 for number in range(40)}}),
    ],
)
def test_no_expression_goes_back_and_forth(override: dict[str, Any], settings: dict[str, Any]) -> None:
    hosts = {name: {**host, **settings} for name, host in entry.HOSTVARS.items()}
    start = time.process_time()
    entry.plan(entry.read(), hosts, override=override)
    assert time.process_time() - start < runner.SECONDS


def test_a_case_is_its_seed_and_number() -> None:
    assert [runner.case(1, number).about for number in range(20)] == [runner.case(1, number).about for number in range(20)]
    assert runner.case(1, 3) != runner.case(2, 3)


TEXT = st.text(max_size=8) | st.sampled_from(["a\nb", "\x00", "\u202e", "\ud800", "-x", "{{ 1 }}", "{x}", "1M", "x" * 70_000])
SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from([10**400, -(10**19), 1e300]) | TEXT
JSON = st.recursive(SCALAR, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3), max_leaves=8)
IMAGE = yaml.safe_load(entry.read()["images"]["vllm-node-sim"]["text"])
MOD = {"summary": "x", "args": ["x"], "required_for": {"a/b": "x"}, "proof": [{"module": "a", "object": "b"}]}
DOCUMENTS: dict[str, tuple[Any, Any]] = {
    "profile": (entries.profile(), lambda text, _value, _folder: entry.plan(entries.with_profile(text))),
    "override": ({}, lambda _text, value, _folder: entry.plan(entry.read(), override=value)),
    "image": (IMAGE, lambda text, _value, _folder: entry.plan(entries.with_image("vllm-node-sim", text))),
    "mod": (MOD, lambda text, _value, _folder: entry.plan(entries.with_mod("own", text, True))),
    "recipe": (keys.RECIPE, lambda text, _value, _folder: entries.convert(text)),
    "list": (entries.profile(), lambda text, _value, _folder: entries.table({"x": text})),
    "config": (keys.CONFIG, lambda text, _value, folder: entries.checkpoint(folder, text.encode("utf-8", "surrogatepass"), None)),
    "index": (
        {"weight_map": {"a": "b"}},
        lambda text, _value, folder: entries.checkpoint(folder, b"{}", text.encode("utf-8", "surrogatepass")),
    ),
}
PATHS = {name: keys.paths(document) or list(keys.PROFILE_KEYS) for name, (document, _run) in DOCUMENTS.items()}


@pytest.mark.parametrize("name", DOCUMENTS)
@given(st.data())
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_value_at_any_key_is_a_plan_or_problems(name: str, tmp_path: Path, data: st.DataObject) -> None:
    document, run = DOCUMENTS[name]
    value = keys.put(document, data.draw(st.sampled_from(PATHS[name])), data.draw(JSON))
    try:
        text = json.dumps(value, ensure_ascii=data.draw(st.booleans()))
    except ValueError:  # Python writes no integer of thousands of digits
        text = "{}"
    verdict = runner.judge(entry.Case(name, lambda folder: run(text, value, folder)), tmp_path)
    assert verdict.found == [], verdict.outcome


@given(st.binary(max_size=300))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_are_a_plan_or_problems(tmp_path: Path, raw: bytes) -> None:
    text = raw.decode("utf-8", "surrogateescape")
    for name, (_document, run) in DOCUMENTS.items():
        if name not in ("config", "index"):
            verdict = runner.judge(entry.Case(name, lambda folder, run=run: run(text, text, folder)), tmp_path)
            assert verdict.found == [], verdict.outcome
    for config, index in ((raw, None), (b"{}", raw)):
        verdict = runner.judge(entry.Case("json", lambda folder, one=config, two=index: entries.checkpoint(folder, one, two)), tmp_path)
        assert verdict.found == [], verdict.outcome
