# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The lowest versions of vLLM and Ray that are started, as data with the reason. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping


@dataclasses.dataclass(frozen=True)
class Floor:
    """Below `version` a hole of `because` is open."""

    name: str
    version: str
    because: str


# Above them, up to vLLM 0.32, single requests can end or exhaust the engine (docs/security.md): the field's builds are older than that.
FLOORS = (
    Floor("vllm", "0.22.0", "CVE-2026-48746: its API answers without the key; CVE-2026-47155: a pinned revision leaks into another"),
    Floor("ray", "2.54.0", "CVE-2025-62593: a web page runs code through the jobs API; CVE-2026-27482: anybody deletes"),
)


def below(name: str, version: str) -> Floor | None:
    """The floor that a version is below; None where there is none, or the version is no version."""
    from packaging.version import InvalidVersion, Version

    try:
        found = Version(version)
    except InvalidVersion:
        return None
    return next((floor for floor in FLOORS if floor.name == name and found < Version(floor.version)), None)


def _under(floor: Floor, operator: str, text: str) -> bool:
    """Can one part of a specifier be met below the floor alone?"""
    from packaging.version import Version

    if operator == "~=":
        # ~=0.21.3 is any 0.21 from there on: the next minor one is its bound.
        *kept, last = Version(text).release[:-1]
        operator, text = "<", ".".join(map(str, [*kept, last + 1]))
    exact = operator in ("==", "===", "<", "<=") and below(floor.name, text) is not None
    return exact or (operator == "<" and Version(text) == Version(floor.version))


def asked(versions: Mapping[str, str]) -> Iterator[tuple[Floor, str]]:
    """Where what image.yml asks for can only be met below a floor: an exact version, or an upper bound."""
    from packaging.specifiers import InvalidSpecifier, SpecifierSet

    for floor in FLOORS:
        text = versions.get(floor.name)
        try:
            parts = list(SpecifierSet(text)) if isinstance(text, str) else []
        except InvalidSpecifier:
            continue  # the schema's finding
        if any(_under(floor, part.operator, part.version.removesuffix(".*")) for part in parts):
            yield floor, str(text)
