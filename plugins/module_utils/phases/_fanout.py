# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Which node fetches what from whom: the plan of a distribution. Pure. PRIVATE to the collection.

A chain at the granularity of pieces: with S bytes to bring, links of B bytes/s, H hops, L lanes and pieces of c bytes, the last
node has everything after S/B * (1 + (H - 1) * L * c / S): each hop adds the time in which the pieces in flight pass. Only lacking
bytes travel; the origin sends each of them once per chain.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from ..node._paths import unlisted
from ..node._types import File
from ..plan._types import Address

# What the hops after the first may add to the time of one copy.
FILL = 0.1
SMALLEST_PIECE = 1024**2
BIGGEST_PIECE = 256 * 1024**2
# One chain up to this many receivers; 64 nodes get four.
CHAIN = 16
# Nearer predecessors that a node can fall back to, before the origin.
FALLBACKS = 3


class Job(TypedDict):
    """What roles/fanout/files/fanout reads, without its folders. `parents`: URLs, one per rail; `fetch`: paths."""

    listen: list[str]
    port: int
    allow: list[str]
    parents: list[list[str]]
    lanes: int
    piece: int
    files: list[File]
    fetch: list[str]


class Distribution(TypedDict):
    """`piece` in bytes; `chains` and `jobs` by the nodes' names."""

    piece: int
    lanes: int
    chains: list[list[str]]
    problems: list[str]
    jobs: dict[str, Job]


class State(TypedDict, total=False):
    """What roles/fanout/files/fanout says of itself, in bytes and seconds."""

    total: int
    done: int
    received: int
    repeated: int
    resumed: int
    seconds: float
    fetched: list[str]
    sources: dict[str, int]
    passed_by: dict[str, str]


def piece_size(total: int, hops: int, lanes: int) -> int:
    """Bytes per piece: the biggest power of two with which the chain's later hops add at most FILL of one copy's time."""
    wanted = FILL * total / max(1, hops - 1) / max(1, lanes)
    size = SMALLEST_PIECE
    while size * 2 <= min(wanted, BIGGEST_PIECE):
        size *= 2
    return size


def plan(
    nodes: Sequence[Address],
    files: Sequence[File],
    lacks: Mapping[str, Sequence[str]],
    port: int,
    lanes: int = 0,
    chains: int = 0,
) -> Distribution:
    """Who fetches what from whom.

    `nodes`: in rank order, those that take part only; `lacks`: paths that a node lacks, by its name. `lanes` (transfers in flight per
    node) and `chains` are chosen where 0. Nodes that have everything come first and feed the chains.
    """
    lacking = {node["name"]: set(lacks.get(node["name"], ())) for node in nodes}
    travelling = [item for item in files if any(item["path"] in paths for paths in lacking.values())]
    nowhere = [item["path"] for item in travelling if all(item["path"] in paths for paths in lacking.values())]
    holders, feeding = _holders(nodes, lacking)
    rows = _chains(feeding, chains)
    rails = min((len(node["addresses"]) for node in nodes), default=1)
    flights = lanes or 4 * rails
    piece = piece_size(sum(item["size"] for item in travelling), max((len(row) for row in rows), default=1), flights)
    parents = _parents(nodes, lacking, holders, rows)
    jobs: dict[str, Job] = {
        node["name"]: {
            "listen": list(node["addresses"]),
            "port": port,
            "allow": _allowed(nodes, node),
            "parents": [[url(address, port) for address in parent["addresses"]] for parent in parents[node["name"]]],
            "lanes": flights,
            "piece": piece,
            "files": travelling,
            "fetch": sorted(lacking[node["name"]]),
        }
        for node in (nodes if travelling else [])
    }
    problems = unlisted(travelling) + [f"{path}: found on no node; wanted on at least one" for path in nowhere]
    return {"piece": piece, "lanes": flights, "chains": [[n["name"] for n in row] for row in rows], "problems": problems, "jobs": jobs}


def _holders(nodes: Sequence[Address], lacking: Mapping[str, set[str]]) -> tuple[list[Address], list[Address]]:
    """Nodes that are the chains' origins, and those that the chains feed."""
    holders = [node for node in nodes if not lacking[node["name"]]]
    receivers = [node for node in nodes if lacking[node["name"]]]
    # Where no node has everything (each lost another file), the one that lacks least is the origin of the rest.
    if not holders and receivers:
        holders = [min(receivers, key=lambda node: len(lacking[node["name"]]))]
    return holders, [node for node in receivers if node not in holders]


def _chains(feeding: Sequence[Address], chains: int) -> list[list[Address]]:
    """The receivers of each chain, in order; by default one for each CHAIN of them."""
    count = chains or max(1, -(-len(feeding) // CHAIN))
    return [list(feeding[number::count]) for number in range(count)] if feeding else []


def _parents(
    nodes: Sequence[Address], lacking: Mapping[str, set[str]], holders: Sequence[Address], rows: Sequence[Sequence[Address]]
) -> dict[str, list[Address]]:
    """Whom each node asks, nearest first: its predecessors in the chain, other holders, the chain's origin."""
    parents: dict[str, list[Address]] = {node["name"]: [] for node in nodes}
    for number, row in enumerate(rows):
        origin = holders[number % len(holders)]
        others = [node for node in holders if node is not origin]
        for position, node in enumerate(row):
            nearer = list(reversed(row[:position]))[:FALLBACKS]
            parents[node["name"]] = [*nearer, *others[:FALLBACKS], origin] if position else [origin, *others[:FALLBACKS]]
    for node in holders:
        if lacking[node["name"]]:  # an origin that lacks something gets it from whoever has it
            parents[node["name"]] = [other for other in nodes if other is not node]
    return parents


def _allowed(nodes: Sequence[Address], node: Address) -> list[str]:
    """The addresses of everybody else."""
    return sorted({address for other in nodes if other is not node for address in other["addresses"]})


def url(address: str, port: int) -> str:
    """The base URL of a node's server."""
    return f"http://[{address}]:{port}" if ":" in address else f"http://{address}:{port}"


def size_text(count: float) -> str:
    """Bytes for people, in binary units."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.0f} {unit}" if unit == "B" else f"{count:.1f} {unit}"
        count /= 1024
    return f"{count:.1f} GiB"


def progress(node: str, state: State, before: State | None = None) -> str:
    """One line of progress: bytes, rate and remaining time. `before` is an earlier state of the same node."""
    total, done = state.get("total", 0), state.get("done", 0)
    earlier: State = before or {}
    seconds = state.get("seconds", 0) - earlier.get("seconds", 0)
    rate = (state.get("received", 0) - earlier.get("received", 0)) / seconds if seconds > 0 else 0.0
    left = f"{duration((total - done) / rate)} left" if rate > 0 else "waiting"
    share = f"{100 * done / total:.0f} %" if total else "100 %"
    return f"{node}: {size_text(done)} of {size_text(total)} ({share}), {size_text(rate)}/s, {left}"


def duration(seconds: float) -> str:
    """Seconds for people."""
    whole = round(seconds)
    if whole < 120:
        return f"{whole} s"
    return f"{round(whole / 60)} min" if whole < 7200 else f"{whole / 3600:.1f} h"


def summary(node: str, state: State) -> str:
    """What a node received, how fast, from whom, and whom it passed by."""
    seconds = max(state.get("seconds", 0), 0.001)
    received = state.get("received", 0)
    parts = [
        f"{node}: {len(state.get('fetched', []))} files, {size_text(received)} in {duration(seconds)}, {size_text(received / seconds)}/s"
    ]
    if state.get("sources"):
        parts.append("from " + ", ".join(f"{where} ({size_text(size)})" for where, size in state["sources"].items()))
    if state.get("resumed"):
        parts.append(f"{size_text(state['resumed'])} were there from an earlier run")
    if state.get("repeated"):
        parts.append(f"{size_text(state['repeated'])} fetched twice")
    parts += [f"passed {where} by ({why})" for where, why in state.get("passed_by", {}).items()]
    return "; ".join(parts)
