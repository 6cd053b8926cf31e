# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a profile: the schema, its own limits, its engine's flags, and the rules of the field. PRIVATE to the collection."""

from __future__ import annotations

import copy
import dataclasses
from collections.abc import Mapping
from typing import Any

from ..common import _document, _schema
from ..common._problem import Problem, beyond, nearest, show
from . import _pointers, _probes, _rules
from ._profile_types import Sources
from ._types import Deviation
from .engines import _args, _engines, _env, _flags
from .executors import _executors


def override(profile: dict[str, Any], changes: Mapping[str, Any], where: str) -> tuple[dict[str, Any], list[Deviation], list[Problem]]:
    """Apply a launch's overrides: mappings go down, null removes a key. Returns the changed profile, the deviations, and problems."""
    changed = copy.deepcopy(profile)
    deviations: list[Deviation] = []
    if not isinstance(changes, Mapping):
        wanted = "a mapping like a profile, for example {args: {…}}"
        return changed, [], [Problem("command line", "override", show(changes), wanted, code="wrong-type")]
    changes, problems = _document.plain(changes, "command line", "override")

    def merge(target: dict[str, Any], source: Mapping[str, Any], path: str) -> None:
        for key, value in source.items():
            at = f"{path}{key}"
            old = target.get(key)
            # Flags are replaced whole: half of one JSON value and half of another is nobody's intention.
            if isinstance(value, Mapping) and isinstance(old, dict) and not path.startswith("args."):
                merge(old, value, f"{at}.")
                continue
            if value == old and key in target:
                continue
            deviations.append({"key": at, "profile": old, "launch": value})
            if value is None:
                target.pop(key, None)
            else:
                target[key] = value

    merge(changed, changes, "")
    return changed, deviations, problems


@dataclasses.dataclass(frozen=True)
class Checked:
    """What is wrong with a profile. `args` and `words`: its flags as the engine reads them, and as argv; `skipped`: not checked."""

    problems: list[Problem]
    warnings: list[str]
    skipped: list[str]
    args: dict[str, Any]
    words: list[str]


def check(profile: Mapping[str, Any], image: Mapping[str, Any], sources: Sources, where: str, accept: bool) -> Checked:
    """Every problem of a profile. Keys of a wrong type are the schema's finding and are passed over here."""
    # What the schema refuses is out of the profile from here on.
    profile, refused = _schema.accept(
        profile, sources["schema"]["text"], where, _pointers.hint(profile.get("engine"), sources["schema"]["text"])
    )
    problems: list[Problem] = []

    def part(key: str) -> dict[str, Any]:
        value = profile.get(key)
        return value if isinstance(value, dict) else {}

    for key, known in (("engine", _engines.names()), ("executor", _executors.names())):
        value = profile.get(key)
        if isinstance(value, str) and value not in known:
            problems.append(Problem(where, key, show(value), "one of " + ", ".join(known), nearest(value, known)))
    used = profile.get("mods")
    found, mod_args, all_args = _mods(used if isinstance(used, list) else [], str(part("model").get("repo")), sources, where)
    problems += found
    args, env, engine = part("args"), part("env"), profile.get("engine")
    warnings: list[str] = []
    skipped: list[str] = []
    words: list[str] = []
    said: list[Problem] = []
    unknown: list[Problem] = []
    limits = profile.get("limits")
    limits = [limit for limit in limits if isinstance(limit, dict)] if isinstance(limits, list) else []
    if engine in _engines.names():
        dialect = _engines.load(str(engine)).DIALECT
        table, nearest_version = _flags.pick(str(engine), _rules.pinned(image, str(engine)))
        skipped += [f"flags by version: {nearest_version}"] if nearest_version else []
        read = _args.read(dialect, table, args, mod_args, where)
        args, words, warnings = read.args, read.words, read.warnings
        unknown, undocumented = _env.names(dialect, table, env, where)
        said = read.problems + _env.check(dialect, env, where)
        warnings += undocumented
        limits = [_args.limit(dialect, table, limit, all_args) for limit in limits]
        for index, limit in enumerate(limits):
            said += _args.limit_problem(table, limit, all_args, where, f"limits[{index}].arg")
    rules, warned = _rules.check({**profile, "args": args}, image, where)
    # A rule knows more of a name that is gone than the tables do.
    ruled = {problem.key for problem in rules}
    said += [problem for problem in unknown if problem.key not in ruled]
    for limit in limits:
        rules += _check_limit(limit, args, env, where)
    # What cannot be read, or is not there at all, is said once.
    keys = tuple(problem.key for problem in said)
    problems += said
    problems += [one for one in rules if one.key not in keys and not one.key.startswith(tuple(f"{key}." for key in keys))]
    problems += _probes.problems({**profile, "args": args}, where)
    status = part("provenance").get("status")
    reason = str(part("provenance").get("because", ""))
    if status == "refused":
        problems.append(Problem(where, "provenance.status", "'refused'", "a profile that may run", f"Reason: {reason}."))
    elif status == "untested" and not accept:
        hint = f"{reason}. To try it all the same: -e accept_untested=true."
        problems.append(Problem(where, "provenance.status", "'untested'", "a measured profile, or your word", hint.lstrip(". ")))
    own = profile.get("warnings")
    problems = refused + beyond(refused, problems)
    return Checked(problems, [*(own if isinstance(own, list) else []), *warned, *warnings], skipped, args, words)


def _mods(used: list[Any], repo: str, sources: Sources, where: str) -> tuple[list[Problem], list[str], list[str]]:
    """Problems of a profile's mods with its checkpoint, the flags that the mods add, and those that any mod would."""
    problems: list[Problem] = []
    flags: list[str] = []
    for index, name in enumerate(used):
        if isinstance(name, str) and name not in sources["mods"]:
            have = sorted(sources["mods"])
            wanted = "one of " + (", ".join(have) or "no mod: there is none")
            problems.append(Problem(where, f"mods[{index}]", show(name), wanted, nearest(name, have)))
    abouts: dict[str, dict[str, Any]] = {}
    for name, mod in sources["mods"].items():
        about, broken = _schema.read(mod["about"], sources["mod_schema"]["text"]) if mod["about"] else ({}, [])
        abouts[name] = {} if broken else about
        if name in used:  # a broken one beside it is its own affair
            problems += [Problem(**mod["problem"])] if "problem" in mod else broken
    provided = [abouts.get(name, {}).get("provides") for name in used if isinstance(name, str)]
    for name, about in abouts.items():
        required = about.get("required_for", {})
        if name not in used and name not in provided and repo in required:
            problems.append(Problem(where, "mods", f"no {name}", f"{name}, for {repo}", f"Reason: {required[repo]}."))
        if name in used:
            flags += about.get("args", [])
            only = about.get("checkpoints")
            if only is not None and repo not in only:
                problems.append(
                    Problem(where, "mods", f"{name} with {repo}", f"{name} only with {', '.join(only)}", about["summary"] + ".")
                )
    return problems, flags, [flag for about in abouts.values() for flag in about.get("args", [])]


def value_of(args: Mapping[str, Any], key: str) -> Any:
    """The value of a flag, as it was read; dots go down into a mapping."""
    value: Any = args
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _check_limit(limit: Mapping[str, Any], args: Mapping[str, Any], env: Mapping[str, Any], where: str) -> list[Problem]:
    """One entry of `limits`: an arg or env with min, max or equals. Where a flag is absent, min and max do not apply."""
    kind = "env" if "env" in limit else "arg"
    key = limit.get(kind)
    if not isinstance(key, str):
        return []
    value = env.get(key) if kind == "env" else value_of(args, key)
    at = f"env.{key}" if kind == "env" else f"args.{key}"
    hint = f"Reason: {limit.get('because')}."
    if "equals" in limit:
        ok = value == limit["equals"]
        return [] if ok else [Problem(where, at, "nothing" if value is None else show(value), show(limit["equals"]), hint)]
    if value is None:
        return []
    number = _number(value)
    problems = []
    for bound, word in (("max", "at most"), ("min", "at least")):
        most = limit.get(bound)
        if isinstance(most, bool) or not isinstance(most, int | float):
            continue
        # What is no number ("auto", NaN) may be anything, so it is not within a bound.
        if number is None or not (number <= most if bound == "max" else number >= most):
            problems.append(Problem(where, at, show(value), f"{word} {most}", hint))
    return problems


def _number(value: Any) -> float | None:
    """A number, or a variable's text that is one."""
    if isinstance(value, bool):
        return None
    try:
        return float(value) if isinstance(value, int | float | str) else None
    except (ValueError, OverflowError):
        return None
