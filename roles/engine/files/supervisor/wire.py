# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The link's words: JSON lines of a bounded length, each with an HMAC-SHA256 of its place in the conversation.

Both sides prove that they know the launch's secret by answering the other's nonce; from both nonces comes a key for this one connection.
What is said is no secret. Nothing here reads a clock or a socket.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
from typing import Any

LONGEST = 16384
# Levels of lists and mappings in a line; an order has three. json writes fewer levels than it reads, and what it reads is signed.
DEEPEST = 8
# Bytes of a launch's secret.
SHORTEST = 32
LABEL = b"gx10 group link 1"


class Refused(Exception):
    """The other side is not who it should be, or does not speak like it."""


def key_of(secret: bytes) -> bytes:
    """The link's key, from the launch's secret, which has other uses."""
    return hmac.new(secret.strip(), LABEL, hashlib.sha256).digest()


def _mac(key: bytes, *words: Any) -> str:
    return hmac.new(key, json.dumps(words, sort_keys=True).encode(), hashlib.sha256).hexdigest()


def pack(document: dict[str, Any]) -> bytes:
    """One line."""
    return json.dumps(document, separators=(",", ":")).encode() + b"\n"


def unpack(line: bytes) -> dict[str, Any]:
    """What a line says; Refused where it is no mapping."""
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        raise Refused("not JSON") from None
    if not isinstance(found, dict):
        raise Refused("not a mapping")
    if _deeper(found, DEEPEST):
        raise Refused("nested too deep")
    return found


def _deeper(value: Any, levels: int) -> bool:
    items = list(value.values()) if isinstance(value, dict) else value
    return isinstance(items, list) and (levels == 0 or any(_deeper(item, levels - 1) for item in items))


class Talk:
    """One side of one connection once both have proven themselves."""

    def __init__(self, key: bytes, transcript: list[Any], mine: str, theirs: str) -> None:
        self._key = hmac.new(key, json.dumps(["session", transcript]).encode(), hashlib.sha256).digest()
        self._mine, self._theirs = mine, theirs
        self._sent = self._got = 0

    def say(self, message: dict[str, Any]) -> bytes:
        """A message as a line."""
        self._sent += 1
        return pack({"message": message, "mac": _mac(self._key, self._mine, self._sent, message)})

    def hear(self, line: bytes) -> dict[str, Any]:
        """The message in a line; Refused where it is not the other's next one."""
        found = unpack(line)
        message, self._got = found.get("message"), self._got + 1
        if not isinstance(message, dict) or not _same(found.get("mac"), _mac(self._key, self._theirs, self._got, message)):
            raise Refused("a message that is not signed")
        return message


class Caller:
    """A worker's side of the greeting."""

    def __init__(self, key: bytes, launch: str, rank: int, name: str, session: str) -> None:
        self.key = key
        self.hello = {"rank": rank, "name": name, "launch": launch, "session": session, "nonce": secrets.token_hex(16)}

    def answer(self, line: bytes) -> tuple[Talk, bytes, str]:
        """To the head's answer: what to go on with, the proof to send, and the launch that the head serves."""
        found = unpack(line)
        if not all(isinstance(found.get(key), str) for key in ("nonce", "launch", "mac")):
            raise Refused("no answer to a hello")
        transcript = [self.hello, found["nonce"], found["launch"]]
        if not _same(found.get("mac"), _mac(self.key, "head", transcript)):
            raise Refused("who answers does not know this launch's secret")
        return Talk(self.key, transcript, "worker", "head"), pack({"mac": _mac(self.key, "worker", transcript)}), found["launch"]


class Host:
    """The head's side of the greeting. `caller` is proven only once `proves` has returned."""

    def __init__(self, key: bytes, launch: str, names: list[str]) -> None:
        self.key, self.launch, self.names = key, launch, names
        self.caller: dict[str, Any] = {}
        self._transcript: list[Any] = []

    def greet(self, line: bytes) -> bytes:
        """The answer to a hello, whichever launch it is of."""
        found = unpack(line)
        rank: Any = found.get("rank")
        number = isinstance(rank, int) and not isinstance(rank, bool)
        texts = [found.get(key) for key in ("name", "launch", "session", "nonce")]
        # Whatever launch it is of: it is signed next.
        if set(found) != {"rank", "name", "launch", "session", "nonce"} or not number or not all(isinstance(text, str) for text in texts):
            raise Refused("no hello")
        if found["launch"] == self.launch and not (0 < rank < len(self.names) and self.names[rank] == found["name"]):
            raise Refused("no rank of this launch")
        self.caller = found
        nonce = secrets.token_hex(16)
        self._transcript = [found, nonce, self.launch]
        return pack({"nonce": nonce, "launch": self.launch, "mac": _mac(self.key, "head", self._transcript)})

    def proves(self, line: bytes) -> Talk:
        """The caller's proof."""
        if not _same(unpack(line).get("mac"), _mac(self.key, "worker", self._transcript)):
            raise Refused("the caller does not know this launch's secret")
        if self.caller["launch"] != self.launch:
            raise Refused("a caller of another launch")
        return Talk(self.key, self._transcript, "head", "worker")


def _same(found: Any, wanted: str) -> bool:
    return isinstance(found, str) and hmac.compare_digest(found.encode(errors="replace"), wanted.encode())
