# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Flags that run code, open files, or mean something only with or without another. PRIVATE to the collection."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from ...common._problem import Problem, show
from ._engines import MODELS, Dialect
from ._limits import value_of

# Releases of SGLang leave it out for files of an old format (srt/model_loader/weight_utils.py, _load_pt_file).
PICKLE = "a pickle names code, and what keeps it from running is one argument of torch.load, which had a hole (CVE-2025-32434)"
CODE = "it names code that runs in the engine, which no proof covers: bring it as a mod whose mod.yml has the flag in args"
# What a number is a divisor of that the engine chooses as a power of two.
POWER = 2**11
FILE = "the container has the image's files, and the models root as"


def check(dialect: Dialect, args: Mapping[str, Any], mod_args: Collection[str], where: str) -> list[Problem]:
    """`args` as they were read; `mod_args`: flags that the profile's mods answer for."""
    return [*_code(dialect, args, mod_args, where), *_files(dialect, args, where), *_together(dialect, args, where)]


def _code(dialect: Dialect, args: Mapping[str, Any], mod_args: Collection[str], where: str) -> list[Problem]:
    found = {key: value_of(args, key) for key in dialect.code}
    return [
        Problem(where, f"args.{key}", show(value), "the profile without it", f"Reason: {CODE}.", "runs-code")
        for key, value in found.items()
        if value not in (None, "auto") and key not in mod_args
    ] + [
        Problem(where, f"args.{key}", show(value_of(args, key)), "safetensors, or nothing", f"Reason: {PICKLE}.", "runs-code")
        for key, values in dialect.unpickles.items()
        if str(value_of(args, key)).lower() in values and key not in mod_args
    ]


def _files(dialect: Dialect, args: Mapping[str, Any], where: str) -> list[Problem]:
    problems = []
    for key, kind in dialect.files.items():
        value = args.get(key)
        # A template may stand there itself, or one of the engine's own by its name.
        if not isinstance(value, str) or (kind == "template" and (re.search(r"[{}\n]", value) or re.fullmatch(dialect.templates, value))):
            continue
        path = value.startswith("/") and posixpath.normpath(value) == value.rstrip("/")
        if kind == "models" and not (path and f"{value}/".startswith(f"{MODELS}/")):
            hint = "Requests may read every file below it."
            problems.append(Problem(where, f"args.{key}", show(value), f"a folder below {MODELS}", hint, "path"))
        elif not path:
            wanted = "an absolute path in the container, without . and .."
            problems.append(Problem(where, f"args.{key}", show(value), wanted, f"{FILE} {MODELS}.".capitalize(), "path"))
    return problems


def _together(dialect: Dialect, args: Mapping[str, Any], where: str) -> list[Problem]:
    problems = []
    for key, needed in dialect.requires.items():
        # Number 0 of a node is said, as any other.
        if not _unsaid(args, key) and _unsaid(args, needed):
            problems.append(Problem(where, f"args.{needed}", "nothing", f"a value with args.{key}", "", "needs"))
    for one, other in dialect.excludes:
        if value_of(args, one) is not None and value_of(args, other) is not None:
            hint = f"{dialect.program} takes only one."
            problems.append(Problem(where, f"args.{other}", f"args.{one} beside it", "one of them", hint, "excludes"))
    for one, other in dialect.orders:
        low, high = value_of(args, one), value_of(args, other)
        if isinstance(low, int) and isinstance(high, int) and low > high:
            problems.append(Problem(where, f"args.{one}", show(low), f"at most {high}, which is args.{other}", "", "out-of-range"))
    for one, other in dialect.divides:
        part, whole = value_of(args, one), value_of(args, other)
        whole = POWER if whole is None else whole
        # Not above 0 means that there is none.
        if isinstance(part, int) and isinstance(whole, int) and part > 0 and whole > 0 and whole % part:
            wanted = f"a divisor of args.{other}, {whole}" if other in args else f"a power of two, as args.{other} is one unless it is said"
            problems.append(Problem(where, f"args.{one}", show(part), wanted, "", "out-of-range"))
    for key, least in dialect.least.items():
        problems += [
            Problem(where, f"args.{path}", show(value), f"at least {least}", "", "out-of-range")
            for path, value in _numbers(args.get(key), key)
            if value < least
        ]
    for key, of in dialect.multiples.items():
        value = args.get(key)
        if isinstance(value, int) and (value <= 0 or value % of):
            problems.append(Problem(where, f"args.{key}", show(value), f"a multiple of {of}", "", "out-of-range"))
    return problems


def _unsaid(args: Mapping[str, Any], key: str) -> bool:
    value = value_of(args, key)
    return value is None or value is False


def _numbers(value: Any, path: str) -> Iterator[tuple[str, float]]:
    """A number, or those in a list or mapping, each with its path."""
    if isinstance(value, int | float) and not isinstance(value, bool):
        yield path, value
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _numbers(item, f"{path}[{index}]")
    elif isinstance(value, Mapping):
        for key, item in value.items():
            yield from _numbers(item, f"{path}.{key}")
