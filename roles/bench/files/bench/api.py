# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The served model's API: requests as bytes, prompts counted by the server, and whether it still lives."""

from __future__ import annotations

import json
import os
import stat
import time
import urllib.parse
from collections.abc import Callable
from typing import Any

from exchange import Exchange, drive
from rows import refusal

PATHS = {"chat": "/v1/chat/completions", "completions": "/v1/completions"}
# SGLang's /health is a completion of its own and waits 20 s for it; vLLM's answers at once.
HEALTH_SECONDS = 30.0
# Texts of 200,000 tokens are counted a few at a time.
AT_ONCE = 8


class Api:
    """Where the job says. `stopped` gives the reason to end early; raises ValueError with what is wrong in the job."""

    def __init__(self, job: dict[str, Any], stopped: Callable[[], str]) -> None:
        parts = urllib.parse.urlsplit(job["url"])
        if parts.scheme != "http" or not parts.hostname or not parts.port or parts.path.strip("/"):
            raise ValueError(f"url: found {job['url']!r}; wanted http://HOST:PORT")
        if job["api"] not in PATHS:
            raise ValueError(f"api: found {job['api']!r}; wanted chat or completions")
        self.url, self.model, self.path = job["url"].rstrip("/"), job["model"], PATHS[job["api"]]
        self._address, self._host = (parts.hostname, parts.port), parts.netloc
        self._chat = job["api"] == "chat"
        self._sampling = job.get("sampling", {})
        self._connect, self._quiet, self._whole = (float(job[f"{name}_seconds"]) for name in ("connect", "quiet", "run"))
        self._key = key(job["key_file"]) if job.get("key_file") else ""
        self._stopped = stopped
        self._template: int | None = None
        self._learned = not self._chat

    def request(self, path: str, body: Any = None) -> bytes:
        """As bytes, with the key."""
        content = b"" if body is None else json.dumps(body).encode()
        lines = [f"{'GET' if body is None else 'POST'} {path} HTTP/1.1", f"Host: {self._host}", "Connection: close", "Accept: */*"]
        if self._key:
            lines.append(f"Authorization: Bearer {self._key}")
        if content:
            lines += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
        return "\r\n".join([*lines, "", ""]).encode("latin-1") + content

    def ask(self, questions: list[tuple[str, Any]], seconds: float | None = None) -> list[Exchange]:
        """Ask all of them, a few at a time."""
        asked = [Exchange(self.request(*question), seconds or self._quiet, seconds or self._whole) for question in questions]
        for at in range(0, len(asked), AT_ONCE):
            drive(asked[at : at + AT_ONCE], self._address, self._connect, self._stopped)
        return asked

    def stream(self, texts: list[str], output: int, exact: bool) -> tuple[list[Exchange], float]:
        """Ask for a completion of each text at the same moment; returns how they went, and when that moment was."""
        length = {"ignore_eos": True, "min_tokens": output} if exact else {}
        rest = {
            "model": self.model,
            "max_tokens": output,
            "stream": True,
            "stream_options": {"include_usage": True},
            **self._sampling,
            **length,
        }
        asked = [Exchange(self.request(self.path, {**self._prompt(text), **rest}), self._quiet, self._whole) for text in texts]
        return asked, drive(asked, self._address, self._connect, self._stopped)

    def hidden(self, text: str) -> str:
        """Without the key, which a server may quote."""
        return text.replace(self._key, "(the key)") if self._key else text

    def _prompt(self, text: str) -> dict[str, Any]:
        return {"messages": [{"role": "user", "content": text}]} if self._chat else {"prompt": text}

    def count(self, texts: list[str]) -> list[int]:
        """Tokens of the prompts that the server would make of these texts; raises ValueError where it does not say."""
        if not self._learned:
            self._learn()
        if self._template is None:
            return [self._said(item, "count") for item in self.ask([self._tokens(self._prompt(text)) for text in texts])]
        return [self._template + self._said(item, "count") for item in self.ask([self._bare(text) for text in texts])]

    def _tokens(self, prompt: dict[str, Any]) -> tuple[str, Any]:
        return "/tokenize", {"model": self.model, **prompt}

    def _bare(self, text: str) -> tuple[str, Any]:
        return self._tokens({"prompt": text, "add_special_tokens": False})

    def _learn(self) -> None:
        """vLLM counts a chat with its template; SGLang counts plain text: what the template adds is learned from one completion."""
        (found,) = self.ask([self._tokens(self._prompt("Hello"))])
        if found.error or (found.answer.status == 200 and _number(found.body(), "count") is not None):
            self._said(found, "count")
        else:
            plain, whole = self.ask([self._bare("Hello"), (self.path, {"model": self.model, "max_tokens": 1, **self._prompt("Hello")})])
            self._template = self._said(whole, "usage", "prompt_tokens") - self._said(plain, "count")
        self._learned = True

    def _said(self, exchange: Exchange, *keys: str) -> int:
        found = _number(exchange.body(), *keys) if exchange.answer.status == 200 and not exchange.error else None
        if found is None:
            why = exchange.error or f"HTTP {exchange.answer.status}: {refusal(exchange.body())}"
            raise ValueError(
                self.hidden(f"{self.url}: found {why}; wanted {'.'.join(keys)}, to size the prompts by the server's own count")
            )
        return found

    def dead(self) -> str:
        """Why it is taken for dead, after a request has failed: no good word from /health twice. Empty if it lives, or if we end anyway."""
        for again in (False, True):
            if self._stopped():
                return ""
            (found,) = self.ask([("/health", None)], HEALTH_SECONDS)
            if found.answer.status == 200:
                return ""
            if not again:
                time.sleep(1)
        return "" if self._stopped() else found.error or f"HTTP {found.answer.status}"


def _number(body: bytes, *keys: str) -> int | None:
    try:
        value = json.loads(body)
        for name in keys:
            value = value[name]
    except (ValueError, LookupError, TypeError):
        return None
    return value if isinstance(value, int) else None


def key(path: str) -> str:
    """The API key of a file that is its owner's alone; raises ValueError where it is not."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW), encoding="ascii") as file:
        mode = os.fstat(file.fileno()).st_mode
        if not stat.S_ISREG(mode) or mode & 0o077:
            raise ValueError(f"{path}: found mode {stat.S_IMODE(mode):04o}; wanted a file of mode 0600. chmod 0600 {path}")
        found = file.read().strip()
    if not found or not found.isprintable() or " " in found:
        raise ValueError(f"{path}: found no key of one word; wanted the API key alone")
    return found
