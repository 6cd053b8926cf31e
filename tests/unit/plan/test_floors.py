"""No vLLM or Ray with a known hole is planned, or passes an image's verification; what the field reports serve does."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.phases import _image
from ansible_collections.gx10.serving.plugins.module_utils.plan import _floors, _resolve, _sources
from conftest import ROOT, hostvars

# What the field reports and the virtual cluster run.
HEALTHY = [("vllm", "0.22.1rc1.dev124+gace95c9cf.d20260603.cu132"), ("vllm", "0.22.0"), ("vllm", "0.30.0+cpu"), ("ray", "2.60.0")]
OPEN = [("vllm", "0.21.0"), ("vllm", "0.22.0rc1"), ("vllm", "0.11.0+cu130"), ("ray", "2.53.9"), ("ray", "2.9.0")]


@pytest.mark.parametrize(("name", "version"), HEALTHY)
def test_what_the_field_runs_is_above(name: str, version: str) -> None:
    assert _floors.below(name, version) is None
    assert list(_floors.asked({name: f"=={version}"})) == []


@pytest.mark.parametrize(("name", "version"), OPEN)
def test_what_has_a_hole_is_below(name: str, version: str) -> None:
    assert _floors.below(name, version)
    assert [text for _floor, text in _floors.asked({name: f"=={version}"})] == [f"=={version}"]


def test_a_floor_has_its_reason() -> None:
    assert {floor.name for floor in _floors.FLOORS} == {"vllm", "ray"}
    assert all("CVE-" in floor.because for floor in _floors.FLOORS)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        ("<0.22.0", True),
        ("<=0.21", True),
        (">=0.11", False),
        ("<0.23", False),
        (">=0.20,<0.22", True),
        ("==0.21.*", True),
        ("!=0.21", False),
        ("~=0.21.0", True),
        ("~=0.21.3", True),
        ("===0.21.0", True),
        ("~=0.22.0", False),
        ("~=0.22", False),
        ("===local-build", False),
    ],
)
def test_a_range_is_refused_where_nothing_above_fits(text: str, refused: bool) -> None:
    assert bool(list(_floors.asked({"vllm": text}))) == refused


@pytest.mark.parametrize(("name", "text"), [("vllm", "==0.21.0"), ("ray", "==2.40.0")])
def test_a_plan_of_an_image_with_a_hole_is_refused(name: str, text: str) -> None:
    sources = _sources.read("sim-tiny-tp2")
    image = yaml.safe_load(sources["images"]["vllm-node-sim"]["text"])
    image["expect"]["versions"][name] = text
    sources["images"]["vllm-node-sim"]["text"] = yaml.safe_dump(image)
    variables = hostvars()
    problems = _resolve.resolve(sources, variables, list(variables), None, True)["problems"]
    floor = next(item for item in _floors.FLOORS if item.name == name)
    (line,) = [problem for problem in problems if "[below-floor]" in problem]
    assert f"image vllm-node-sim: expect.versions.{name}: found {text!r}; wanted {name} {floor.version} or newer. Reason: CVE-" in line


def test_every_shipped_image_that_uses_ray_asks_for_one_without_the_hole() -> None:
    from packaging.specifiers import SpecifierSet

    used = 0
    for path in (ROOT / "files/images").glob("*/image.yml"):
        expect = yaml.safe_load(path.read_text())["expect"]
        if "ray" in expect["imports"]:
            used += 1
            assert not SpecifierSet(expect["versions"]["ray"]).contains("2.53.0"), path
    assert used == 4


@pytest.mark.parametrize(("imports", "refused"), [(["ray"], True), (["json"], False)])
def test_what_is_really_installed_counts_where_the_definition_uses_it(imports: list[str], refused: bool) -> None:
    evidence: dict[str, Any] = {"imports": dict.fromkeys(imports, ""), "versions": {}, "packages": {"python": {"ray": "2.40.0"}}}
    found = _image.problems(evidence, {"imports": imports}, "", "image small")
    assert bool(found) == refused
    assert not refused or "version of ray: found 2.40.0; wanted 2.54.0 or newer. Reason: CVE-2025-62593" in found[0]
