# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Kinds of measurement: what each point of a job sends, run after run, and what a run's document says."""

from __future__ import annotations

import datetime
import time
from collections.abc import Callable, Iterator
from typing import Any

from api import Api
from prompts import TASKS, Prompt, fit, salt
from rows import row


class Dead(Exception):
    """The engine does not answer any more, and why."""


def problems(points: list[dict[str, Any]]) -> list[str]:
    """What is wrong with a job's points."""
    found = [] if points else ["points: found none; wanted one or more"]
    for number, point in enumerate(points):
        where = f"points[{number}]"
        if point.get("kind") not in TASKS:
            found.append(f"{where}.kind: found {point.get('kind')!r}; wanted one of {', '.join(TASKS)}")
        for name, least in (("input", 1), ("output", 1), ("concurrency", 1), ("repeats", 1), ("warmup", 0)):
            value = point.get(name, 1)
            if (name in ("input", "output") and name not in point) or not isinstance(value, int) or value < least:
                found.append(f"{where}.{name}: found {point.get(name)!r}; wanted {least} or more")
        depths = point.get("depths", [])
        if point.get("kind") == "needle" and not (depths and all(isinstance(depth, (int, float)) and 0 <= depth <= 1 for depth in depths)):
            found.append(f"{where}.depths: found {depths!r}; wanted shares of the text, between 0 and 1")
        if point.get("kind") == "soak" and not (isinstance(point.get("minutes"), (int, float)) and point["minutes"] > 0):
            found.append(f"{where}.minutes: found {point.get('minutes')!r}; wanted more than 0")
    return found


def rounds(point: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """What tells a point's runs apart: warm-up, repeat, depth. A soak has as many as its minutes hold."""
    for number in range(point.get("warmup", 0)):
        yield {"warmup": True, "repeat": number}
    if point["kind"] == "soak":
        until, number = time.monotonic() + 60 * point["minutes"], 0
        while time.monotonic() < until:
            yield {"warmup": False, "repeat": number}
            number += 1
        return
    for depth in point.get("depths") or [None]:
        for number in range(point.get("repeats", 1)):
            yield {"warmup": False, "repeat": number, **({} if depth is None else {"depth": depth})}


def measure(api: Api, point: dict[str, Any], which: dict[str, Any], stopped: Callable[[], str]) -> dict[str, Any]:
    """One run: prompts, barrier, rows. Raises ValueError where the prompts cannot be made."""
    count, wanted = point.get("concurrency", 1), point["input"]
    cached = point.get("cached", False)
    # A needle is looked for, and an essay ends, as the model likes; a sweep's lengths are equal.
    exact = point["kind"] in ("sweep", "soak")
    depth: float | None = which.get("depth", point["depths"][0] if point["kind"] == "needle" else None)
    prompts = [Prompt(point["kind"], salt(), depth) for _request in range(1 if cached else count)]
    fit(prompts, wanted, api.count)
    texts = [prompt.text() for prompt in prompts]
    if cached:
        api.stream(texts, 1, exact)
        prompts, texts = prompts * count, texts * count
    started = datetime.datetime.now(datetime.timezone.utc)
    exchanges, barrier = api.stream(texts, point["output"], exact)
    found = [row(number, exchange, barrier, wanted) for number, exchange in enumerate(exchanges)]
    for item, _answer, _reasoning in found:
        item["error"] = api.hidden(item["error"])
    document = {
        "format": 1,
        "kind": point["kind"],
        **which,
        "cached": cached,
        "model": api.model,
        "concurrency": count,
        "input": wanted,
        "output": point["output"],
        "started": started.isoformat(timespec="milliseconds"),
        "wall": round(max(exchange.end for exchange in exchanges) - barrier, 6),
        "partial": bool(stopped()),
        "clock": "kernel" if all(exchange.exact for exchange in exchanges) else "program",
        "rows": [item for item, _answer, _reasoning in found],
    }
    if point["kind"] in ("needle", "repetition"):
        document["texts"] = [{"answer": answer, "reasoning": reasoning} for _item, answer, reasoning in found]
    if point["kind"] == "needle":
        document["found"] = [prompt.code in answer for prompt, (_item, answer, _reasoning) in zip(prompts, found)]
    return document


def check(api: Api, document: dict[str, Any]) -> None:
    """After failed requests: does the engine live? Both signs are needed, so that a refused request ends nothing; raises Dead."""
    failed = [item["error"] for item in document["rows"] if item["error"]]
    why = api.dead() if failed else ""
    if why:
        first = f"{len(failed)} of {len(document['rows'])} requests failed ({failed[0]})"
        raise Dead(f"{api.url}/health: found {why}, after {first}; wanted 200. doctor.yml says what ended the engine")
