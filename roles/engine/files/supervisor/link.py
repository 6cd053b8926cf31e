# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The link between the supervisors of one launch: one TCP connection from each worker to the head, over the fabric.

Each side has one thread for it, which does nothing else: no file, no process, no lock that is held while anything waits.
"""

from __future__ import annotations

import contextlib
import secrets
import selectors
import socket
import threading
from typing import Any, Callable

import group
import wire

# Bytes that may wait for the other side before it counts as gone.
BACKLOG = 65536
LOOK = 0.2


class Connection:
    """A socket without blocking, and the lines on it."""

    def __init__(self, sock: socket.socket, now: float) -> None:
        self.sock, self.since = sock, now
        self.talk: wire.Talk | None = None
        self.host: wire.Host | None = None
        self._in = self._out = b""
        sock.setblocking(False)
        with contextlib.suppress(OSError):
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """Send what the kernel takes now, and keep the rest."""
        self._out += data
        if len(self._out) > BACKLOG:
            raise OSError("the other side reads nothing")
        with contextlib.suppress(BlockingIOError):
            while self._out:
                self._out = self._out[self.sock.send(self._out) :]

    def lines(self) -> list[bytes]:
        """Whole lines that have come; OSError at the end of the connection."""
        with contextlib.suppress(BlockingIOError):
            data = self.sock.recv(wire.LONGEST)
            if not data:
                raise OSError("closed")
            self._in += data
        *found, self._in = self._in.split(b"\n")
        if max(map(len, [*found, self._in])) > wire.LONGEST:
            raise wire.Refused("a line without an end")
        return found


class Link(threading.Thread):
    """What both sides have in common: this rank's report, the order for it, and a loop that beats."""

    def __init__(self, settings: dict[str, Any], rank: int, clock: Callable[[], float]) -> None:
        super().__init__(name="link", daemon=True)
        self.names: list[str] = settings["names"]
        self.launch: str = settings["launch"]
        self.limit: int = settings["restarts_per_hour"]
        self.rank, self.clock = rank, clock
        self.session = secrets.token_hex(8)
        self.lock = threading.Lock()
        self.mine = group.Report(rank, self.session, "starting up", 0)
        self.over = threading.Event()
        self._news = threading.Event()
        self._selector = selectors.DefaultSelector()
        self._waker, self._woken = socket.socketpair()
        for end in (self._waker, self._woken):
            end.setblocking(False)
        self._selector.register(self._woken, selectors.EVENT_READ)

    def report(self, doing: str, generation: int, reason: str = "", kind: str = "") -> None:
        """Say what this rank does from now on."""
        with self.lock:
            self.mine = group.Report(self.rank, self.session, doing, generation, reason[:1000], kind)
            self._reported()
        self.wake()

    def order(self) -> dict[str, Any]:
        """What this rank has to do now."""
        raise NotImplementedError

    def pause(self, seconds: float) -> None:
        """Wait, but not longer than until the order has changed."""
        self._news.wait(seconds)
        self._news.clear()

    def wake(self) -> None:
        """Say it at once, not with the next heartbeat."""
        with contextlib.suppress(OSError):
            self._waker.send(b"x")

    def close(self) -> None:
        """End the thread and all connections."""
        self.over.set()
        self.wake()
        if self.is_alive():
            self.join(2)

    def run(self) -> None:
        try:
            while not self.over.is_set():
                events = self._selector.select(LOOK)
                for key, _mask in events:
                    if key.fileobj is self._woken:
                        with contextlib.suppress(OSError):
                            self._woken.recv(4096)
                    else:
                        self._ready(key)
                self._turn(self.clock())
        finally:
            # Who is connected learns the last word, and then that it is the last.
            with contextlib.suppress(OSError):
                self._last()
            for key in list(self._selector.get_map().values()):
                key.fileobj.close()  # type: ignore[union-attr]
            self._selector.close()
            self._waker.close()

    def _reported(self) -> None:
        """Under the lock."""

    def _ready(self, key: selectors.SelectorKey) -> None:
        raise NotImplementedError

    def _turn(self, now: float) -> None:
        raise NotImplementedError

    def _last(self) -> None:
        raise NotImplementedError

    def _drop(self, connection: Connection) -> None:
        with contextlib.suppress(KeyError, ValueError):
            self._selector.unregister(connection.sock)
        connection.sock.close()
