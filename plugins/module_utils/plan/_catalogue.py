# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All profiles as one table for a terminal. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..common import _document
from ._profile_types import Text

COLUMNS = ("profile", "model", "GPUs", "image", "executor", "speculation", "status", "decode t/s (requests)")


def table(profiles: Mapping[str, Text]) -> str:
    """One line a profile. A file that cannot be read says so in its line."""
    rows = [COLUMNS, *(_row(name, source) for name, source in sorted(profiles.items()))]
    widths = [max(len(row[column]) for row in rows if len(row) == len(COLUMNS)) for column in range(len(COLUMNS))]
    return "\n".join("  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows)


def _row(name: str, source: Text) -> tuple[str, ...]:
    profile, problems = _document.parse(source["text"], source["path"])

    def part(*keys: str) -> Any:
        value: Any = profile
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    if problems:
        return (name, str(problems[0]))
    gpus = [part("parallel", key) or 1 for key in ("tensor", "pipeline")]
    count = str(gpus[0] * gpus[1]) if all(isinstance(value, int) for value in gpus) else "?"
    cells = [part("model", "repo"), count, part("image"), part("executor"), _speculation(part("args")), part("provenance", "status")]
    return (name, *(str(cell or "?") for cell in cells), _speed(part("expect", "bench")))


def _speculation(args: Any) -> str:
    if not isinstance(args, dict):
        return "none"
    config = args.get("speculative-config")
    if isinstance(config, dict):
        return f"{config.get('method')} {config.get('num_speculative_tokens')}"
    if "speculative-algorithm" in args:
        return f"{args['speculative-algorithm']} {args.get('speculative-num-steps')}/{args.get('speculative-num-draft-tokens')}"
    return "none"


def _speed(bench: Any) -> str:
    """Decode rate of one request, and the best of the group with its number of requests; empty where nothing was measured."""
    rows = bench.get("concurrency") if isinstance(bench, dict) else None
    if not isinstance(rows, list):
        return ""
    rates = [(row["decode_tps"], row["requests"]) for row in rows if isinstance(row, dict) and {"decode_tps", "requests"} <= set(row)]
    if not rates:
        return ""
    best = max(rates)
    return ", ".join(dict.fromkeys(f"{rate} ({requests})" for rate, requests in (rates[0], best)))
