# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A worker's side of the link: one connection to the head, given up only after silence and failed new ones."""

from __future__ import annotations

import dataclasses
import selectors
import socket
import time
from typing import Any, Callable

import group
import wire
from link import Connection, Link

# Seconds for a whole attempt to connect: from half of LOST on, so that two fit before the verdict.
ATTEMPT = 0.9
UNREACHABLE = "cannot be reached"


class Worker(Link):
    """A worker's side: keeps one connection to the head, and gives up on it only after silence and a failed new one."""

    def __init__(self, settings: dict[str, Any], key: bytes, rank: int, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(settings, rank, clock)
        host, port = settings["address"].rsplit(":", 1)
        self.address = (host, int(port))
        self.gather_seconds: float = settings["gather_seconds"]
        self.lost = group.lost_after(self.limit)
        self.key = key
        self.heard: float | None = None
        self.since = clock()
        self.trouble = "not tried yet"
        self._order: dict[str, Any] = {}
        self._up: Connection | None = None
        self._trying: Connection | None = None
        self._caller: wire.Caller | None = None
        self._tried = self._told = 0.0
        self._said: group.Report | None = None

    def order(self) -> dict[str, Any]:
        with self.lock:
            now = self.clock()
            if self.heard is not None and now - self.heard < self.lost:
                return self._order
            head, port = self.names[0], self.address[1]
            where = f"{self.address[0]}:{port}"
            nothing = {
                "unheard": True,
                "generation": 0,
                "kind": group.LINK,
                "restarts": 0,
                "limit": self.limit,
                "missing": [f"{head} ({self.trouble} at {where})"],
            }
            if self.heard is None:
                # Whoever cannot ask waits, unless nobody would ever come.
                if self.limit == 0 and now - self.since >= self.gather_seconds:
                    reason = f"{head}: {self.trouble} at {where} within {self.gather_seconds:.0f} s"
                    return {**nothing, "do": "down", "reason": reason}
                return {**nothing, "do": "wait", "reason": ""}
            reason = f"{head}: no heartbeat for {self.lost:.0f} s, and a new connection to {where} failed ({self.trouble})"
            return {**nothing, "do": "down" if self.limit == 0 else "lost", "reason": reason}

    def _ready(self, key: selectors.SelectorKey) -> None:
        connection: Connection = key.data
        try:
            if connection is self._trying and key.events & selectors.EVENT_WRITE:
                self._connected(connection)
                return
            for line in connection.lines():
                self._hear(connection, line)
        except (OSError, wire.Refused, ValueError, RecursionError) as error:
            self._failed(connection, getattr(error, "strerror", None) or str(error))

    def _connected(self, connection: Connection) -> None:
        code = connection.sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
        if code:
            raise OSError(code, "refused the connection" if code == 111 else UNREACHABLE)
        self._selector.modify(connection.sock, selectors.EVENT_READ, connection)
        self._caller = wire.Caller(self.key, self.launch, self.rank, self.names[self.rank], self.session)
        connection.send(wire.pack(self._caller.hello))

    def _hear(self, connection: Connection, line: bytes) -> None:
        now = self.clock()
        if connection is self._trying:
            assert self._caller is not None
            talk, proof, launch = self._caller.answer(line)
            if launch != self.launch:
                raise wire.Refused("serves another launch")
            connection.talk = talk
            connection.send(proof)
            if self._up:
                self._drop(self._up)
            self._up, self._trying = connection, None
            self._say(now)
            return
        assert connection.talk is not None
        message = connection.talk.hear(line)
        if not isinstance(message.get("do"), str) or not isinstance(message.get("generation"), int):
            raise wire.Refused("no order")
        with self.lock:
            before, self._order, self.heard = self._order, message, now
        if [before.get(key) for key in ("do", "generation")] != [message["do"], message["generation"]]:
            self._news.set()

    def _turn(self, now: float) -> None:
        trying = self._trying
        if trying and now - trying.since >= ATTEMPT:
            # What the kernel says of a peer that is off comes with every other attempt; one text is one line in the journal.
            self._failed(trying, self.trouble if self.trouble == UNREACHABLE else "does not answer")
        with self.lock:
            silent = self._up is None or self.heard is None or now - self.heard >= group.LOST / 2
        if silent and self._trying is None and now - self._tried >= ATTEMPT / 2:
            self._try(now)
        if self._up and (now - self._told >= group.BEAT or self._said is not self.mine):
            self._say(now)

    def _try(self, now: float) -> None:
        self._tried = now
        try:
            connection = Connection(socket.socket(socket.AF_INET, socket.SOCK_STREAM), now)
        except OSError as error:  # no descriptor, no memory: the next attempt may have it
            self.trouble = f"no socket: {error.strerror}"
            return
        self._trying = connection
        code = connection.sock.connect_ex(self.address)
        if code not in (0, 115):  # EINPROGRESS
            self._failed(connection, UNREACHABLE)
            return
        self._selector.register(connection.sock, selectors.EVENT_WRITE, connection)

    def _say(self, now: float) -> None:
        connection = self._up
        if connection is None or connection.talk is None:
            return
        self._told, self._said = now, self.mine
        words = {key: value for key, value in dataclasses.asdict(self._said).items() if key not in ("rank", "session")}
        try:
            connection.send(connection.talk.say(words))
        except OSError as error:
            self._failed(connection, str(error))

    def _last(self) -> None:
        if self._said is not self.mine:
            self._say(self.clock())

    def _failed(self, connection: Connection, why: str) -> None:
        self.trouble = why
        if connection is self._trying:
            self._trying = None
        if connection is self._up:
            self._up = None
        self._drop(connection)
