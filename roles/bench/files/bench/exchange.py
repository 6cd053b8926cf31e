# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""HTTP/1.1 over plain sockets, many requests in one thread, each byte with the time at which the kernel had it."""

from __future__ import annotations

import contextlib
import selectors
import socket
import struct
import time
from collections.abc import Callable

# Linux, x86-64 and aarch64: recvmsg says when the last packet of what it returns arrived, however late this program reads it.
SO_TIMESTAMPNS = 35
_STAMP = struct.Struct("qq")
READ = 65536
# Between two looks at time-outs and at who asked to stop.
TICK = 0.2
# Of a head or a size line; more is no HTTP of an engine.
LONGEST = 65536


class Answer:
    """A response as it comes: `feed` returns what of the body is in the bytes, without its transfer coding. Raises ValueError."""

    def __init__(self) -> None:
        self.status = 0
        self.over = False
        self._chunked = False
        self._left = -1  # bytes of the body, or of a chunk and its line end; -1 where the connection's end ends it
        self._rest = b""

    def feed(self, data: bytes) -> bytes:
        self._rest += data
        if not self.status and not self._head():
            return b""
        return self._chunks() if self._chunked else self._plain()

    def end(self) -> bool:
        """The connection ended: was the body whole?"""
        return self.over or (self.status > 0 and not self._chunked and self._left < 0)

    def _head(self) -> bool:
        head, found, rest = self._rest.partition(b"\r\n\r\n")
        if not found:
            if len(head) > LONGEST:
                raise ValueError("a head without an end")
            return False
        lines = head.decode("latin-1").split("\r\n")
        words = lines[0].split(" ", 2)
        if len(words) < 2 or not words[0].startswith("HTTP/1.") or not words[1].isdigit():
            raise ValueError(f"{lines[0][:80]!r}")
        self._rest = rest
        if words[1].startswith("1"):  # an interim response
            return self._head()
        self.status = int(words[1])
        fields = {name.strip().lower(): value.strip() for name, _colon, value in (line.partition(":") for line in lines[1:])}
        self._chunked = "chunked" in fields.get("transfer-encoding", "").lower()
        self._left = 0 if self._chunked else int(fields.get("content-length", -1))
        self.over = not self._chunked and self._left == 0
        return True

    def _plain(self) -> bytes:
        data, self._rest = self._rest, b""
        if self._left >= 0:
            data = data[: self._left]
            self._left -= len(data)
            self.over = not self._left
        return data

    def _chunks(self) -> bytes:
        out = []
        while not self.over:
            if self._left:
                taken = self._rest[: self._left]
                out.append(taken[: max(0, self._left - 2)])
                self._rest = self._rest[len(taken) :]
                self._left -= len(taken)
                if self._left:
                    break
            line, found, rest = self._rest.partition(b"\r\n")
            if not found:
                if len(line) > LONGEST:
                    raise ValueError("a chunk without a size")
                break
            size = int(line.partition(b";")[0], 16)
            if size < 0:
                raise ValueError(f"{line[:80]!r} as a chunk's size")
            self._rest = rest
            self._left = size + 2 if size else 0
            self.over = not size
        return b"".join(out)


class Exchange:
    """One request and what came of it, in `whole` seconds at most and never `quiet` seconds without a byte. Times are monotonic."""

    def __init__(self, request: bytes, quiet: float, whole: float) -> None:
        self.answer = Answer()
        self.pieces: list[tuple[float, bytes]] = []
        self.start = self.end = 0.0
        self.error = ""
        self.exact = True  # did the kernel say when each piece arrived?
        self._quiet, self._whole, self._heard = quiet, whole, 0.0
        self._unsent = memoryview(request)
        self.socket: socket.socket | None = None

    def connect(self, address: tuple[str, int], seconds: float) -> None:
        try:
            self.socket = socket.create_connection(address, seconds)
            self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with contextlib.suppress(OSError):
                self.socket.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
            self.socket.setblocking(False)
        except OSError as error:
            self.close(f"no connection: {error.strerror or error}")

    def send(self) -> bool:
        """Send what can be sent; is that all?"""
        if self.socket is None:
            return True
        try:
            self._unsent = self._unsent[self.socket.send(self._unsent) :]
        except BlockingIOError:
            pass
        except OSError as error:
            # An engine that refuses may answer before it has read all, and say why.
            self._unsent = self._unsent[len(self._unsent) :]
            if not isinstance(error, (BrokenPipeError, ConnectionResetError)):
                self.close(f"the request was not taken: {error.strerror or error}")
        return not self._unsent

    def receive(self) -> None:
        """Take what is there."""
        if self.socket is None:
            return
        try:
            data, extra, _flags, _address = self.socket.recvmsg(READ, 64)
        except BlockingIOError:
            return
        except OSError as error:
            self.close(f"the connection broke: {error.strerror or error}")
            return
        wall, now = time.time(), time.monotonic()
        if not data:
            self.close("" if self.answer.end() else "the connection ended before the answer did")
            return
        stamp = now
        if extra and len(extra[0][2]) >= _STAMP.size:
            seconds, nanoseconds = _STAMP.unpack(extra[0][2][: _STAMP.size])
            # The wall clock is only asked how long ago that was: it may be set meanwhile.
            stamp -= min(max(0.0, wall - seconds - nanoseconds * 1e-9), now - self.start)
        else:
            self.exact = False
        self._heard = now
        try:
            piece = self.answer.feed(data)
        except ValueError as error:
            self.close(f"the answer is no HTTP: found {error}")
            return
        if piece:
            self.pieces.append((stamp, piece))
        if self.answer.over:
            self.close("", stamp)

    def late(self, now: float) -> str:
        """Why this one has waited long enough; empty if it has not."""
        if now - max(self._heard, self.start) >= self._quiet:
            return f"nothing came for {self._quiet:g} s" + ("" if self.pieces else " after the request")
        return f"no end after {self._whole:g} s" if now - self.start >= self._whole else ""

    def close(self, error: str, at: float | None = None) -> None:
        if self.socket is not None:
            self.socket.close()
            self.socket = None
        self.end = time.monotonic() if at is None else at
        self.error = error

    def body(self) -> bytes:
        return b"".join(piece for _stamp, piece in self.pieces)


def drive(exchanges: list[Exchange], address: tuple[str, int], connect: float, stopped: Callable[[], str]) -> float:
    """Connect all, then send all at once, and read until each is over; returns when that was. `stopped` says why to end early."""
    for exchange in exchanges:
        exchange.connect(address, connect)
        if exchange.error:  # who does not answer one does not answer the others, each with a time-out of its own
            now = time.monotonic()
            for other in exchanges:
                other.start = now
                other.close(exchange.error, now)
            return now
    barrier = time.monotonic()
    with selectors.DefaultSelector() as selector:
        for exchange in exchanges:
            exchange.start = time.monotonic()
            whole = exchange.send()
            if exchange.socket is not None:
                selector.register(exchange.socket, selectors.EVENT_READ | (0 if whole else selectors.EVENT_WRITE), exchange)
        looked = barrier
        while selector.get_map():
            for key, events in selector.select(TICK):
                current: Exchange = key.data
                if events & selectors.EVENT_WRITE and current.send() and current.socket is not None:
                    selector.modify(key.fileobj, selectors.EVENT_READ, current)
                if events & selectors.EVENT_READ:
                    current.receive()
                if current.socket is None:
                    selector.unregister(key.fileobj)
            now = time.monotonic()
            if now - looked >= TICK:
                looked = now
                why = stopped()
                for key in list(selector.get_map().values()):
                    late = why or key.data.late(now)
                    if late:
                        selector.unregister(key.fileobj)
                        key.data.close(late)
    return barrier
