# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many streams at once what is served can carry, if none may wait longer than a bound for its first token. Pure.

PRIVATE to the collection. The longest wait counts, not the median: of eight streams on six slots the Nemotron report's median waits 8 s,
and two wait 99.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from ._rows import Capacity, Held, Record


def capacity(found: Iterable[Held], bound_s: float) -> Capacity:
    """Of what was measured; nothing is guessed between or beyond."""
    ordered = sorted(found, key=lambda one: one["streams"])
    within = [one for one in ordered if one["ttft_max_s"] <= bound_s and not one["failed"]]
    held = within[-1] if within else None
    streams = held["streams"] if held else 0
    over = [one for one in ordered if one not in within]
    return {
        "bound_s": bound_s,
        "streams": streams if ordered else None,
        "held": held,
        # A first point that was measured cold, as in two of the reports.
        "missed": [one for one in over if one["streams"] < streams],
        "beyond": next((one for one in over if one["streams"] > streams), None),
    }


def of_record(record: Record, input_tokens: int) -> list[Held]:
    """The sweep's points of one prompt's length."""
    found = []
    for point in record["points"]:
        figures = {name: spread["median"] for name, spread in point["figures"].items()}
        waited, failed = figures["ttft_max_s"], point["figures"]["failed"]["high"] or 0
        if point["test"] == "sweep" and not point["cached"] and point["input_tokens"] == input_tokens and waited is not None:
            found.append(_held(point["requests"], waited, int(failed), figures))
    return found


def of_expect(bench: Mapping[str, Any]) -> list[Held]:
    """Of a profile's `expect.bench`: a report has the median of the waits, and the longest in its prefill = Σ input / max TTFT."""
    sweep, rows = bench.get("sweep"), bench.get("concurrency")
    size = sweep.get("input_tokens") if isinstance(sweep, dict) else None
    found = []
    for row in rows if isinstance(rows, list) else []:
        values = [size, row.get("requests"), row.get("prefill_tps")] if isinstance(row, dict) else [None]
        if all(isinstance(value, int | float) and value > 0 for value in values):
            found.append(_held(row["requests"], row["requests"] * size / row["prefill_tps"], 0, row))
    return found


def _held(streams: int, waited: float, failed: int, row: Mapping[str, Any]) -> Held:
    decode, each = (value if isinstance(value, int | float) else None for value in map(row.get, ("decode_tps", "request_decode_tps")))
    return {"streams": streams, "ttft_max_s": waited, "failed": failed, "decode_tps": decode, "request_decode_tps": each}
