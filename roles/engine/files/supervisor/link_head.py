# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The head's side of the link: it hears all ranks, decides by `group.step`, and tells all."""

from __future__ import annotations

import contextlib
import dataclasses
import selectors
import socket
import time
from typing import Any, Callable

import group
import wire
from link import Connection, Link

# Seconds that a greeting may take.
GREETING = 2.0
# Connections that have not proven themselves; the oldest goes when one more comes.
PENDING = 16


class Head(Link):
    """The head's side: hears all, decides by `group.step`, and tells all. Alone, where the launch has one rank, it listens nowhere."""

    def __init__(
        self, settings: dict[str, Any], key: bytes, restored: group.Group | None, clock: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__(settings, 0, clock)
        self.key = key
        self.group = restored or group.begin(self.names, self.limit, settings["gather_seconds"], clock())
        # A generation is told to nobody before it is on disk: a head that is started again must not count it twice.
        self.saved = self.group.generation
        self._pending: list[Connection] = []
        self._ranks: dict[int, Connection] = {}
        self._told: dict[int, tuple[dict[str, Any], float]] = {}
        self._state: tuple[str, int] | None = None
        self._listener: socket.socket | None = None
        self.refusals: dict[str, int] = {}
        if len(self.names) > 1:
            host, port = settings["address"].rsplit(":", 1)
            # SO_REUSEADDR: connections of the generation before may linger.
            self._listener = socket.create_server((host, int(port)), backlog=64)
            self._listener.setblocking(False)
            self._selector.register(self._listener, selectors.EVENT_READ)

    def order(self) -> dict[str, Any]:
        with self.lock:
            self.group = group.step(self.group, group.Tick(), self.clock())
            return self._order()

    def stop(self, reason: str) -> None:
        """Nothing is started any more."""
        with self.lock:
            self.group = group.step(self.group, group.Stop(reason), self.clock())
        self.wake()

    def keep(self, generation: int) -> None:
        """A generation is on disk."""
        self.saved = max(self.saved, generation)
        self.wake()

    def refuse(self, refused: bool) -> None:
        """What is served has failed its gate, or not."""
        with self.lock:
            self.group = dataclasses.replace(self.group, refused=refused)

    def alone(self) -> bool:
        """Is no rank connected?"""
        return not self._ranks

    def _order(self) -> dict[str, Any]:
        found = group.order(self.group)
        if found["do"] == "run" and self.group.generation > self.saved:
            return {**found, "do": "wait", "generation": self.saved}
        return found

    def _reported(self) -> None:
        self.group = group.step(self.group, self.mine, self.clock())

    def _ready(self, key: selectors.SelectorKey) -> None:
        if key.fileobj is self._listener:
            self._accept()
            return
        connection: Connection = key.data
        try:
            for line in connection.lines():
                self._hear(connection, line)
        except (OSError, wire.Refused, ValueError, RecursionError) as error:
            if isinstance(error, wire.Refused):
                self._count(str(error))
            self._gone(connection)

    def _accept(self) -> None:
        assert self._listener is not None
        with contextlib.suppress(OSError):
            sock, _address = self._listener.accept()
            connection = Connection(sock, self.clock())
            connection.host = wire.Host(self.key, self.launch, self.names)
            self._selector.register(sock, selectors.EVENT_READ, connection)
            self._pending.append(connection)
            if len(self._pending) > PENDING:
                self._count("too many greetings at once")
                self._gone(self._pending[0])

    def _hear(self, connection: Connection, line: bytes) -> None:
        host = connection.host
        assert host is not None
        if connection.talk is None:
            if not host.caller:
                connection.send(host.greet(line))
                return
            connection.talk = host.proves(line)
            rank = host.caller["rank"]
            self._pending.remove(connection)
            if rank in self._ranks:
                self._gone(self._ranks[rank])
            self._ranks[rank] = connection
            return
        message = connection.talk.hear(line)
        words = [message.get(key) for key in ("doing", "reason", "kind")]
        generation: Any = message.get("generation")
        if not all(isinstance(word, str) for word in words) or not isinstance(generation, int) or generation < 0:
            raise wire.Refused("no report")
        doing, reason, kind = (str(word) for word in words)
        report = group.Report(host.caller["rank"], host.caller["session"], doing, generation, reason[:1000], kind)
        with self.lock:
            self.group = group.step(self.group, report, self.clock())

    def _turn(self, now: float) -> None:
        for connection in list(self._pending):
            if now - connection.since >= GREETING:
                self._count("a greeting that took too long")
                self._gone(connection)
        found = self.order()
        state = self.group.phase, self.group.generation
        if state != self._state:
            self._state = state
            self._news.set()
        for rank, connection in list(self._ranks.items()):
            told, at = self._told.get(rank, ({}, 0.0))
            if found != told or now - at >= group.BEAT:
                self._told[rank] = (found, now)
                self._tell(connection, found)

    def _tell(self, connection: Connection, found: dict[str, Any]) -> None:
        assert connection.talk is not None
        try:
            connection.send(connection.talk.say(found))
        except OSError:
            self._gone(connection)

    def _last(self) -> None:
        for connection in list(self._ranks.values()):
            self._tell(connection, self.order())

    def _gone(self, connection: Connection) -> None:
        """A closed connection is no sign of death: the rank may come with another one until its time is over."""
        if connection in self._pending:
            self._pending.remove(connection)
        for rank in [rank for rank, one in self._ranks.items() if one is connection]:
            del self._ranks[rank]
            self._told.pop(rank, None)
        self._drop(connection)

    def _count(self, why: str) -> None:
        self.refusals[why] = self.refusals.get(why, 0) + 1
