# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Mods: what to prove of them, and whether it was. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..common import _document
from ..plan._profile_types import ModSource
from ._gate import check
from ._types import Check


def questions(names: Sequence[str], mods: Mapping[str, ModSource]) -> list[dict[str, Any]]:
    """What roles/mods/files/prove_mods.py is asked: [{"name", "proof"}]. Raises KeyError on others."""
    found = []
    for name in names:
        source = mods[name]["about"]
        about = _document.load(source)[0] if source else {}
        found.append({"name": name, "proof": about.get("proof", [])})
    return found


def checks(evidence: Mapping[str, Any], node: str) -> list[Check]:
    """One check for each mod's end, each proof, the imports and the model registry."""
    found: list[Check] = []
    for mod in evidence["mods"]:
        tail = " / ".join(mod["output"].splitlines()[-3:])
        found.append(check(f"mod {mod['name']}", node, mod["code"] == 0, tail or f"exit code {mod['code']}", "exit code 0"))
    if not all(mod["code"] == 0 for mod in evidence["mods"]):
        return found
    before, after = evidence["before"], evidence["after"]
    found.append(check("import vllm", node, not after["error"], after["error"] or "no error", "no error"))
    found.append(
        check("model registry", node, after["models"] >= before["models"], f"{after['models']} models", f"at least {before['models']}")
    )
    for proof in after["proofs"]:
        what = f"{proof['name']}: {proof['module']}:{proof['object']}"
        wanted = f"contains {proof['contains']}" if proof.get("contains") else f"has {proof['attribute']}"
        ok = proof["ok"] if not proof["error"] else False
        stubs = f" (with a stub for {', '.join(proof['stubs'])}, which the image lacks)" if proof["stubs"] else ""
        found.append(check(what, node, ok, proof["error"] or ("as wanted" if ok else "not so") + stubs, wanted))
    unproven = [mod["name"] for mod in evidence["mods"] if not any(proof["name"] == mod["name"] for proof in after["proofs"])]
    # Missing evidence is unknown, never a pass; a field mod has no mod.yml to say what would prove it.
    found += [check(f"mod {name}", node, None, "no proof", "a proof in its mod.yml") for name in unproven]
    return found
