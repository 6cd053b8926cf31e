# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One run of the bench as one JSON: what was served, on what, with every request's row, so that each figure can be computed again.

PRIVATE to the collection.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict, cast

from ..common import _schema
from ..common._document import parse_json, problem
from ..common._files import Refused
from ..common._problem import Problem, show
from ..plan._types import Plan
from ._figures import figures, spread
from ._rows import Acceptance, Asked, Client, Point, Record, Repeat, Row

FORMAT = 1
# Nearly all of them arrivals of chunks: an hour of sixteen streams at twelve tokens a second has 700,000.
MAX_VALUES = 5_000_000
SCHEMA = Path(__file__).parent / "schemas" / "record.json"


class Seen(TypedDict, total=False):
    """What a plan does not say."""

    versions: dict[str, str]
    hardware: dict[str, dict[str, Any]]
    sampling: dict[str, Any]


def record(plan: Plan, image_id: str, client: Client, points: Sequence[Point], seen: Seen, reason: str = "") -> Record:
    """The record of a run. `reason`: why it ended before its end."""
    return {
        "format": FORMAT,
        "started": min((repeat["started"] for point in points for repeat in point["repeats"]), default=""),
        "partial": bool(reason),
        "reason": reason,
        "profile": plan["profile"],
        "plan": plan["hash"],
        "image": {"reference": plan["image"]["reference"], "id": image_id},
        "engine": plan["engine"],
        "mods": [{"name": mod["name"], "hash": mod["hash"]} for mod in plan["nodes"][0]["mods"]],
        "versions": seen.get("versions", {}),
        "hardware": seen.get("hardware", {}),
        "client": client,
        "sampling": seen.get("sampling", {}),
        "points": list(points),
    }


def point(asked: Asked, runs: Sequence[Mapping[str, Any]], acceptance: Acceptance) -> Point:
    """What was asked, with what the client gave for each repeat of it, and the figures. A run's `found`, of a needle, may lack."""
    repeats = [_repeat(run["rows"], run) for run in runs]
    return {**asked, "repeats": repeats, "figures": spread([repeat["figures"] for repeat in repeats]), "acceptance": acceptance}


def _repeat(rows: list[Row], run: Mapping[str, Any]) -> Repeat:
    wall = run["wall"]
    return {"started": run["started"], "wall": wall, "rows": rows, "found": run.get("found"), "figures": figures(rows, wall)}


def text(found: Record) -> str:
    """As it is kept."""
    return json.dumps(found, sort_keys=True, ensure_ascii=False) + "\n"


def read(raw: bytes, where: str) -> tuple[Record | None, list[Problem]]:
    """A kept record, or what is wrong with it. Its figures are computed again: the rows are what was measured."""
    try:
        value = parse_json(raw, most=MAX_VALUES)
    except Refused as refused:
        return None, [problem(refused, where)]
    if not isinstance(value, dict):
        return None, [Problem(where, "", show(value), "the record of a bench, a mapping", code="not-a-mapping")]
    if value.get("format") != FORMAT:
        hint = "Measure again, or compare with the release that wrote it."
        return None, [Problem(where, "format", show(value.get("format", "nothing")), str(FORMAT), hint, "other-format")]
    arrivals = _set_aside(value)
    taken, problems = _schema.accept(value, SCHEMA.read_text(encoding="utf-8"), where)
    if problems:
        return None, problems
    found = cast(Record, taken)
    for at, row in _rows(found):
        row["arrivals"] = arrivals.get(at, [])
        times = [row["start"], *([] if row["first"] is None else [row["first"]]), row["end"]]
        if times != sorted(times):
            wanted = "start, first and end in this order"
            problems.append(Problem(where, at, show(times), wanted, "A clock that is not monotonic?", "out-of-range"))
    if problems:
        return None, problems
    found["points"] = [point(_asked(one), one["repeats"], one["acceptance"]) for one in found["points"]]
    return found, []


def _rows(found: Any) -> Iterator[tuple[str, Any]]:
    """Each row with its place, of whatever has some."""
    for number, one in enumerate(_list(found, "points")):
        for count, repeat in enumerate(_list(one, "repeats")):
            for index, row in enumerate(_list(repeat, "rows")):
                if isinstance(row, dict):
                    yield f"points[{number}].repeats[{count}].rows[{index}]", row


def _list(value: Any, key: str) -> list[Any]:
    found = value.get(key) if isinstance(value, dict) else None
    return found if isinstance(found, list) else []


def _set_aside(value: Any) -> dict[str, list[float]]:
    """Arrivals that are numbers, by place: a schema takes 20 s for a million of them."""
    aside = {}
    for at, row in _rows(value):
        if all(type(one) in (int, float) for one in _list(row, "arrivals")):
            aside[at] = _list(row, "arrivals")
            if isinstance(row.get("arrivals"), list):
                row["arrivals"] = []
    return aside


def _asked(one: Point) -> Asked:
    return cast(Asked, {name: one[name] for name in Asked.__annotations__})  # type: ignore[literal-required]
