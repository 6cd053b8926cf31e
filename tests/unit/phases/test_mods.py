"""mod.yml, and whether mods took effect."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _mods
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources
from conftest import ROOT, hostvars

PROOF = {"name": "x", "module": "m", "object": "o", "contains": "c", "ok": True, "error": "", "stubs": []}
EVIDENCE: dict[str, Any] = {
    "before": {"models": 300, "error": "", "proofs": []},
    "mods": [{"name": "x", "code": 0, "output": "mod x: applied by diff\n"}],
    "after": {"models": 300, "error": "", "proofs": [PROOF]},
}


def after(**more: Any) -> dict[str, Any]:
    return {**EVIDENCE, "after": {**EVIDENCE["after"], **more}}


@pytest.mark.parametrize(
    ("evidence", "name", "ok", "found"),
    [
        (EVIDENCE, "x: m:o", True, "as wanted"),
        (EVIDENCE, "mod x", True, "mod x: applied by diff"),
        ({**EVIDENCE, "mods": [{"name": "x", "code": 3, "output": "no such hunk"}]}, "mod x", False, "no such hunk"),
        (after(models=299), "model registry", False, "299 models"),
        (after(error="ImportError: x"), "import vllm", False, "ImportError: x"),
        (after(proofs=[{**PROOF, "ok": False}]), "x: m:o", False, "not so"),
        (after(proofs=[{**PROOF, "error": "AttributeError: o"}]), "x: m:o", False, "AttributeError: o"),
        (
            after(proofs=[{**PROOF, "stubs": ["torchvision"]}]),
            "x: m:o",
            True,
            "as wanted (with a stub for torchvision, which the image lacks)",
        ),
        # No proof is no pass.
        (after(proofs=[]), "mod x", None, "no proof"),
    ],
)
def test_what_is_proven(evidence: dict[str, Any], name: str, ok: bool | None, found: str) -> None:
    check = [item for item in _mods.checks(evidence, "gx10-1") if item["name"] == name][-1]
    assert (check["ok"], check["found"]) == (ok, found)


def test_every_mod_of_the_collection_says_what_proves_it() -> None:
    mods = _sources.read("sim-tiny-tp2")["mods"]
    assert sorted(mods) == sorted(path.parent.name for path in ROOT.glob("files/mods/*/run.sh"))
    assert all(item["proof"] for item in _mods.questions(sorted(mods), mods))
    assert all(mod["ready"] for mod in mods.values())


def test_a_plugin_stands_for_the_mod_that_it_provides(resolve: Any) -> None:
    text = (ROOT / "model_profiles/nex-n2-pro.yml").read_text()
    assert resolve(text=text.replace("mods: [nex-fp8-loader]", "mods: [nex-fp8-loader-plugin]"))["problems"] == []
    (problem,) = resolve(text=text.replace("mods: [nex-fp8-loader]", "mods: []"))["problems"]
    assert "no nex-fp8-loader" in problem


def test_a_wrong_mod_yml_is_named_where_it_is_used() -> None:
    sources = _sources.read("nemotron3-ultra")
    about = sources["mods"]["nemotron-ultra"]["about"]
    assert about
    about["text"] = "summary: x\nkinds: plugin\n"
    others = {**sources, "profile": _sources.read("sim-tiny-tp2")["profile"]}
    assert _resolve.resolve(others, hostvars(), list(hostvars()))["problems"] == []  # type: ignore[arg-type]
    (problem,) = _resolve.resolve(sources, hostvars(), list(hostvars()))["problems"]
    assert "nemotron-ultra/mod.yml: kinds: found an unknown key" in problem
    assert "Did you mean 'kind'?" in problem
