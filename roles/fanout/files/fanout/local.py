# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The files of this node: what is whole, what is in parts, and the journal of what others may fetch."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import threading
import zlib
from collections.abc import Iterator
from typing import Any

from _paths import Refusal, fresh, inside, kind, must, opened, pinned, unlisted

STAGE = ".gx10"
CHUNK = 4 * 1024**2


class Store:
    """Files by SHA-256. A wanted one grows in ROOT/.gx10/SHA256, with a record of its good pieces beside it.

    Raises Refusal with all that would be read or written elsewhere: by a file's name, or by a link that lies there.
    """

    def __init__(self, job: dict[str, Any]) -> None:
        self.root = os.path.realpath(job["root"])
        self.piece = job["piece"]
        self.served = os.path.join(job["work"], "files")
        self.stage = os.path.join(self.root, STAGE)
        self._open: dict[str, int] = {}  # SHA-256 to the descriptor that is served
        self.got = 0
        self.read = 0
        self._said = -1
        self._lock = threading.Lock()
        wanted = set(job["fetch"])
        problems = self._refused(job["files"], wanted)
        if problems:
            raise Refusal("\n".join(problems))
        self.have: dict[str, str] = {}  # SHA-256 to a whole file's full path
        self.parts: dict[str, Part] = {}
        self.names: dict[str, list[str]] = {}  # SHA-256 to the paths that it will get
        self.sizes: dict[str, int] = {}
        for item in job["files"]:
            digest = item["sha256"]
            self.sizes[digest] = item["size"]
            if item["path"] in wanted:
                self.names.setdefault(digest, []).append(item["path"])
            else:
                self.have.setdefault(digest, must(self.root, item["path"]))
        os.makedirs(self.served, exist_ok=True)
        with open(os.path.join(self.served, "ready"), "wb"):
            pass

    def _refused(self, files: list[dict[str, Any]], wanted: set[str]) -> list[str]:
        problems = unlisted(files)
        if os.path.lexists(self.stage) and (os.path.islink(self.stage) or not os.path.isdir(self.stage)):
            problems.append(f"{self.stage}: found a {kind(self.stage)}; wanted a folder of ours. Remove it")
        unknown = wanted - {item["path"] for item in files}
        problems += [f"{path}: found no file of that name in the job; wanted one" for path in sorted(unknown)]
        for path in [] if problems else [item["path"] for item in files]:
            # A wanted file takes the place of a link; the folder that it goes to must be here.
            if inside(self.root, os.path.dirname(path) if path in wanted else path) is None:
                problems.append(f"{path}: found a link out of {self.root}; wanted a file in it. Remove that link")
        return problems

    def pieces(self, digest: str) -> list[tuple[str, int, int]]:
        """The pieces of a file: (SHA-256, first byte, end)."""
        size = self.sizes[digest]
        return [(digest, start, min(start + self.piece, size)) for start in range(0, size, self.piece)]

    def publish(self, piece: tuple[str, int, int], crc: int) -> None:
        """Let others fetch a piece."""
        self._append(f"{piece[0]} {piece[1]} {piece[2]} {crc}")

    def beat(self, received: int) -> None:
        """A sign of life for those who wait for this node, whenever bytes came in or were read."""
        if received + self.read != self._said:
            self._said = received + self.read
            self._append(f"= {self._said}")

    def end(self) -> None:
        """Nothing more will come."""
        self._append("end")

    def _append(self, line: str) -> None:
        with self._lock, open(os.path.join(self.served, "ready"), "ab") as file:
            file.write(line.encode("ascii") + b"\n")

    def link(self, digest: str, path: str) -> None:
        """Serve a file under its hash, as it is now: it stays open, and nginx gets what is open, whatever lies at `path` by then."""
        descriptor = pinned(path)
        if digest in self._open:
            os.dup2(descriptor, self._open[digest], inheritable=False)
            os.close(descriptor)
            return
        self._open[digest] = descriptor
        link = os.path.join(self.served, digest)
        os.symlink(f"/proc/{os.getpid()}/fd/{descriptor}", link + ".new")
        os.replace(link + ".new", link)

    def part(self, digest: str) -> Part:
        """The growing file of a hash, with what an earlier run left of it; raises OSError where the disk is too small."""
        with self._lock:
            if digest not in self.parts:
                os.makedirs(self.stage, mode=0o755, exist_ok=True)
                self.parts[digest] = Part(os.path.join(self.stage, digest), self.sizes[digest], digest)
                self.link(digest, self.parts[digest].path)
            return self.parts[digest]

    def finish(self, digest: str) -> None:
        """Give a whole, verified file its names."""
        source = self.parts.pop(digest).close() if digest in self.parts else self.have[digest]
        for position, path in enumerate(self.names[digest]):
            final = os.path.join(must(self.root, os.path.dirname(path)), os.path.basename(path))
            os.makedirs(os.path.dirname(final), mode=0o755, exist_ok=True)
            if position == 0 and source.startswith(self.stage + os.sep):
                os.replace(source, final)
                source = final
            else:
                os.makedirs(self.stage, mode=0o755, exist_ok=True)
                second = os.path.join(self.stage, digest)
                with open(opened(source), "rb") as old, open(fresh(second), "wb") as new:
                    shutil.copyfileobj(old, new, CHUNK)
                os.chmod(second, 0o644)
                os.replace(second, final)
        self.have[digest] = source
        self.link(digest, source)

    def sync(self) -> None:
        """Bring what is here to the disk while others pull it: what Docker has just written out would hold up the end."""
        for descriptor in self._descriptors():
            os.fsync(descriptor)

    def release(self) -> None:
        """Give the page cache back: on a GB10 it is the engine's memory."""
        for descriptor in self._descriptors():
            os.fsync(descriptor)  # pages that are not written yet cannot be given back
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)

    def _descriptors(self) -> Iterator[int]:
        """Each file that is here, open, one after the other."""
        for path in list(self.have.values()):
            try:
                descriptor = opened(path)
            except OSError:
                continue  # removed meanwhile
            try:
                yield descriptor
            finally:
                os.close(descriptor)

    def tidy(self) -> None:
        """Remove the staging folder, if nothing is left in it."""
        with contextlib.suppress(OSError):  # parts of files that are still wanted, or no such folder
            os.rmdir(self.stage)


class Part:
    """One growing file. Its record, beside it, holds a line "START END" per good piece, so that a later run resumes."""

    def __init__(self, path: str, size: int, digest: str) -> None:
        self.path, self.size, self.digest = path, size, digest
        self.record = path + ".pieces"
        self.lock = threading.Lock()
        self.resumed = self._recorded()
        if not self.resumed:
            self._reset()
        with open(fresh(self.record), "w", encoding="ascii") as file:
            file.writelines(f"{start} {end}\n" for start, end in self.resumed)
        self.good: dict[int, int] = {}  # first byte to end, of what this run has checked
        self._hash = hashlib.sha256()
        self._hashed = 0

    def _recorded(self) -> list[tuple[int, int]]:
        try:
            found = os.lstat(self.path)
            # What has another name too is not only ours to write.
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1 or found.st_size != self.size:
                return []
            with open(opened(self.record), encoding="ascii") as file:
                ranges = sorted((int(start), int(end)) for start, end in (line.split() for line in file))
        except (OSError, ValueError):
            return []
        merged: list[tuple[int, int]] = []
        for start, end in ranges:
            if merged and start <= merged[-1][1]:
                merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
            else:
                merged.append((start, end))
        return merged

    def _reset(self) -> None:
        free = os.statvfs(os.path.dirname(self.path))
        if free.f_bavail * free.f_frsize < self.size:
            raise OSError(f"found {free.f_bavail * free.f_frsize} bytes free; wanted {self.size} for one file. Free space on that disk")
        with open(fresh(self.path), "wb") as file:
            file.truncate(self.size)

    def covers(self, start: int, end: int) -> bool:
        """Did an earlier run bring these bytes?"""
        return any(low <= start and end <= high for low, high in self.resumed)

    def crc(self, start: int, end: int) -> int:
        """CRC-32 of a range."""
        return crc(self.path, start, end)

    def add(self, start: int, end: int) -> None:
        """Note a good piece, and hash on as far as the file is without a gap."""
        with self.lock:
            with open(os.open(self.record, os.O_WRONLY | os.O_APPEND | os.O_NOFOLLOW), "w", encoding="ascii") as file:
                file.write(f"{start} {end}\n")
            self.good[start] = end
            with open(opened(self.path), "rb") as content:
                content.seek(self._hashed)
                while self._hashed in self.good:
                    end = self.good[self._hashed]
                    while self._hashed < end:
                        chunk = content.read(min(CHUNK, end - self._hashed))
                        if not chunk:
                            raise OSError(f"{self.path} is shorter than what was written")
                        self._hash.update(chunk)
                        self._hashed += len(chunk)

    def write(self) -> int:
        """A descriptor to write a piece in its place."""
        return os.open(self.path, os.O_WRONLY | os.O_NOFOLLOW)

    def cut(self) -> None:
        """Take away what a peer sent beyond the file's end."""
        if os.lstat(self.path).st_size > self.size:
            os.truncate(self.path, self.size)

    def wrong(self, digest: str) -> str:
        """What is wrong with the file when all pieces were added; empty if nothing is: exactly its size, then its hash."""
        size = os.lstat(self.path).st_size
        if size != self.size:
            return f"found {size} bytes; wanted {self.size}"
        with self.lock:
            found = self._hash.hexdigest()
        return "" if found == digest else f"found SHA-256 {found}; wanted {digest}"

    def drop(self) -> None:
        """Start again from nothing."""
        for path in (self.path, self.record):
            with contextlib.suppress(FileNotFoundError):
                os.remove(path)

    def close(self) -> str:
        """Bring a whole file to the disk; returns its path."""
        descriptor = os.open(self.path, os.O_RDWR | os.O_NOFOLLOW)
        os.fsync(descriptor)
        os.close(descriptor)
        os.chmod(self.path, 0o644)
        os.remove(self.record)
        return self.path


def crc(path: str, start: int, end: int, store: Store | None = None) -> int:
    """CRC-32 of a range of a file; `store` counts what was read."""
    value = 0
    with open(pinned(path), "rb") as file:
        file.seek(start)
        while start < end:
            chunk = file.read(min(CHUNK, end - start))
            if not chunk:
                break
            value = zlib.crc32(chunk, value)
            start += len(chunk)
            if store:
                store.read += len(chunk)  # a sign of life only: two threads may lose a count
    return value
