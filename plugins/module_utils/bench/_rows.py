# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the bench's client hands over, and what is made of it, as types. A record is schemas/record.json to everybody else; a test holds
them together. PRIVATE to the collection.
"""

from __future__ import annotations

from typing import Any, Literal, Optional, TypedDict

# Figure: value; None is unknown. Which there are, with their units, is _figures.FIGURES.
Figures = dict[str, Optional[float]]  # noqa: UP045 -- ansible-test takes "|" for an operation here


class Row(TypedDict):
    """One request. Times in seconds since the run's barrier; `input`, `cached` and `output` are tokens by the server's usage.

    `first`: the first content or reasoning token; `arrivals`: each chunk with text; `error`: empty if there was none.
    """

    stream: int
    input: int
    cached: int | None
    output: int
    start: float
    first: float | None
    end: float
    arrivals: list[float]
    finish: str
    error: str


class Repeat(TypedDict):
    """One run of the client. `found`: whether a needle came back; None where there is none, or it is unknown."""

    started: str
    wall: float
    rows: list[Row]
    found: bool | None
    figures: Figures


class Spread(TypedDict):
    """Of a figure over the repeats that have it; None where none has."""

    median: float | None
    low: float | None
    high: float | None
    repeats: int


class Asked(TypedDict):
    """What one point of a run asked for. `cached`: the prefix cache was meant to help; `depth`: of a needle, between 0 and 1."""

    test: Literal["sweep", "needle", "repetition", "soak"]
    requests: int
    input_tokens: int
    output_tokens: int
    cached: bool
    depth: float | None


class Acceptance(TypedDict):
    """Of drafted tokens; None is unknown, and `why` says for what reason. `mean_length` counts the target's own token, too."""

    rate: float | None
    mean_length: float | None
    per_position: list[float] | None
    why: str


class Point(Asked):
    repeats: list[Repeat]
    figures: dict[str, Spread]
    acceptance: Acceptance


class Client(TypedDict):
    """`command`: as it was run, to run it again."""

    name: str
    version: str
    command: list[str]


class RecordedImage(TypedDict):
    reference: str
    id: str


class RecordedMod(TypedDict):
    name: str
    hash: str


class Record(TypedDict):
    """One run of the bench. `reason`: why it is partial; empty where it is whole. `hardware`: by node, as world_info gives it."""

    format: int
    started: str
    partial: bool
    reason: str
    profile: str
    plan: str
    image: RecordedImage
    engine: str
    mods: list[RecordedMod]
    versions: dict[str, str]
    hardware: dict[str, dict[str, Any]]
    client: Client
    sampling: dict[str, Any]
    points: list[Point]


class Verdict(TypedDict):
    """Of one figure of one point. `change`: new / base - 1, of a share or a count new - base; `band`: the change that noise alone may make;
    `why`: of an unknown.
    """

    point: str
    figure: str
    base: float | None
    new: float | None
    change: float | None
    band: float | None
    verdict: Literal["better", "equal", "worse", "unknown"]
    why: str


class Comparison(TypedDict):
    """`ok`: nothing is worse; None where nothing could be judged. `differs`: what else the two runs have otherwise."""

    ok: bool | None
    base: str
    new: str
    verdicts: list[Verdict]
    differs: list[str]


class Held(TypedDict):
    """One number of streams: the longest wait for a first token, the most failed requests of a repeat, and the rates beside it."""

    streams: int
    ttft_max_s: float
    failed: int
    decode_tps: float | None
    request_decode_tps: float | None


class Capacity(TypedDict):
    """`streams`: the most that were measured within the bound and without a failure, 0 if none were, None if nothing is known; `missed`:
    fewer that were not; `beyond`: the least number above that was not, None where nothing larger was measured.
    """

    bound_s: float
    streams: int | None
    held: Held | None
    missed: list[Held]
    beyond: Held | None
