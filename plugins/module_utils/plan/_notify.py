# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Who is told when the group changes: what the settings may be, and what is installed on the head. Pure. PRIVATE to the collection."""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping
from typing import Any, TypeGuard
from urllib.parse import urlsplit

from ..common._problem import Problem, show
from ..node import _notifier
from ._types import Notify

# In a URL or a header, where the secret goes.
PLACE = "{secret}"
URL = re.compile(r"https?://[^\s\x00-\x1f\x7f]{1,2000}")
HEADER = re.compile(r"[A-Za-z0-9][A-Za-z0-9-]{0,99}")
# What http.client sets, or what would end a header and begin another request.
OWN_HEADERS = ("host", "content-length", "transfer-encoding", "connection")
VALUE = re.compile(r"[\x20-\x7e]{1,2000}")
# Names that say so, and texts that nobody can remember.
SECRET_NAME = re.compile(r"auth|token|key|secret|cookie|password|signature", re.IGNORECASE)
SECRET_TEXT = re.compile(r"(?=[A-Za-z]*[0-9])(?=[0-9]*[A-Za-z])[A-Za-z0-9]{20,}|[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HINT = "Write {secret} in its place, and the secret into gx10_notify_secret_file, a file of mode 0600 on the control node."
MOST_WORDS = 64


def check(site: Mapping[str, Any], where: str) -> list[Problem]:
    """What is wrong with the settings. A URL and a header's value are never shown: a secret may be in them."""
    problems: list[Problem] = []

    def bad(key: str, found: str, wanted: str, hint: str = "", code: str = "wrong-type") -> None:
        problems.append(Problem(where, f"gx10_notify_{key}", found, wanted, hint, code))

    command, url, headers, secret = (site[f"notify_{key}"] for key in ("command", "url", "headers", "secret_file"))
    if command not in (None, []):
        if not _is_argv(command):
            bad("command", show(command), f"a list of 1 to {MOST_WORDS} texts of one line")
        elif not re.fullmatch(r"/[\w./@+-]+", command[0]):
            bad("command", show(command[0]), "an absolute path of a program on the head", "No shell reads it.", "wrong-path")
    if url not in (None, ""):
        problems += _url(url, where)
    if headers is not None and not isinstance(headers, Mapping):
        bad("headers", "no mapping", "a mapping of names to texts")
        headers = {}
    for name, value in (headers or {}).items():
        if not isinstance(name, str) or not HEADER.fullmatch(name) or name.lower() in OWN_HEADERS:
            bad("headers", show(name), "a header's name that is not the request's own", code="wrong-name")
        elif not isinstance(value, str) or not VALUE.fullmatch(value):
            bad(f"headers.{name}", "something else", "a text of one line in ASCII", code="wrong-text")
        elif PLACE not in value and (SECRET_NAME.search(name) or SECRET_TEXT.search(value)):
            bad(f"headers.{name}", "a secret", "no secret in the inventory", HINT, "secret")
    if secret not in (None, "") and not is_file(secret):
        bad("secret_file", show(secret), "an absolute path on the control node, or one below ~/", code="wrong-path")
    if (headers or secret) and not url:
        bad("headers" if headers else "secret_file", "no gx10_notify_url", "one that they are for", code="needs")
    if problems or not url:
        return problems
    uses = any(PLACE in text for text in (url, *(headers or {}).values()))
    if uses and not secret:
        bad("secret_file", "nothing", "the file whose one line {secret} stands for", code="missing")
    elif secret and not uses:
        bad("secret_file", show(secret), "{secret} in gx10_notify_url or gx10_notify_headers, where it goes", code="needs")
    elif uses and url.startswith("http:"):
        bad("url", "http:// with a secret", "https://", "It would travel as it is.", "secret")
    return problems


def is_file(value: object) -> TypeGuard[str]:
    """May it be a file on the control node? ~user would be another's."""
    return isinstance(value, str) and value.startswith(("/", "~/"))


def _is_argv(command: object) -> bool:
    if not isinstance(command, list) or not 1 <= len(command) <= MOST_WORDS:
        return False
    return all(isinstance(word, str) and len(word) <= 2000 and word.isprintable() for word in command)


def _url(url: object, where: str) -> list[Problem]:
    key, wanted = "gx10_notify_url", "http://HOST or https://HOST, with a path"
    try:
        parts = urlsplit(url) if isinstance(url, str) and URL.fullmatch(url) and url.isascii() else None
        # Its property raises for what is no port.
        if parts is None or not parts.hostname or PLACE in parts.netloc or parts.port == 0:
            return [Problem(where, key, "another text", wanted, code="wrong-text")]
    except ValueError:
        return [Problem(where, key, "another text", wanted, code="wrong-text")]
    named = any(PLACE not in pair and SECRET_NAME.search(pair.partition("=")[0]) for pair in parts.query.split("&"))
    if "@" in parts.netloc or named or SECRET_TEXT.search(f"{parts.path}?{parts.query}"):
        return [Problem(where, key, "a secret", "no secret in the inventory", HINT, "secret")]
    return []


def planned(site: Mapping[str, Any], program: str) -> Notify | None:
    """What is installed on the head, or None. `program`: the hash of its files."""
    command, url = site["notify_command"] or None, site["notify_url"] or None
    if not command and not url:
        return None
    secret = site["notify_secret_file"] or None
    home = _notifier.home(site["state_dir"])
    config = {
        "spool": f"{site['state_dir']}/notices/spool",
        "queue": f"{home}/queue",
        "command": command,
        "url": url,
        "headers": dict(site["notify_headers"] or {}),
        "secret_file": f"{home}/secret" if secret else None,
    }
    texts = {
        _notifier.CONFIG: json.dumps(config, indent=1) + "\n",
        _notifier.PATH: _path(config),
        _notifier.SERVICE: _service(home),
    }
    return {"hash": _notifier.digest(program, texts), "texts": texts, "secret_file": secret}


def _path(config: Mapping[str, Any]) -> str:
    folders = [config["spool"], f"{config['queue']}/command", f"{config['queue']}/webhook"]
    watched = "\n".join(f"DirectoryNotEmpty={folder}" for folder in folders)
    return f"[Unit]\nDescription=Notices of what GX10 Serving serves\n\n[Path]\n{watched}\n\n[Install]\nWantedBy=paths.target\n"


def _service(home: str) -> str:
    """It ends when nothing waits; a failure is tried again, and never so often that systemd gives up."""
    return (
        "[Unit]\nDescription=Tell of what GX10 Serving serves\nStartLimitIntervalSec=0\n\n"
        f"[Service]\nType=exec\nExecStart=/usr/bin/python3 -B {home}/installed/program {home}/installed/{_notifier.CONFIG}\n"
        "Restart=on-failure\nRestartSec=10\nUMask=0077\nNice=10\nTimeoutStopSec=10\n"
    )


def unit_files(notify: Notify) -> list[dict[str, str]]:
    """The units, for module node_files."""
    return [_file(name, notify["texts"][name], "0644") for name in (_notifier.PATH, _notifier.SERVICE)]


def config_file(notify: Notify) -> dict[str, str]:
    """The settings, likewise: they may say more than everybody on the node should read."""
    return _file(_notifier.CONFIG, notify["texts"][_notifier.CONFIG], "0600")


def _file(path: str, text: str, mode: str) -> dict[str, str]:
    return {"path": path, "content": base64.b64encode(text.encode()).decode(), "mode": mode}
