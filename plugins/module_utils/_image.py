# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is an image what its definition says? PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._problem import Problem, show


def problems(evidence: Mapping[str, Any], expect: Mapping[str, Any], rebuild: str, where: str) -> list[str]:
    """Compare what a throwaway container printed (roles/image/files/inspect_image.py) with image.yml's `expect`."""
    # ansible-core itself depends on packaging.
    from packaging.specifiers import SpecifierSet

    found: list[Problem] = []
    for key, label in (("torch", "torch.__version__"), ("cuda", "torch.version.cuda")):
        # Absent: nobody has recorded it for this image; null: a CPU build.
        if key in expect and evidence.get(key) != expect[key]:
            found.append(Problem(where, label, show(evidence.get(key)), show(expect[key]), rebuild))
    for name in expect["imports"]:
        error = evidence.get("imports", {}).get(name, "not tried")
        if error:
            found.append(Problem(where, f"import {name}", error, "no error", rebuild))
    for name, specifier in expect.get("versions", {}).items():
        version = evidence.get("versions", {}).get(name)
        if version is None or not SpecifierSet(specifier).contains(version, prereleases=True):
            found.append(Problem(where, f"version of {name}", version or "not installed", specifier, rebuild))
    return [str(problem) for problem in found]
