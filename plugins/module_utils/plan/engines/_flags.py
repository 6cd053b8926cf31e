# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The flags and variables of each engine by version, as flags/*.json has them. PRIVATE to the collection.

tools/engine-flags writes the tables from the published packages; they are data of the collection, as its modules are code.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import pathlib
from collections.abc import Mapping
from typing import Any, TypedDict

TABLES = pathlib.Path(__file__).parent / "flags"


class Spec(TypedDict, total=False):
    """What a flag, a field of a JSON flag, or a variable takes.

    `also`: its other spellings; `type`: of a flag switch (no --no- form), bool, int, float, str, json, json_or_str, size (1k) or
    size_or_auto, of a field one or more of JSON's, joined by |, of a variable int, float or c_int (strtoll's, 0x10); `nargs`: argparse's;
    `append`: a list repeats the flag; `open`: plugins may add to `choices`; `folds`: how the engine folds a text before it compares;
    `optional`: "None" is its word for none; `of`: the entry of `fields` that JSON fills; `sizes`: bare numbers in its JSON may end in k,
    M…; `many`: a list with commas; `ge`, `gt`, `le`, `lt`: bounds of a number.
    """

    also: list[str]
    type: str
    nargs: int | str
    append: bool
    choices: list[int | str]
    open: bool
    folds: str
    optional: bool
    of: str
    sizes: bool
    many: bool
    ge: float
    gt: float
    le: float
    lt: float
    default: Any
    deprecated: str
    undocumented: bool


@dataclasses.dataclass(frozen=True)
class Table:
    """One version of an engine. `flags` by the first long name; `names`: every spelling without dashes in front, to that name.

    `borrowed`: where it stands for a version that has none, the flags of other versions that it has, too, with the version.
    """

    engine: str
    version: str
    flags: Mapping[str, Spec]
    fields: Mapping[str, Mapping[str, Spec]]
    env: Mapping[str, Spec]
    names: Mapping[str, str]
    borrowed: Mapping[str, str] | None = None


@functools.cache
def table(engine: str, version: str) -> Table:
    """A table that is there."""
    found = json.loads((TABLES / f"{engine}-{version}.json").read_text(encoding="utf-8"))
    flags: dict[str, Spec] = found["flags"]
    names = {spelling.lstrip("-"): name for name, spec in flags.items() for spelling in spec.get("also", [])}
    return Table(engine, version, flags, found["fields"], found["env"], {**names, **{name: name for name in flags}})


@functools.cache
def nccl() -> Mapping[str, Spec]:
    """NCCL's variables."""
    found: Mapping[str, Spec] = json.loads((TABLES / "nccl.json").read_text(encoding="utf-8"))["env"]
    return found


@functools.cache
def engines() -> list[str]:
    """The engines with a table."""
    return sorted({path.name.partition("-")[0] for path in TABLES.glob("*-*.json")})


@functools.cache
def versions(engine: str) -> list[str]:
    """The versions of an engine that have a table, the newest last."""
    from packaging.version import Version

    return sorted((path.stem.removeprefix(f"{engine}-") for path in TABLES.glob(f"{engine}-*.json")), key=Version)


@functools.cache
def pick(engine: str, pinned: str) -> tuple[Table, str]:
    """The table for what an image pins ("==0.22.1+local"), and why it is another version's; empty if it is not.

    The nearest: of the same release (for its candidates and nightlies), else the newest before, else the oldest.
    """
    from packaging.specifiers import SpecifierSet
    from packaging.version import InvalidVersion, Version

    have = versions(engine)
    try:
        version = Version(pinned.removeprefix("=="))
    except InvalidVersion:
        within = [other for other in have if pinned and SpecifierSet(pinned).contains(other)]
        if within:
            return table(engine, within[-1]), f"the image asks for {engine} {pinned}; its flags are read as those of {within[-1]}"
        return table(engine, have[-1]), f"the image pins no {engine}; its flags are read as those of {have[-1]}"
    if version.public in have:
        return table(engine, version.public), ""
    before = [other for other in have if Version(other) <= version]
    nearest = version.base_version if version.base_version in have else [have[0], *before][-1]
    found = table(engine, nearest) if nearest == version.base_version else _widened(engine, nearest)
    return found, f"no table of {engine} {version.public}; its flags are read as those of {nearest}"


def _widened(engine: str, version: str) -> Table:
    """A table for a version between or beyond those that have one: nobody knows which flags and fields of the others it has."""
    own = table(engine, version)
    flags, names, env, fields = dict(own.flags), dict(own.names), dict(own.env), {key: dict(part) for key, part in own.fields.items()}
    borrowed: dict[str, str] = {}
    for other in versions(engine)[::-1]:
        more = table(engine, other)
        borrowed |= dict.fromkeys(more.flags.keys() - flags.keys(), other)
        flags, names, env = {**more.flags, **flags}, {**more.names, **names}, {**more.env, **env}
        fields |= {key: {**part, **fields.get(key, {})} for key, part in more.fields.items()}
    return Table(engine, version, flags, fields, env, names, borrowed)


def elsewhere(engine: str, version: str, name: str, variable: bool = False) -> str:
    """Where else a flag or variable exists, as a sentence; empty where nowhere."""
    have = versions(engine)
    found = [other for other in have if name in (table(engine, other).env if variable else table(engine, other).names)]
    before = [other for other in found if have.index(other) < have.index(version)]
    if before:
        return f"Removed after {engine} {before[-1]}."
    return f"{engine} {found[0]} has it." if found else ""
