# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One group, one fate: what the ranks of a launch do next, as a pure function of what they report. docs/recovery.md has it on one page.

The head decides and every rank follows. Reports and orders are whole states, not changes, and are said again with every heartbeat: one
that is lost, late or said twice does no harm. Generations only count up; a rank never starts one that it has run, left out or passed.
"""

from __future__ import annotations

import dataclasses
from typing import Any, Union

# Seconds: between heartbeats; without one until a link is lost. TCP repeats a lost packet after 0.2, 0.6, 1.4 and 3 s, and a new
# connection is tried from half of it on: a link that works at all is heard in time. Each supervisor beats from a thread that does
# nothing else, so that neither a prefill nor a starting engine delays it; memory that runs short ends the engine first, after 2 s.
BEAT, LOST = 1.0, 4.0
# Where nobody starts the group again, a link that comes back is worth more than knowing soon: NCCL over RoCE waits about as long by itself
# (NCCL_IB_TIMEOUT 20, seven tries), and Ray tells of a lost node after a minute.
LOST_FOR_GOOD = 30.0
# A rank that has not ended by then cannot be ended; a sweep takes at most 10 s after its grace.
ENDING_BOUND = 60.0
HOUR = 3600.0

# What the group does.
WAITING, STARTING, SERVING, ENDING, DOWN, STOPPED = "waiting", "starting", "serving", "ending", "down", "stopped"
# What one rank does; a generation that a rank "starts", is "up" in or is "closing" holds memory and ports on its node.
AWAY, IDLE, CLOSING, UP = "away", "idle", "closing", "up"
RUNNING = (STARTING, UP, CLOSING)
# Mods have a bound of their own each, and say so themselves when it is over.
MODS = "mods"
# Nothing of ours runs there: it is waited for, as a node that is away.
SHORT = "short of memory"
# Why a generation ended: a process or link that died may live again, and a stop is nobody's failure. All else is EXIT or SETUP, and
# would end the same way again, where the launch has never served.
SIGNAL, LINK, WEDGE, FLOOR, STOP, EXIT, SETUP = "signal", "link", "wedge", "floor", "stop", "exit", "setup"
PASSING = (SIGNAL, LINK, STOP)


@dataclasses.dataclass(frozen=True)
class Rank:
    """What the head knows of one rank. `heard`: when it was heard last, None while it is away. `generation`: the last it has had to do
    with. `session`: another one is another process."""

    name: str
    heard: float | None = None
    session: str = ""
    doing: str = AWAY
    generation: int = 0


@dataclasses.dataclass(frozen=True)
class Group:
    """The state. `restarts`: when, within the last hour. `reason`: the first culprit of the last end; `since`: of `phase`.
    `refused`: what this launch serves has failed its gate."""

    ranks: tuple[Rank, ...]
    limit: int
    gather_seconds: float
    since: float
    phase: str = WAITING
    generation: int = 0
    served: bool = False
    restarts: tuple[float, ...] = ()
    reason: str = ""
    kind: str = ""
    refused: bool = False


@dataclasses.dataclass(frozen=True)
class Report:
    """A rank says what it does. `reason` and `kind`: why its generation ended, where it knows that by itself."""

    rank: int
    session: str
    doing: str
    generation: int
    reason: str = ""
    kind: str = ""


@dataclasses.dataclass(frozen=True)
class Tick:
    """Time has passed."""


@dataclasses.dataclass(frozen=True)
class Stop:
    """The head was asked to stop, and has drained."""

    reason: str


Event = Union[Report, Tick, Stop]


def begin(names: list[str], limit: int, gather_seconds: float, now: float) -> Group:
    """A group that nobody has been heard of."""
    return Group(tuple(Rank(name) for name in names), limit, gather_seconds, now)


def step(group: Group, event: Event, now: float) -> Group:
    """The next state. `now` is of a steady clock."""
    if group.restarts != recent(group, now):
        group = dataclasses.replace(group, restarts=recent(group, now))
    if isinstance(event, Report):
        group = _heard(group, event, now)
    elif isinstance(event, Stop) and group.phase not in (DOWN, STOPPED):
        group = _to(group, STOPPED, now, reason=_named(group, group.ranks[0].name, event.reason), kind=STOP)
    group = _silent(group, now)
    # A transition may allow the next one.
    while True:
        following = _next(group, now)
        if following is group:
            return group
        group = following


def missing(group: Group) -> list[str]:
    """Who is waited for, and what they do."""
    wanted = [rank for rank in group.ranks if rank.doing != IDLE]
    return [rank.name if rank.doing == AWAY else f"{rank.name} ({rank.doing})" for rank in wanted]


def lost_after(limit: int) -> float:
    """Seconds of silence until a link is lost."""
    return LOST if limit else LOST_FOR_GOOD


def order(group: Group) -> dict[str, Any]:
    """What every rank has to do now."""
    do = {STARTING: "run", SERVING: "run", ENDING: "end", DOWN: "down"}.get(group.phase, "wait")
    if group.phase == STOPPED and group.limit == 0:
        do = "down"
    found = {"do": do, "generation": group.generation, "reason": group.reason, "kind": group.kind}
    asked = missing(group) if group.phase in (WAITING, ENDING) else []
    found["serving"] = group.phase == SERVING
    return {**found, "restarts": len(group.restarts), "limit": group.limit, "missing": asked}


def follow(order: dict[str, Any], last: int, running: bool) -> str:
    """What a rank does about an order: "start", "go on", "end", "down" or "wait". `last`: the last generation that it has had to do with.

    An order of a generation that is over, however late it comes, starts nothing.
    """
    if running:
        return "go on" if order["do"] == "run" and order["generation"] == last else "end"
    if order["do"] == "run" and order["generation"] > last:
        return "start"
    return "down" if order["do"] == "down" else "wait"


def _heard(group: Group, event: Report, now: float) -> Group:
    before = group.ranks[event.rank]
    after = Rank(before.name, now, event.session, event.doing, event.generation)
    ranks = (*group.ranks[: event.rank], after, *group.ranks[event.rank + 1 :])
    group = dataclasses.replace(group, ranks=ranks)
    if group.phase in (STARTING, SERVING):
        ran = before.doing in RUNNING and before.generation == group.generation
        if event.reason and event.generation == group.generation:
            return _ended(group, before.name, event.reason, event.kind, now)
        if ran and event.session != before.session:
            return _ended(group, before.name, "its supervisor was started again", SIGNAL, now)
        if ran and event.doing not in RUNNING:
            return _ended(group, before.name, "it ended for no reason that it knows", EXIT, now)
        if event.doing in RUNNING and event.generation != group.generation:
            return _ended(group, before.name, f"it ran generation {event.generation} beside {group.generation}", LINK, now)
    elif group.phase == WAITING:
        # Who was stopped, as by an upgrade of Docker, comes again where anything may.
        if event.reason and event.generation == 0 and not (event.kind == STOP and group.limit):
            return _to(group, DOWN, now, reason=_named(group, before.name, event.reason), kind=event.kind)
        if event.generation > group.generation:
            # The head has lost its record: what others have seen counts.
            return dataclasses.replace(group, generation=event.generation)
    return group


def _silent(group: Group, now: float) -> Group:
    """Take out who was not heard in time. The head hears itself."""
    lost = lost_after(group.limit)
    late = [rank for rank in group.ranks[1:] if rank.heard is not None and now - rank.heard >= lost]
    if not late:
        return group
    quiet = [rank for rank in group.ranks[1:] if rank.heard is None or now - rank.heard >= lost - BEAT]
    ranks = tuple(Rank(rank.name, None, rank.session, AWAY, rank.generation) if rank in late else rank for rank in group.ranks)
    group = dataclasses.replace(group, ranks=ranks)
    if group.phase == WAITING and not group.generation:
        # It has come once, so it is gathered anew: it may be another's mods that all wait for.
        return dataclasses.replace(group, since=now)
    if group.phase not in (STARTING, SERVING):
        return group
    if len(quiet) == len(group.ranks) - 1 > 1:
        # Not all of them at once: it is the head's own link.
        return _ended(group, group.ranks[0].name, f"its link is cut: no heartbeat of any rank for {lost:.0f} s", LINK, now)
    first = min(late, key=lambda rank: rank.heard or 0.0)
    return _ended(group, first.name, f"no heartbeat for {lost:.0f} s, and no new connection: its node or its link is gone", LINK, now)


def _next(group: Group, now: float) -> Group:
    ranks = group.ranks
    if group.phase == STARTING and all(rank.doing == UP for rank in ranks):
        return _to(group, SERVING, now, served=True)
    if group.phase == ENDING:
        left = [rank.name for rank in ranks if rank.heard is not None and not _over(rank, group, (IDLE, SHORT))]
        if left and now - group.since < ENDING_BOUND:
            return group
        if left:
            return _to(group, DOWN, now, reason=f"{group.reason}; {', '.join(left)} did not end within {ENDING_BOUND:.0f} s")
        return _after(group, now)
    if group.phase != WAITING:
        return group
    if all(_over(rank, group) for rank in ranks):
        return _start(group, now)
    if group.generation == 0 and now - group.since >= group.gather_seconds and any(rank.doing not in (IDLE, MODS) for rank in ranks):
        reason = f"did not come within {group.gather_seconds:.0f} s: {', '.join(missing(group))}"
        return _to(group, DOWN, now, reason=reason, kind=SETUP)
    return group


def _over(rank: Rank, group: Group, doing: tuple[str, ...] = (IDLE,)) -> bool:
    """Does it run nothing, and has it passed this generation, so that a late order cannot start it?"""
    return rank.doing in doing and rank.generation >= group.generation


def _after(group: Group, now: float) -> Group:
    """All have ended: what follows."""
    if group.limit == 0:
        return _to(group, DOWN, now)
    if not group.served and group.generation == 1 and group.kind not in PASSING:
        return _to(group, DOWN, now, reason=f"{group.reason}; it has never served, so it is not tried again")
    return _barred(group, now) or _to(group, WAITING, now)


def _start(group: Group, now: float) -> Group:
    # Not counted: the first start, and one after a stop.
    counted = (now,) if group.generation and group.kind != STOP else ()
    following = _to(group, STARTING, now, generation=group.generation + 1, restarts=(*recent(group, now), *counted))
    return (_barred(group, now) if group.generation else None) or following


def _barred(group: Group, now: float) -> Group | None:
    """Down, where a generation has ended and no other one may follow."""
    if group.refused:
        return _to(group, DOWN, now, reason=f"{group.reason}; its gate has failed, so it is not started again")
    if group.kind != STOP and len(recent(group, now)) >= group.limit:
        return _to(group, DOWN, now, reason=f"{group.reason}; no restart is left of {group.limit} within an hour")
    return None


def recent(group: Group, now: float) -> tuple[float, ...]:
    """The restarts that still count."""
    return tuple(at for at in group.restarts if now - at < HOUR)


def _ended(group: Group, name: str, reason: str, kind: str, now: float) -> Group:
    """The first culprit's end is the group's; who ends after it is a victim."""
    return _to(group, ENDING, now, reason=_named(group, name, reason), kind=kind)


def _named(group: Group, name: str, reason: str) -> str:
    # A rank that comes back says what it was told.
    told = any(reason.startswith(f"{rank.name}: ") for rank in group.ranks)
    return reason if told or len(group.ranks) == 1 else f"{name}: {reason}"


def _to(group: Group, phase: str, now: float, **changes: Any) -> Group:
    return dataclasses.replace(group, phase=phase, since=now, **changes)
