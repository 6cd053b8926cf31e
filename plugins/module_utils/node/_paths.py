# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Names and links that stay in their folder: what may be written or read where others named it.

Runs on the nodes too, and beside the program of the role fanout (Python >= 3.9, standard library). PRIVATE to the collection.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
from collections.abc import Iterable, Mapping
from typing import Any

# What this collection keeps in a folder of weights, or kept there once.
OURS = frozenset({".gx10", ".gx10-manifest.json"})
LONGEST_NAME = 255
LONGEST_PATH = 4095
# The kernel's own limit on one way.
MOST_LINKS = 40
SHA256 = re.compile(r"[0-9a-f]{64}")
# A snapshot of the hub's cache is links to ../../blobs/HASH.
BLOB = re.compile(r"/(?:.+/)?(?:models|datasets)--[^/]+/blobs/[0-9a-f]{40}(?:[0-9a-f]{24})?")
SNAPSHOT = re.compile(r"(/.+/(?:models|datasets)--[^/]+)/snapshots/[^/]+(?:/.*)?")


class Refusal(OSError):
    """What is there cannot be read, or written, as a file of the folder."""

    def __init__(self, text: str) -> None:
        super().__init__(errno.EPERM, text)

    def __str__(self) -> str:
        return str(self.strerror)


def improper(path: object) -> str:
    """Why a path cannot be a file's below a folder, by its form alone; empty if it can."""
    if not isinstance(path, str) or not path:
        return "no path"
    try:
        raw = path.encode()
    except UnicodeEncodeError:
        return "a name that is not UTF-8"
    if path.startswith("/"):
        return "an absolute path"
    if any(ord(char) < 32 or 127 <= ord(char) < 160 for char in path):
        return "a control character"
    parts = raw.split(b"/")
    if any(part in (b"", b".", b"..") for part in parts):
        return "a part that is empty, . or .."
    if len(raw) > LONGEST_PATH or any(len(part) > LONGEST_NAME for part in parts):
        return f"a name of more than {LONGEST_NAME} bytes, or a path of more than {LONGEST_PATH}"
    ours = sorted(OURS.intersection(path.split("/")))
    return f"{ours[0]}, which is ours" if ours else ""


def unlisted(files: Iterable[Mapping[str, Any]]) -> list[str]:
    """Why entries of a manifest cannot be files below a folder: one text for each that cannot, by its path."""
    problems, seen = [], set()
    for item in files:
        path, size, digest = item.get("path"), item.get("size"), item.get("sha256")
        why = improper(path) or ("a second entry of that path" if path in seen else "")
        if not why and (not isinstance(size, int) or isinstance(size, bool) or size < 0):
            why = f"size {str(size)[:80]}"
        if not why and not (isinstance(digest, str) and SHA256.fullmatch(digest)):
            why = f"SHA-256 {ascii(digest)[:80]}"
        if why:
            problems.append(f"{printable(path)}: found {why}; wanted a path below the folder, its size and SHA-256")
        else:
            seen.add(path)
    return problems


def printable(path: object) -> str:
    """A path in a message, cut if long."""
    text = str(path)
    return (text if text.isprintable() else ascii(text)[1:-1])[:400]


def inside(root: str, path: str) -> str | None:
    """Where `path` below `root` really is; None where a link, or `..`, leads out. `root` itself may be a link."""
    home = os.path.realpath(root)
    real = os.path.realpath(os.path.join(home, path))
    cache = SNAPSHOT.fullmatch(home)
    allowed = [home, os.path.realpath(f"{cache[1]}/blobs")] if cache else [home]
    # A blob of the hub's cache, wherever that is: `hf download --local-dir` once made links to it.
    if BLOB.fullmatch(real):
        return real
    return real if any(os.path.commonpath([real, folder]) == folder for folder in allowed) else None


def must(root: str, path: str) -> str:
    """`inside`; raises Refusal where it says None."""
    real = inside(root, path)
    if real is None:
        raise Refusal(f"{os.path.join(root, printable(path))}: found a link out of {root}; wanted a file in it. Remove that link")
    return real


def astray(top: str, path: str) -> str:
    """The first link on the way from folder `top` to `path` below it that leads nowhere where `top` lies at another place: an absolute
    one, or one above `top`; empty if there is none. `top` itself may be a link."""
    home = os.path.realpath(top)
    here: list[str] = []
    rest = os.path.relpath(path, top).split("/")[::-1]
    link, hops = path, 0
    while rest:
        part = rest.pop()
        if part == ".." and not here:
            return link
        if part == "..":
            here.pop()
        elif part not in ("", "."):
            here.append(part)
            full = os.path.join(home, *here)
            if os.path.islink(full):
                link, hops, target = os.path.join(top, *here), hops + 1, os.readlink(full)
                if target.startswith("/") or hops > MOST_LINKS:
                    return link
                here.pop()
                rest += target.split("/")[::-1]
    return ""


def opened(path: str) -> int:
    """A descriptor to read a regular file; raises OSError for anything else. The last part of `path` is not followed."""
    # Without O_NONBLOCK a FIFO waits for a writer for ever.
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        if error.errno in (errno.ELOOP, errno.ENXIO):  # a link, a socket
            raise Refusal(f"{printable(path)}: found a {kind(path)}; wanted a regular file") from error
        raise
    if stat.S_ISREG(os.fstat(descriptor).st_mode):
        return descriptor
    os.close(descriptor)
    raise Refusal(f"{printable(path)}: found a {kind(path)}; wanted a regular file")


def pinned(real: str) -> int:
    """`opened`, where `real` is a path without links: raises Refusal where a folder of it was exchanged for a link since then."""
    descriptor = opened(real)
    try:
        found = os.readlink(f"/proc/self/fd/{descriptor}")
    except FileNotFoundError:
        return descriptor  # a control node without Linux's /proc
    if found == real:
        return descriptor
    os.close(descriptor)
    raise Refusal(f"{printable(real)}: found {printable(found)} in its place while it was read; wanted that file")


def kind(path: str) -> str:
    """What is there that is no regular file."""
    mode = os.lstat(path).st_mode
    tests = {"folder": stat.S_ISDIR, "link": stat.S_ISLNK, "FIFO": stat.S_ISFIFO, "socket": stat.S_ISSOCK}
    return next((name for name, test in tests.items() if test(mode)), "device")


def fresh(path: str, mode: int = 0o644) -> int:
    """A descriptor to write a new file. What had its name is removed first: a link there, hard or symbolic, leads elsewhere."""
    with contextlib.suppress(FileNotFoundError):
        os.remove(path)
    return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)
