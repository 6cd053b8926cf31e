# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a profile: the schema, its own limits, its engine's flags, and the rules of the field. PRIVATE to the collection."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

from ..common import _document
from ..common._problem import Problem, nearest, show
from . import _probes, _rules
from ._profile_types import Sources
from ._types import Deviation
from .engines import _engines
from .executors import _executors


def override(profile: dict[str, Any], changes: Mapping[str, Any], where: str) -> tuple[dict[str, Any], list[Deviation], list[Problem]]:
    """Apply a launch's overrides: mappings go down, null removes a key. Returns the changed profile, the deviations, and problems."""
    changed = copy.deepcopy(profile)
    deviations: list[Deviation] = []
    if not isinstance(changes, Mapping):
        return changed, [], [Problem("command line", "override", show(changes), "a mapping like a profile, for example {args: {…}}")]

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
    return changed, deviations, []


def check(
    profile: Mapping[str, Any], image: Mapping[str, Any], sources: Sources, where: str, accept: bool
) -> tuple[list[Problem], list[str]]:
    """Every problem of a profile, and warnings. Keys of a wrong type are the schema's finding and are passed over here."""
    problems = _document.check_schema(profile, sources["schema"]["text"], where)

    def part(key: str) -> dict[str, Any]:
        value = profile.get(key)
        return value if isinstance(value, dict) else {}

    for key, known in (("engine", _engines.names()), ("executor", _executors.names())):
        value = profile.get(key)
        if isinstance(value, str) and value not in known:
            problems.append(Problem(where, key, show(value), "one of " + ", ".join(known), nearest(value, known)))
    used = profile.get("mods")
    found, mod_args = _mods(used if isinstance(used, list) else [], str(part("model").get("repo")), sources, where)
    problems += found
    engine = profile.get("engine")
    if engine in _engines.names():
        problems += _engines.check(_engines.load(str(engine)).DIALECT, part("args"), part("env"), mod_args, where)
    limits = profile.get("limits")
    for limit in limits if isinstance(limits, list) else []:
        if isinstance(limit, dict):
            problems += _check_limit(limit, part("args"), part("env"), where)
    problems += _probes.problems(profile, where)
    status = part("provenance").get("status")
    reason = str(part("provenance").get("because", ""))
    if status == "refused":
        problems.append(Problem(where, "provenance.status", "'refused'", "a profile that may run", f"Reason: {reason}."))
    elif status == "untested" and not accept:
        hint = f"{reason}. To try it all the same: -e accept_untested=true."
        problems.append(Problem(where, "provenance.status", "'untested'", "a measured profile, or your word", hint.lstrip(". ")))
    found, warnings = _rules.check(profile, image, where)
    own = profile.get("warnings")
    return problems + found, [*(own if isinstance(own, list) else []), *warnings]


def _mods(used: list[Any], repo: str, sources: Sources, where: str) -> tuple[list[Problem], list[str]]:
    """Problems of a profile's mods with its checkpoint, and the flags that the mods add."""
    problems: list[Problem] = []
    flags: list[str] = []
    for index, name in enumerate(used):
        if isinstance(name, str) and name not in sources["mods"]:
            have = sorted(sources["mods"])
            wanted = "one of " + (", ".join(have) or "no mod: there is none")
            problems.append(Problem(where, f"mods[{index}]", show(name), wanted, nearest(name, have)))
    abouts: dict[str, dict[str, Any]] = {}
    for name, mod in sources["mods"].items():
        abouts[name] = {}
        if mod["about"]:
            abouts[name], broken = _document.parse(mod["about"]["text"], mod["about"]["path"])
            problems += broken or _document.check_schema(abouts[name], sources["mod_schema"]["text"], mod["about"]["path"])
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
    return problems, flags


def value_of(args: Mapping[str, Any], key: str) -> Any:
    """The value of a flag; dots go down into a mapping, unless the flag itself is written with dots."""
    if key in args:
        return args[key]
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
    if isinstance(value, bool) or not isinstance(value, int | float):
        return []
    problems = []
    for bound, word, beyond in (("max", "at most", value > limit.get("max", value)), ("min", "at least", value < limit.get("min", value))):
        if beyond:
            problems.append(Problem(where, at, show(value), f"{word} {limit[bound]}", hint))
    return problems
