# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Questions to the network and the host, each with a deadline."""

from __future__ import annotations

import array
import contextlib
import fcntl
import http.client
import json
import re
import socket
import struct
import urllib.error
import urllib.request
from typing import Any

SIOCGIFCONF = 0x8912
# Bytes of an answer; /metrics has some hundred KiB.
LONGEST = 16 * 1024**2
# The node talks to itself; a proxy from the environment must not be asked.
_OPENER = urllib.request.build_opener(urllib.request.ProxyHandler({}))


def interface_of(address: str) -> str | None:
    """Return the interface that holds an IPv4 address, be it the first on its device or not, or None."""
    # netdevice(7): one struct ifreq of 40 bytes for each address; SIOCGIFADDR would answer with each device's first alone.
    entries = array.array("B", bytes(40 * 1024))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        answer = fcntl.ioctl(probe.fileno(), SIOCGIFCONF, struct.pack("iL", len(entries), entries.buffer_info()[0]))
    found = entries.tobytes()[: struct.unpack("iL", answer)[0]]
    for entry in (found[start : start + 40] for start in range(0, len(found), 40)):
        if socket.inet_ntoa(entry[20:24]) == address:
            # An address may have a label: DEVICE:NAME.
            return entry[:16].split(b"\0")[0].decode().split(":")[0]
    return None


def connects(address: str, timeout: float = 1.0) -> bool:
    """Does something listen at HOST:PORT?"""
    host, port = address.rsplit(":", 1)
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout).close()
    except OSError:
        return False
    return True


def get(url: str, timeout: float) -> tuple[int, str]:
    """GET: (status, body). Status 0 where nothing answered; the body then is the error."""
    return _open(urllib.request.Request(url), timeout)


def post(url: str, body: dict[str, Any], timeout: float) -> tuple[int, str]:
    """POST JSON: (status, body), as `get`."""
    request = urllib.request.Request(url, json.dumps(body).encode(), {"Content-Type": "application/json"})
    return _open(request, timeout)


def _open(request: urllib.request.Request, timeout: float) -> tuple[int, str]:
    try:
        with _OPENER.open(request, timeout=timeout) as answer:
            body = answer.read(LONGEST)
            # Of a part that was asked for, http.client does not say that it came short.
            if answer.length:
                raise http.client.IncompleteRead(body, answer.length)
            return answer.status, body.decode("utf-8", "replace")
    except urllib.error.HTTPError as error:
        # What it says beside its code is cut off with it.
        with contextlib.suppress(OSError, ValueError, http.client.HTTPException):
            return error.code, error.read(LONGEST).decode("utf-8", "replace")
        return error.code, ""
    # Another protocol, or an answer that is cut in its middle, is neither of the first two.
    except (OSError, ValueError, http.client.HTTPException) as error:
        return 0, str(error) or type(error).__name__


def samples(text: str, name: str) -> float | None:
    """Sum a metric over its labels in Prometheus text; None where it is missing (unknown, never 0)."""
    found = re.findall(rf"^{re.escape(name)}(?:\{{[^}}]*\}})? ([0-9.eE+-]+)$", text, re.MULTILINE)
    try:
        return sum(map(float, found)) if found else None
    except ValueError:
        return None
