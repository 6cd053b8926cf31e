# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How long an engine may be silent before the supervisor ends it: from the profile's longest prefill. PRIVATE to the collection."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from ._profile_types import Profile
from ._types import Watch
from .engines._engines import Metrics

# Seconds: between looks; without progress until a completion is asked for; for one answer of /metrics.
LOOK, IDLE, ANSWER = 5, 60, 10
# Beside the prefill: first use of a kernel is compiled, and a request may bring images to encode (the reports' coldest first request of
# 10,000 tokens took 51 s, of which 45 were that).
COLD_SECONDS = 120
# Of a frozen engine, beside its longest step.
STILL_SECONDS = 60
# Prefill slows down with depth. A rate measured at 200,000 tokens holds for 262,144 with 1.5 (1.31 if all layers were quadratic).
MARGIN, MARGIN_SHALLOW = 1.5, 2.0
# Tokens per second where the profile has measured none: under the slowest 200,000-token prefill of the reports (1,224).
SLOWEST = 1000.0
# Tokens where neither flag nor checkpoint says: the context of all vLLM profiles of the reports.
CONTEXT = 262144
# Tokens of a step where no flag says: vLLM takes 8192 on 70 GiB or more (engine/arg_utils.py, get_batch_defaults); SGLang up to 16384.
STEP = 16384


def bounds(profile: Profile, longest: tuple[int, str] | None, metrics: Metrics) -> Watch:
    """What the supervisor's watch runs with, the worst case behind it, and what follows.

    `longest`: a sequence's tokens by the checkpoint, as `_length.of` has them. Times are in seconds, rounded up to tens so that a corrected
    measurement seldom restarts an engine. `within` counts from the wedge to the verdict: "frozen" (no CPU time), "silent" (CPU time, no
    progress).
    """
    args = profile.get("args", {})
    tokens, source = _context(args, longest)
    rate, margin, basis = _rate(profile.get("expect", {}).get("bench", {}), tokens)
    chunked = args.get("enable-chunked-prefill", True) and args.get("chunked-prefill-size") != -1
    step = min(tokens, _step(args)) if chunked else tokens
    frozen = _tens(STILL_SECONDS + step / rate * margin)
    silent = _tens(COLD_SECONDS + tokens / rate * margin)
    # The look before the wedge, and the one that sees the bound; each may wait for its answer.
    slack = 2 * (LOOK + ANSWER)
    return {
        "settings": {
            "look_seconds": LOOK,
            "idle_seconds": IDLE,
            "answer_seconds": ANSWER,
            "frozen_seconds": frozen,
            "silent_seconds": silent,
            "busy": list(metrics.busy),
            "progress": list(metrics.progress),
        },
        "prefill": {"tokens": tokens, "tokens_from": source, "tps": rate, "tps_from": basis, "margin": round(margin, 2), "step": step},
        "within": {"frozen": IDLE + frozen + slack, "silent": IDLE + silent + slack},
    }


def lines(watch: Watch) -> list[str]:
    """The bounds for a terminal, as comments."""
    prefill, within, settings = watch["prefill"], watch["within"], watch["settings"]
    work = (
        f"{prefill['tokens']} tokens ({prefill['tokens_from']}) at {prefill['tps']:.0f} t/s ({prefill['tps_from']}) x {prefill['margin']:g}"
    )
    return [
        f"# Watch: a frozen engine (no CPU time, no progress) is ended within {within['frozen']} s, one that computes in silence within"
        f" {within['silent']} s",
        f"#   silent for {settings['silent_seconds']} s = longest prefill {work} + {COLD_SECONDS} s",
        f"#   frozen for {settings['frozen_seconds']} s = one step of {prefill['step']} tokens x {prefill['margin']:g} + {STILL_SECONDS} s",
    ]


def _tens(seconds: float) -> int:
    return math.ceil(seconds / 10) * 10


def _context(args: Mapping[str, Any], longest: tuple[int, str] | None) -> tuple[int, str]:
    """The longest prompt in tokens, and where that is said."""
    for flag in ("max-model-len", "context-length"):
        tokens = _number(args.get(flag))
        if tokens:
            return tokens, flag
    return longest or (CONTEXT, "assumed: no flag and no config.json says")


def _step(args: Mapping[str, Any]) -> int:
    """The most tokens that one step prefills."""
    return _number(args.get("max-num-batched-tokens")) or _number(args.get("chunked-prefill-size")) or STEP


def _number(value: Any) -> int | None:
    """A positive count of tokens; None for anything else ("auto")."""
    return value if isinstance(value, int) and not isinstance(value, bool) and value > 0 else None


def _rate(bench: Mapping[str, Any], tokens: int) -> tuple[float, float, str]:
    """Tokens per second of a lone prefill of `tokens`, the margin that its measurement needs, and what was measured.

    `bench` is the profile's `expect.bench`, free in form: what is not a number is not measured.
    """
    needle = bench.get("needle")
    if isinstance(needle, Mapping):
        rate, depth = _positive(needle.get("prefill_tps")), _positive(needle.get("input_tokens"))
        if rate and depth:
            return rate, max(MARGIN, tokens / depth), f"measured at {depth:.0f} tokens"
    lowest = min(filter(None, map(_positive, _shallow(bench))), default=None)
    if lowest:
        return lowest, MARGIN_SHALLOW, "lowest measured, of short prompts"
    return SLOWEST, MARGIN_SHALLOW, "not measured"


def _positive(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) and value > 0 else None


def _shallow(bench: Mapping[str, Any]) -> Iterator[Any]:
    """Prefill rates of single short prompts. Rates of several requests are sums, so they say nothing about one."""
    rates = bench.get("prefill_tps")
    yield from rates.values() if isinstance(rates, Mapping) else [rates]
    rows = bench.get("concurrency")
    for row in rows if isinstance(rows, list) else []:
        if isinstance(row, Mapping) and row.get("requests") == 1:
            yield row.get("prefill_tps")
