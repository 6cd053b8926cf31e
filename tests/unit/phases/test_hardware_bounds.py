"""Each rule on the hardware at its bounds: what fires it, the next value that does not, and what is unknown."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _hardware_checks
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from owners import GIB, group, planned


@pytest.fixture
def plan(resolve: Any) -> Plan:
    return planned(resolve)


def judged(tmp_path: Path, plan: Any, change: Any, name: str = "gx10-2") -> tuple[list[str], list[str]]:
    """(problems, warnings) of four good nodes of which one is changed."""
    infos = group(tmp_path, *["good"] * 4)
    change(infos[name]["hardware"])
    return [str(problem) for problem in _hardware_checks.problems(plan, infos)], _hardware_checks.warnings(plan, infos)


@pytest.mark.parametrize(("kept", "budget", "refused"), [(GIB, 108, 1), (GIB - 1, 108, 0), (GIB, 107.9, 0), (GIB, None, 0), (0, 120, 0)])
def test_pinning_fails_from_a_gibibyte_and_a_budget_on(tmp_path: Path, plan: Any, kept: int, budget: Any, refused: int) -> None:
    plan = {**plan, "memory": {**plan["memory"], "budget_gib": budget}}
    memory = {"CmaTotal": GIB, "CmaFree": GIB + kept}
    assert len(judged(tmp_path / "rdma", plan, lambda hardware: hardware["memory"].update(memory))[0]) == refused

    def plain(hardware: Any) -> None:
        hardware["memory"].update(memory)
        for link in hardware["links"]:
            link["rdma"] = None

    assert judged(tmp_path / "plain", plan, plain)[0] == []


@pytest.mark.parametrize(("kept", "warned"), [(GIB, 1), (GIB - 1, 0)])
def test_a_kernel_is_bad_where_its_cause_shows(tmp_path: Path, plan: Any, resolve: Any, kept: int, warned: int) -> None:
    solo = {**plan, "nodes": plan["nodes"][:1]}
    change = {"kernel": "7.0.0-31-generic", "memory": {"CmaTotal": 5, "CmaFree": 5 + kept}}
    problems, warnings = judged(tmp_path, solo, lambda hardware: hardware.update(change), "gx10-1")
    assert problems == [], "one node pins nothing"
    assert ["DSpark" in text for text in warnings if "pinned" in text] == [True] * warned


def test_what_meminfo_does_not_tell_is_unknown() -> None:
    assert _hardware_checks.scratch({"CmaFree": 9, "CmaTotal": 4}) == 5
    assert _hardware_checks.scratch({"CmaFree": 4, "CmaTotal": 9}) == 0
    assert _hardware_checks.scratch({"CmaFree": 4}) is _hardware_checks.scratch({"CmaTotal": 4}) is None


@pytest.mark.parametrize(
    ("change", "said"),
    [
        *[
            ({"speed_mbps": speed}, said)
            for speed, said in ((199999, "199999 Mb/s; wanted 200000"), (200000, ""), (400000, ""), (None, ""))
        ],
        (
            {"pcie": {"width": 3, "max_width": 4, "speed": 31.9, "max_speed": 32.0}},
            "PCIe x3; wanted x4|PCIe at 31.9 GT/s; wanted 32.0 GT/s",
        ),
        ({"pcie": {"width": 4, "max_width": 4, "speed": 32.0, "max_speed": 32.0}}, ""),
        *[({"pcie": {"width": w, "max_width": m, "speed": w, "max_speed": m}}, "") for w, m in ((None, 4), (4, None), (None, None))],
        ({"pcie": None}, ""),
        *[({"mtu": mtu}, said) for mtu, said in ((1500, "1500; wanted 9000, as on gx10-1"), (None, ""))],
        ({"rdma": None}, "no RDMA device; wanted one"),
        ({"rdma": None, "pcie": None}, ""),
    ],
)
def test_a_link_is_held_to_what_it_could_do(tmp_path: Path, plan: Any, change: Any, said: str) -> None:
    problems, warnings = judged(tmp_path, plan, lambda hardware: hardware["links"][0].update(change))
    assert problems == []
    wanted = said.split("|") if said else []
    assert [text in warning for text, warning in zip(wanted, warnings)] == [True] * len(wanted)
    assert len(warnings) == len(wanted)
    alone = {**plan, "nodes": plan["nodes"][1:2]}
    assert judged(tmp_path / "alone", alone, lambda hardware: hardware["links"][0].update(change)) == ([], [])


@pytest.mark.parametrize(("index", "warned"), [("2", 1), ("3", 0), (3, 0), (None, 0)])
def test_a_gid_index_that_is_set_is_a_usable_one(tmp_path: Path, plan: Any, index: Any, warned: int) -> None:
    plan = copy.deepcopy(plan)
    plan["nodes"][1]["env"] |= {} if index is None else {"NCCL_IB_GID_INDEX": index}
    warnings = judged(tmp_path, plan, lambda hardware: hardware["links"].pop())[1]
    assert ["gx10-2: NCCL_IB_GID_INDEX: found 2; wanted 3, where rocep1s0f1" in text for text in warnings] == [True] * warned
    assert judged(tmp_path / "none", plan, lambda hardware: [link["rdma"].update(gids=[]) for link in hardware["links"]])[1] == []


@pytest.mark.parametrize(
    ("options", "gpus", "refused"),
    [
        *[({"runtime": "nvidia"}, [], 1), ({"gpus": "all"}, [], 1), ({"gpus": "all"}, [{}], 0), ({"gpus": "all"}, None, 0)],
        *[({"runtime": "runc"}, [], 0), ({}, [], 0)],
    ],
)
def test_a_gpu_that_is_asked_for_is_there(tmp_path: Path, plan: Any, options: Any, gpus: Any, refused: int) -> None:
    plan = copy.deepcopy(plan)
    plan["nodes"][1]["container"]["options"] = options
    problems = judged(tmp_path, plan, lambda hardware: hardware.update(gpus=gpus))[0]
    assert [text.startswith("gx10-2: GPU: found none") for text in problems] == [True] * refused


def test_an_image_is_built_where_it_can_run(tmp_path: Path, plan: Any) -> None:
    problems = judged(tmp_path, plan, lambda hardware: hardware.update(architecture="riscv64"))[0]
    assert [text.split(";")[1].split(".")[0] for text in problems] == [" wanted riscv64"]
    elsewhere = {**plan, "image": {**plan["image"], "builder": "unseen"}}
    assert judged(tmp_path / "unseen", elsewhere, lambda hardware: hardware.update(architecture="riscv64"))[0] == []


@pytest.mark.parametrize(
    ("key", "measured", "here", "warned"),
    [
        *[("driver", "580.1", here, warned) for here, warned in (("580.159.03", 0), ("581.1", 1), (None, 0))],
        *[("kernel", "6.17.0-1", here, warned) for here, warned in (("6.17.9", 0), ("6.18.0", 1), ("7.17.0", 1), (None, 0))],
        ("kernel", "", "7.0", 0),
    ],
)
def test_another_branch_than_measured_is_news(tmp_path: Path, plan: Any, key: str, measured: str, here: Any, warned: int) -> None:
    plan = {**plan, "nodes": plan["nodes"][1:2], "measured_with": {key: measured}}
    warnings = judged(tmp_path, plan, lambda hardware: hardware.update({key: here}))[1]
    assert [f"the profile was measured with {measured}" in text for text in warnings] == [True] * warned
