# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor of one node: mods once, then one generation after the other, as the group's head orders (`group.py`).

A node serves, or has joined, only while its engine (head) or its Ray node (worker) is alive; when the group is down for good, this
process says why. Without restarts (`restarts_per_hour: 0`) it ends then, and the container with it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import os
import signal
import time
from typing import Any

import group
import memory
import mods
import notices
import probe
import record
import wire
from generation import LOOK, Failed, Generation
from link import Link
from link_head import Head
from link_worker import Worker
from memory import Floor, Guard
from processes import Family, adopt_orphans, stay_in_memory
from status import Status
from watchdog import Feeder

# Seconds that each step may take, and what stop grants. `engine` comes with the plan: weights take minutes.
DEADLINES = {"mods": 600, "ray": 180, "members": 300, "engine": 1800, "drain": 20, "stop": 30}
# What a generation that has failed is granted between SIGTERM and SIGKILL.
GRACE = 2.0
# Beside the status file, where role gate leaves it: what has failed its gate is not started again.
REFUSED = "refused"
# For the others to hear that the group is down, and for the head to say so.
FAREWELL = 3.0
# Every library that opens sockets between ranks must use the fabric.
INTERFACE_ENV = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "UCX_NET_DEVICES", "OMPI_MCA_btl_tcp_if_include")


class Stopped(Exception):
    """SIGTERM or SIGINT came."""


class Ended(Exception):
    """The group has ended this generation; the text is the first culprit."""

    def __init__(self, order: dict[str, Any]) -> None:
        super().__init__(order["reason"])
        self.kind: str = order.get("kind", "")


class Down(Exception):
    """The group does not start again; the text says why."""


class Supervisor:
    """One node's part of a plan, from start to end. `part` is the JSON that the engine role writes."""

    def __init__(self, part: dict[str, Any]) -> None:
        self.part = part
        self.deadlines = {**DEADLINES, **part.get("deadlines", {})}
        alone = {"names": [part["node"]], "launch": part["hash"], "address": None, "secret_file": None, "restarts_per_hour": 0}
        self.settings: dict[str, Any] = {
            **alone,
            "gather_seconds": self.deadlines["mods"] + self.deadlines["ray"],
            **(part.get("group") or {}),
        }
        self.limit: int = self.settings["restarts_per_hour"]
        about = {key: part[key] for key in ("node", "rank", "role", "hash", "profile")}
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            about["boot_id"] = file.read().strip()
        self.status = Status(part["status_file"], about)
        # Started again by Docker, not by serve: what is not there yet may come.
        self.again = bool(self.limit) and Status.hash_of(part["status_file"]) == part["hash"]
        self.record = os.path.join(os.path.dirname(part["status_file"]), record.NAME)
        self.notices = notices.Notices(part)
        self.family = Family()
        self.env = dict(os.environ)
        self.cwd = os.getcwd()
        self.link: Link | None = None
        self.life: Generation | None = None
        self.number = 0
        self.guard = Guard(Floor(part["memory_floor_gib"]), self.family.kill)
        self.term = False
        self._kept: Any = None

    def run(self) -> int:
        """Supervise until the end. 0: stopped as asked; 1: down, with the reason in the status file and the log."""
        adopt_orphans()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self.status.evidence(stays_in_memory=stay_in_memory())
        self.guard.start()
        Feeder(self.family, self.limit, self.part["status_file"], self.part["node"], self.part["profile"]).start()
        try:
            try:
                self._network()
                self.link = self._join()
                self._mods()
                while True:
                    self._generation(self._gathered())
            except Stopped:
                self._stop()
                self._spared()
                self._keep()
                self.status.enter("stopped", "as asked")
                return 0
        except (Down, Failed, OSError, RuntimeError) as error:
            # What the guard has killed fails in its own way; the memory is why.
            self._down(str(error) if isinstance(error, Down) else self.guard.verdict or str(error))
        finally:
            if self.link:
                self.link.close()
        return 1

    def _on_signal(self, _number: int, _frame: Any) -> None:
        self.term = True

    # -- before the first generation -----------------------------------------------------------------------------------

    def _network(self) -> None:
        address = self.part["address"]
        if address is None:
            return
        interface = probe.interface_of(address)
        missing = f"no interface holds the fabric address {address}; check gx10_fabric_address and the link"
        # Docker may start a container again before the network of a node that boots is up.
        while interface is None and self.again:
            if self.term:
                raise Stopped
            self.status.enter("waiting", missing)
            self.status.again()
            time.sleep(LOOK)
            interface = probe.interface_of(address)
        if interface is None:
            raise Failed(missing)
        self.status.evidence(interface=interface)
        for name in INTERFACE_ENV:
            self.env.setdefault(name, interface)

    def _join(self) -> Link:
        """This node's side of the group's link."""
        settings, many = self.settings, len(self.settings["names"]) > 1
        key = b""
        if many:
            with open(settings["secret_file"], "rb") as file:
                secret = file.read().strip()
            # Of an empty one everybody knows the key.
            if len(secret) < wire.SHORTEST:
                where, wanted = settings["secret_file"], f"at least {wire.SHORTEST}; serve again: the control node makes a new one"
                raise Failed(f"{where}: found a secret of {len(secret)} bytes; wanted {wanted}")
            key = wire.key_of(secret)
        link: Link
        if self.part["rank"] and many:
            link = Worker(settings, key, self.part["rank"])
        else:
            fresh = group.begin(settings["names"], self.limit, settings["gather_seconds"], time.monotonic())
            restored = record.read(self.record, settings["launch"], self.status.data["boot_id"], fresh) if self.limit else None
            try:
                link = Head(settings, key, restored or fresh)
            except OSError as error:
                where = settings["address"]
                raise Failed(
                    f"{where}: the group's link cannot listen: {error}; end who does (ss -ltnp), or change gx10_group_port"
                ) from error
        if isinstance(link, Head):
            link.refuse(self._refused())
        if many:
            link.start()
        return link

    def _refused(self) -> bool:
        return os.path.exists(os.path.join(os.path.dirname(self.part["status_file"]), REFUSED))

    def _mods(self) -> None:
        """Once per container; a mod that fails ends the launch."""
        assert self.link is not None
        try:
            if self.part["mods"]:
                self.link.report(group.MODS, 0)
                self.status.enter("mods")
                # A mod may refuse a checkpoint that it would corrupt.
                env = {**self.env, "GX10_MODEL_DIR": self.part["model_dir"]}
                mods.apply(self.family, self.part["mods"], self.part["mods_dir"], self.cwd, env, self.deadlines["mods"], self._modding)
                self.status.evidence(mods=self.part["mods"])
        except (OSError, RuntimeError) as error:
            own = self.guard.verdict or str(error)
            self.link.report(group.IDLE, 0, own, group.SETUP)
            self.status.evidence(own=own)
            self._told_down(own)
        self.link.report(group.IDLE, 0)

    def _modding(self) -> None:
        """Raise what ends a mod before it has ended: both end all that it has started, by SIGKILL after a short grace."""
        if self.term:
            raise Stopped
        order = self._order()
        if order["do"] == "down":
            raise Down(order["reason"])

    def _told_down(self, own: str) -> None:
        """Wait for the group's word after a failure that ends the launch."""
        assert self.link is not None
        deadline = time.monotonic() + FAREWELL
        while self.link.order()["do"] != "down" and time.monotonic() < deadline:
            time.sleep(LOOK)
        order = self.link.order()
        raise Down(order["reason"] if order["do"] == "down" else own)

    # -- generations ---------------------------------------------------------------------------------------------------

    def _gathered(self) -> int:
        """Wait until the group starts its next generation; its number."""
        assert self.link is not None
        short = 0.0
        while True:
            self.family.reap()
            if self.term:
                raise Stopped
            if self.guard.verdict and (self.number or self.again):
                self.link.report(group.SHORT, self.number)
                self._watch_memory_anew()
                short = time.monotonic()
            elif short and time.monotonic() - short > 2 * memory.SECONDS:
                short = 0.0
                self.link.report(group.IDLE, self.number)
            self._spared()
            self._keep()
            order = self._order()
            following = group.follow(order, self.number, running=False)
            if self.number and order["reason"] and not order.get("unheard") and (order["do"] != "run" or following == "start"):
                # The first culprit, where this rank knew its own end alone.
                self.status.data["evidence"]["ended"] = order["reason"]
            if following == "start":
                return int(order["generation"])
            if following == "down":
                raise Down(order["reason"])
            if order["generation"] > self.number:
                # Passed: it will not be started here, however late somebody asks for it.
                self.number = order["generation"]
                self.link.report(group.IDLE, self.number)
            self._say_waiting(order)
            self.link.pause(LOOK)

    def _say_waiting(self, order: dict[str, Any]) -> None:
        if not order["missing"] and order["do"] == "run":
            return
        text = f"for {', '.join(order['missing'][:8])}" if order["missing"] else "for the others to end"
        reason = order["reason"] or self.status.data["evidence"].get("ended", "")
        self.status.enter("waiting", f"{text}; {reason}" if reason else text)

    def _generation(self, number: int) -> None:
        """One generation, from its start until all of it has ended."""
        assert self.link is not None
        self.number = number
        order = self.link.order()
        self.status.begin(number, order["restarts"], order["limit"])
        self.life = Generation(self.part, self.deadlines, self.family, self.env, self.status, self._check, self.link.pause)
        self.link.report(group.STARTING, number)
        own, kind = "", ""
        try:
            self.life.start()
            self.link.report(group.UP, number)
            self.status.enter("serving" if self.life.watch else "joined")
            while True:
                self.life.look()
                self.link.pause(LOOK)
        except Ended as end:
            reason = str(end)
            self.link.report(group.CLOSING, number)
            self.family.ask()  # before anything that waits for a disk
            self._keep()
            self.status.enter("stopping" if end.kind == group.STOP else "failing", reason)
        except (Failed, OSError, RuntimeError) as error:
            own, kind = self.guard.verdict or str(error), group.FLOOR if self.guard.verdict else getattr(error, "kind", group.SETUP)
            # First, so that the others end at the same time.
            self.link.report(group.CLOSING, number, own, kind)
            self.family.ask()
            reason = self.link.order()["reason"] or own if isinstance(self.link, Head) else own
            self.status.enter("failing", reason)
        self.life.end(0 if self.guard.verdict else GRACE)
        self.life = None
        self.status.ended(reason, own)
        if kind == group.FLOOR and self.limit:
            memory.wait(self.guard.floor, self._no_more, self._rest)
        self._watch_memory_anew()
        self.link.report(group.IDLE, number, own, kind)

    def _no_more(self) -> bool:
        """Will there be no further generation?"""
        assert self.link is not None
        return self.term or self.link.order()["do"] == "down"

    def _rest(self, seconds: float) -> None:
        assert self.link is not None
        self._keep()
        self.link.pause(seconds)

    def _check(self) -> bool:
        """Raise what ends this generation from outside of it, or say whether the group serves."""
        assert self.link is not None
        if self.term:
            raise Stopped
        self._spared()
        order = self._order()
        if group.follow(order, self.number, running=True) == "end":
            if order.get("unheard"):
                raise Failed(order["reason"], group.LINK)
            raise Ended(order)
        # After the order to end: a disk may hang.
        self._keep()
        self.status.count(order["restarts"], order["limit"])
        return bool(order.get("serving"))

    def _order(self) -> dict[str, Any]:
        assert self.link is not None
        if not self._linked():
            raise Failed("the thread of the group's link has ended; see this container's log", group.SETUP)
        return self.link.order()

    def _linked(self) -> bool:
        return self.link is None or len(self.settings["names"]) == 1 or self.link.is_alive()

    def _spared(self) -> None:
        """Raise Failed once memory was under the floor."""
        if self.guard.verdict:
            raise Failed(self.guard.verdict, group.FLOOR)

    def _watch_memory_anew(self) -> None:
        floor = self.guard.floor
        self.guard.over.set()
        self.guard = Guard(Floor(floor.gib, floor.read, floor.clock), self.family.kill)
        self.guard.start()

    def _keep(self) -> None:
        """Put what the head must not forget on disk, before a generation is told to anybody."""
        self.status.again()
        link = self.link
        if not isinstance(link, Head):
            return
        link.refuse(self._refused())
        state = link.group
        self.notices.see(state)
        self._record(state)
        link.keep(state.generation)

    def _record(self, state: group.Group) -> None:
        # After a power cut nobody can tell how old a restart is: those that count no more are taken out before.
        state = dataclasses.replace(state, restarts=group.recent(state, time.monotonic()))
        phase = state.phase if state.phase in (group.DOWN, group.STOPPED) else ""
        now = (phase, state.generation, state.restarts, state.served)
        if self.limit and now != self._kept:
            # A full disk ends nothing that serves.
            with contextlib.suppress(OSError):
                record.write(self.record, self.settings["launch"], self.status.data["boot_id"], state)
                self._kept = now

    # -- the end -------------------------------------------------------------------------------------------------------

    def _down(self, reason: str) -> None:
        """Nothing is started any more. With restarts the container stays, so that whoever asks is told, and Docker starts nothing."""
        if self.status.data["phase"] != "failing":
            self.status.enter("failing", reason)
        self.family.sweep(0 if self.guard.verdict else GRACE)
        self.guard.over.set()
        self._keep()
        self.notices.see(self.link.group if isinstance(self.link, Head) else None, reason)
        self.status.enter("failed", reason)
        if self.link:
            self.link.report(group.DOWN, self.number, reason, group.SETUP)
        deadline = time.monotonic() + FAREWELL
        while isinstance(self.link, Head) and not self.limit and not self.link.alone() and time.monotonic() < deadline:
            time.sleep(LOOK)
        # Without the thread of its link it can neither ask nor be told: Docker starts it again.
        while self.limit and not self.term and self._linked():
            self.family.reap()
            self.status.again()
            if isinstance(self.link, Head):
                self._record(self.link.group)
            time.sleep(LOOK)

    def _stop(self) -> None:
        self.status.enter("stopping")
        link, life = self.link, self.life
        if isinstance(link, Worker):
            link.report(group.CLOSING, self.number, "was stopped", group.STOP)
        if life:
            life.drain(lambda: not self.guard.verdict)
        if isinstance(link, Head):
            link.stop("was stopped")
        if life:
            life.stop()
        else:
            self.family.sweep(GRACE)
