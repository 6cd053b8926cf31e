# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is wrong with a profile: the schema, its own limits, its engine's flags, and the rules of the field. PRIVATE to the collection."""

from __future__ import annotations

import copy
import dataclasses
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ..common import _document, _schema
from ..common._problem import Problem, beyond, nearest, show
from . import _agreement, _memory, _pointers, _probes, _rules, _shipped
from ._profile_types import Sources
from ._types import Deviation
from .engines import _args, _doors, _engines, _env, _flags, _limits, _opens
from .executors import _executors

# What a launch may change. The rest says what is served and what is known of it: with that changed, it is another profile.
CHANGEABLE = ("args", "container", "env", "executor", "image", "mods", "parallel")
FIXED = {
    "engine": "its flags are those of one engine",
    "expect": "the gate and the bench compare with it",
    "limits": "they are what the model is known to survive, whoever launches it",
    "model": "what was measured was this checkpoint",
    "probes": "they are what a served model must pass",
    "provenance": "it says who measured what",
    "summary": "it names the profile",
    "warnings": "they are what the profile's user must know",
}


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

    # Keys that no profile has are the schema's finding.
    fixed = [key for key in changes if key in FIXED and changes[key] != profile.get(key)]
    if "model" in fixed and isinstance(changes["model"], Mapping) and changes["model"].keys() == {"served_name"}:
        fixed.remove("model")  # the name that clients ask for is the launch's
    merge(changed, {key: value for key, value in changes.items() if key not in fixed}, "")
    wanted = f"of a launch {', '.join(CHANGEABLE)} or model.served_name"
    hint = "A profile of your own (a copy of {} in model_profiles of the inventory) may have it otherwise."
    copied = hint.format(where.rpartition("/")[2])
    problems += [
        Problem("command line", f"override.{key}", show(changes[key]), wanted, f"Reason: {FIXED[key]}. {copied}", "not-overridable")
        for key in fixed
    ]
    return changed, deviations, problems


def blamed(
    problems: Iterable[Problem], where: str, deviations: Sequence[Deviation], engine: object, image: Mapping[str, Any]
) -> list[Problem]:
    """Problems of the profile; one that a launch brought is the launch's, since the file says nothing of it."""

    def prefixes(key: str) -> list[tuple[str, ...]]:
        parts = re.split(r"[.\[]", key)
        # By the name that a check has for it, whichever the launch has.
        if parts[0] == "args" and len(parts) > 1 and engine in _engines.names():
            parts[1] = _args.canonical(*_tongue(str(engine), image)[:2], parts[1].replace("_", "-"))
        elif parts[0] == "env" and len(parts) > 1:
            parts[1] = _limits.NEWER.get(parts[1], parts[1])
        parts = [part.replace("_", "-") for part in parts]
        return [tuple(parts[:count]) for count in range(1, len(parts) + 1)]

    changed = [prefixes(deviation["key"]) for deviation in deviations]
    itself, above = {one[-1] for one in changed}, {prefix for one in changed for prefix in one}
    found = []
    for problem in problems:
        key = prefixes(problem.key)
        brought = problem.where == where and (key[-1] in above or not itself.isdisjoint(key))
        found.append(dataclasses.replace(problem, where="command line", key=f"override.{problem.key}") if brought else problem)
    return found


def of_memory(problems: Iterable[Problem], deviations: Sequence[Deviation]) -> list[Problem]:
    """Problems of a launch whose memory does not suffice, though the profile's alone does: those of its changes that count."""
    keys = [one["key"] for one in deviations if one["key"].partition(".")[0] in ("args", "image", "parallel")]
    key = f"override.{', '.join(keys[:3])}{', …' if len(keys) > 3 else ''}"
    return [dataclasses.replace(problem, where="command line", key=key) if problem.key == "memory" else problem for problem in problems]


@dataclasses.dataclass(frozen=True)
class Checked:
    """What is wrong with a profile. `args` and `words`: its flags as the engine reads them, and as argv; `limits`: its own, in the
    engine's names and values; `skipped`: not checked."""

    problems: list[Problem]
    warnings: list[str]
    skipped: list[str]
    args: dict[str, Any]
    words: list[str]
    limits: list[dict[str, Any]]


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
            problems.append(Problem(where, key, show(value), "one of " + ", ".join(known), nearest(value, known), "not-a-choice"))
    used = profile.get("mods")
    used = used if isinstance(used, list) else []
    found, mod_args, all_args, abouts = _mods(used, str(part("model").get("repo")), str(profile.get("engine")), sources, where)
    problems += found
    args, env, engine = part("args"), part("env"), profile.get("engine")
    warnings: list[str] = []
    skipped: list[str] = []
    words: list[str] = []
    said: list[Problem] = []
    unknown: list[Problem] = []
    broken: list[Problem] = []
    limits = profile.get("limits")
    limits = [limit for limit in limits if isinstance(limit, dict)] if isinstance(limits, list) else []
    if engine in _engines.names():
        dialect, table, nearest_version = _tongue(str(engine), image)
        skipped += [f"flags by version: {nearest_version}"] if nearest_version else []
        read = _args.read(dialect, table, args, mod_args, where)
        args, words, warnings = read.args, read.words, read.warnings
        unknown, undocumented = _env.names(dialect, table, env, where)
        said = read.problems + _env.check(dialect, env, where)
        warnings += undocumented
        broken += _opens.check(dialect, args, mod_args, where) + _doors.check(dialect, args, mod_args, _repos(part("model")), where)
        limits = [_limits.entry(dialect, table, limit, all_args) for limit in limits]
        for index, limit in enumerate(limits):
            never = _limits.unknown(dialect, table, limit, all_args, where, f"limits[{index}]")
            said += never
            broken += [] if never else _limits.check(dialect, table, limit, _memory.budgeted(args), env, where)
        budgeted = {**profile, "args": _memory.budgeted(args)}
        others, not_compared = _shipped.warnings(dialect, table, budgeted, limits, sources["shipped"], sources["schema"]["text"], all_args)
        warnings += others
        skipped += not_compared
    seen = _rules.view({**profile, "args": args}, image, where, limits)
    rules, warned = _rules.check(seen)
    rules += _agreement.check(seen) + _agreement.mods([name for name in used if isinstance(name, str)], abouts, seen)
    # A rule knows more of a name that is gone than the tables do.
    ruled = {problem.key for problem in rules}
    said += [problem for problem in unknown if problem.key not in ruled]
    reasons = {(problem.key, problem.wanted, problem.hint) for problem in rules}
    rules += [problem for problem in broken if (problem.key, problem.wanted, problem.hint) not in reasons]
    # What cannot be read, or is not there at all, is said once.
    keys = tuple(problem.key for problem in said)
    problems += said
    problems += [one for one in rules if one.key not in keys and not one.key.startswith(tuple(f"{key}." for key in keys))]
    problems += _probes.problems({**profile, "args": args}, where)
    status = part("provenance").get("status")
    reason = str(part("provenance").get("because", ""))
    if status == "refused":
        problems.append(Problem(where, "provenance.status", "'refused'", "a profile that may run", f"Reason: {reason}.", "refused"))
    elif status == "untested" and not accept:
        hint = f"{reason}. To try it all the same: -e accept_untested=true."
        problems.append(
            Problem(where, "provenance.status", "'untested'", "a measured profile, or your word", hint.lstrip(". "), "untested")
        )
    own = profile.get("warnings")
    problems = refused + beyond(refused, problems)
    return Checked(problems, [*(own if isinstance(own, list) else []), *warned, *warnings], skipped, args, words, limits)


def _tongue(engine: str, image: Mapping[str, Any]) -> tuple[_engines.Dialect, _flags.Table, str]:
    """How an image's engine reads its flags, and why the table is another version's; empty if it is not."""
    return _engines.load(engine).DIALECT, *_flags.pick(engine, _rules.pinned(image, engine))


def _repos(model: Mapping[str, Any]) -> list[str]:
    """The model's and its drafts' repositories, whatever their form."""
    drafts = model.get("drafts")
    return [str(one.get("repo")) for one in [model, *(drafts if isinstance(drafts, list) else [])] if isinstance(one, Mapping)]


def _mods(
    used: list[Any], repo: str, engine: str, sources: Sources, where: str
) -> tuple[list[Problem], list[str], list[str], dict[str, dict[str, Any]]]:
    """Problems of a profile's mods with its checkpoint, the flags that the mods add, those that any mod would, and each mod.yml."""
    problems: list[Problem] = []
    flags: list[str] = []
    for index, name in enumerate(used):
        if isinstance(name, str) and name not in sources["mods"]:
            have = sorted(sources["mods"])
            wanted = "one of " + (", ".join(have) or "no mod: there is none")
            problems.append(Problem(where, f"mods[{index}]", show(name), wanted, nearest(name, have), "not-a-choice"))
    abouts: dict[str, dict[str, Any]] = {}
    for name, mod in sources["mods"].items():
        about, broken = _schema.read(mod["about"], sources["mod_schema"]["text"]) if mod["about"] else ({}, [])
        abouts[name] = {} if broken else about
        if name in used:  # a broken one beside it is its own affair
            problems += [Problem(**mod["problem"])] if "problem" in mod else broken
    provided = [abouts.get(name, {}).get("provides") for name in used if isinstance(name, str)]
    for name, about in abouts.items():
        # What it does for one engine, nobody needs for another.
        required = about.get("required_for", {}) if engine in about.get("engine", [engine]) else {}
        if name not in used and name not in provided and repo in required:
            problems.append(Problem(where, "mods", f"no {name}", f"{name}, for {repo}", f"Reason: {required[repo]}.", "mod"))
        if name in used:
            flags += about.get("args", [])
            only = about.get("checkpoints")
            if only is not None and repo not in only:
                wanted = f"{name} only with {', '.join(only)}"
                problems.append(Problem(where, "mods", f"{name} with {repo}", wanted, about["summary"] + ".", "mod"))
    return problems, flags, [flag for about in abouts.values() for flag in about.get("args", [])], abouts
