# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""All profiles as one table for a terminal. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from ..common import _schema
from ..common._problem import Problem, printable
from ._profile_types import Sources, Text

# Of a cell: a repository's name is shorter.
WIDTH = 60
COLUMNS = ("profile", "model", "GPUs", "image", "executor", "speculation", "status", "decode t/s (requests)")


def table(sources: Sources) -> str:
    """One line a profile. One that is broken says so in its line, and so do images and mods, below."""
    schema = sources["schema"]["text"]
    rows = [COLUMNS, *(_row(name, source, schema) for name, source in sorted(sources["profiles"].items()))]
    widths = [max(len(row[column]) for row in rows if len(row) == len(COLUMNS)) for column in range(len(COLUMNS))]
    lines = ["  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=False)).rstrip() for row in rows]
    return "\n".join([*lines, *_broken(sources)])


def _broken(sources: Sources) -> Iterator[str]:
    for name, image in sorted(sources["images"].items()):
        for problem in _schema.read(image, sources["image_schema"]["text"])[1][:1]:
            yield f"image {name}: {problem}"
    for name, mod in sorted(sources["mods"].items()):
        problems = [Problem(**mod["problem"])] if "problem" in mod else []
        if mod["about"]:
            problems += _schema.read(mod["about"], sources["mod_schema"]["text"])[1]
        for problem in problems[:1]:
            yield f"mod {name}: {problem}"


def _row(name: str, source: Text, schema: str) -> tuple[str, ...]:
    profile, problems = _schema.read(source, schema)

    def part(*keys: str) -> Any:
        value: Any = profile
        for key in keys:
            value = value.get(key) if isinstance(value, dict) else None
        return value

    if problems:
        return (name, str(problems[0]))
    count = part("parallel", "tensor") * (part("parallel", "pipeline") or 1)
    cells = [part("model", "repo"), count, part("image"), part("executor"), _speculation(part("args")), part("provenance", "status")]
    return (name, *(printable(str(cell))[:WIDTH] for cell in [*cells, _speed(part("expect", "bench"))]))


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
    pairs = [(row.get("decode_tps"), row.get("requests")) for row in rows if isinstance(row, dict)]
    # Free in form: what is no number is not measured.
    rates = [pair for pair in pairs if all(isinstance(value, int | float) and not isinstance(value, bool) for value in pair)]
    if not rates:
        return ""
    best = max(rates)
    return ", ".join(dict.fromkeys(f"{rate} ({requests})" for rate, requests in (rates[0], best)))
