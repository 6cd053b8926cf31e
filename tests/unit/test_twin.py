"""inventories/sim differs from inventories/sample only in the list of inventories/twin.yml. `GX10_WRITE=1` writes docs/twin.md."""

from __future__ import annotations

import ast
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

TWIN = ROOT / "inventories/twin.yml"
DOCUMENT = ROOT / "docs/twin.md"
ABSENT = "absent"
UNVERIFIED = "not verified on hardware"


def load(path: Path) -> Any:
    return yaml.safe_load(path.read_text())


def sample() -> dict[str, Any]:
    """The sample's variables: the group's, and the first host's."""
    hosts = load(ROOT / "inventories/sample/hosts.yml")["gx10"]["hosts"]
    keys = [set(variables) for variables in hosts.values()]
    assert all(found == keys[0] for found in keys), "the sample's hosts have different variables"
    return {**load(ROOT / "inventories/sample/group_vars/gx10.yml"), **next(iter(hosts.values()))}


def sim() -> dict[str, Any]:
    """The virtual cluster's: the group's, and the expressions that its inventory plugin makes each host's of."""
    plugin = load(ROOT / "inventories/sim/docker.yml")
    assert set(plugin) <= {"plugin", "connection_type", "default_ip", "filters", "groups", "compose"}, "variables in another place"
    return {**load(ROOT / "inventories/sim/group_vars/gx10.yml"), **plugin["compose"]}


def problems(twin: list[dict[str, Any]], sample: Mapping[str, Any], sim: Mapping[str, Any]) -> list[str]:
    """What the list and the two inventories disagree about."""
    listed = {item["name"]: item for item in twin}
    found = [f"inventories/twin.yml: {name}: listed more than once" for name in listed if [item["name"] for item in twin].count(name) > 1]
    for name in sorted(set(sample) | set(sim) | set(listed)):
        there = {"sample": sample.get(name, ABSENT), "sim": sim.get(name, ABSENT)}
        if there["sample"] == there["sim"]:
            if name in listed:
                found.append(f"inventories/twin.yml: {name}: listed, and no difference any more; remove it")
        elif name not in listed:
            wanted = "the sample's value, or a line with reason and proof in inventories/twin.yml"
            found.append(f"inventories/sim: {name}: found {there['sim']!r}, where the sample has {there['sample']!r}; wanted {wanted}")
        else:
            found += [
                f"inventories/twin.yml: {name}.{side}: found {listed[name][side]!r}; wanted {value!r}, as in inventories/{side}"
                for side, value in there.items()
                if listed[name][side] != value
            ]
    return found


def unproven(proof: str) -> str:
    """Why `proof` is none, or "" for a test that exists or the words that say that there is none."""
    if proof == UNVERIFIED:
        return ""
    path, _colons, name = proof.partition("::")
    if not (ROOT / path).is_file() or not path.startswith(("tests/", "molecule/")):
        return f"{proof}: found no file {path}; wanted PATH::TEST or the words {UNVERIFIED!r}"
    tree = ast.parse((ROOT / path).read_text())
    tests = {item.name for item in ast.walk(tree) if isinstance(item, ast.FunctionDef) and item.name.startswith("test_")}
    return "" if name in tests else f"{proof}: found no test {name!r} in {path}"


def table() -> str:
    """docs/twin.md."""
    twin = load(TWIN)

    def cell(value: object) -> str:
        text = value if isinstance(value, str) else yaml.safe_dump(value, default_flow_style=True, width=1000, sort_keys=False)
        # A scalar's document ends with dots; a bar would end the cell.
        text = text.removesuffix("...\n").strip().replace("|", "\\|")
        return "–" if text == ABSENT else f"`{text}`"

    def proof(value: str) -> str:
        return value if value == UNVERIFIED else f"[{value.split('::')[1]}](../{value.split('::')[0]})"

    lines = [
        "# The virtual cluster and a GX10",
        "",
        "`GX10_WRITE=1 pytest tests/unit/test_twin.py` writes this from [inventories/twin.yml](../inventories/twin.yml). The same test",
        "compares the two inventories and fails on a difference that does not stand here. What has no test says so: nobody who wrote",
        "this has a GX10.",
        "",
        "## inventories/sim and inventories/sample",
        "",
        "| variable | sample | virtual cluster | why | proof |",
        "|---|---|---|---|---|",
        *(f"| `{i['name']}` | {cell(i['sample'])} | {cell(i['sim'])} | {i['reason']} | {proof(i['proof'])} |" for i in twin["variables"]),
        "",
        "All other variables, and all defaults, are the same.",
        "",
        "## The machines",
        "",
        "| | GX10 | node of the virtual cluster | proof |",
        "|---|---|---|---|",
        *(f"| {i['what']} | {i['gx10']} | {i['sim']} | {proof(i['proof'])} |" for i in twin["machine"]),
    ]
    return "\n".join(lines) + "\n"


def test_the_inventories_differ_only_in_the_list() -> None:
    assert problems(load(TWIN)["variables"], sample(), sim()) == []


def test_every_line_has_a_reason_and_a_proof() -> None:
    twin = load(TWIN)
    assert set(twin) == {"variables", "machine"}
    for item in twin["variables"]:
        assert set(item) == {"name", "sample", "sim", "reason", "proof"}, item
        assert item["reason"].strip(), item
    for item in twin["machine"]:
        assert set(item) == {"what", "gx10", "sim", "proof"}, item
    assert [why for item in [*twin["variables"], *twin["machine"]] if (why := unproven(item["proof"]))] == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda _sample, sim: sim.update(gx10_memory_floor_gib=1),
            "inventories/sim: gx10_memory_floor_gib: found 1, where the sample has 'absent'",
        ),
        (
            lambda sample, _sim: sample.update(gx10_api_address="0.0.0.0"),
            "inventories/sim: gx10_api_address: found 'absent', where the sample has '0.0.0.0'",
        ),
        (
            lambda sample, sim: sample.update(gx10_container_options=sim["gx10_container_options"]),
            "gx10_container_options: listed, and no difference any more",
        ),
        (lambda _sample, sim: sim.update(gx10_image_archive=""), "gx10_image_archive.sim: found '{{ sim_state }}/images'; wanted ''"),
    ],
)
def test_a_difference_that_is_not_as_listed_is_named(change: Any, message: str) -> None:
    left, right = sample(), sim()
    change(left, right)
    (found,) = problems(load(TWIN)["variables"], left, right)
    assert message in found


@pytest.mark.parametrize(
    "proof",
    ["tests/unit/test_twin.py::test_of_nothing", "tests/unit/test_gone.py::test_x", "inventories/twin.yml::variables", "verified", ""],
)
def test_a_proof_that_is_none_is_named(proof: str) -> None:
    assert unproven(proof)


def test_the_document_is_made_of_the_data() -> None:
    if os.environ.get("GX10_WRITE"):
        DOCUMENT.write_text(table())
    assert DOCUMENT.read_text() == table()
