# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A doctor's verdict, and what mending left of it. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ._types import Diagnosis, Unmended

# As scripts know them from monitoring.
EXIT = {"healthy": 0, "degraded": 1, "down": 2}


def judged(found: Diagnosis) -> Diagnosis:
    """With its verdict."""
    verdict = "down" if found["serving"] is False else "degraded" if found["findings"] else "healthy"
    return {**found, "ok": verdict == "healthy", "verdict": verdict, "exit_code": EXIT[verdict]}


def after(diagnosis: Diagnosis, tried: Mapping[str, Mapping[str, Sequence[Mapping[str, Any]]]]) -> Diagnosis:
    """What is left once it was tried to mend it. `tried`: by node and by code of findings, what the tasks that mend them returned."""
    unmended: list[Unmended] = []
    done = []
    for node, codes in tried.items():
        for code, results in codes.items():
            troubles = [why for result in results if (why := _trouble(result))]
            unmended += [{"node": node, "code": code, "why": why} for why in troubles]
            # Without the group's lock all of them are skipped.
            if not troubles and not all(result.get("skipped") for result in results):
                done.append((node, code))
    gone = [item for item in diagnosis["findings"] if item["mends"] and (item["node"], item["code"]) in done]
    left = [item for item in diagnosis["findings"] if item not in gone]
    return judged({**diagnosis, "findings": left, "mended": gone, "unmended": unmended})


def _trouble(result: Mapping[str, Any]) -> str:
    """Why a task failed, in a loop too; empty where it did not."""
    bad = [one for one in [*result.get("results", []), result] if one.get("failed") or one.get("unreachable")]
    return str(bad[0].get("msg") or "no word why") if bad else ""
