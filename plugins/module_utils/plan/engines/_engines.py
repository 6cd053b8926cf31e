# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The interface of engines, and what they share: checking and rendering flags. An engine is one file, `_engine_NAME.py`.

PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import pathlib
from collections.abc import Collection, Mapping
from typing import Any, Protocol, TypedDict, cast

from ...common._problem import Problem, nearest, show
from .._profile_types import Parallel


@dataclasses.dataclass(frozen=True)
class Dialect:
    """What an engine's command line knows and what a profile may not say in it.

    `owned`: flags set from elsewhere, to where; they would be said twice, and the last one wins. `refused_*`: to the reason.
    `negates`: whether a bare flag has a --no- form.
    """

    program: str
    switches: frozenset[str]
    options: frozenset[str]
    owned: Mapping[str, str]
    refused_args: Mapping[str, str]
    refused_env: Mapping[str, str]
    negates: bool


@dataclasses.dataclass(frozen=True)
class Metrics:
    """Names in an engine's /metrics. `busy`: requests that run or wait; `progress`: what moves only when the engine itself has worked."""

    busy: tuple[str, ...]
    progress: tuple[str, ...]


class Serve(TypedDict):
    """What is served, how, and where it listens; `model` is a path in the container."""

    model: str
    served_name: str
    host: str
    port: int
    args: Mapping[str, Any]
    parallel: Parallel


class Engine(Protocol):
    """What each engine file offers."""

    DIALECT: Dialect
    METRICS: Metrics

    def argv(self, job: Serve, ranks: list[str]) -> list[str]:
        """The command line. `ranks`: the executor's flags."""


# Open the engine to whoever reaches it, or change which code runs, whatever the engine.
REFUSED_ENV = {
    "HF_TOKEN": "it would stand in docker inspect; weights are local at serve time",
    "PYTHONOPTIMIZE": "it removes the engine's safety assertions",
    "PYTHONPATH": "it changes which code runs",
    "LD_PRELOAD": "it changes which code runs",
}
# Set by the plan, the same on each node in all places that must agree.
OWNED_ENV = ("VLLM_HOST_IP", "RAY_ADDRESS", "RAY_AUTH_MODE", "RAY_AUTH_TOKEN_PATH")


def names() -> list[str]:
    """The engines that exist."""
    return sorted(path.stem.removeprefix("_flags_") for path in pathlib.Path(__file__).parent.glob("_flags_*.py"))


def load(name: str) -> Engine:
    """Import an engine by one of `names`."""
    return cast(Engine, importlib.import_module(f"{__package__}._{name}"))


def check(dialect: Dialect, args: Mapping[str, Any], env: Mapping[str, Any], mod_args: Collection[str], where: str) -> list[Problem]:
    """Check a profile's `args` and `env`; `mod_args` are flags that its mods add."""
    problems = []
    known = dialect.switches | dialect.options | set(mod_args)
    for key, value in args.items():
        base = key.split(".")[0]
        at = f"args.{key}"
        if base in dialect.owned:
            problems.append(Problem(where, at, "a flag that the plan sets", f"the value in {dialect.owned[base]}"))
        elif base in dialect.refused_args:
            problems.append(Problem(where, at, "a refused flag", "the profile without it", f"Reason: {dialect.refused_args[base]}."))
        elif base.startswith("no-") and base[3:] in dialect.switches:
            problems.append(Problem(where, at, show(value), f"{base[3:]}: {'false' if value is True else 'true'}"))
        elif base not in known:
            wanted = f"one of the long flags of {dialect.program}"
            problems.append(Problem(where, at, f"an unknown flag of {dialect.program}", wanted, nearest(base, known)))
        else:
            problems += _check_value(dialect, key, base, value, where)
    refused = {**REFUSED_ENV, **dialect.refused_env}
    for key, value in env.items():
        if key in refused:
            problems.append(Problem(where, f"env.{key}", show(value), "the profile without it", f"Reason: {refused[key]}."))
        elif key in OWNED_ENV:
            problems.append(Problem(where, f"env.{key}", show(value), "the profile without it: the plan sets it per node"))
    return problems


def _check_value(dialect: Dialect, key: str, base: str, value: Any, where: str) -> list[Problem]:
    at = f"args.{key}"
    if base in dialect.switches and not isinstance(value, bool):
        return [Problem(where, at, show(value), "true or false")]
    if base in dialect.switches and value is False and not dialect.negates:
        return [Problem(where, at, show(value), f"true, or the profile without it: {dialect.program} has no --no-{base}")]
    if base in dialect.options and isinstance(value, bool) and "." not in key:
        return [Problem(where, at, show(value), "a value: this flag is no switch")]
    bad = []
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str) and (item == "" or "\x00" in item):
            bad.append(Problem(where, at, show(item), "a text that is not empty"))
        elif isinstance(item, str) and item.startswith("-"):
            bad.append(Problem(where, at, show(item), "a text that does not start with '-': it would be read as a flag"))
    return bad


def render(args: Mapping[str, Any]) -> list[str]:
    """Turn `args` into argv: true is the bare flag, false its --no- form, a list repeats it, a mapping is JSON."""
    argv: list[str] = []
    for key, value in args.items():
        if value is True:
            argv.append(f"--{key}")
        elif value is False:
            argv.append(f"--no-{key}")
        else:
            for item in value if isinstance(value, list) else [value]:
                argv += [f"--{key}", _text(item)]
    return argv


def _text(value: Any) -> str:
    if isinstance(value, bool | dict):
        return json.dumps(value, separators=(",", ":"), ensure_ascii=False)
    return str(value)
