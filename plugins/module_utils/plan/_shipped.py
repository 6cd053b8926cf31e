# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The limits that the collection's own profiles have of the checkpoint that a user's profile serves. PRIVATE to the collection.

A warning, not a refusal: a limit was measured with one image, split and set of flags, and whoever writes a profile of their own may have
measured otherwise. Silence is an entry of its own `limits`, which then is what refuses.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from ..common import _schema
from ..common._problem import Problem
from ._profile_types import Text
from .engines import _limits
from .engines._engines import Dialect
from .engines._flags import Table

# What a rank has to hold decides these, so they hold for the split that they were measured with.
OF_A_RANK = (
    *("gpu-memory-utilization", "gpu-memory-utilization-gb", "mem-fraction-static", "max-num-seqs", "max-num-batched-tokens"),
    *("max-running-requests", "max-total-tokens", "chunked-prefill-size"),
)
BOUNDS = ("min", "max", "equals")


def warnings(
    dialect: Dialect,
    table: Table,
    profile: Mapping[str, Any],
    own: Sequence[Mapping[str, Any]],
    shipped: Mapping[str, Text],
    schema: str,
    mod_args: Collection[str],
) -> tuple[list[str], list[str]]:
    """Limits that `profile` breaks and has no word of its own on, and those that were not compared.

    Its `args` (with the budget in GiB) and its `own` limits are as the engine reads them.
    """
    said: dict[tuple[str, str], tuple[Problem, list[str]]] = {}
    skipped = []
    for name, other in _of_the_same(profile, shipped, schema):
        alike, left_out = _split(profile) == _split(other), []
        for stated in other.get("limits", []):
            limit = _limits.entry(dialect, table, stated, mod_args)
            key = limit.get("arg", limit.get("env"))
            if any(_answers(entry, limit) for entry in own) or _limits.unknown(dialect, table, limit, mod_args, "", ""):
                continue
            broken = _limits.check(dialect, table, limit, profile["args"], profile.get("env", {}), "")
            if key in OF_A_RANK and not alike:
                left_out += [str(key)] if broken else []
                continue
            for problem in broken:
                said.setdefault((problem.key, problem.wanted), (problem, []))[1].append(name)
        if left_out:
            keys = ", ".join(dict.fromkeys(left_out))
            skipped.append(f"limits of {name}: {keys}, which it knows for {_split(other)} alone (this one: {_split(profile)})")
    return [_text(problem, names) for problem, names in said.values()], skipped


def _of_the_same(profile: Mapping[str, Any], shipped: Mapping[str, Text], schema: str) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The shipped profiles of a profile's checkpoint and engine, with their names."""
    repo = _repo(profile)
    for name, source in sorted(shipped.items()):
        # Most are of another checkpoint, and need not be parsed.
        if repo and repo in source["text"]:
            other, problems = _schema.read(source, schema)
            if not problems and _repo(other) == repo and other.get("engine") == profile.get("engine"):
                yield name, other


def _repo(profile: Mapping[str, Any]) -> str:
    model = profile.get("model")
    return str(model.get("repo", "")) if isinstance(model, Mapping) else ""


def _split(profile: Mapping[str, Any]) -> str:
    parallel = profile.get("parallel")
    stated = parallel if isinstance(parallel, Mapping) else {}
    return " x ".join(f"{key} {stated.get(key, 1)}" for key in ("tensor", "pipeline", "expert"))


def _answers(own: Mapping[str, Any], limit: Mapping[str, Any]) -> bool:
    """Does a limit of the profile's own speak of the same flag or variable in the same direction?"""
    same = all(own.get(kind) == limit.get(kind) for kind in ("arg", "env"))
    return same and any(bound in own and (bound == "equals" or bound in limit or "equals" in limit) for bound in BOUNDS)


def _text(problem: Problem, names: Sequence[str]) -> str:
    more = f" and {len(names) - 1} more" if len(names) > 1 else ""
    return (
        f"{problem.key}: found {problem.found}; the collection's {names[0]}{more} of the same checkpoint has {problem.wanted}. "
        f"{problem.hint} An entry of your own in limits says otherwise."
    )
