# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Pull what this node lacks: lanes of curl, each fetching one piece at a time from the nearest predecessor that has it."""

from __future__ import annotations

import errno
import itertools
import os
import subprocess
import threading
import time
from typing import IO, Any

from local import Part, Store, crc
from peers import Peer, Peers, Piece

RETRIES = 5
CURL_HTTP_ERROR = 22
CURL_WRITE_ERROR = 23


class LocalError(Exception):
    """This node cannot go on, whatever its peers do: no space, no permission."""


class Puller:
    """Publishes what is here, then fetches the rest, biggest file first."""

    def __init__(self, job: dict[str, Any], store: Store, peers: Peers) -> None:
        self.job, self.store, self.peers = job, store, peers
        self.lanes: int = job["lanes"]
        self.started = time.monotonic()
        self.seconds = 0.0
        self.phase = "pulling"
        self.failed: list[dict[str, str]] = []
        self.fetched: list[str] = []
        self.sources: dict[str, int] = {}
        self.repeated = 0
        self.resumed = 0
        self._lock = threading.Lock()
        self._stop = threading.Event()
        self._queue: list[Piece] = []
        self._left: dict[str, int] = {}
        self._tries: dict[Piece, int] = {}
        self._avoid: dict[Piece, set[str]] = {}
        self._partial: dict[Piece, int] = {}
        self._seen: dict[Piece, int] = {}
        self._offers: list[str] = []
        self._flying: dict[int, tuple[IO[bytes], int]] = {}
        self._turn = 0
        self._looked = 0.0
        self.total = 0

    def start(self) -> None:
        threading.Thread(target=self._run, daemon=True).start()

    def stop(self) -> None:
        self._stop.set()
        self.peers.stop()

    def state(self) -> dict[str, Any]:
        """What a person, or the control node, wants to know."""
        with self._lock:
            received = self.store.got + self._in_flight()
            return {
                "phase": self.phase,
                "total": self.total,
                "done": received + self.resumed,
                "received": received,
                "repeated": self.repeated,
                "resumed": self.resumed,
                "seconds": round(self.seconds or time.monotonic() - self.started, 2),
                "fetched": list(self.fetched),
                "failed": list(self.failed),
                "sources": dict(self.sources),
                "passed_by": dict(self.peers.passed),
            }

    def beat(self) -> None:
        """Tell those who wait for this node whether bytes came in, within a piece too: a big one takes long on a slow link."""
        with self._lock:
            received = self.store.got + self.repeated + self._in_flight()
        self.store.beat(received)

    def _in_flight(self) -> int:
        """Bytes of the transfers under way: curl moves the place in the file that both share."""
        return sum(max(0, file.tell() - first) for file, first in self._flying.values())

    def _run(self) -> None:
        try:
            self.peers.start()
            threads = [threading.Thread(target=self._guarded, args=(work,), daemon=True) for work in self._works()]
            for thread in threads:
                thread.start()
            for thread in threads:
                thread.join()
        except (OSError, LocalError) as error:
            self._fail(self.store.root, str(error))
        self.store.end()
        if not self.failed:
            self.store.tidy()
        with self._lock:
            self.seconds = time.monotonic() - self.started
            self.phase = "failed" if self.failed else "done"

    def _works(self) -> list[Any]:
        """What runs side by side: readers that publish what is here, and the lanes; as many of each."""
        store = self.store
        wanted = [digest for digest in store.names if digest not in store.have]
        for digest in [digest for digest in store.names if digest in store.have]:
            store.finish(digest)  # the same content under another name: no byte travels
            self.fetched += store.names[digest]
        wanted.sort(key=lambda digest: -store.sizes[digest])
        # As many files side by side as there are lanes: each file is hashed by one core, as its pieces arrive.
        for row in range(0, len(wanted), self.lanes):
            columns = [store.pieces(digest) for digest in wanted[row : row + self.lanes]]
            self._queue += [piece for pieces in itertools.zip_longest(*columns) for piece in pieces if piece]
        for digest in wanted:
            pieces = store.pieces(digest)
            self._left[digest] = len(pieces)
            self.total += store.sizes[digest]
            if not pieces:
                why = store.part(digest).wrong(digest)
                if why:
                    self._fail(", ".join(store.names[digest]), why)
                else:
                    self._complete(digest)
        self._offers = sorted((key for key in store.have if key not in store.names), key=lambda key: store.sizes[key])
        return [*([self._offer] * min(self.lanes, len(self._offers))), *([self._lane] * min(self.lanes, len(self._queue)))]

    def _guarded(self, work: Any) -> None:
        try:
            work()
        except (OSError, LocalError) as error:
            self._fail(self.store.root, str(error))
            self._stop.set()

    def _fail(self, path: str, why: str) -> None:
        with self._lock:
            if {"path": path, "why": why} not in self.failed:
                self.failed.append({"path": path, "why": why})

    def _offer(self) -> None:
        """Publish what this node has, biggest file first: read once, which also warms the page cache for nginx."""
        store = self.store
        while not self._stop.is_set():
            with self._lock:
                if not self._offers:
                    return
                digest = self._offers.pop()
            store.link(digest, store.have[digest])
            for piece in store.pieces(digest):
                if self._stop.is_set():
                    return
                store.publish(piece, crc(store.have[digest], piece[1], piece[2], store))

    def _lane(self) -> None:
        while not self._stop.is_set():
            found = self._next()
            if found is None:
                return
            piece, peer = found
            part = self.store.part(piece[0])
            if peer is None:
                self._accept(piece, part)
                continue
            why = self._fetch(piece, part, peer)
            if why:
                self._put_back(piece, peer, why)
            else:
                self._accept(piece, part)

    def _next(self) -> tuple[Piece, Peer | None] | None:
        """Wait for a piece that can be had: (piece, where), (piece, None) if it is here already, None when none is left."""
        with self.peers.changed:
            while not self._stop.is_set():
                if not self._queue:
                    if not any(self._left.values()):
                        return None
                else:
                    window = self._window()
                    for position, piece in enumerate(self._queue[:window]):
                        peer = None
                        if not self.store.part(piece[0]).covers(piece[1], piece[2]):
                            peer = self.peers.source(piece, self._avoid.get(piece, set()))
                            if peer is None:
                                continue
                        del self._queue[position]
                        return piece, peer
                    if window == len(self._queue):
                        self._give_up()
                self.peers.changed.wait(1.0)
        return None

    def _window(self) -> int:
        """How many pieces to look at: mostly the next ones, now and then all, since a peer may get them in another order."""
        if time.monotonic() - self._looked < 0.5:
            return min(8 * self.lanes, len(self._queue))
        self._looked = time.monotonic()
        return len(self._queue)

    def _give_up(self) -> None:
        """End when no source is left that could ever give what is missing."""
        if any(self.peers.hopeful(peer) for peer in self.peers.peers):
            return
        reasons = "; ".join(f"{url}: {why}" for url, why in self.peers.passed.items()) or "every source ended without it"
        for digest in {piece[0] for piece in self._queue}:
            self._fail(", ".join(self.store.names[digest]), f"no source is left: {reasons}")
        self._stop.set()

    def _fetch(self, piece: Piece, part: Part, peer: Peer) -> str:
        """Bring one piece into its place; returns an empty text, or why not. What came before a failure is kept."""
        digest, start, end = piece
        with self._lock:
            self._turn += 1
            url = f"{peer.urls[self._turn % len(peer.urls)]}/{digest}"
            first = start + self._partial.pop(piece, 0)
        with open(part.write(), "wb", buffering=0) as file:
            file.seek(first)
            with self._lock:
                self._flying[file.fileno()] = (file, first)
            # To standard output, which starts at the piece's place: curl itself can only write whole files.
            done = subprocess.run(
                [
                    *("curl", "--disable", "--fail", "--silent", "--show-error", "--noproxy", "*", "--connect-timeout", "3"),
                    *("--speed-limit", "1024", "--speed-time", str(max(1, int(self.job["stall_seconds"])))),
                    *("--range", f"{first}-{end - 1}", "--max-filesize", str(end - first), url),
                ],
                stdin=subprocess.DEVNULL,
                stdout=file,
                stderr=subprocess.PIPE,
                check=False,
            )
            with self._lock:
                del self._flying[file.fileno()]
                got = max(0, file.tell() - first)
                self.store.got += got
                self.sources[peer.urls[0]] = self.sources.get(peer.urls[0], 0) + got
        words = done.stderr.decode("utf-8", "replace").strip()
        if done.returncode == CURL_WRITE_ERROR:
            raise LocalError(f"{part.path}: {words or os.strerror(errno.ENOSPC)}; is the disk full?")
        if first + got > end or (done.returncode and first + got == end):
            # More than was asked for: no progress, or it would be asked for ever.
            part.cut()
            with self._lock:
                self.store.got -= got
                self.repeated += got
        if done.returncode or first + got != end:
            with self._lock:
                if first + got < end:
                    self._partial[piece] = first + got - start
            return f"curl exit code {done.returncode}: {words or f'{got} bytes of {end - first}'}"
        if part.crc(start, end) != peer.ready[piece]:
            with self._lock:
                self.store.got -= end - start
                self.repeated += end - start
            return "found bytes with another CRC-32 than its journal says"
        return ""

    def _put_back(self, piece: Piece, peer: Peer, why: str) -> None:
        """Try it again, elsewhere if possible."""
        with self.peers.changed:
            # A crowded link starves one stream while others run: only a try during which nothing at all came counts.
            progress, self._seen[piece] = self.store.got > self._seen.get(piece, -1), self.store.got
            self._tries[piece] = 1 if progress else self._tries.get(piece, 0) + 1
            last = peer is self.peers.peers[-1]
            if "CRC-32" in why and not last:
                self._avoid.setdefault(piece, set()).add(peer.urls[0])
                self.peers.passed[peer.urls[0]] = f"{', '.join(self.store.names[piece[0]])}: {why}"
            elif not last and f"code {CURL_HTTP_ERROR}:" not in why:
                self.peers.down(peer, why)
            if self._tries[piece] >= RETRIES:
                self._fail(", ".join(self.store.names[piece[0]]), f"{peer.urls[0]}: {why} ({RETRIES} tries)")
                self._left[piece[0]] = 0
                self._queue = [other for other in self._queue if other[0] != piece[0]]
                return
            self._queue.insert(0, piece)
        if last or f"code {CURL_HTTP_ERROR}:" in why:
            self._stop.wait(1.0)

    def _accept(self, piece: Piece, part: Part) -> None:
        """A piece is here: publish it, and the file once it is whole."""
        digest, start, end = piece
        resumed = part.covers(start, end)
        if resumed:
            with self._lock:
                self.resumed += end - start
        part.add(start, end)
        if self.store.sizes[digest] > self.store.piece:
            self.store.publish(piece, part.crc(start, end))
        with self.peers.changed:
            self._left[digest] -= 1
            finished = self._left[digest] == 0
        if not finished:
            return
        why = part.wrong(digest)
        if not why:
            self._complete(digest)
            if self.store.sizes[digest] <= self.store.piece:
                self.store.publish(piece, crc(self.store.have[digest], start, end))
        else:
            self._again(digest, part, why)
        with self.peers.changed:
            self.peers.changed.notify_all()

    def _complete(self, digest: str) -> None:
        self.store.finish(digest)
        with self._lock:
            self.fetched += self.store.names[digest]

    def _again(self, digest: str, part: Part, why: str) -> None:
        """Every piece is as its source has it, but the whole is not what the manifest says: once more, from the origin."""
        part.drop()
        with self.peers.changed:
            self.store.parts.pop(digest, None)
            pieces = self.store.pieces(digest)
            size = self.store.sizes[digest]
            self.store.got = max(0, self.store.got - size)
            self.repeated += size
            first = self._tries.get((digest, -1, -1), 0) == 0
            self._tries[(digest, -1, -1)] = 1
            if not first or len(self.peers.peers) == 1:
                self._fail(", ".join(self.store.names[digest]), f"{why}, from {self.peers.peers[-1].urls[0]} too")
                return
            for piece in pieces:
                self._avoid[piece] = {peer.urls[0] for peer in self.peers.peers[:-1]}
            self._left[digest] = len(pieces)
            self._queue = pieces + self._queue
