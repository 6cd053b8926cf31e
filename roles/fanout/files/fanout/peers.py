# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who has which piece: the journals of this node's predecessors, nearest first."""

from __future__ import annotations

import http.client
import threading
import time
from urllib.parse import urlsplit

RETRY_SECONDS = 20.0
# Nodes start one after the other: how long the origin may take to come up after this node.
START_SECONDS = 120.0
POLL_SECONDS = 0.05
IDLE_POLL_SECONDS = 0.5
# Of one look: the rest is asked for in the next. A journal that trickles would hold up the look at all others.
LOOK_BYTES, LOOK_SECONDS = 4 * 1024**2, 3.0
Piece = tuple[str, int, int]


class Peer:
    """One predecessor: its base URLs (one per rail) and what its journal said so far."""

    def __init__(self, urls: list[str]) -> None:
        self.urls = urls
        self.ready: dict[Piece, int] = {}
        self.ended = False
        self.answered = False
        self.progress = time.monotonic()
        self.down_until = 0.0
        self._offset = 0
        self._tail = b""
        self._turn = 0
        self._connection: http.client.HTTPConnection | None = None

    @staticmethod
    def _body(answer: http.client.HTTPResponse) -> bytes:
        """What comes of an answer in one look."""
        body, deadline = b"", time.monotonic() + LOOK_SECONDS
        while len(body) < LOOK_BYTES and time.monotonic() < deadline:
            part = answer.read1(LOOK_BYTES - len(body))
            body += part
            if not part:
                break
        return body

    def poll(self) -> bool:
        """Read what is new in the journal; True if something was. Raises OSError or HTTPException."""
        if self._connection is None:
            self._connection = http.client.HTTPConnection(urlsplit(self.urls[self._turn % len(self.urls)]).netloc, timeout=3)
        try:
            self._connection.request("GET", "/ready", headers={"Range": f"bytes={self._offset}-"})
            answer = self._connection.getresponse()
            body = self._body(answer)
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            self._turn += 1  # the other half of the port may still work
            raise
        # Before 3.11.8 and 3.12.2 an answer that was read to its end by read1 is still open (gh-113199).
        if answer.length == 0:
            answer.close()
        if not answer.isclosed():
            self._connection.close()
            self._connection = None
        if answer.status == 416:  # nothing new
            self.answered = True
            return False
        if answer.status != 206:
            raise OSError(f"HTTP status {answer.status} for its journal")
        self.answered = True
        self._offset += len(body)
        lines = (self._tail + body).split(b"\n")
        self._tail = lines.pop()
        for line in lines:
            words = line.decode("ascii").split()
            if words[0] == "end":
                self.ended = True
            elif words[0] != "=":
                self.ready[(words[0], int(words[1]), int(words[2]))] = int(words[3])
        return bool(lines)


class Peers:
    """All predecessors. A thread reads the nearest one's journal, and the next one's while nearer ones are down or stalled."""

    def __init__(self, parents: list[list[str]], stall_seconds: float) -> None:
        self.peers = [Peer(urls) for urls in parents]
        self.stall = stall_seconds
        self.started = time.monotonic()
        self.changed = threading.Condition()
        self.passed: dict[str, str] = {}
        self._stop = threading.Event()

    def start(self) -> None:
        threading.Thread(target=self._watch, daemon=True).start()

    def stop(self) -> None:
        self._stop.set()

    def usable(self, peer: Peer) -> bool:
        """Can pieces be asked of it now? The origin is never given up."""
        return peer is self.peers[-1] or time.monotonic() >= peer.down_until

    def hopeful(self, peer: Peer) -> bool:
        """Is it worth waiting for: reachable, not ended, and with progress of late?"""
        if not self.usable(peer) or peer.ended:
            return False
        if not peer.answered:
            return self._starting(peer)
        if time.monotonic() - peer.progress < self.stall:
            return True
        self.passed.setdefault(peer.urls[0], f"no progress for {self.stall:.0f} s")
        return False

    def _starting(self, peer: Peer) -> bool:
        """May a peer that has never answered still be on its way?"""
        return time.monotonic() - self.started < (START_SECONDS if peer is self.peers[-1] else self.stall)

    def down(self, peer: Peer, why: str) -> None:
        """Pass it by for a while."""
        peer.down_until = time.monotonic() + RETRY_SECONDS
        self.passed[peer.urls[0]] = why

    def source(self, piece: Piece, avoid: set[str]) -> Peer | None:
        """The nearest one that has the piece, but none beyond one that is worth waiting for. Call it with `changed` held."""
        for peer in self.peers:
            if self.usable(peer) and piece in peer.ready and peer.urls[0] not in avoid:
                return peer
            if self.hopeful(peer) and peer.urls[0] not in avoid:
                return None
        return None

    def _watch(self) -> None:
        while not self._stop.is_set():
            new = False
            for peer in self.peers:
                if not self.usable(peer):
                    continue
                try:
                    got = peer.poll()
                except (OSError, http.client.HTTPException, ValueError, IndexError) as error:
                    got = False
                    if peer.answered or not self._starting(peer):
                        self.down(peer, str(error) or type(error).__name__)
                with self.changed:
                    if got:
                        peer.progress = time.monotonic()
                        new = True
                if self.hopeful(peer):
                    break
            with self.changed:
                self.changed.notify_all()
            self._stop.wait(POLL_SECONDS if new else IDLE_POLL_SECONDS if self._idle() else 2 * POLL_SECONDS)

    def _idle(self) -> bool:
        """Has nothing come for a while? Then ask less often."""
        return all(time.monotonic() - peer.progress > 5 for peer in self.peers)
