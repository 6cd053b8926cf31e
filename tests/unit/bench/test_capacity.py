"""How many streams are carried within a bound: of records, and of what the reports measured."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.bench import _record
from ansible_collections.gx10.serving.plugins.module_utils.bench._capacity import capacity, of_expect, of_record
from ansible_collections.gx10.serving.plugins.module_utils.bench._rows import Point
from conftest import ROOT
from runs import NO_DRAFTS, asked, record, row, run


def bench(name: str) -> Any:
    return yaml.safe_load((ROOT / f"model_profiles/{name}.yml").read_text(encoding="utf-8"))["expect"]["bench"]


def point(requests: int, longest: float, *, error: str = "", **more: Any) -> Point:
    """All but the last request have their first token after a second."""
    rows = [row(1.0, 300.0) for _request in range(requests - 1)] + [row(longest, 300.0, error=error)]
    return _record.point(asked(requests, **more), [run(rows)] * 3, NO_DRAFTS)


@pytest.mark.parametrize(
    ("name", "bound", "streams", "missed", "beyond"),
    [
        # Two of eight waited 92 and 99 s for one of six slots, though the median is 7.97.
        ("nemotron3-ultra", 10, 6, [1], 8),
        ("nemotron3-ultra", 100, 8, [], None),
        ("nemotron3-ultra", 4.7, 4, [1, 2], 6),
        ("nemotron3-ultra", 1, 0, [], 1),
        # The first request was cold.
        ("nex-n2-pro-mtp2", 20, 16, [1], None),
        ("qwen397-mtp2", 6, 8, [4], 16),
    ],
)
def test_what_the_reports_carried(name: str, bound: float, streams: int, missed: list[int], beyond: int | None) -> None:
    found = capacity(of_expect(bench(name)), bound)
    assert found["streams"] == streams
    assert [one["streams"] for one in found["missed"]] == missed
    assert (found["beyond"] and found["beyond"]["streams"]) == beyond


def test_a_reports_longest_wait_is_in_its_prefill_rate() -> None:
    waits = {one["streams"]: one["ttft_max_s"] for one in of_expect(bench("nemotron3-ultra"))}
    # Its table of requests: 14.28, 5.14, 4.67, 6.33 and 98.86 s.
    assert waits == pytest.approx({1: 14.28, 2: 5.14, 4: 4.67, 6: 6.33, 8: 98.86}, rel=0.002)


@pytest.mark.parametrize("name", ["nemotron3-super-sglang", "nex-n2-mini"])
def test_without_a_prefill_rate_nothing_is_known(name: str) -> None:
    assert capacity(of_expect(bench(name)), 10)["streams"] is None


@pytest.mark.parametrize("rows", [None, 7, [7], [{"requests": "4"}], [{"requests": 4, "prefill_tps": 0}]])
def test_a_bench_of_another_form_says_nothing(rows: Any) -> None:
    assert of_expect({"sweep": {"input_tokens": 100}, "concurrency": rows}) == []
    assert of_expect({"sweep": rows, "concurrency": [{"requests": 1, "prefill_tps": 9}]}) == []


def test_of_a_record_the_longest_wait_counts() -> None:
    found = record([point(1, 1.0), point(4, 2.0), point(8, 6.0)])
    # A wait as long as the bound is within it.
    carried = capacity(of_record(found, 1000), 2)
    assert carried["streams"] == 4 and carried["beyond"] and carried["beyond"]["streams"] == 8
    assert carried["held"] and carried["held"]["ttft_max_s"] == 2.0
    assert carried["held"]["request_decode_tps"] == found["points"][1]["figures"]["request_decode_tps"]["median"]


def test_a_failure_carries_nobody() -> None:
    found = record([point(1, 1.0), point(4, 2.0, error="HTTP 500"), point(8, 2.0)])
    carried = capacity(of_record(found, 1000), 5)
    assert carried["streams"] == 8 and [one["failed"] for one in carried["missed"]] == [1]
    assert capacity(of_record(record([point(4, 2.0, error="x")]), 1000), 5)["streams"] == 0


def test_other_prompts_and_tests_do_not_count() -> None:
    others = [point(64, 1.0, cached=True), point(64, 1.0, input_tokens=10), point(64, 1.0, test="needle", depth=0.5)]
    assert capacity(of_record(record([point(2, 1.0), *others]), 1000), 5)["streams"] == 2
    assert capacity([], 5) == {"bound_s": 5, "streams": None, "held": None, "missed": [], "beyond": None}
