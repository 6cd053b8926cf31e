"""Figures of a run, from rows whose figures are known."""

from __future__ import annotations

import statistics

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.bench._figures import FIGURES, failed, figures, quantile, spread
from conftest import ROOT
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from runs import row

FAST = row(1.0, 11.0, arrivals=[1.0, 3.0, 11.0])
SLOW = row(2.0, 22.0, stream=1, output=201, arrivals=[2.0, 7.0, 8.0, 22.0])
BROKEN = row(None, 30.0, stream=2, output=0, error="HTTP 500")


def test_each_formula_on_two_requests() -> None:
    found = figures([FAST, SLOW], 22.5)
    assert found == {
        "requests": 2,
        "failed": 0,
        "input_tokens": 2000,
        "cached_tokens": 0,
        "output_tokens": 301,
        "wall_s": 22.5,
        "prefill_tps": 2000 / 2.0,
        "decode_tps": (99 + 200) / (22.5 - 1.0),
        "output_sum_tps": 100 / 11 + 201 / 22,
        "request_decode_tps": (99 / 10 + 200 / 20) / 2,
        "request_decode_min_tps": 9.9,
        "ttft_s": 1.5,
        "ttft_p90_s": 1.9,
        "ttft_p99_s": pytest.approx(1.99),
        "ttft_max_s": 2.0,
        "itl_s": 5.0,
        "itl_p90_s": pytest.approx(8 + 0.6 * 6),
        "itl_p99_s": pytest.approx(8 + 0.96 * 6),
        "duration_s": 16.5,
    }
    assert list(found) == list(FIGURES)


def test_ttft_is_from_the_requests_own_start() -> None:
    late = row(5.0, 15.0, start=4.0)
    found = figures([late], 15.0)
    assert (found["ttft_s"], found["prefill_tps"], found["duration_s"]) == (1.0, 1000.0, 11.0)
    assert found["decode_tps"] == 99 / 14.0


def test_a_failed_request_is_counted_and_makes_nothing_better() -> None:
    whole, some = figures([FAST, SLOW], 22.0), figures([FAST, SLOW, BROKEN], 30.0)
    assert (some["requests"], some["failed"]) == (3, 1)
    assert some["prefill_tps"] == 3000 / 30.0  # it waited until it ended
    assert some["ttft_max_s"] == 30.0
    assert some["decode_tps"] == 299 / 29.0
    for name in ("ttft_s", "itl_s", "request_decode_tps", "output_sum_tps", "duration_s"):
        assert some[name] == whole[name]


@pytest.mark.parametrize("change", [{"error": "cut"}, {"first": None}, {"output": 0}])
def test_without_tokens_a_request_has_failed_whatever_its_status(change: dict[str, object]) -> None:
    assert not failed(FAST)
    assert failed({**FAST, **change})  # type: ignore[typeddict-item]


@pytest.mark.parametrize("rows", [[], [BROKEN], [BROKEN, BROKEN]])
def test_of_a_run_without_an_answer_no_rate_is_known(rows: list[object]) -> None:
    found = figures(rows, 30.0)  # type: ignore[arg-type]
    known = {"requests", "failed", "input_tokens", "cached_tokens", "output_tokens", "wall_s"} | ({"ttft_max_s"} if rows else set())
    assert {name for name, value in found.items() if value is not None} == known
    assert found["failed"] == len(rows)


def test_one_token_decodes_nothing() -> None:
    found = figures([row(1.0, 1.0, output=1)], 1.0)
    assert found["decode_tps"] is None and found["request_decode_tps"] is None and found["prefill_tps"] == 1000.0


def test_cached_tokens_are_unknown_if_a_request_does_not_say() -> None:
    assert figures([FAST, row(1.0, 2.0, cached=400)], 11.0)["cached_tokens"] == 400
    assert figures([FAST, row(1.0, 2.0, cached=None)], 11.0)["cached_tokens"] is None


def test_the_median_and_spread_are_of_the_repeats_that_know() -> None:
    found = spread([{"wall_s": 3.0}, {"wall_s": 1.0, "ttft_s": None}, {"wall_s": 1.5}])
    assert found["wall_s"] == {"median": 1.5, "low": 1.0, "high": 3.0, "repeats": 3}
    assert found["ttft_s"] == {"median": None, "low": None, "high": None, "repeats": 0}


def test_quantiles_are_numpys() -> None:
    # numpy.percentile([3, 1, 4, 1, 5, 9, 2, 6], [50, 90, 99]) of numpy 2.
    values = [3, 1, 4, 1, 5, 9, 2, 6]
    assert [quantile(values, share) for share in (0.5, 0.9, 0.99)] == pytest.approx([3.5, 6.9, 8.79])
    assert quantile([], 0.5) is None and quantile([7.0], 0.99) == 7.0


SOME = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=30)


@settings(deadline=None)
@given(SOME, st.floats(0, 1), st.floats(0, 1))
def test_a_quantile_is_between_and_rises(values: list[float], one: float, other: float) -> None:
    low, high = (quantile(values, share) for share in sorted((one, other)))
    assert low is not None and high is not None
    assert min(values) <= low <= high <= max(values)
    assert quantile(values, 0.5) == pytest.approx(statistics.median(values))


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.floats(0.01, 100), st.floats(0.01, 1000), st.integers(2, 4096)), min_size=1, max_size=16), st.floats(0.01, 100)
)
def test_twice_the_time_is_half_the_rate(requests: list[tuple[float, float, int]], factor: float) -> None:
    assume(abs(factor - 1) > 1e-3)
    made = ([row(first * by, (first + spent) * by, output=output) for first, spent, output in requests] for by in (1, factor))
    one, other = (figures(rows, 2000 * by) for rows, by in zip(made, (1, factor)))
    for name, figure in FIGURES.items():
        value, scaled = one[name], other[name]
        if figure.unit and value is not None and scaled is not None and figure.unit != "tokens":
            assert scaled == pytest.approx(value * factor if figure.unit == "s" else value / factor)


def test_the_page_has_each_figure() -> None:
    ways = {1: "more", -1: "less", 0: "not judged"}
    rows = [f"| `{name}` | {one.unit or 'count'} | {one.what} | {ways[one.better]} |" for name, one in FIGURES.items()]
    table = "\n".join(["| figure | unit | what | better |", "|---|---|---|---|", *rows])
    assert table in (ROOT / "docs/bench.md").read_text(encoding="utf-8"), table
