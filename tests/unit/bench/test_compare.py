"""Verdicts: on runs that are known to be equal or slower, and their properties."""

from __future__ import annotations

import math
import random
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.bench import _compare, _record
from ansible_collections.gx10.serving.plugins.module_utils.bench._figures import FIGURES
from ansible_collections.gx10.serving.plugins.module_utils.bench._rows import Comparison, Point, Record, Row, Verdict
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st
from runs import NO_DRAFTS, TABLES, asked, noisy_sweep, record, row, run


def bench(name: str) -> Any:
    return yaml.safe_load((ROOT / f"model_profiles/{name}.yml").read_text(encoding="utf-8"))["expect"]["bench"]


def words(found: Comparison, *figures: str) -> dict[tuple[str, str], str]:
    return {(one["point"], one["figure"]): one["verdict"] for one in found["verdicts"] if not figures or one["figure"] in figures}


# -- a slowdown, and none, at a known noise ----------------------------------------------------------------------------------


@pytest.mark.parametrize("noise", [0.01, 0.02])
def test_a_tenth_slower_is_flagged_in_20_of_20_and_none_of_20_equal_runs_is(noise: float) -> None:
    flagged, alarms = [], []
    for seed in range(20):
        chance = random.Random(seed)
        base, same, slower = (noisy_sweep(chance, noise, factor) for factor in (1, 1, 1.1))
        flagged.append(_compare.compare(base, slower))
        alarms.append(_compare.compare(base, same))
    assert [found["ok"] for found in flagged] == [False] * 20
    assert [found["ok"] for found in alarms] == [True] * 20
    # By what was planted, and not by the prefill, which was not.
    for found in flagged:
        worse = {one["figure"] for one in found["verdicts"] if one["verdict"] == "worse"}
        assert worse & {"decode_tps", "request_decode_tps"} and not worse & {"prefill_tps", "ttft_s", "ttft_p90_s"}


def report_of(measured: Record) -> dict[str, Any]:
    """A run as a report gives it: one value a figure, and nothing of how it varies."""
    names = ("wall_s", "prefill_tps", "decode_tps", "ttft_s", "request_decode_tps")
    rows = [{"requests": one["requests"], **{name: one["figures"][name]["median"] for name in names}} for one in measured["points"]]
    return {"sweep": {name: measured["points"][0][name] for name in ("input_tokens", "output_tokens")}, "concurrency": rows}


def test_so_it_is_beside_a_report_of_one_run() -> None:
    said = []
    for seed in range(20):
        chance = random.Random(seed)
        report = report_of(noisy_sweep(chance, 0.01, repeats=1))
        said.append([_compare.against(report, noisy_sweep(chance, 0.01, factor))["ok"] for factor in (1, 1.1)])
    assert said == [[True, False]] * 20


@pytest.mark.parametrize("seed", range(3))
def test_a_tenth_faster_is_better(seed: int) -> None:
    chance = random.Random(seed)
    found = _compare.compare(noisy_sweep(chance, 0.01), noisy_sweep(chance, 0.01, 1 / 1.1))
    assert found["ok"] and words(found)["sweep: all", "decode_tps"] == "better"


def made(values: list[float], **more: Any) -> Point:
    """One request a repeat that decodes so many tokens per second."""
    return _record.point(asked(1, **more), [run([row(1.0, 1 + 99 / value)]) for value in values], NO_DRAFTS)


def one(found: Comparison, figure: str, point: str = "") -> Verdict:
    (verdict,) = [one for one in found["verdicts"] if one["figure"] == figure and one["point"].startswith(point)]
    return verdict


def verdict(old: list[float], new: list[float]) -> Verdict:
    return one(_compare.compare(record([made(old)]), record([made(new)])), "request_decode_tps")


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        # Repeats that agree: the floor of 5 %.
        ([100, 100, 100], [104, 104, 104], "equal"),
        ([100, 100, 100], [106, 106, 106], "better"),
        ([100, 100, 100], [96, 96, 96], "equal"),
        ([100, 100, 100], [94, 94, 94], "worse"),
        # Repeats that do not agree hide a tenth, and not a half.
        ([95, 100, 105], [85, 90, 95], "equal"),
        ([95, 100, 105], [48, 50, 52], "worse"),
        # Nothing is known of the noise: 15 %.
        ([100], [88], "equal"),
        ([100], [86], "worse"),
        ([100], [114], "equal"),
        ([100], [116], "better"),
    ],
)
def test_the_band_is_that_of_the_repeats_and_at_least_a_floor(old: list[float], new: list[float], said: str) -> None:
    found = verdict(old, new)
    assert found["verdict"] == said, found


def test_the_band_is_students_t_times_the_medians_error() -> None:
    found = verdict([math.exp(one) for one in (-0.1, 0.0, 0.1)], [math.exp(one) for one in (-0.1, 0.0, 0.1)])
    # Four degrees of freedom, a standard deviation of 0.1, two medians of three.
    assert found["band"] == pytest.approx(math.expm1(8.610 * 1.2533 * 0.1 * math.sqrt(1 / 3 + 1 / 3)))
    # Against one value, of which the noise is the others'; it is no median.
    lone = verdict([1.0], [math.exp(one) for one in (-0.1, 0.0, 0.1)])
    assert lone["band"] == pytest.approx(math.expm1(31.60 * 0.1 * math.sqrt(1 + 1.2533**2 / 3)))
    # Never more than a thousandfold.
    assert verdict([1.0], [0.001, 1000.0])["band"] == pytest.approx(999)
    # One degree of freedom is as two.
    two = verdict([1.0], [math.exp(-0.1), math.exp(0.1)])
    assert two["band"] == pytest.approx(math.expm1(31.60 * math.sqrt(0.02) * math.sqrt(1 + 1 / 2)))


def test_all_points_together_know_more_than_each() -> None:
    values = [[math.exp(shift + one) for one in (-0.05, 0.0, 0.05)] for shift in (0.0, -0.1)]
    base, new = (record([made(some, input_tokens=size) for size in range(1, 6)]) for some in values)
    found = [one for one in _compare.compare(base, new)["verdicts"] if one["figure"] == "request_decode_tps"]
    together = found.pop()
    assert together["point"] == "sweep: all" and together["verdict"] == "worse"
    assert together["change"] == pytest.approx(math.expm1(-0.1))
    error = 1.2533 * 0.05 * math.sqrt(2 / 3)
    # A point: four degrees of its own and four borrowed; all: five times eight.
    assert [one["band"] for one in found] == pytest.approx([math.expm1(5.041 * error)] * 5)
    assert together["band"] == pytest.approx(math.expm1(3.646 * error / math.sqrt(5)))
    assert {one["verdict"] for one in found} == {"equal"}


def test_a_needle_beside_a_sweep_is_not_of_all_points() -> None:
    base, new = (record([made(some), made(some, test="needle", depth=0.5)]) for some in ([100.0] * 3, [80.0] * 3))
    assert "sweep: all" not in {one["point"] for one in _compare.compare(base, new)["verdicts"]}


def test_a_points_own_few_repeats_do_not_decide_alone() -> None:
    # They agree by chance, where three other points scatter by 5 %.
    lucky, scattered = made([100.0, 100.1, 99.9]), [made([95.0, 100.0, 105.0], input_tokens=size) for size in (1, 2, 3)]
    other = made([93.0, 93.1, 92.9])
    alone = one(_compare.compare(record([lucky]), record([other])), "request_decode_tps")
    beside = one(_compare.compare(record([lucky, *scattered]), record([other, *scattered])), "request_decode_tps", "sweep: 1 at once, 1000")
    assert (alone["verdict"], beside["verdict"]) == ("worse", "equal")
    assert alone["band"] and beside["band"] and beside["band"] > 2 * alone["band"]


# -- properties ---------------------------------------------------------------------------------------------------------------

RATES = st.lists(st.integers(100, 100_000).map(lambda tenths: tenths / 10), min_size=1, max_size=5)
OPPOSITE = {"better": "worse", "worse": "better", "equal": "equal", "unknown": "unknown"}


@settings(deadline=None)
@given(RATES, RATES)
def test_there_and_back_are_opposite(old: list[float], new: list[float]) -> None:
    there, back = verdict(old, new), verdict(new, old)
    assert back["verdict"] == OPPOSITE[there["verdict"]]
    assert there["band"] == pytest.approx(back["band"])
    assert there["change"] is not None and back["change"] is not None
    assert (1 + there["change"]) * (1 + back["change"]) == pytest.approx(1)


@settings(deadline=None)
@given(RATES, RATES, st.floats(0.01, 100))
def test_the_unit_does_not_matter(old: list[float], new: list[float], factor: float) -> None:
    one, other = verdict(old, new), verdict([value * factor for value in old], [value * factor for value in new])
    assert one["verdict"] == other["verdict"]
    assert one["band"] == pytest.approx(other["band"]) and one["change"] == pytest.approx(other["change"], abs=1e-9)


@settings(deadline=None)
@given(RATES)
def test_a_run_is_equal_to_itself(values: list[float]) -> None:
    found = _compare.compare(record([made(values)]), record([made(values)]))
    assert found["ok"] and set(words(found).values()) == {"equal"} and found["differs"] == []


@settings(deadline=None)
@given(RATES, st.lists(st.sampled_from([0.5, 0.8, 1.0, 1.3, 2.0]), min_size=2, max_size=2, unique=True))
def test_more_is_never_judged_worse_than_less(values: list[float], factors: list[float]) -> None:
    order = ["worse", "equal", "better"]
    less, more = (verdict(values, [value * factor for value in values])["verdict"] for factor in sorted(factors))
    assert order.index(less) <= order.index(more)


# -- what has no band, and what is unknown -------------------------------------------------------------------------------------


def swept(rows: list[Row], repeats: int = 3, **more: Any) -> Record:
    return record([_record.point(asked(len(rows)), [run(rows)] * repeats, NO_DRAFTS)], **more)


def test_one_failure_more_is_worse_and_one_less_is_better() -> None:
    whole, broken = swept([row(1.0, 11.0)] * 2), swept([row(1.0, 11.0), row(1.0, 11.0, error="cut")])
    assert one(_compare.compare(whole, broken), "failed")["verdict"] == "worse"
    assert one(_compare.compare(broken, whole), "failed")["verdict"] == "better"
    assert one(_compare.compare(broken, broken), "failed")["verdict"] == "equal"
    assert _compare.compare(whole, broken)["ok"] is False


def test_a_run_in_which_all_failed_is_worse_by_its_failures_and_unknown_in_its_rates() -> None:
    found = _compare.compare(swept([row(1.0, 11.0)] * 2), swept([row(None, 11.0, output=0)] * 2))
    assert found["ok"] is False
    assert one(found, "decode_tps")["verdict"] == "unknown" and one(found, "decode_tps")["why"] == "unknown now"


def test_a_prefix_cache_that_helped_once_is_no_faster_prefill() -> None:
    cold, warm = swept([row(2.0, 12.0)] * 2), swept([row(1.0, 11.0, cached=900), row(1.0, 11.0, cached=None)])
    some = swept([row(1.0, 11.0, cached=900)] * 2)
    found = _compare.compare(cold, some)
    unknown = {one["figure"]: one["why"] for one in found["verdicts"] if one["verdict"] == "unknown"}
    assert unknown == dict.fromkeys(_compare.WITH_PREFILL, "90% of the input came from the prefix cache, 0% before")
    assert one(found, "decode_tps")["verdict"] == "equal"
    # A template's few tokens, both alike, or a server that does not say.
    for base, new in ((cold, swept([row(1.0, 11.0, cached=40)] * 2)), (some, some), (cold, warm)):
        assert "unknown" not in words(_compare.compare(base, new)).values()
    assert one(_compare.against({"concurrency": [{"requests": 2, "ttft_s": 2.0}]}, some), "ttft_s")["verdict"] == "unknown"


def needle(*found: bool | None, depth: float = 0.5, end: float = 11.0) -> Record:
    runs = [run([row(1.0, end)], found=one) for one in found]
    return record([_record.point(asked(1, test="needle", depth=depth), runs, NO_DRAFTS)])


def test_a_needle_that_is_missed_once_is_worse() -> None:
    assert one(_compare.compare(needle(True, True), needle(True, False)), "found")["verdict"] == "worse"
    assert one(_compare.compare(needle(False), needle(True)), "found")["verdict"] == "better"
    assert one(_compare.compare(needle(True), needle(None)), "found")["verdict"] == "unknown"
    # How long the model talks about it says nothing of the engine.
    found = _compare.compare(needle(True), needle(True, end=100.0))
    assert not {"wall_s", "duration_s"} & {one["figure"] for one in found["verdicts"]}


def drafting(rate: float | None, length: float | None) -> Record:
    accepted: Any = {"rate": rate, "mean_length": length, "per_position": None, "why": ""}
    return record([_record.point(asked(1), [run([row(1.0, 11.0)])] * 3, accepted)])


@pytest.mark.parametrize(("rate", "said"), [(0.80, "worse"), (0.83, "equal"), (0.92, "better"), (0.0, "worse"), (None, "unknown")])
def test_acceptance_is_compared_by_its_difference(rate: float | None, said: str) -> None:
    assert one(_compare.compare(drafting(0.861, 2.72), drafting(rate, 2.72)), "acceptance_rate")["verdict"] == said
    assert one(_compare.compare(drafting(0.0, 1.0), drafting(0.0, 1.0)), "acceptance_rate")["verdict"] == "equal"
    assert one(_compare.compare(drafting(0.861, 2.72), drafting(0.861, 2.5)), "accept_length")["verdict"] == "worse"


def test_what_only_one_run_has_is_unknown() -> None:
    found = _compare.compare(record([made([100]), made([9], input_tokens=7)]), record([made([100]), made([9], cached=True)]))
    unknown = [(one["point"], one["why"]) for one in found["verdicts"] if one["verdict"] == "unknown"]
    assert unknown == [
        ("sweep: 1 at once, 7 in, 100 out", "not in the new run"),
        ("sweep: 1 at once, 1000 in, 100 out, cached", "not in the old run"),
    ]
    assert found["ok"]


def test_where_nothing_can_be_judged_it_is_not_well() -> None:
    theirs = {"name": "llama-benchy", "version": "1", "command": []}
    for found in (
        _compare.compare(record([made([100])]), record([])),
        _compare.compare(record([made([100])]), record([made([9])], client=theirs)),
    ):
        assert found["ok"] is None and set(words(found).values()) == {"unknown"}


def test_it_says_what_else_is_not_the_same() -> None:
    new = record([made([100])], plan="sha256:" + "2" * 64, versions={"vllm": "0.30.0"}, mods=[{"name": "m", "hash": "h"}])
    found = _compare.compare(record([made([100])], versions={"vllm": "0.22.0", "ray": "2.54"}), new)
    assert found["differs"] == [
        f"plan: sha256:{'0' * 64}, now sha256:{'2' * 64}",
        'mods: [], now [{"hash": "h", "name": "m"}]',
        "versions.ray: 2.54, now nothing",
        "versions.vllm: 0.22.0, now 0.30.0",
    ]


# -- a run and its profile's expectation ---------------------------------------------------------------------------------------


def report_run(slower: float = 1.0) -> Record:
    """The Qwen report's own requests, its needle and its acceptance."""
    points = []
    accepted: Any = {"rate": 31 / 36, "mean_length": 1 + 31 / 18, "per_position": None, "why": ""}
    for table in TABLES["runs"]:
        if table["seed"] == "001":
            rows = [
                row(float(ttft), float(ttft) + (float(end) - float(ttft)) * slower, input=table["input"], output=table["output"])
                for ttft, end, *_rates in table["requests"]
            ]
            more: Any = {"test": "needle", "depth": 0.5} if "needle" in table["table"] else {}
            sizes: Any = {"input_tokens": table["input"], "output_tokens": table["output"]}
            points.append(_record.point(asked(len(rows), **sizes, **more), [run(rows, found=True if more else None)], accepted))
    return record(points)


def test_the_reports_own_run_is_what_its_profile_expects() -> None:
    found = _compare.against(bench("qwen397-mtp2"), report_run())
    assert found["ok"]
    said = words(found)
    compared = [key for key, one in said.items() if one == "equal"]
    # 5 points of wall, prefill, decode, TTFT, a request's decode and failures; the needle's; acceptance; and all points together.
    assert {figure for _point, figure in compared} == {
        "failed", "wall_s", "prefill_tps", "decode_tps", "request_decode_tps", "ttft_s", "accept_length", "acceptance_rate", "found",
    }  # fmt: skip
    assert set(said.values()) == {"equal", "unknown"}
    assert {one["why"] for one in found["verdicts"] if one["verdict"] == "unknown"} == {"unknown before"}


def test_a_run_that_is_half_as_fast_is_not() -> None:
    found = _compare.against(bench("qwen397-mtp2"), report_run(2.0))
    worse = {point for (point, figure), said in words(found, "decode_tps").items() if said == "worse"}
    assert found["ok"] is False and len(worse) == 7


def test_sums_of_the_sglang_report_are_compared_with_sums() -> None:
    expected = bench("nemotron3-super-sglang")
    point = _record.point(asked(1, output_tokens=3072, input_tokens=40), [run([row(1.0, 3072 / 53.99, output=3072)])] * 3, NO_DRAFTS)
    found = _compare.against(expected, record([point]))
    assert one(found, "output_sum_tps")["verdict"] == "equal"
    assert one(found, "decode_tps")["verdict"] == "unknown"
    # Prompts of which length, it does not say.
    twice = _compare.against(expected, record([point, {**point, "input_tokens": 9}]))
    assert [one["why"] for one in twice["verdicts"] if one["point"] == "sweep: 1 at once"] == [
        "2 points fit, since the profile says too little"
    ]


def test_another_clients_numbers_are_not_compared() -> None:
    found = _compare.against(bench("nex-n2-mini"), report_run())
    assert found["ok"] is None and "llama-benchy" in found["verdicts"][0]["why"]
    theirs = record([made([28.6], input_tokens=2048)], client={"name": "llama-benchy", "version": "1", "command": []})
    assert one(_compare.against(bench("nex-n2-mini"), theirs), "request_decode_tps", "sweep: 1")["verdict"] == "equal"


@pytest.mark.parametrize("name", sorted(path.stem for path in (ROOT / "model_profiles").glob("*.yml")))
def test_every_profile_can_be_compared_with(name: str) -> None:
    expected = yaml.safe_load((ROOT / f"model_profiles/{name}.yml").read_text(encoding="utf-8"))["expect"].get("bench", {})
    found = _compare.against(expected, report_run())
    assert bool(found["verdicts"]) == bool(expected)


WILD: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 7, 0.0, "x", [], [7], {}, [[1]], [{"requests": [1]}], {"input_tokens": []}, {"means": {"wall_s": []}}, {"tool": 7}]
)


@settings(deadline=None)
@given(st.dictionaries(st.sampled_from(["sweep", "concurrency", "needle", "acceptance", "accept_length"]), WILD))
def test_a_bench_of_any_form_is_no_error(expected: dict[str, Any]) -> None:
    _compare.against(expected, record([made([100])]))


@settings(deadline=None)
@given(
    st.dictionaries(st.sampled_from(["requests", "decode_tps", "wall_s"]), WILD), st.dictionaries(st.sampled_from(["means", "tool"]), WILD)
)
def test_a_row_of_any_form_is_no_error(row: dict[str, Any], sweep: dict[str, Any]) -> None:
    _compare.against({"sweep": sweep, "concurrency": [{"requests": 1, **row}]}, record([made([100])]))


def test_every_figure_that_is_judged_has_a_way() -> None:
    assert set(_compare.BETTER) - set(FIGURES) == {"accept_length", "acceptance_rate", "found"}
    assert set(_compare.BETTER.values()) == {1, -1}
