"""The field reports' tables, computed again by our functions from what the reports give of each request.

A report's numbers are rounded: a cell is met if some requests that round to the report's would give a value that rounds to the cell.
`GX10_WRITE=1 pytest` of this file writes the section of docs/bench.md.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.bench import _acceptance, _figures
from ansible_collections.gx10.serving.plugins.module_utils.bench._rows import Row
from conftest import ROOT
from runs import TABLES, row

PAGE = ROOT / "docs/bench.md"
HEADING = "## The reports' tables, computed again\n"


class Cell(NamedTuple):
    """What a report says, and from which value to which its own figures give it."""

    seed: str
    table: str
    name: str
    said: str
    low: float
    middle: float
    high: float

    @property
    def label(self) -> str:
        return f"{self.seed} {self.table}: {self.name}"

    @property
    def met(self) -> bool:
        return self.low - half(self.said) <= number(self.said) <= self.high + half(self.said)

    @property
    def vague(self) -> bool:
        """Would a value that is a tenth off be met, too?"""
        return self.high - self.low > 0.1 * abs(self.middle)


def number(text: str) -> float:
    return float(text.replace("−", "-").rstrip(" %×"))


def half(text: str) -> float:
    """Of a unit of the last digit."""
    return 0.5 / 10.0 ** len(text.rstrip(" %×").partition(".")[2])


def rows(table: Any, first: int, last: int) -> list[Row]:
    """The requests; TTFT and durations as written, or all as small (-1) or as large (1) as what rounds to that."""
    found = []
    for stream, (ttft, duration, *_rates) in enumerate(table["requests"]):
        end = duration or table["wall"]
        at = float(ttft) + first * half(ttft)
        found.append(row(at, float(end) + last * half(end), stream=stream, input=table["input"], output=table["output"]))
    return found


def span(value: Callable[[int, int], float | None]) -> tuple[float, float, float]:
    """Least, as written, and most: each figure only falls or only rises with each time."""
    found = {(first, last): value(first, last) for first in (-1, 0, 1) for last in (-1, 0, 1)}
    known = [one for one in found.values() if one is not None]
    middle = found[0, 0]
    assert middle is not None and len(known) == len(found)
    return min(known), middle, max(known)


def of_request(table: Any, stream: int, of: Callable[[Row], float | None]) -> Callable[[int, int], float | None]:
    return lambda first, last: of(rows(table, first, last)[stream])


def run_cells(table: Any) -> Iterator[Cell]:
    def figure(name: str) -> Callable[[int, int], float | None]:
        def value(first: int, last: int) -> float | None:
            made = rows(table, first, last)
            if name == "wall_s":  # from the requests, since it is itself a cell
                return max(one["end"] for one in made)
            wall = float(table["wall"]) + last * half(table["wall"])
            return _figures.figures(made, wall)[name]

        return value

    for name, said in table["cells"].items():
        yield Cell(table["seed"], table["table"], name, said, *span(figure(name)))
    for stream, request in enumerate(table["requests"]):
        for name, of, said in zip(("prefill", "decode"), (_figures.prefill_rate, _figures.decode_rate), request[2:]):
            yield Cell(table["seed"], table["table"], f"request {stream} {name}", said, *span(of_request(table, stream, of)))


def ratio_cells() -> Iterator[Cell]:
    for one in TABLES["ratios"]:
        scale, more = (100, 0) if one["said"].endswith("%") else (1, 1)
        values = [
            (change + more) * scale
            for a in (0, -1, 1)
            for b in (0, -1, 1)
            if (change := _figures.change(float(one["base"]) + a * half(one["base"]), float(one["new"]) + b * half(one["new"]))) is not None
        ]
        yield Cell(one["seed"], one["table"], one["cell"], one["said"], min(values), values[0], max(values))


def acceptance_cells() -> Iterator[Cell]:
    for one in TABLES["acceptance"]:
        text = "\n".join(
            f'vllm:spec_decode_num_{name}_total{{engine="0"}} {one[key]}.0'
            for name, key in (("drafts", "drafts"), ("draft_tokens", "drafted"), ("accepted_tokens", "accepted"))
        )
        before = text.replace(text, "vllm:num_requests_running 0.0")
        found = _acceptance.acceptance("vllm", before, text)
        for name, said in one["said"].items():
            value = found[name]  # type: ignore[literal-required]
            yield Cell(one["seed"], one["table"], name, said, value, value, value)


CELLS = [*(cell for table in TABLES["runs"] for cell in run_cells(table)), *ratio_cells(), *acceptance_cells()]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: cell.label)
def test_a_cell_is_met_or_listed_with_its_reason(cell: Cell) -> None:
    print(f"{cell.label}: {cell.said}; computed {cell.middle:.4g} ({cell.low:.6g} to {cell.high:.6g})")
    assert cell.met != (cell.label in TABLES["off"])


def test_what_is_listed_is_a_cell() -> None:
    assert set(TABLES["off"]) <= {cell.label for cell in CELLS}
    assert len(CELLS) > 190
    assert {cell.seed for cell in CELLS} == set(TABLES["reports"])


def test_a_median_that_is_off_is_the_upper_of_the_two_in_the_middle() -> None:
    upper = {label for label, why in TABLES["off"].items() if "upper of" in why}
    assert len(upper) == 4
    for table in TABLES["runs"]:
        for name, said in table["cells"].items():
            if f"{table['seed']} {table['table']}: {name}" in upper:
                made = rows(table, 0, 0)
                of = _figures.ttft if name == "ttft_s" else _figures.decode_rate
                values = [value for one in made if (value := of(one)) is not None]
                assert abs(statistics.median_high(values) - float(said)) <= half(said) + 0.01


@pytest.mark.parametrize(
    ("wrong", "least"),
    [
        # The whole output, as if the first token were decoded after itself.
        (lambda one: {**one, "output": one["output"] + 1}, 5),
        (lambda one: {**one, "input": round(one["input"] * 1.01)}, 50),
        (lambda one: {**one, "first": one["first"] * 1.02}, 50),
        (lambda one: {**one, "end": one["end"] * 1.01}, 50),
    ],
)
def test_another_formula_misses_cells(wrong: Callable[[Any], Any], least: int, monkeypatch: pytest.MonkeyPatch) -> None:
    made = rows
    monkeypatch.setitem(globals(), "rows", lambda *what: [wrong(one) for one in made(*what)])
    cells = [cell for table in TABLES["runs"] if table["table"].startswith("§1,") for cell in run_cells(table)]
    assert len([cell for cell in cells if not cell.met and cell.label not in TABLES["off"]]) >= least


def section() -> str:
    counts = {name: [cell for cell in CELLS if cell.seed == name] for name in TABLES["reports"]}
    lines = [
        HEADING,
        "`tests/unit/data/report_tables.json` has the reports' numbers; `GX10_WRITE=1 .venv/bin/python -m pytest",
        "tests/unit/bench/test_report_tables.py` writes this section. A cell is met if requests that round to the report's give a value",
        "that rounds to the cell.",
        "",
        "| report | cells that can be computed | met |",
        "|---|---|---|",
        *(f"| {name}: {TABLES['reports'][name]} | {len(cells)} | {sum(cell.met for cell in cells)} |" for name, cells in counts.items()),
        "",
        "Cells that are not met:",
        "",
        "| cell | report | computed | why |",
        "|---|---|---|---|",
        *(f"| {cell.label} | {cell.said} | {cell.middle:.4g} | {TABLES['off'][cell.label]} |" for cell in CELLS if not cell.met),
        "",
        "Met, but by little more than chance, since the report rounds a time to the second: "
        + "; ".join(f"{cell.label} ({cell.said}; {cell.low:.3g} to {cell.high:.3g})" for cell in CELLS if cell.vague)
        + ".",
        "",
        "Cells for which the report does not give enough:",
        "",
        "| report | table | cells | why |",
        "|---|---|---|---|",
        *(f"| {one['seed']} | {one['table']} | {one['cells']} | {one['why']} |" for one in TABLES["missing"]),
        "",
    ]
    return "\n".join(lines)


def test_the_page_has_the_tables() -> None:
    before, heading, after = PAGE.read_text(encoding="utf-8").partition(HEADING)
    if os.environ.get("GX10_WRITE"):
        PAGE.write_text(before + section(), encoding="utf-8")
    else:
        assert heading + after == section(), "GX10_WRITE=1 writes it"
