# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Processes and listening sockets of this machine, from /proc. Runs on the nodes (Python >= 3.9). PRIVATE to the collection."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Sequence
from typing import Any

from ._types import Listener, Process

# Engine and Ray processes by command line; titles need setproctitle, so argv is matched, too.
ENGINE = re.compile(
    r"(?:^|/)vllm serve\b|^VLLM::|sglang\.launch_server|^sglang::"
    r"|^ray::|(?:^|/)(?:raylet|gcs_server)\b|ray/_private/|ray/dashboard/|(?:^|/)ray start\b"
)
_CONTAINER = re.compile(r"([0-9a-f]{64})")


def beside(argv: Sequence[str], **streams: Any) -> subprocess.Popen[bytes]:
    """A child that is read as it writes, runs beside its module or outlives it; AnsibleModule.run_command waits and holds all in memory."""
    return subprocess.Popen(list(argv), **streams)  # pylint: disable=ansible-bad-function


def _read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""  # the process has ended meanwhile


def container_of(pid: int) -> str | None:
    """ID of the container that a process belongs to, or None."""
    match = _CONTAINER.search(_read(f"/proc/{pid}/cgroup"))
    return match.group(1) if match else None


def engine_processes() -> list[Process]:
    """Every engine or Ray process that is not a zombie."""
    found: list[Process] = []
    for entry in os.listdir("/proc"):
        if not entry.isdigit() or int(entry) == os.getpid():
            continue
        command = _read(f"/proc/{entry}/cmdline").replace("\0", " ").strip()
        state = _read(f"/proc/{entry}/stat").rpartition(")")[2].split()[:1]
        if command and state != ["Z"] and ENGINE.search(command):
            found.append({"pid": int(entry), "command": command[:200], "container": container_of(int(entry))})
    return found


def listeners(ports: list[int]) -> list[Listener]:
    """Whoever listens on one of `ports`; pid 0 where it is not visible."""
    inodes: dict[str, int] = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in _read(table).splitlines()[1:]:
            fields = line.split()
            port = int(fields[1].rsplit(":", 1)[1], 16)
            if fields[3] == "0A" and port in ports:
                inodes[fields[9]] = port
    owners: dict[str, int] = {}
    if inodes:
        for entry in os.listdir("/proc"):
            if not entry.isdigit():
                continue
            try:
                for descriptor in os.listdir(f"/proc/{entry}/fd"):
                    target = os.readlink(f"/proc/{entry}/fd/{descriptor}")
                    if target[8:-1] in inodes and target.startswith("socket:["):
                        owners.setdefault(target[8:-1], int(entry))
            except OSError:
                continue
    found: list[Listener] = []
    for inode, port in sorted(inodes.items(), key=lambda item: item[1]):
        pid = owners.get(inode, 0)
        command = _read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()[:200] if pid else ""
        found.append({"port": port, "pid": pid, "command": command, "container": container_of(pid) if pid else None})
    return found
