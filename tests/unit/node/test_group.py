"""The group's transitions, over random lives of a launch: messages that are late, lost or left over, ranks that die, freeze, vanish and
come back, heads that are started again. The ranks here follow orders as the supervisor does, by the same function."""

from __future__ import annotations

import dataclasses
import json
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(ROOT / "roles/engine/files/supervisor"))
import group
import record

NAMES = ["n0", "n1", "n2"]
MICRO = ["say", "hear", "order", "follow", "up", "finish", "tick"]
FAULTS = ["signal", "exit", "wedge", "floor", "cut", "heal", "freeze", "reborn", "head reborn", "head power loss"]


class Member:
    """One rank as the supervisor keeps it."""

    def __init__(self) -> None:
        self.session, self.doing, self.number, self.reason, self.kind = 0, group.IDLE, 0, "", ""
        self.sent: list[group.Report] = []
        self.orders: list[dict[str, Any]] = []
        self.cut = self.frozen = False

    @property
    def runs(self) -> bool:
        return self.doing in group.RUNNING

    def report(self, rank: int) -> group.Report:
        return group.Report(rank, str(self.session), self.doing, self.number, self.reason, self.kind)

    def end(self, reason: str = "", kind: str = "") -> None:
        if self.runs and self.doing != group.CLOSING:
            self.doing, self.reason, self.kind = group.CLOSING, reason, kind


class World:
    """The head's state, the ranks, and all that is on its way between them."""

    def __init__(self, folder: Path, limit: int) -> None:
        self.now, self.limit, self.path = 1000.0, limit, str(folder / "group.json")
        self.boot = 0
        self.kept: tuple[group.Group, int] | None = None
        self.group = group.begin(NAMES, limit, 600, self.now)
        self.members = [Member() for _name in NAMES]
        self.started: list[float] = []
        self.culprit = ""
        self.last = 0

    def step(self, event: group.Event) -> None:
        before, self.group = self.group, group.step(self.group, event, self.now)
        self.check(before)
        # As the supervisor does, before anybody is told.
        self.kept = self.group, self.boot

    def check(self, before: group.Group) -> None:
        after = self.group
        if before.phase in (group.DOWN, group.STOPPED):
            assert (after.phase, after.generation, after.reason) == (before.phase, before.generation, before.reason)
        assert after.generation in (before.generation, before.generation + 1)
        if after.generation > before.generation:
            assert before.phase not in (group.DOWN, group.STOPPED, group.ENDING, group.SERVING) or before.phase == group.ENDING
            if after.generation > 1 and before.kind != group.STOP:
                self.started.append(self.now)
            recent = [at for at in self.started if self.now - at < group.HOUR]
            assert len(recent) <= self.limit, "more restarts than the cap within an hour"
            self.culprit = ""
        if after.phase == group.ENDING and not self.culprit:
            self.culprit = after.reason
        if self.culprit and after.phase != group.STOPPED:
            assert after.reason.startswith(self.culprit), "a victim is named in the first culprit's place"
        if after.phase in (group.ENDING, group.DOWN, group.STOPPED):
            assert after.reason, f"{after.phase} without a reason"

    def invariant(self) -> None:
        running = {member.number for member in self.members if member.runs}
        assert len(running) <= 1, f"generations {running} run at once"
        assert not running or max(running) <= self.group.generation

    def act(self, do: str, rank: int) -> None:
        member = self.members[rank]
        if do == "tick":
            self.now += 1.3
            self.step(group.Tick())
        elif do == "hour":
            self.now += 1200
        elif do == "say" and not member.frozen and not member.cut:
            member.sent.append(member.report(rank))
        elif do == "hear" and member.sent and not member.cut:
            self.step(member.sent.pop(0))
        elif do == "order" and not member.cut:
            member.orders.append(group.order(self.group))
        elif do == "follow" and member.orders and not member.frozen:
            self.follow(member, member.orders.pop(0))
        elif do == "up" and member.doing == group.STARTING and not member.frozen:
            member.doing = group.UP
        elif do == "finish" and member.doing == group.CLOSING and not member.frozen:
            member.doing = group.IDLE
        elif do in ("signal", "exit", "wedge", "floor") and not member.frozen:
            member.end(f"{do} {self.now:.0f}", do)
        elif do == "cut":
            member.cut = True
            # What was on its way may come in later, on the side that has it.
            del member.sent[1:]
        elif do == "heal":
            member.cut = member.frozen = False
        elif do == "freeze":
            member.frozen = True
        elif do == "reborn" and rank:
            session = member.session + 1
            self.members[rank] = Member()
            self.members[rank].session = session
        elif do in ("head reborn", "head power loss"):
            self.head_reborn(do == "head power loss")
        elif do == "stop":
            self.step(group.Stop("was stopped"))

    def head_reborn(self, power: bool) -> None:
        if power:
            self.boot += 1
        fresh = group.begin(NAMES, self.limit, 600, self.now)
        if self.kept is None:
            return
        state, boot = self.kept
        record.write(self.path, "l", str(boot), state)
        found = record.read(self.path, "l", str(self.boot), fresh)
        if power and found:
            # This world's clock goes on, so that what counts is when they were: the boot's first moment is now.
            assert set(found.restarts) <= {0.0}
            found = group.Group(**{**vars(found), "restarts": self.group.restarts})
        self.group = found or fresh
        self.culprit = ""
        session = self.members[0].session + 1
        self.members[0] = Member()
        self.members[0].session = session
        for member in self.members:
            member.sent, member.orders = [], []

    def follow(self, member: Member, order: dict[str, Any]) -> None:
        following = group.follow(order, member.number, member.runs)
        if following == "start":
            member.doing, member.number, member.reason, member.kind = group.STARTING, order["generation"], "", ""
            self.last = max(self.last, order["generation"])
        elif following == "end":
            member.end()
        elif not member.runs and order["generation"] > member.number:
            member.number = order["generation"]

    def settled(self) -> bool:
        """Do all serve one generation, or does nothing run, and is nothing on its way?"""
        if any(member.orders for member in self.members):
            return False
        if self.group.phase == group.SERVING:
            return {(member.doing, member.number) for member in self.members} == {(group.UP, self.group.generation)}
        return self.group.phase in (group.DOWN, group.STOPPED) and not any(member.runs for member in self.members)

    def round(self) -> None:
        """A second in which all that works does its work."""
        for rank, member in enumerate(self.members):
            for do in ("say", "hear", "hear", "order", "follow", "follow", "up", "finish", "say", "hear"):
                self.act(do, rank)
                self.invariant()
            if member.cut and member.runs:
                member.end("no heartbeat", group.LINK)
        self.now += 1
        self.step(group.Tick())


ACTIONS = st.tuples(st.sampled_from([*["round"] * 8, *MICRO, *MICRO, *FAULTS, "hour", "stop"]), st.integers(0, len(NAMES) - 1))


@settings(max_examples=2500, deadline=None)
@given(limit=st.integers(0, 3), lead=st.integers(0, 4), actions=st.lists(ACTIONS, max_size=60))
def test_random_lives(tmp_path_factory: pytest.TempPathFactory, limit: int, lead: int, actions: list[tuple[str, int]]) -> None:
    world = World(tmp_path_factory.getbasetemp(), limit)
    for _round in range(lead):
        world.round()
    for do, rank in actions:
        if do == "round":
            world.round()
        else:
            world.act(do, rank)
        world.invariant()
    # All faults heal: the group serves, or is down or stopped with a reason.
    for rank in range(len(NAMES)):
        world.act("heal", rank)
    for _round in range(80):
        world.round()
        if world.settled():
            break
    assert world.settled(), (world.group, [vars(member) for member in world.members])
    assert world.group.phase == group.SERVING or world.group.reason


def serving(limit: int = 3) -> group.Group:
    state = group.begin(NAMES, limit, 600, 0.0)
    for doing, generation in ((group.IDLE, 0), (group.STARTING, 1), (group.UP, 1)):
        for rank in range(len(NAMES)):
            state = group.step(state, group.Report(rank, "s", doing, generation), 1.0)
    assert state.phase == group.SERVING
    return state


def test_two_workers_that_fall_silent_together_are_the_heads_link() -> None:
    state = group.step(serving(), group.Tick(), 1.0 + group.LOST)
    assert state.reason == "n0: its link is cut: no heartbeat of any rank for 4 s"


def test_where_nobody_restarts_a_link_has_the_time_to_come_back() -> None:
    """A cable or a switch that is away for seconds is not worth a group that stays down."""
    state = group.step(serving(limit=0), group.Tick(), 1.0 + 25.0)
    assert state.phase == group.SERVING
    state = group.step(state, group.Tick(), 1.0 + 30.0)
    assert (state.phase, state.kind) == (group.ENDING, group.LINK)
    assert state.reason == "n0: its link is cut: no heartbeat of any rank for 30 s"


def test_one_silent_worker_is_named() -> None:
    state = group.step(serving(), group.Report(1, "s", group.UP, 1), 4.5)
    assert group.step(state, group.Tick(), 4.9).phase == group.SERVING
    state = group.step(state, group.Tick(), 5.0)
    assert (state.phase, state.kind) == (group.ENDING, group.LINK)
    assert state.reason.startswith("n2: no heartbeat for 4 s")


def test_another_process_in_a_ranks_place_ends_the_generation() -> None:
    state = group.step(serving(), group.Report(2, "other", group.IDLE, 0), 1.5)
    assert state.reason == "n2: its supervisor was started again"


def test_a_rank_that_may_still_get_an_order_to_start_holds_up_the_next_generation() -> None:
    state = group.begin(NAMES, 3, 600, 0.0)
    for rank in range(len(NAMES)):
        state = group.step(state, group.Report(rank, "s", group.IDLE, 0), 1.0)
    # The order is on its way to the last one when another ends.
    for rank in (0, 1):
        state = group.step(state, group.Report(rank, "s", group.STARTING, 1), 1.0)
    state = group.step(state, group.Report(1, "s", group.CLOSING, 1, "died", group.SIGNAL), 1.5)
    for rank, generation in ((0, 1), (1, 1), (2, 0)):
        state = group.step(state, group.Report(rank, "s", group.IDLE, generation), 2.0)
    assert (state.phase, state.generation) == (group.ENDING, 1)
    state = group.step(state, group.Report(2, "s", group.IDLE, 1), 2.5)
    assert (state.phase, state.generation) == (group.STARTING, 2)


def test_the_cap_is_reached_without_waiting_for_who_is_away() -> None:
    state = group.Group(**{**vars(serving(limit=1)), "restarts": (0.5,)})
    state = group.step(state, group.Report(1, "s", group.UP, 1), 4.0)
    state = group.step(state, group.Tick(), 5.5)
    for rank in (0, 1):
        state = group.step(state, group.Report(rank, "s", group.IDLE, 1), 6.0)
    assert state.phase == group.DOWN
    assert state.reason.startswith("n2: no heartbeat") and state.reason.endswith("no restart is left of 1 within an hour")


def test_a_rank_that_cannot_be_ended_ends_the_launch() -> None:
    state = group.step(serving(), group.Report(2, "s", group.CLOSING, 1, "died", group.SIGNAL), 2.0)
    state = group.step(state, group.Report(0, "s", group.IDLE, 1), 3.0)
    for second in range(2, 2 + int(group.ENDING_BOUND)):
        state = group.step(state, group.Report(1, "s", group.CLOSING, 1), float(second))
        state = group.step(state, group.Report(2, "s", group.IDLE, 1), float(second))
    assert state.phase == group.ENDING
    state = group.step(state, group.Report(1, "s", group.CLOSING, 1), 2.0 + group.ENDING_BOUND)
    assert (state.phase, state.reason) == (group.DOWN, "n2: died; n1 did not end within 60 s")


@pytest.mark.parametrize("kind", [group.EXIT, group.SETUP, group.FLOOR, group.WEDGE, group.SIGNAL, group.LINK, group.STOP])
def test_what_never_served_is_tried_again_only_after_what_passes(kind: str) -> None:
    state = group.begin(NAMES, 3, 600, 0.0)
    for doing, generation in ((group.IDLE, 0), (group.STARTING, 1)):
        for rank in range(len(NAMES)):
            state = group.step(state, group.Report(rank, "s", doing, generation), 1.0)
    state = group.step(state, group.Report(1, "s", group.CLOSING, 1, "it", kind), 2.0)
    for rank in range(len(NAMES)):
        state = group.step(state, group.Report(rank, "s", group.IDLE, 1), 2.0)
    assert (state.phase == group.STARTING, state.phase == group.DOWN) == ((True, False) if kind in group.PASSING else (False, True))
    assert len(state.restarts) == (kind in (group.SIGNAL, group.LINK))


def test_mods_are_waited_for_beyond_the_gathering_and_nobody_else_is() -> None:
    """Two mods of 400 s each; each has a bound of its own, and is told when it has passed that."""

    def after(seconds: int, *doing: str) -> group.Group:
        found = group.begin(NAMES, 3, 780, 0.0)
        for now in range(seconds):
            for rank, one in enumerate(doing):
                found = group.step(found, group.Report(rank, "s", one, 0), float(now))
        return group.step(found, group.Tick(), float(seconds))

    state = after(1100, group.MODS, group.IDLE, group.MODS)
    assert state.phase == group.WAITING
    for rank in (0, 2):
        state = group.step(state, group.Report(rank, "s", group.IDLE, 0), 1100.0)
    assert state.phase == group.STARTING
    assert after(779, group.MODS, group.IDLE, "starting up").phase == group.WAITING
    late = after(780, group.IDLE, group.IDLE, "starting up")
    assert (late.phase, late.reason) == (group.DOWN, "did not come within 780 s: n2 (starting up)")
    # One that is not heard applies nothing.
    assert after(780, group.MODS, group.IDLE).phase == group.DOWN


@pytest.mark.parametrize("limit", [0, 3])
def test_who_is_stopped_before_the_first_start_comes_again_where_anything_may(limit: int) -> None:
    state = group.begin(NAMES, limit, 780, 0.0)
    for doing, reason in ((group.MODS, ""), (group.CLOSING, "was stopped")):
        state = group.step(state, group.Report(1, "s", doing, 0, reason, group.STOP if reason else ""), 1.0)
    assert state.phase == (group.WAITING if limit else group.DOWN)
    for rank in range(len(NAMES)):
        state = group.step(state, group.Report(rank, "t", group.IDLE, 0), 2.0)
    assert state.phase == (group.STARTING if limit else group.DOWN)


def test_who_has_come_once_and_is_silent_for_a_moment_is_gathered_anew() -> None:
    found = group.begin(NAMES, 3, 780, 0.0)
    for now in range(900):
        for rank, doing in enumerate((group.IDLE, group.MODS, group.IDLE)):
            if rank < 2 or now < 850:
                found = group.step(found, group.Report(rank, "s", doing, 0), float(now))
    assert (found.phase, found.ranks[2].doing) == (group.WAITING, group.AWAY)
    for now in range(900, 1700):
        found = group.step(found, group.Report(1, "s", group.MODS, 0), float(now))
    assert (found.phase, found.reason) == (group.DOWN, "did not come within 780 s: n1 (mods), n2")


@pytest.mark.parametrize("kind", [group.SIGNAL, group.STOP, group.LINK])
def test_what_has_failed_its_gate_goes_on_and_is_not_started_again(kind: str) -> None:
    state = dataclasses.replace(serving(), refused=True)
    assert group.step(state, group.Tick(), 1.5).phase == group.SERVING
    state = group.step(state, group.Report(1, "s", group.CLOSING, 1, "it died", kind), 2.0)
    for rank in range(len(NAMES)):
        state = group.step(state, group.Report(rank, "s", group.IDLE, 1), 2.0)
    assert (state.phase, state.reason) == (group.DOWN, "n1: it died; its gate has failed, so it is not started again")


@pytest.mark.parametrize("refused", [False, True])
def test_after_a_reboot_what_has_failed_its_gate_waits_for_somebody(refused: bool) -> None:
    kept: dict[str, Any] = {"generation": 1, "served": True, "reason": "n0: was stopped", "kind": group.STOP}
    state = group.Group(tuple(map(group.Rank, NAMES)), 3, 600, 0.0, **kept, refused=refused)
    for rank in range(len(NAMES)):
        state = group.step(state, group.Report(rank, "s", group.IDLE, 1), 1.0)
    assert state.phase == (group.DOWN if refused else group.STARTING)


def test_an_hour_later_restarts_are_forgotten() -> None:
    state, now = serving(limit=1), 1.0
    for generation in (1, 2):
        now += group.HOUR
        state = group.step(state, group.Report(0, "s", group.CLOSING, generation, "died", group.SIGNAL), now)
        for doing, number in ((group.IDLE, generation), (group.STARTING, generation + 1), (group.UP, generation + 1)):
            for rank in range(len(NAMES)):
                state = group.step(state, group.Report(rank, "s", doing, number), now)
        assert (state.phase, state.generation) == (group.SERVING, generation + 1)


def test_a_restart_counts_for_an_hour_while_the_group_serves() -> None:
    state = dataclasses.replace(serving(), restarts=(100.0, 3000.0))
    for now, count in ((3699.0, 2), (3700.0, 1), (6599.0, 1), (6600.0, 0)):
        state = dataclasses.replace(state, ranks=tuple(dataclasses.replace(rank, heard=now) for rank in state.ranks))
        state = group.step(state, group.Tick(), now)
        assert (state.phase, group.order(state)["restarts"]) == (group.SERVING, count), now


def test_a_late_order_starts_nothing() -> None:
    late = {"do": "run", "generation": 3}
    assert group.follow(late, last=3, running=False) == "wait"
    assert group.follow(late, last=4, running=False) == "wait"
    assert group.follow(late, last=4, running=True) == "end"
    assert group.follow(late, last=2, running=False) == "start"


@pytest.mark.parametrize("text", ["", "{}", "[]", '{"launch": "l"}', '{"launch": "l", "boot_id": "b", "restarts": [null]}'])
def test_a_record_that_cannot_be_read_starts_nothing(tmp_path: Path, text: str) -> None:
    (tmp_path / "group.json").write_text(text)
    found = record.read(str(tmp_path / "group.json"), "l", "b", group.begin(NAMES, 3, 600, 0.0))
    assert found is not None
    assert found.phase == group.DOWN
    assert "serve.yml starts afresh" in found.reason


def test_a_record_of_another_launch_is_none(tmp_path: Path) -> None:
    path = str(tmp_path / "group.json")
    record.write(path, "yesterday", "b", serving())
    assert record.read(path, "l", "b", group.begin(NAMES, 3, 600, 0.0)) is None
    found = record.read(path, "yesterday", "b", group.begin(NAMES, 3, 600, 0.0))
    assert found is not None
    assert (found.phase, found.generation, found.served) == (group.WAITING, 1, True)
    assert json.loads(Path(path).read_text())["phase"] == "serving"


def test_a_rank_short_of_memory_holds_up_no_end_and_starts_nothing() -> None:
    """Nothing of ours runs there, while another rank of the generation still ends."""
    state = serving()
    state = group.step(state, group.Report(1, "s", group.CLOSING, 1, "the host has had less than 2 GiB", group.FLOOR), 10.0)
    state = group.step(state, group.Report(0, "s", group.IDLE, 1), 11.0)
    state = group.step(state, group.Report(2, "s", group.SHORT, 1), 12.0)
    assert state.phase == group.ENDING
    state = group.step(state, group.Report(1, "s", group.IDLE, 1), 13.0)
    assert (state.phase, state.generation) == (group.WAITING, 1)
    state = group.step(state, group.Report(2, "s", group.IDLE, 1), 14.0)
    assert (state.phase, state.generation, len(state.restarts)) == (group.STARTING, 2, 1)


def test_only_the_restarts_of_the_last_hour_count() -> None:
    state = dataclasses.replace(serving(), restarts=(100.0, 3000.0))
    assert group.recent(state, 3500.0) == (100.0, 3000.0)
    assert group.recent(state, 3700.0) == (3000.0,)
    assert group.recent(state, 10**6) == ()
