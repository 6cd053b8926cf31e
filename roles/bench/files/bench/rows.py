# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a streamed completion was: server-sent events with their times, made into a row when the run is over."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any

from exchange import Exchange

# Of an answer that is no stream.
SHOWN = 300


def events(pieces: Iterable[tuple[float, bytes]]) -> Iterator[tuple[float, bytes]]:
    """The data of each server-sent event, with the time of the piece that ended it."""
    rest = b""
    for stamp, piece in pieces:
        rest = (rest + piece).replace(b"\r\n", b"\n")
        *whole, rest = rest.split(b"\n\n")
        for event in whole:
            lines = [line[5:].lstrip(b" ") for line in event.split(b"\n") if line.startswith(b"data:")]
            if lines:
                yield stamp, b"\n".join(lines)


def _parsed(data: bytes) -> dict[str, Any]:
    try:
        value = json.loads(data)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _dict(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def refusal(data: bytes) -> str:
    """What a server said instead of an answer: vLLM's and SGLang's message, else the text."""
    found = _parsed(data)
    error = found.get("error", found)
    message = error.get("message") if isinstance(error, dict) else error
    return (message if isinstance(message, str) and message else data.decode("utf-8", "replace").strip())[:SHOWN]


def _delta(event: dict[str, Any]) -> tuple[str, str, str]:
    """Of a chunk: the answer's text, the reasoning's (vLLM and SGLang name it differently), and why it was the last."""
    choices = event.get("choices")
    choice = _dict(choices[0]) if isinstance(choices, list) and choices else {}
    delta = _dict(choice.get("delta"))
    found = (
        choice.get("text") or delta.get("content"),
        delta.get("reasoning") or delta.get("reasoning_content"),
        choice.get("finish_reason"),
    )
    answer, reasoning, finish = (value if isinstance(value, str) else "" for value in found)
    return answer, reasoning, finish


def row(stream: int, exchange: Exchange, barrier: float, wanted: int) -> tuple[dict[str, Any], str, str]:
    """A request's row, its answer and its reasoning; `wanted` is the prompt's length, where the server does not say it any more."""
    arrivals: list[float] = []
    usage: dict[str, Any] = {}
    answer: list[str] = []
    reasoning: list[str] = []
    finish, error, done = "", exchange.error, False
    if exchange.answer.status not in (0, 200):
        error = f"HTTP {exchange.answer.status}: {refusal(exchange.body()) or 'no word'}"
    for stamp, data in events(exchange.pieces if exchange.answer.status == 200 else []):
        if data == b"[DONE]":
            done = True
            continue
        event = _parsed(data)
        if not event or event.get("error"):
            error = f"the stream says: {refusal(data)}"
            continue
        said, thought, why = _delta(event)
        if said or thought:
            arrivals.append(round(stamp - barrier, 6))
        answer.append(said)
        reasoning.append(thought)
        finish = why or finish
        usage = _dict(event.get("usage")) or usage
    output = usage.get("completion_tokens")
    if not error and not done:
        error = f"no stream of events: found {refusal(exchange.body())!r}"
    if not error and not output:  # a crash has been seen to end a stream so, with HTTP 200
        error = "the server counted no completion tokens" if output == 0 else "the stream ended without usage: its tokens are unknown"
    cached = _dict(usage.get("prompt_tokens_details")).get("cached_tokens")
    found = {
        "stream": stream,
        "input": usage.get("prompt_tokens", wanted),
        "cached": cached if isinstance(cached, int) else None,
        "output": output if isinstance(output, int) else 0,
        "start": round(exchange.start - barrier, 6),
        "first": arrivals[0] if arrivals else None,
        "end": round(exchange.end - barrier, 6),
        "arrivals": arrivals,
        "finish": finish,
        "error": error,
    }
    return found, "".join(answer), "".join(reasoning)
