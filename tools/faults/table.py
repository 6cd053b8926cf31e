"""Rows of the fault matrix: kept as JSON lines, read as one table. Pure."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from . import catalogue
from .catalogue import Fault

BEGIN, END = "<!-- tools/faults -->\n", "<!-- end -->"
# Beyond the boot: what a group may take to be back.
MARGIN = 15.0


@dataclasses.dataclass(frozen=True)
class Row:
    """What came of one fault at one moment. Times in seconds: `detected` by the first rank, known `everywhere`, `serving` again after
    the fault, or after it was mended where it was `held`; None: never. `boot`: of this group, measured. `broken`: invariants; `unproven`:
    why nothing is asserted.
    """

    fault: str
    moment: str
    nodes: int
    date: str
    commit: str
    outcome: str
    proof: str = ""
    detected: float | None = None
    everywhere: float | None = None
    serving: float | None = None
    boot: float | None = None
    held: float = 0.0
    culprit: str = ""
    named: bool | None = None
    broken: tuple[str, ...] = ()
    unproven: str = ""
    load: float = 0.0
    mended_by: str = ""


def to_line(row: Row) -> str:
    return json.dumps(dataclasses.asdict(row), ensure_ascii=False)


def from_line(line: str) -> Row:
    found: dict[str, Any] = json.loads(line)
    return Row(**{**found, "broken": tuple(found["broken"])})


def latest(rows: Iterable[Row]) -> dict[tuple[str, str, int], Row]:
    """The last row of each fault, moment and number of nodes."""
    return {(row.fault, row.moment, row.nodes): row for row in rows}


def remarks(row: Row) -> list[str]:
    """What is not as it should be, beside the invariants."""
    fault, found = catalogue.BY_NAME[row.fault], []
    if row.unproven:
        return [f"not shown: {row.unproven}"]
    if fault.detect is not None and row.outcome != catalogue.GOES_ON:
        if row.detected is None:
            found.append(f"nobody said so; wanted it within {fault.detect:.0f} s")
        elif row.detected > fault.detect:
            found.append(f"said late: wanted within {fault.detect:.0f} s")
    if row.outcome != fault.outcome and not (fault.outcome == catalogue.EITHER and row.outcome in (catalogue.HEALS, catalogue.GOES_ON)):
        found.append(f"{row.outcome}; wanted: {fault.outcome}")
    if row.outcome == catalogue.HEALS and row.serving is not None and row.boot is not None and row.serving > row.boot + MARGIN:
        found.append(f"back late: wanted within {row.boot + MARGIN:.0f} s")
    if row.named is False:
        found.append("the culprit is not named")
    return found


def cells(fault: Fault, row: Row) -> list[str]:
    verdict = "; ".join([*(f"**broken:** {text}" for text in row.broken), *remarks(row)]) or "ok"
    held = f" (held {row.held:.0f} s)" if row.held else ""
    return [
        f"`{fault.name}` {fault.words}",
        row.moment,
        f"{row.outcome}{held}" if row.outcome else "",
        _seconds(row.detected),
        _seconds(row.everywhere),
        _seconds(row.serving) + (f", {row.mended_by}" if row.mended_by else ""),
        _short(row.culprit),
        verdict,
        f"{row.date} {row.commit}, {row.nodes} nodes, load {row.load:.0f}",
    ]


def page(rows: Sequence[Row], about: Mapping[str, Any] | None) -> str:
    """The table and its sums, in the order of the catalogue; then many faults in a row, where they were done."""
    kept = latest(rows)
    heads = [
        "fault",
        "moment",
        "came of it",
        "said after",
        "by all after",
        "serving again after",
        "reason, as the head has it",
        "verdict",
        "when",
    ]
    lines = [_line(heads), _line(["---"] * len(heads))]
    wanted = 0
    for fault in catalogue.FAULTS:
        if fault.without:
            lines.append(_line([f"`{fault.name}` {fault.words}", "", "not here", "", "", "", "", fault.without, ""]))
            continue
        for moment in fault.moments:
            wanted += 1
            lines += [_line(cells(fault, row)) for key, row in sorted(kept.items()) if key[:2] == (fault.name, moment)]
    shown = [row for row in kept.values() if not row.unproven]
    bad = [row for row in shown if row.broken]
    noted = [row for row in shown if not row.broken and remarks(row)]
    done = {key[:2] for key in kept}
    missing = [
        f"{fault.name} ({', '.join(gaps)})"
        for fault in catalogue.FAULTS
        if not fault.without and (gaps := [moment for moment in fault.moments if (fault.name, moment) not in done])
    ]
    boots = sorted({row.boot for row in shown if row.boot is not None})
    sums = (
        f"{len(catalogue.FAULTS)} faults, {wanted} rows; measured {len(kept)}, of which {len(shown)} are proven to have taken effect."
        f" Invariants hold in {len(shown) - len(bad)}, are broken in {len(bad)}; {len(noted)} more are later or otherwise than wanted."
    )
    boot = f" A boot took {boots[0]:.0f} to {boots[-1]:.0f} s." if boots else ""
    gap = f"Not measured yet: {'; '.join(missing)}." if missing else "Every row is measured."
    many = ["", "## Many in a row", "", random_part(about)] if about else []
    return "\n".join([f"{sums}{boot}", "", *lines, "", gap, *many])


def put(text: str, page: str) -> str:
    """A document with the table between its marks."""
    before, _mark, rest = text.partition(BEGIN)
    _old, mark, after = rest.partition(END)
    if not mark:
        raise ValueError(f"found no {BEGIN.strip()} and {END} in that order; wanted both")
    return f"{before}{BEGIN}\n{page}\n{END}{after}"


def _seconds(value: float | None) -> str:
    return "—" if value is None else f"{value:.1f} s"


def _short(text: str) -> str:
    found = " ".join(text.split()).replace("|", "\\|")
    return found if len(found) <= 120 else found[:117] + "…"


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def random_part(about: Mapping[str, Any]) -> str:
    """Many faults in a row: what came of them, and what each supervisor held before and after."""
    rows = about["rows"]
    bad = [f"{fault}, {moment}: {'; '.join(broken)}" for fault, moment, _outcome, broken, _unproven in rows if broken]
    shown = [row for row in rows if not row[4]]
    text = (
        f"`{about['command']}` on {about['date']}, {about['commit']}: {about['count']} faults in {about['minutes']} minutes,"
        f" seed {about['seed']}; {len(shown)} proven, invariants broken by {len(bad)}."
    )
    lines = [_line(["node", "RSS, KiB", "open files", "threads", "process"]), _line(["---"] * 5)]
    for name, before in about["before"].items():
        after = about["after"][name]
        if len(before) == len(after) == 1:
            same = "the same" if before[0]["pid"] == after[0]["pid"] else "another one, of a fault"
            lines.append(_line([name, *(f"{before[0][key]} → {after[0][key]}" for key in ("rss_kib", "files", "threads")), same]))
        else:
            lines.append(_line([name, f"{len(before)} → {len(after)} supervisors", "", "", ""]))
    return "\n".join([text, "", *lines, *(f"\n- {_short(one)}" for one in bad), ""])
