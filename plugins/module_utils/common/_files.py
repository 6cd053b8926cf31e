# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Read a file that somebody named, whatever lies there: only a regular file, and only as much as it may hold. PRIVATE to the collection."""

from __future__ import annotations

import errno
import os
import stat

KINDS = {
    stat.S_IFDIR: "a folder",
    stat.S_IFIFO: "a FIFO",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
}


class Refused(Exception):
    """What was read is not what we read. `line` counts from 1, or is 0 where no line applies."""

    def __init__(self, found: str, wanted: str, line: int = 0, code: str = "not-yaml") -> None:
        super().__init__(found)
        self.found, self.wanted, self.line, self.code = found, wanted, line, code


def check(path: str, most: int) -> int:
    """The size of a regular file, or of the one that a link leads to."""
    try:
        found = os.stat(path)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    kind = stat.S_IFMT(found.st_mode)
    if kind != stat.S_IFREG:
        raise Refused(KINDS.get(kind, "no file"), "a regular file", code="not-a-file")
    if found.st_size > most:
        raise Refused(f"{found.st_size} bytes", f"at most {most} bytes", code="too-large")
    return found.st_size


def read(path: str, most: int) -> bytes:
    """The content of a regular file of at most `most` bytes; raises Refused for everything else."""
    check(path, most)
    try:
        # What became a FIFO meanwhile is not waited for.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC), "rb") as file:
            raw = file.read(most + 1)
    except (OSError, ValueError) as error:
        raise _unreadable(path, error) from None
    if len(raw) > most:
        raise Refused(f"more than {most} bytes", f"at most {most} bytes", code="too-large")
    return raw


def _unreadable(path: str, error: Exception) -> Refused:
    number = getattr(error, "errno", None)
    if number == errno.ELOOP:
        return Refused("a loop of links", "a regular file", code="not-a-file")
    if number in (errno.ENOENT, errno.ENOTDIR):
        return Refused("a dangling link" if os.path.islink(path) else "nothing", "a regular file", code="not-a-file")
    reason = (error.strerror if isinstance(error, OSError) else None) or "no name of a file"
    return Refused(reason.lower(), "a file that can be read", code="not-a-file")
