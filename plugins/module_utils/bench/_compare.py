# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Slower than last time? A verdict for each figure of two runs, or of a run and what its profile expects. Pure. PRIVATE to the collection.

A change counts if it is larger than what noise alone makes: docs/bench.md has the rule, and what it was tried on.
"""

from __future__ import annotations

import json
import math
import statistics
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ._figures import FIGURES
from ._rows import Comparison, Point, Record, Verdict

# What is less is equal, whatever the repeats say: they are of one launch, and another launch of the same thing has clocks, graphs and a
# page cache of its own.
FLOOR = 0.05
# Where nothing was repeated, so that nothing is known of the noise.
FLOOR_ALONE = 0.15
# By so much at most a median scatters more than a mean does: (π/2)½. Of two values it is the mean.
MEDIAN = 1.2533
# So many degrees of freedom of a point's noise are taken from the other points'.
BORROWED = 4
# Student's t by degrees of freedom: beyond it in one of a thousand cases, since a sweep has some fifty verdicts. One degree is as two:
# 637 times an error would allow anything.
STUDENT = {
    1: 31.60,
    2: 31.60,
    3: 12.92,
    4: 8.610,
    5: 6.869,
    6: 5.959,
    7: 5.408,
    8: 5.041,
    10: 4.587,
    12: 4.318,
    15: 4.073,
    20: 3.850,
    30: 3.646,
}

# A change by more is never noise.
LARGEST = math.log(1000)

# Of a point, beside FIGURES; None of them is measured more than once a point, and each is a mean over all of its requests.
LENGTH, SHARE, FOUND = "accept_length", "acceptance_rate", "found"
BETTER = {**{name: figure.better for name, figure in FIGURES.items() if figure.better}, LENGTH: 1, SHARE: 1, FOUND: 1}
# Judged as they are: one more failure is worse.
EXACT = ("failed", FOUND)
ABSOLUTE = (*EXACT, SHARE)
# How long an answer is, is the model's own affair here.
FREE_LENGTH = ("wall_s", "duration_s")
# What a prefix cache that has more of the prompts makes better. CACHED: the share that came from it.
WITH_PREFILL = ("wall_s", "prefill_tps", "output_sum_tps", "ttft_s", "ttft_p90_s", "duration_s")
CACHED = "cached"

Values = dict[str, list[float]]


class Key(NamedTuple):
    """What makes two points comparable."""

    test: str
    requests: int
    input_tokens: int
    output_tokens: int
    cached: bool
    depth: float | None

    def __str__(self) -> str:
        parts = [f"{self.requests} at once", f"{self.input_tokens} in", f"{self.output_tokens} out"]
        parts += ["cached"] * self.cached + ([] if self.depth is None else [f"depth {self.depth:g}"])
        return f"{self.test}: {', '.join(parts)}"


def compare(base: Record, new: Record) -> Comparison:
    """Two runs."""
    one, other = values(base), values(new)
    if base["client"]["name"] != new["client"]["name"]:
        why = f"measured with {base['client']['name']} and {new['client']['name']}, which define their figures otherwise"
        verdicts = [_unknown("", why)]
    else:
        verdicts = list(_judge(one, other))
        verdicts += [_unknown(str(key), "not in the new run") for key in one if key not in other]
        verdicts += [_unknown(str(key), "not in the old run") for key in other if key not in one]
    return _comparison(f"{base['profile']} of {base['started']}", new, verdicts, _differs(base, new))


def against(bench: Mapping[str, Any], new: Record) -> Comparison:
    """A run and its profile's `expect.bench`, which is free in form: what is no number there is not known."""
    sweep = _mapping(bench.get("sweep"))
    tool = sweep.get("tool", new["client"]["name"])
    if tool != new["client"]["name"]:
        verdicts = [_unknown("", f"the profile's numbers are {tool}'s, which defines its figures otherwise")]
        return _comparison("expect", new, verdicts, [])
    found = values(new)
    expected: dict[Key, Values] = {}
    verdicts = []
    for label, asked, row in _expected(bench, sweep):
        keys = [key for key in found if all(getattr(key, name) == value for name, value in asked.items())]
        if len(keys) == 1:
            expected[keys[0]] = row
        else:
            verdicts.append(_unknown(label, "not measured" if not keys else f"{len(keys)} points fit, since the profile says too little"))
    verdicts = [*_judge(expected, found), *verdicts, *_accepted(bench, new)]
    return _comparison("expect", new, verdicts, [])


def values(record: Record) -> dict[Key, Values]:
    """Each point's figures that are known, one value a repeat."""
    return {_key(point): _values(point) for point in record["points"]}


def _key(point: Point) -> Key:
    return Key(*(point[name] for name in Key._fields))  # type: ignore[literal-required]


def _values(point: Point) -> Values:
    found: Values = {}
    for repeat in point["repeats"]:
        known = {**repeat["figures"], FOUND: repeat["found"]}
        for name, value in known.items():
            if name in BETTER and value is not None and not (point["test"] == "needle" and name in FREE_LENGTH):
                found.setdefault(name, []).append(float(value))
        cached, tokens = known["cached_tokens"], known["input_tokens"]
        found.setdefault(CACHED, []).append(cached / tokens if cached and tokens else 0.0)
    accepted = point["acceptance"]
    for name, value in ((LENGTH, accepted["mean_length"]), (SHARE, accepted["rate"])):
        if value is not None:
            found[name] = [value]
    return found


def _judge(base: Mapping[Key, Values], new: Mapping[Key, Values]) -> Iterator[Verdict]:
    """Every figure of the points that both have, and of a sweep's points together."""
    both = [key for key in base if key in new]
    helped = {key: [statistics.median(side[key].get(CACHED, [0.0])) for side in (base, new)] for key in both}
    for name, better in BETTER.items():
        pairs = {key: Pair(base[key].get(name, []), new[key].get(name, [])) for key in both}
        noises = {key: _noise(pair) for key, pair in pairs.items()}
        every = Noise(*map(sum, zip(*noises.values()))) if noises else Noise(0.0, 0)
        shifts = []
        for key, pair in pairs.items():
            before, now = helped[key]
            if name in WITH_PREFILL and abs(now - before) > FLOOR and (pair.old or pair.fresh):
                yield _unknown(str(key), f"{now:.0%} of the input came from the prefix cache, {before:.0%} before", name)
                continue
            if pair.old or pair.fresh:
                yield _verdict(str(key), name, better, pair, _borrowed(noises[key], every))
            if key.test == "sweep" and name not in ABSOLUTE and all(pair) and min(*pair.old, *pair.fresh) > 0:
                shifts.append(_shift(pair, _borrowed(noises[key], every)))
        if len(shifts) > 1:
            yield _together(name, better, shifts)


class Pair(NamedTuple):
    """A figure's repeats, before and now."""

    old: Sequence[float]
    fresh: Sequence[float]


class Noise(NamedTuple):
    """Of one value's logarithm: the sum of squares about the mean, and its degrees of freedom."""

    squares: float
    freedom: int


class Shift(NamedTuple):
    """The logarithm of new / base, and its standard error with the degrees of freedom that it is known from."""

    size: float
    error: float
    freedom: int

    @property
    def band(self) -> float:
        """How large noise alone may make it."""
        if not self.freedom:
            return math.log1p(FLOOR_ALONE)
        noise = STUDENT[max(one for one in STUDENT if one <= self.freedom)] * self.error
        return min(max(math.log1p(FLOOR), noise), LARGEST)


def _noise(pair: Pair) -> Noise:
    logs = [[math.log(value) for value in values] for values in pair if len(values) > 1 and min(values) > 0]
    return Noise(sum(statistics.variance(values) * (len(values) - 1) for values in logs), sum(len(values) - 1 for values in logs))


def _borrowed(own: Noise, every: Noise) -> Noise:
    """A point's own noise, and that of the others as if it were that of BORROWED more repeats: its own few would often seem to agree."""
    squares, freedom = every.squares - own.squares, every.freedom - own.freedom
    weight = min(freedom, BORROWED)
    return Noise(own.squares + (weight * squares / freedom if freedom else 0.0), own.freedom + weight)


def _shift(pair: Pair, noise: Noise) -> Shift:
    size = math.log(statistics.median(pair.fresh) / statistics.median(pair.old))
    parts = ((MEDIAN**2 if len(values) > 2 else 1.0) / len(values) for values in pair)
    variance = max(noise.squares, 0.0) / noise.freedom if noise.freedom else 0.0
    return Shift(size, math.sqrt(variance * sum(parts)), noise.freedom)


def _together(name: str, better: int, shifts: Sequence[Shift]) -> Verdict:
    """What all points say together, which a change of a few per cent needs: the geometric mean of their changes.

    The degrees of freedom are Welch's and Satterthwaite's.
    """
    squares = sum(one.error**2 for one in shifts)
    parts = sum(one.error**4 / one.freedom for one in shifts if one.freedom)
    freedom = int(squares**2 / parts) if parts else min(one.freedom for one in shifts)
    shift = Shift(statistics.fmean(one.size for one in shifts), math.sqrt(squares) / len(shifts), freedom)
    return _said("sweep: all", name, better, shift.size, shift.band)


def _verdict(point: str, name: str, better: int, pair: Pair, noise: Noise) -> Verdict:
    if not pair.old or not pair.fresh:
        return _unknown(point, f"unknown {'before' if not pair.old else 'now'}", name)
    if name in EXACT:
        worst = min if better > 0 else max
        one, other = worst(pair.old), worst(pair.fresh)
        return _said(point, name, better, other - one, 0.0, one, other)
    one, other = statistics.median(pair.old), statistics.median(pair.fresh)
    if name == SHARE:
        return _said(point, name, better, other - one, FLOOR, one, other)
    if one <= 0 or other <= 0:
        return _unknown(point, "no rate or time is zero", name)
    shift = _shift(pair, noise)
    return _said(point, name, better, shift.size, math.log1p(FLOOR) if name == LENGTH else shift.band, one, other)


def _said(point: str, name: str, better: int, shift: float, band: float, one: float | None = None, other: float | None = None) -> Verdict:
    absolute = name in ABSOLUTE
    # Rounded, so that a change as large as the band is equal in every unit.
    equal = round(abs(shift), 9) <= round(band, 9)
    return {
        "point": point,
        "figure": name,
        "base": one,
        "new": other,
        "change": shift if absolute else math.expm1(shift),
        "band": band if absolute else math.expm1(band),
        "verdict": "equal" if equal else "better" if shift * better > 0 else "worse",
        "why": "",
    }


def _unknown(point: str, why: str, figure: str = "") -> Verdict:
    return {
        "point": point, "figure": figure, "base": None, "new": None, "change": None, "band": None, "verdict": "unknown", "why": why,
    }  # fmt: skip


def _expected(bench: Mapping[str, Any], sweep: Mapping[str, Any]) -> Iterator[tuple[str, dict[str, Any], Values]]:
    """Each row of a profile's `bench`: in words, what a point must have been asked for, and its figures.

    `sweep.means`: a name of the report whose definition is that of another of our figures.
    """
    means = _mapping(sweep.get("means"))
    sizes = {name: sweep[name] for name in ("input_tokens", "output_tokens") if name in sweep}
    rows = bench.get("concurrency")
    for row in map(_mapping, rows if isinstance(rows, list) else []):
        asked = {"test": "sweep", "cached": False, "requests": row.get("requests"), **sizes}
        yield f"sweep: {row.get('requests')} at once", asked, _known({str(means.get(name, name)): value for name, value in row.items()})
    needle = _mapping(bench.get("needle"))
    if needle:
        asked = {"test": "needle", **{name: needle[name] for name in ("input_tokens", "depth") if name in needle}}
        yield "needle", asked, _known({name: value for name, value in needle.items() if name not in FREE_LENGTH})


def _known(row: Mapping[str, Any]) -> Values:
    """Beside what the report has, that nothing failed."""
    found = {name: [float(value)] for name, value in row.items() if name in BETTER and isinstance(value, int | float)}
    return {**found, "failed": [0.0]}


def _accepted(bench: Mapping[str, Any], new: Record) -> list[Verdict]:
    """A report has one acceptance for all: the middle one of the sweep stands for it."""
    expected = _mapping(bench.get("acceptance"))
    pairs = ((LENGTH, expected.get("mean_length", bench.get("accept_length"))), (SHARE, expected.get("rate")))
    points = [_values(point) for point in new["points"] if point["test"] == "sweep"]
    return [
        _verdict("sweep: all", name, 1, Pair([float(value)], [one for point in points for one in point.get(name, [])]), Noise(0.0, 0))
        for name, value in pairs
        if isinstance(value, int | float)
    ]


def _differs(base: Mapping[str, Any], new: Mapping[str, Any]) -> list[str]:
    """What else is not the same, in words: the cause of a change may be among it."""
    found = []
    for name in ("profile", "plan", "image", "engine", "mods", "versions", "hardware", "sampling"):
        one, other = base[name], new[name]
        if name in ("versions", "hardware", "sampling"):
            keys = sorted(key for key in {*one, *other} if one.get(key) != other.get(key))
            found += [f"{name}.{key}: {_text(one.get(key))}, now {_text(other.get(key))}" for key in keys]
        elif one != other:
            found.append(f"{name}: {_text(one)}, now {_text(other)}")
    return found


def _text(value: Any) -> str:
    return value if isinstance(value, str) else "nothing" if value is None else json.dumps(value, sort_keys=True)


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _comparison(base: str, new: Record, verdicts: list[Verdict], differs: list[str]) -> Comparison:
    words = {one["verdict"] for one in verdicts}
    ok = None if words <= {"unknown"} else "worse" not in words
    return {"ok": ok, "base": base, "new": f"{new['profile']} of {new['started']}", "verdicts": verdicts, "differs": differs}
