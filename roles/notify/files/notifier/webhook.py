# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell a URL, by one POST of JSON. Certificates are verified, redirects are not followed, no proxy is asked."""

from __future__ import annotations

import contextlib
import http.client
import os
import re
import socket
import ssl
import stat
import threading
from collections.abc import Mapping
from urllib.parse import urlsplit

from sender import Later, Refused

# Of one operation on the connection; of all of it.
SECONDS, IN_ALL = 10.0, 20.0
# The document, and nothing that is away now, is what the receiver does not want.
UNWANTED = (400, 413, 415, 422)
PLACE = "{secret}"
SECRET = re.compile(rb"[\x21-\x7e]{1,4096}")


class Webhook:
    """`url` and `headers` may have {secret} in them: the one line of `secret_file`, which is read for each try."""

    def __init__(self, url: str, headers: Mapping[str, str], secret_file: str | None) -> None:
        self.url, self.headers, self.secret_file = url, headers, secret_file

    def tell(self, body: bytes) -> None:
        """One try. What is raised names host and port alone: a path may be the secret."""
        secret = self._secret()
        parts = urlsplit(self.url)
        host, secure = parts.hostname or "", parts.scheme == "https"
        port = parts.port or (443 if secure else 80)
        where = f"{host}:{port}"
        connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
        if secure:
            connection = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=ssl.create_default_context())
        given = {name: value.replace(PLACE, secret) for name, value in self.headers.items()}
        headers = {"Content-Type": "application/json", "User-Agent": "gx10-notifier", **given}
        path = ((parts.path or "/") + (f"?{parts.query}" if parts.query else "")).replace(PLACE, secret)
        cut = threading.Event()
        watchdog = threading.Timer(IN_ALL, _cut, [connection, cut])
        watchdog.daemon = True
        watchdog.start()
        try:
            connection.request("POST", path, body, headers)
            answer = connection.getresponse()
            status, after = answer.status, answer.getheader("Retry-After") or ""
            # For http.client, headers that are cut off are whole ones.
            if cut.is_set():
                raise TimeoutError
        except (OSError, http.client.HTTPException, ValueError) as error:
            # Of some errors the text has the path in it.
            raise Later(f"{where}: found {_named(error)}; wanted an answer") from None
        finally:
            watchdog.cancel()
            connection.close()
        if 200 <= status < 300:
            return
        if status in UNWANTED:
            raise Refused(f"{where}: found status {status}; wanted 2xx")
        hint = ". It leads elsewhere, and is not followed: give gx10_notify_url the last address" if 300 <= status < 400 else ""
        raise Later(f"{where}: found status {status}; wanted 2xx{hint}", float(after) if after.isdigit() else 0.0)

    def _secret(self) -> str:
        if not self.secret_file:
            return ""
        wanted = f"{self.secret_file}: wanted a file of mode 0600 with one line of printable characters (gx10_notify_secret_file); found"
        try:
            with open(os.open(self.secret_file, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK), "rb") as file:
                mode = stat.S_IMODE(os.fstat(file.fileno()).st_mode)
                data = file.read(5000).rstrip(b"\r\n")
        except OSError as error:
            raise Later(f"{wanted} {error.strerror}") from None
        if mode & 0o077:
            raise Later(f"{wanted} mode {mode:04o}")
        if not SECRET.fullmatch(data):
            raise Later(f"{wanted} something else")
        return data.decode("ascii")


def _named(error: Exception) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"a certificate that does not hold ({error.verify_message})"
    if isinstance(error, (socket.timeout, TimeoutError)):
        return "none in time"
    text = error.strerror if isinstance(error, OSError) else ""
    return str(text or type(error).__name__)


def _cut(connection: http.client.HTTPConnection, cut: threading.Event) -> None:
    """End a connection that is slow on purpose: each byte in time, and all of it never."""
    cut.set()
    with contextlib.suppress(OSError, AttributeError):
        connection.sock.shutdown(socket.SHUT_RDWR)
