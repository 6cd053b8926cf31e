"""Runs to measure with: the rows of the field reports' tables, and runs made of them with noise. Shared by the tests of this folder."""

from __future__ import annotations

import json
import random
from typing import Any

from ansible_collections.gx10.serving.plugins.module_utils.bench import _record
from ansible_collections.gx10.serving.plugins.module_utils.bench._rows import Acceptance, Asked, Point, Record, Row
from conftest import ROOT

TABLES = json.loads((ROOT / "tests/unit/data/report_tables.json").read_text(encoding="utf-8"))
NO_DRAFTS: Acceptance = {"rate": None, "mean_length": None, "per_position": None, "why": "stub: no engine"}
# Chunks of a made answer: enough for a median and a p90 of their gaps.
CHUNKS = 20


def row(first: float | None, end: float, **more: Any) -> Row:
    """One request of 1000 tokens, 100 out, from 0 on."""
    made: Row = {
        "stream": 0, "input": 1000, "cached": 0, "output": 100, "start": 0.0, "first": first, "end": end, "arrivals": [],
        "finish": "length", "error": "",
    }  # fmt: skip
    return {**made, **more}  # type: ignore[typeddict-item]


def asked(requests: int = 2, **more: Any) -> Asked:
    """A point of a sweep with rows as `row` makes them."""
    made: Asked = {"test": "sweep", "requests": requests, "input_tokens": 1000, "output_tokens": 100, "cached": False, "depth": None}
    return {**made, **more}  # type: ignore[typeddict-item]


def run(rows: list[Row], wall: float | None = None, **more: Any) -> dict[str, Any]:
    """What the client gives."""
    wall = max(one["end"] for one in rows) if wall is None else wall
    return {"format": 1, "rows": rows, "started": "2026-11-30T12:00:00Z", "wall": wall, "model": "m", "concurrency": len(rows), **more}


def record(points: list[Point], **more: Any) -> Record:
    """A record of some engine that has served these."""
    made: Record = {
        "format": _record.FORMAT, "started": "2026-11-30T12:00:00Z", "partial": False, "reason": "", "profile": "p",
        "plan": "sha256:" + "0" * 64, "image": {"reference": "i:1", "id": "sha256:" + "1" * 64}, "engine": "vllm",
        "mods": [], "versions": {}, "hardware": {},
        "client": {"name": "gx10", "version": "1", "command": []}, "sampling": {}, "points": points,
    }  # fmt: skip
    return {**made, **more}  # type: ignore[typeddict-item]


def noisy_sweep(chance: random.Random, noise: float, slower: float = 1.0, repeats: int = 3, request_noise: float = 0.03) -> Record:
    """The Qwen report's sweep again. `noise`: standard deviation from repeat to repeat; `request_noise`: from request to request of one;
    `slower`: times as long for each token after the first.
    """
    points = []
    for table in TABLES["runs"]:
        if table["seed"] != "001" or "cells" not in table or "ttft_s" not in table["cells"]:
            continue
        runs = []
        for _repeat in range(repeats):
            prefill, decode = chance.gauss(1, noise), chance.gauss(1, noise) * slower
            rows = []
            for stream, (ttft, duration, *_rates) in enumerate(table["requests"]):
                first = float(ttft) * prefill * chance.gauss(1, request_noise / 3)
                spent = (float(duration) - float(ttft)) * decode * chance.gauss(1, request_noise)
                gaps = [chance.gauss(1, request_noise) for _gap in range(CHUNKS)]
                at, arrivals = first, [first]
                for gap in gaps:
                    at += gap * spent / sum(gaps)
                    arrivals.append(at)
                rows.append(row(first, first + spent, stream=stream, input=table["input"], output=table["output"], arrivals=arrivals))
            runs.append(run(rows))
        point = asked(len(runs[0]["rows"]), input_tokens=table["input"], output_tokens=table["output"])
        points.append(_record.point(point, runs, NO_DRAFTS))
    return record(points)
