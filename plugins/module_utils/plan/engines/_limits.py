# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A profile's `limits`: read as the engine reads its flags, and compared with what it would run with, said or left out.

PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from ...common._problem import Problem, nearest, show
from ._args import canonical, read
from ._engines import Dialect
from ._fields import known_field
from ._flags import Table, elsewhere
from ._values import Wrong

# Of two names of a variable the one that counts: torch/csrc/utils of 2.9 and later.
NEWER = {"PYTORCH_CUDA_ALLOC_CONF": "PYTORCH_ALLOC_CONF"}


def entry(dialect: Dialect, table: Table, limit: Mapping[str, Any], mod_args: Collection[str]) -> dict[str, Any]:
    """An entry of `limits` in the names and values that `read` gives."""
    found = dict(limit)
    if isinstance(limit.get("arg"), str):
        found["arg"] = canonical(dialect, table, limit["arg"])
        taken = value_of(read(dialect, table, {found["arg"]: limit.get("equals")}, mod_args, "").args, found["arg"])
        if "equals" in limit and taken is not None:
            found["equals"] = taken
    return found


def unknown(dialect: Dialect, table: Table, limit: Mapping[str, Any], mod_args: Collection[str], where: str, at: str) -> list[Problem]:
    """A limit that would never fire: of what there is not, of what args cannot say, or without a bound."""
    subjects = [key for key in ("arg", "env") if key in limit]
    if len(subjects) != 1:
        return [Problem(where, at, " and ".join(subjects) or "neither arg nor env", "one of arg and env", code="wrong-limit")]
    if not {"min", "max", "equals"} & limit.keys():
        return [Problem(where, at, "no bound", "min, max or equals", code="wrong-limit")]
    if "arg" not in limit:
        return []
    base, _dot, path = str(limit["arg"]).partition(".")
    at = f"{at}.arg"
    if base in mod_args:
        return []
    if base in dialect.owned:
        wanted = f"a flag that args sets: the plan sets this one, from {dialect.owned[base]}"
        return [Problem(where, at, show(base), wanted, code="owned")]
    if base not in table.flags:
        hint = elsewhere(table.engine, table.version, base) or nearest(base, table.flags)
        return [Problem(where, at, show(base), f"a flag of {table.engine} {table.version}", hint, "flag-unknown")]
    of = table.flags[base].get("of")
    try:
        for name in path.split(".") if path else []:
            of = known_field(table, of, name, "").get("of") if of is not None else None
    except Wrong as wrong:
        return [Problem(where, at, wrong.found, wrong.wanted, wrong.hint, wrong.code)]
    return []


def value_of(args: Mapping[str, Any], key: str) -> Any:
    """The value of a flag, as it was read; dots go down into a mapping."""
    value: Any = args
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def check(
    dialect: Dialect, table: Table, limit: Mapping[str, Any], args: Mapping[str, Any], env: Mapping[str, Any], where: str
) -> list[Problem]:
    """One entry, as `entry` gives it: an arg or env with min, max or equals."""
    kind = "env" if "env" in limit else "arg"
    key = limit.get(kind)
    if not isinstance(key, str):
        return []
    said = [env[name] for name in ([NEWER[key], key] if key in NEWER else [key]) if name in env]
    value = value_of(args, key) if kind == "arg" else said[0] if said else None
    hint = f"Reason: {limit.get('because')}."

    def problem(wanted: str) -> Problem:
        return Problem(where, f"{kind if kind == 'env' else 'args'}.{key}", found, wanted, hint, "limit")

    found = "nothing" if value is None else show(value)
    if "equals" in limit:
        return [] if value == limit["equals"] else [problem(show(limit["equals"]))]
    number = _number(value)
    if value is None:
        # A variable that is not set bounds nothing, and a feature that is off has no value.
        if kind == "env" or _off(dialect, table, args, key):
            return []
        number = _number(table.flags[key].get("default")) if key in table.flags else None
        version = f"{table.engine} {table.version}"
        found = f"nothing, and {version} chooses it" if number is None else f"nothing, which in {version} is {number:g}"
    problems = []
    for bound, word in (("max", "at most"), ("min", "at least")):
        most = limit.get(bound)
        if isinstance(most, bool) or not isinstance(most, int | float):
            continue
        # What is no number ("auto", NaN) may be anything, so it is not within a bound.
        if number is None or not (number <= most if bound == "max" else number >= most):
            problems.append(problem(f"{word} {most}"))
    return problems


def of_node(
    dialect: Dialect, table: Table, limits: Sequence[Mapping[str, Any]], env: Mapping[str, Any], own: Mapping[str, Any], at: str
) -> list[Problem]:
    """What a node's own variables break of the limits on variables, which the profile's `env` keeps. The profile's win."""
    found = []
    for limit in limits:
        name = next((one for one in (NEWER.get(str(limit.get("env"))), limit.get("env")) if one in own and one not in env), None)
        broken = check(dialect, table, limit, {}, {**own, **env}, "inventory") if name else []
        found += [dataclasses.replace(problem, key=f"{at}.{name}") for problem in broken]
    return found


def _off(dialect: Dialect, table: Table, args: Mapping[str, Any], key: str) -> bool:
    """Does nothing read this flag, since the profile does not use what it belongs to?"""
    above, dot, _name = key.rpartition(".")
    if dot:
        return value_of(args, above) is None
    # What only a mod knows is another way to say what a flag of the engine says.
    return key not in table.flags or any(key.startswith(prefix) and switch not in args for prefix, switch in dialect.within.items())


def _number(value: Any) -> float | None:
    """A number, or a variable's text that is one."""
    if isinstance(value, bool):
        return None
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None
