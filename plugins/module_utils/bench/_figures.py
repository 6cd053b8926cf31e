# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The field reports' figures of a run, from its requests' rows. Pure. PRIVATE to the collection.

A request's first token is its prefill's: what it decodes is output - 1. So it is in the reports' tables, whose decode rates all come out of
their own TTFT and durations in this way, and in vLLM's own benchmark; with the whole output five of them do not (docs/bench.md).
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from ._rows import Figures, Row, Spread


class Figure(NamedTuple):
    """`better`: 1 if more is better, -1 if less is, 0 if it is not judged."""

    unit: str
    better: int
    what: str


# p99 and the worst of a few requests are one request's luck, so they are shown and not judged; docs/bench.md has this table, too.
FIGURES = {
    "requests": Figure("", 0, "requests sent"),
    "failed": Figure("", -1, "requests with an error, without a first token or without output"),
    "input_tokens": Figure("tokens", 0, "Σ input"),
    "cached_tokens": Figure("tokens", 0, "Σ of the input that the server took from its prefix cache; unknown if a request's is"),
    "output_tokens": Figure("tokens", 0, "Σ output"),
    "wall_s": Figure("s", -1, "from the barrier to the end of the last request"),
    "prefill_tps": Figure("tokens/s", 1, "Σ input / max TTFT"),
    "decode_tps": Figure("tokens/s", 1, "Σ (output − 1) / (wall − min TTFT)"),
    "output_sum_tps": Figure("tokens/s", 1, "Σ of each request's output / duration"),
    "request_decode_tps": Figure("tokens/s", 1, "median of each request's (output − 1) / (duration − TTFT)"),
    "request_decode_min_tps": Figure("tokens/s", 0, "the slowest request's"),
    "ttft_s": Figure("s", -1, "median of first content or reasoning token − start"),
    "ttft_p90_s": Figure("s", -1, "its p90"),
    "ttft_p99_s": Figure("s", 0, "its p99"),
    "ttft_max_s": Figure("s", 0, "the longest wait for a first token; one that never came counts until the request ended"),
    "itl_s": Figure("s", -1, "median of the time between two chunks of a request, all requests together"),
    "itl_p90_s": Figure("s", -1, "its p90"),
    "itl_p99_s": Figure("s", 0, "its p99"),
    "duration_s": Figure("s", -1, "median of end − start"),
}


def failed(row: Row) -> bool:
    """A request without tokens has failed, whatever its status was."""
    return bool(row["error"]) or row["first"] is None or row["output"] < 1


def ttft(row: Row) -> float | None:
    """Time to the first token, from the request's own start."""
    return None if row["first"] is None else row["first"] - row["start"]


def prefill_rate(row: Row) -> float | None:
    """Of one request: input / TTFT."""
    return rate(row["input"], ttft(row))


def decode_rate(row: Row) -> float | None:
    """Of one request: (output − 1) / (duration − TTFT)."""
    return None if row["first"] is None else rate(decoded(row), row["end"] - row["first"])


def decoded(row: Row) -> int:
    """Tokens after the first."""
    return max(row["output"] - 1, 0)


def rate(tokens: float, seconds: float | None) -> float | None:
    """Tokens per second; None where there are none, or no time has passed."""
    return tokens / seconds if tokens > 0 and seconds is not None and seconds > 0 else None


def change(base: float, new: float) -> float | None:
    """new / base - 1; None of no base."""
    return new / base - 1 if base else None


def quantile(values: Iterable[float], share: float) -> float | None:
    """Between the two nearest values, by linear interpolation at (n - 1) * share as numpy's: 0.5 is the median. None of nothing."""
    ordered = sorted(values)
    if not ordered:
        return None
    at = (len(ordered) - 1) * share
    low = math.floor(at)
    one, other = ordered[low], ordered[min(low + 1, len(ordered) - 1)]
    # Never outside of the two, as one + (other - one) * share may be.
    return min(max(one + (other - one) * (at - low), one), other)


def figures(rows: Sequence[Row], wall: float) -> Figures:
    """All of FIGURES. Failed requests count with the tokens and the time that they took; distributions are of those that did not fail."""
    good = [row for row in rows if not failed(row)]
    firsts = [value for row in good if (value := ttft(row)) is not None]
    waits = [(row["end"] if row["first"] is None else row["first"]) - row["start"] for row in rows]
    durations = [row["end"] - row["start"] for row in good]
    decodes = [value for row in good if (value := decode_rate(row)) is not None]
    gaps = [later - sooner for row in good for sooner, later in zip(row["arrivals"], row["arrivals"][1:])]
    cached = [row["cached"] for row in rows]
    tokens_in = sum(row["input"] for row in rows)
    return {
        "requests": len(rows),
        "failed": len(rows) - len(good),
        "input_tokens": tokens_in,
        "cached_tokens": None if None in cached else sum(one for one in cached if one),
        "output_tokens": sum(row["output"] for row in rows),
        "wall_s": wall,
        "prefill_tps": rate(tokens_in, max(waits)) if good else None,
        "decode_tps": rate(sum(map(decoded, rows)), wall - min(firsts)) if good else None,
        "output_sum_tps": sum(row["output"] / spent for row, spent in zip(good, durations)) if good and min(durations) > 0 else None,
        "request_decode_tps": quantile(decodes, 0.5),
        "request_decode_min_tps": min(decodes, default=None),
        "ttft_s": quantile(firsts, 0.5),
        "ttft_p90_s": quantile(firsts, 0.9),
        "ttft_p99_s": quantile(firsts, 0.99),
        "ttft_max_s": max(waits, default=None),
        "itl_s": quantile(gaps, 0.5),
        "itl_p90_s": quantile(gaps, 0.9),
        "itl_p99_s": quantile(gaps, 0.99),
        "duration_s": quantile(durations, 0.5),
    }


def spread(repeats: Sequence[Mapping[str, float | None]]) -> dict[str, Spread]:
    """Each figure over the repeats: the median, and from which value to which."""
    found: dict[str, Spread] = {}
    for name in FIGURES:
        known = [value for one in repeats if (value := one.get(name)) is not None]
        found[name] = {
            "median": statistics.median(known) if known else None,
            "low": min(known, default=None),
            "high": max(known, default=None),
            "repeats": len(known),
        }
    return found
