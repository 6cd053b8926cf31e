# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor's words in the node's journal: they outlive the container, and stand beside what the kernel said at that time."""

from __future__ import annotations

import contextlib
import socket

SOCKET = "/run/systemd/journal/socket"
NOTICE, ERROR = 5, 3
# Characters; a datagram has an end.
LONGEST = 16000


def tell(text: str, priority: int = NOTICE, path: str = SOCKET, **fields: str) -> None:
    """Send one entry: a datagram of KEY=value lines (systemd.io/JOURNAL_NATIVE_PROTOCOL). Nobody waits for a journal that is away."""
    entry = {"MESSAGE": text[:LONGEST], "PRIORITY": str(priority), "SYSLOG_IDENTIFIER": "gx10", **fields}
    lines = [f"{key}={' '.join(value.splitlines())}\n" for key, value in entry.items()]
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as channel:
        channel.setblocking(False)
        channel.sendto("".join(lines).encode(errors="replace"), path)
