"""Nodes as owners report them: what is read of them, and which rule fires on which. Sources: data/nodes/SOURCES.md."""

from __future__ import annotations

import os
import re
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _hardware
from ansible_collections.gx10.serving.plugins.module_utils.phases import _hardware_checks, _preflight
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from conftest import hostvars
from owners import GIB, SAMPLE, group, observe, planned
from stubs import stub_sysfs


@pytest.fixture
def plan(resolve: Any) -> Plan:
    return planned(resolve)


def test_a_good_node_is_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "uname", lambda: os.uname_result(("Linux", "gx10-1", "x", "x", "aarch64")))
    found = observe("good", tmp_path)
    memory = found.pop("memory")
    assert memory["MemTotal"] == 127600748 * 1024
    assert round(memory["MemAvailable"] / GIB) == 113
    links = found.pop("links")
    assert found == {
        "architecture": "aarch64",
        "kernel": "6.17.0-1021-nvidia",
        "bios": "5.36_0ACUM027 of 06/12/2026",
        "driver": "580.159.03",
        "gpus": [{"name": "NVIDIA GB10"}],
    }
    gids = [
        {"index": 2, "address": "192.168.177.11", "type": "IB/RoCE v1"},
        {"index": 3, "address": "192.168.177.11", "type": "RoCE v2"},
    ]
    assert links[0] == {
        "address": "192.168.177.11",
        "interface": "enp1s0f1np1",
        "operstate": "up",
        "carrier": True,
        "speed_mbps": 200000,
        "mtu": 9000,
        "pcie": {"width": 4, "max_width": 4, "speed": 32.0, "max_speed": 32.0},
        "rdma": {"device": "rocep1s0f1", "firmware": "28.45.4028", "state": "ACTIVE", "gids": gids},
    }
    assert links[1]["rdma"]["device"] == "roceP2p1s0f1"


def test_the_tools_of_a_node_agree(tmp_path: Path) -> None:
    """The fixtures are from many threads: composed, they must be one machine."""
    for node in ("good", "13-gbps", "pcie-x2", "bad-kernel", "40-gib-free", "mtu-1500"):
        found = observe(node, tmp_path / node)
        (smi,) = _hardware.smi(stub_sysfs.output(node, "nvidia-smi.csv"))
        assert (smi["driver"], smi["memory_mib"]) == (found["driver"], None)
        assert f"Driver Version: {smi['driver']}" in stub_sysfs.output(node, "nvidia-smi")
        assert f"version {found['kernel']} (" in stub_sysfs.output(node, "proc_version")
        assert all(link["rdma"]["state"] == "ACTIVE" and link["carrier"] for link in found["links"])


@pytest.mark.parametrize(
    ("text", "gpus"),
    [
        ("NVIDIA GB10, 580.95.05, [N/A]\n", [("NVIDIA GB10", None)]),
        ("NVIDIA GB10, 580.95.05, Not Supported\n", [("NVIDIA GB10", None)]),
        ("NVIDIA H100, 550.54.15, 81559\nNVIDIA H100, 550.54.15, 81559\n", [("NVIDIA H100", 81559)] * 2),
        ("No devices were found\n", []),
        (
            "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest driver is installed.",
            [],
        ),
        ("", []),
    ],
)
def test_what_nvidia_smi_lists(text: str, gpus: list[tuple[str, int | None]]) -> None:
    assert [(gpu["name"], gpu["memory_mib"]) for gpu in _hardware.smi(text)] == gpus


def test_a_container_without_any_of_it_is_unknown(tmp_path: Path, plan: Plan) -> None:
    """Half a tree, as a node of the virtual cluster has: a veth at 10000 Mb/s, no PCIe, no RDMA, no GPU, no BIOS, no CMA."""
    for name, value in {"operstate": "up", "carrier": "1", "speed": "10000", "mtu": "1500"}.items():
        stub_sysfs.write(tmp_path / "sys/class/net/eth1" / name, value)
    stub_sysfs.write(tmp_path / "proc/meminfo", "MemTotal:       25276510 kB\nMemAvailable:   24183730 kB")
    found: Any = _hardware.observe({"192.168.177.11": "eth1"}, str(tmp_path))
    assert [found[key] for key in ("bios", "driver", "gpus")] == [None, None, None]
    assert found["links"][0]["speed_mbps"] == 10000
    assert (found["links"][0]["pcie"], found["links"][0]["rdma"]) == (None, None)
    infos: Any = {node["name"]: {"hardware": found} for node in plan["nodes"]}
    (device,) = plan["nodes"][0]["container"]["options"]["devices"]
    assert device["host"] == "/dev/infiniband", "the sample's options, as the twin has them"
    assert _hardware_checks.problems(plan, infos) == []
    assert _hardware_checks.warnings(plan, infos) == []


def test_this_machine_can_be_read() -> None:
    """The real /proc and /sys of whatever runs the tests."""
    found = _hardware.observe({"127.0.0.1": "lo"})
    assert found["kernel"] == os.uname().release
    assert found["memory"]["MemTotal"] > found["memory"]["MemAvailable"] > 0
    assert found["links"][0]["mtu"] and found["links"][0]["rdma"] is None


def test_a_link_that_is_down_has_no_speed(tmp_path: Path) -> None:
    stub_sysfs.build("good", tmp_path)
    link = _hardware.link(str(tmp_path), "enp1s0f0np0", "10.0.0.1")
    assert (link["operstate"], link["carrier"], link["speed_mbps"]) == ("down", False, None)
    for name, text in (("current_link_width", "0"), ("max_link_width", "0"), ("current_link_speed", "Unknown")):
        stub_sysfs.write(tmp_path / "sys/class/net/enp1s0f0np0/device" / name, text)
    pcie = _hardware.link(str(tmp_path), "enp1s0f0np0", "10.0.0.1")["pcie"]
    assert pcie
    assert (pcie["width"], pcie["max_width"], pcie["speed"]) == (None, None, None), "a virtual function has no link of its own"


@pytest.mark.parametrize("profile", ["qwen397-mtp2", "nemotron3-ultra", "nemotron3-super-sglang", "nex-n2-mini"])
@pytest.mark.parametrize("node", ["good", "13-gbps", "40-gib-free", "mtu-1500"])
def test_no_rule_fires_on_healthy_nodes(tmp_path: Path, resolve: Any, profile: str, node: str) -> None:
    plan = resolve(profile, variables=hostvars(**SAMPLE))["plan"]
    infos = group(tmp_path, node, node, node, node)
    assert _hardware_checks.problems(plan, infos) == []
    assert _hardware_checks.warnings(plan, infos) == []


def test_13_gbps_is_seen_by_a_measurement_only(tmp_path: Path) -> None:
    """Reported as such: Ethernet at 200 Gb/s, PCIe at Gen5 x4 and clean counters on a link that carries 13 Gb/s."""
    row = stub_sysfs.output("13-gbps", "ib_write_bw").splitlines()[-1].split()
    assert float(row[3]) == 13.23
    assert observe("13-gbps", tmp_path / "one") == observe("good", tmp_path / "two")


def test_pcie_x2_is_named(tmp_path: Path, plan: Plan) -> None:
    infos = group(tmp_path, "good", "pcie-x2", "good", "good")
    assert [link["pcie"]["width"] for link in infos["gx10-2"]["hardware"]["links"]] == [4, 2]
    assert _hardware_checks.problems(plan, infos) == []
    bios, lanes = _hardware_checks.warnings(plan, infos)
    assert bios.startswith("gx10-2: bios: found GX10DGX.0103.2026.0129.1152 of 01/29/2026: the second half of the ConnectX-7 gets two")
    assert lanes.startswith("gx10-2: fabric interface enP2p1s0f1np1: found PCIe x2; wanted x4. ")
    assert "fwupdmgr" in lanes


def test_a_bad_kernel_is_refused_where_it_cannot_work(tmp_path: Path, plan: Plan, resolve: Any) -> None:
    infos = group(tmp_path, "good", "good", "bad-kernel", "good")
    (problem,) = _hardware_checks.problems(plan, infos)
    text = str(problem)
    assert text.startswith("gx10-3: kernel: found 7.0.0-1019-nvidia, with 9.3 GiB of free CMA that no area owns")
    assert "wanted less than 1 GiB of it beside a budget of 108 GiB" in text and "kho=off" in text
    known, differs = _hardware_checks.warnings(plan, infos)
    assert known.startswith("gx10-3: kernel: found 7.0.0-1019-nvidia: RDMA memory cannot be pinned") and "NV-Kernels#590" in known
    assert differs == (
        "gx10-3: kernel: found 7.0.0-1019-nvidia; wanted 6.17.0-1021-nvidia, as on gx10-1. Boot the same one on all nodes. [nodes-differ]"
    )
    # A smaller budget served on it (eugr/spark-vllm-docker#392): a warning, no refusal.
    qwen = resolve("qwen397-mtp2", variables=hostvars(**SAMPLE))["plan"]
    assert qwen["memory"]["budget_gib"] < 108
    assert _hardware_checks.problems(qwen, infos) == []


def test_a_bad_kernel_with_its_remedy_is_no_news(tmp_path: Path, plan: Plan) -> None:
    infos = group(tmp_path, *["bad-kernel"] * 4)
    assert len(_hardware_checks.warnings(plan, infos)) == 4
    for info in infos.values():
        # kho=off: CmaTotal and CmaFree are 0.
        info["hardware"]["memory"]["CmaFree"] = 0
    assert _hardware_checks.problems(plan, infos) == []
    assert _hardware_checks.warnings(plan, infos) == []
    for info in infos.values():
        del info["hardware"]["memory"]["CmaFree"]
    assert len(_hardware_checks.warnings(plan, infos)) == 4, "where meminfo does not tell, the version does"


def test_40_gib_free_is_read_as_such(tmp_path: Path) -> None:
    memory = observe("40-gib-free", tmp_path)["memory"]
    assert round(memory["MemAvailable"] / GIB, 1) == 38.3
    assert round(memory["Cached"] / GIB, 1) == 35.9


@pytest.mark.parametrize(
    ("path", "value", "warning"),
    [
        ("links.0.speed_mbps", 100000, "gx10-2: fabric interface enp1s0f1np1: found 100000 Mb/s; wanted 200000 Mb/s. Check the cable"),
        ("links.0.pcie.speed", 16.0, "gx10-2: fabric interface enp1s0f1np1: found PCIe at 16.0 GT/s; wanted 32.0 GT/s"),
        ("links.0.rdma", None, "gx10-2: fabric interface enp1s0f1np1: found no RDMA device; wanted one"),
        ("links.0.mtu", 1500, "gx10-2: MTU of the fabric: found 1500; wanted 9000, as on gx10-1"),
        ("driver", "580.173.02", "gx10-2: driver: found 580.173.02; wanted 580.159.03, as on gx10-1"),
    ],
)
def test_each_rule_fires_on_its_own_fault(tmp_path: Path, plan: Plan, path: str, value: Any, warning: str) -> None:
    infos = group(tmp_path, "good", "good", "good", "good")
    place: Any = infos["gx10-2"]["hardware"]
    *parents, last = [int(part) if part.isdigit() else part for part in path.split(".")]
    for part in parents:
        place = place[part]
    place[last] = value
    (found,) = _hardware_checks.warnings(plan, infos)
    assert found.startswith(warning)
    assert _hardware_checks.problems(plan, infos) == []
    place[last] = None if path != "links.0.rdma" else {"device": "rocep1s0f1", "firmware": None, "state": None, "gids": []}
    assert _hardware_checks.warnings(plan, infos) == [], "unknown is no fault"


def test_driver_590_is_known_to_be_bad(tmp_path: Path, plan: Plan) -> None:
    infos = group(tmp_path, "good", "good", "good", "good")
    for info in infos.values():
        info["hardware"]["driver"] = "590.48.01"
    assert [text.split(";")[0] for text in _hardware_checks.warnings(plan, infos)] == [
        f"gx10-{number}: driver: found 590.48.01: CUDA graphs deadlock over four nodes" for number in range(1, 5)
    ]


def test_a_gid_index_that_has_moved(tmp_path: Path, plan: Plan) -> None:
    infos = group(tmp_path, "good", "good", "good", "good")
    for node in plan["nodes"]:
        node["env"]["NCCL_IB_GID_INDEX"] = "3"
    assert _hardware_checks.warnings(plan, infos) == []
    for gid in infos["gx10-4"]["hardware"]["links"][0]["rdma"]["gids"]:
        gid["index"] += 2
    (warning,) = _hardware_checks.warnings(plan, infos)
    assert warning.startswith("gx10-4: NCCL_IB_GID_INDEX: found 3; wanted 5, where rocep1s0f1 has a RoCE v2 GID")


def test_a_gpu_that_fell_off_is_refused(tmp_path: Path, plan: Plan) -> None:
    infos = group(tmp_path, "good", "good", "good", "good")
    infos["gx10-2"]["hardware"]["gpus"] = []
    (problem,) = _hardware_checks.problems(plan, infos)
    assert str(problem).startswith("gx10-2: GPU: found none")
    for node in plan["nodes"]:
        del node["container"]["options"]["runtime"]
    assert _hardware_checks.problems(plan, infos) == [], "nobody asked for one"


def test_preflight_refuses_with_the_others(tmp_path: Path, plan: Plan) -> None:
    infos = group(tmp_path, "good", "good", "good", "good")
    for number, info in enumerate(infos.values(), start=1):
        info.update(addresses=[f"192.168.177.1{number}"], missing_tools=[], docker={"error": ""}, disk={}, journal=True)
        info["memory"] = {"total": 2**37, "available": 2**37}
    assert _preflight.node_problems(plan, infos, {}, list(infos)) == []
    infos["gx10-3"]["hardware"]["gpus"] = []
    infos["gx10-4"]["memory"]["available"] = 40 * 2**30
    memory, gpu = _preflight.node_problems(plan, infos, {}, list(infos))
    assert memory.startswith("gx10-4: memory: found 40.0 GiB available; wanted at least 108.8 GiB")
    assert gpu.startswith("gx10-3: GPU: found none")


@pytest.mark.parametrize("profile", ["nemotron3-super-sglang", "nemotron3-super-sglang-ep4"])
def test_a_driver_of_another_branch_than_was_measured(tmp_path: Path, resolve: Any, profile: str) -> None:
    plan = resolve(profile, variables=hostvars(**SAMPLE))["plan"]
    assert plan["measured_with"] == {"driver": "580.159.03", "kernel": "6.17.0-1021-nvidia"}
    infos = group(tmp_path, "good", "good", "good", "good")
    for info in infos.values():
        info["hardware"].update(driver="580.173.02", kernel="6.17.0-1032-nvidia")
    assert _hardware_checks.warnings(plan, infos) == [], "a newer build of the branch"
    for info in infos.values():
        info["hardware"].update(driver="610.43.02", kernel="6.19.0-1001-nvidia")
    found = _hardware_checks.warnings(plan, infos)
    assert len(found) == 8
    assert found[0] == (
        "gx10-1: driver: found 610.43.02; wanted branch 580: the profile was measured with 580.159.03. "
        "It may work; compare a benchmark before you rely on it. [other-version]"
    )


def test_every_fixture_names_its_source() -> None:
    text = (stub_sysfs.NODES / "SOURCES.md").read_text()
    cited = set(re.findall(r"`([^`]+)`", text))
    for path in stub_sysfs.NODES.glob("*/*"):
        name = f"{path.parent.name}/{path.name}"
        assert name in cited or (f"{path.parent.name}/ethtool_*" in cited and path.name.startswith("ethtool_")), name


def test_a_build_host_of_another_architecture(tmp_path: Path, plan: Plan) -> None:
    infos = group(tmp_path, "good", "good", "good", "good")
    infos["gx10-1"]["hardware"]["architecture"] = "x86_64"
    for name in ("gx10-2", "gx10-3", "gx10-4"):
        infos[name]["hardware"]["architecture"] = "aarch64"
    found = [str(problem) for problem in _hardware_checks.problems(plan, infos)]
    assert len(found) == 3
    assert found[0] == (
        f"gx10-2: architecture: found x86_64, of gx10-1, which builds {plan['image']['reference']}; wanted aarch64. "
        "Set gx10_build_host to a node like this one. [other-architecture]"
    )
