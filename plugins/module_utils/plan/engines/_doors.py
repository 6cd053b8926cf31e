# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What opens an engine from within a flag's value, however deep: code by its name, every address, secrets. PRIVATE to the collection."""

from __future__ import annotations

import contextlib
import json
import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ...common._document import JSON_DEPTH
from ...common._problem import Problem, show
from .._code import FLAG as TRUST
from . import _secrets
from ._engines import MODELS, Dialect
from ._opens import CODE

# vLLM's fields that are imported: config/kv_transfer.py, config/ec_transfer.py, v1/kv_offload/factory.py (spec_module_path),
# config/compilation.py (inductor_passes; Inductor's own post_grad_custom_*_pass), config/structured_outputs.py (reasoning_parser_plugin);
# transformers' auto_map, which hf-overrides puts in the place of the checkpoint's.
NAMES_CODE = re.compile(r"(\w+_)?(module_path|plugin)|inductor_passes|\w*custom_\w*pass(es)?|auto_map")
# An address that is all of the machine's: 0.0.0.0, ::, tcp://*:5557.
EVERY = re.compile(r"(\w+://)?(0\.0\.0\.0|\[?(::ffff:0\.0\.0\.0|::0?)\]?)(:\d+)?|\w+://\*(:\d+)?", re.IGNORECASE)
EVENTS = "kv-events-config"
# distributed/kv_events.py and config/kv_events.py: what is published where nothing is said, and what is always bound.
EVENTS_DEFAULT = "tcp://*:5557"
LOCAL = re.compile(r"tcp://(127\.\d+\.\d+\.\d+|localhost|\[::1\]):\d+|(ipc|inproc)://.+")
NEAR = "tcp://127.0.0.1:PORT or ipc://PATH"


def check(dialect: Dialect, args: Mapping[str, Any], mod_args: Collection[str], repos: Collection[str], where: str) -> list[Problem]:
    """`args` as they were read; `mod_args`: flags that the profile's mods answer for; `repos`: the checkpoints that the plan holds."""
    problems = [*_events(args, where), *_folders(dialect, args, repos, where)]
    for flag, whole in args.items():
        for path, key, value in _parts(whole, flag):
            at = f"args.{path}"
            dotted = key == "backend" and isinstance(value, str) and "." in value
            # Secrets first: what is found is not said.
            if (isinstance(value, str) and _secrets.text(value)) or (path != flag and _secrets.part(key, value)):
                why = "Reason: a flag's value stands in every process list and in docker inspect."
                problems.append(Problem(where, at, "a secret", "the profile without it", why, "secret"))
            elif path != flag and (NAMES_CODE.fullmatch(key) or dotted) and value and not {path, flag} & set(mod_args):
                problems.append(Problem(where, at, show(value), "the profile without it", f"Reason: {CODE}.", "runs-code"))
            elif isinstance(value, str) and EVERY.fullmatch(value):
                problems.append(
                    Problem(where, at, show(value), "one address, as 127.0.0.1", "It is open to every network.", "wrong-address")
                )
            elif flag == "model-loader-extra-config" and isinstance(value, str) and "://" in value:
                hint = "No manifest holds what is loaded from elsewhere."
                problems.append(Problem(where, at, show(value), "weights below the models root", hint, "path"))
    return problems


def _parts(value: Any, path: str, key: str = "", levels: int = JSON_DEPTH) -> Iterator[tuple[str, str, Any]]:
    """A value and all in it, each with its path and its own key; a list's items have the list's. No engine's flag is deeper."""
    yield path, key or path, value
    if not levels:
        return
    if isinstance(value, str) and value.lstrip().startswith("{"):
        # What one engine reads as JSON is a text to another's table; a template is none.
        with contextlib.suppress(ValueError, RecursionError):
            value = json.loads(value)
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from _parts(item, f"{path}.{name}", str(name), levels - 1)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _parts(item, f"{path}[{index}]", key, levels - 1)


def _events(args: Mapping[str, Any], where: str) -> Iterator[Problem]:
    """Who publishes what the KV cache holds asks nobody for a word."""
    events = args.get(EVENTS)
    with contextlib.suppress(ValueError, RecursionError):
        events = json.loads(events) if isinstance(events, str) else events
    if not isinstance(events, Mapping) or not (events.get("enable_kv_cache_events") or events.get("publisher") == "zmq"):
        return
    endpoint, replay = events.get("endpoint", EVENTS_DEFAULT), events.get("replay_endpoint")
    # With a * or :: in it the engine listens there; else it calls.
    if not isinstance(endpoint, str) or (re.search(r"\*|::|0\.0\.0\.0", endpoint) and not LOCAL.fullmatch(endpoint)):
        found = show(endpoint) if "endpoint" in events else f"nothing, which is {EVENTS_DEFAULT}"
        yield Problem(where, f"args.{EVENTS}.endpoint", found, NEAR, "It is open to every network.", "wrong-address")
    if replay is not None and not (isinstance(replay, str) and LOCAL.fullmatch(replay)):
        yield Problem(where, f"args.{EVENTS}.replay_endpoint", show(replay), NEAR, "The engine listens there.", "wrong-address")


def _folders(dialect: Dialect, args: Mapping[str, Any], repos: Collection[str], where: str) -> Iterator[Problem]:
    """Below the models root lies what strangers wrote: code of it runs only from a checkpoint that a manifest holds."""
    held = [f"{MODELS}/{repo}/" for repo in repos]
    for key, kind in dialect.files.items():
        value = args.get(key)
        if kind != "file" or not isinstance(value, str) or not below(value):
            continue
        if key == "log-config-file":
            hint = "It names code, and no manifest's code is meant by it: bring it as a mod's own file."
            yield Problem(where, f"args.{key}", show(value), f"a file that is not below {MODELS}", hint, "runs-code")
        elif args.get(TRUST) and not f"{posixpath.normpath(value)}/".startswith(tuple(held)):
            hint = f"With {TRUST} its code would run, and no manifest of the plan holds it."
            yield Problem(where, f"args.{key}", show(value), f"a folder of {' or '.join(repos)}", hint, "runs-code")


def below(text: str) -> bool:
    """Does a text, or a part of a list in it, name a path below the models root?"""
    parts = [posixpath.normpath(part.replace("~", "/root")) for part in re.split(r"[:;,=\s]", text) if part]
    inner = MODELS.partition("/root/")[2]
    return any(f"/{inner}/" in f"/{part}/" for part in parts)
