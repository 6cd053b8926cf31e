# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is this hardware what the plan needs? Judges what `_hardware.py` saw: refuses what is certain to fail, warns of the rest.

A fact that is None is unknown and neither refuses nor warns. PRIVATE to the collection.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Iterator, Mapping
from typing import Literal

from ..common._problem import Problem
from ..node._hardware_types import Hardware, Link
from ..node._types import Host
from ..plan._types import Node, Plan
from . import _link_checks

GIB = 2**30
# One port of a GX10; both of its halves report this speed.
LINE_RATE_MBPS = 200000
ROCE_V2 = "RoCE v2"


@dataclasses.dataclass(frozen=True)
class Bad:
    """What owners proved bad; `pattern` matches from the fact's start."""

    fact: Literal["kernel", "driver", "bios"]
    pattern: str
    why: str
    remedy: str
    source: str
    # True: only where /proc/meminfo shows the cause (see `scratch`), or does not tell.
    scratch: bool = False


_PINNING = "RDMA memory cannot be pinned under load (ibv_reg_mr: Cannot allocate memory), so NCCL does not start"
_KHO_OFF = "Boot 6.17.0-1032-nvidia, or add kho=off to the kernel's command line, and reboot."
# A thread's finding is one line here.
KNOWN_BAD = (
    Bad("kernel", r"7\.0\.0-1019-nvidia", _PINNING, _KHO_OFF, "NVIDIA/NV-Kernels#590, DeepSeek-v4.1-Flash-DGX-Sparks#14", True),
    Bad("kernel", r"7\.0\.0-31-generic", _PINNING, _KHO_OFF, "DeepSeek-v4-Flash-DSpark-2x-DGX-Spark#259", True),
    Bad("driver", r"590\.", "CUDA graphs deadlock over four nodes", "Install a driver of branch 580.", "spark-vllm-docker#266"),
    Bad(
        "bios",
        r"GX10DGX\.0103\.",
        "the second half of the ConnectX-7 gets two PCIe lanes of four",
        "Update it with fwupdmgr.",
        "forums.developer.nvidia.com/t/367853",
    ),
)
# Measured on the kernels above: with so much committed to the GPU, not one 4 KiB registration works (NVIDIA/NV-Kernels#590).
PINNING_FAILS_GIB = 108
# How many parts of a version name its branch.
BRANCH: tuple[tuple[Literal["driver", "kernel"], int], ...] = (("driver", 1), ("kernel", 2))


def scratch(memory: Mapping[str, int]) -> int | None:
    """Bytes that kexec handover keeps from pinning: free CMA that no CMA area has. None where meminfo does not tell."""
    if "CmaFree" not in memory or "CmaTotal" not in memory:
        return None
    return max(0, memory["CmaFree"] - memory["CmaTotal"])


def _nodes(plan: Plan, infos: Mapping[str, Host]) -> Iterator[tuple[Node, Hardware]]:
    """The plan's nodes whose hardware was seen."""
    for node in plan["nodes"]:
        if node["name"] in infos:
            yield node, infos[node["name"]]["hardware"]


def problems(plan: Plan, infos: Mapping[str, Host]) -> list[Problem]:
    """What is certain to fail. `infos` by node."""
    found: list[Problem] = []
    builder = plan["image"]["builder"]
    built_for = infos[builder]["hardware"]["architecture"] if builder in infos else None
    for node, hardware in _nodes(plan, infos):
        name, options = node["name"], node["container"]["options"]
        if built_for and built_for != hardware["architecture"]:
            seen = f"{built_for}, of {builder}, which builds {plan['image']['reference']}"
            found.append(
                Problem(
                    name,
                    "architecture",
                    seen,
                    hardware["architecture"],
                    "Set gx10_build_host to a node like this one.",
                    code="other-architecture",
                )
            )
        count = len(hardware["gpus"]) if hardware["gpus"] is not None else None
        if count == 0 and (options.get("runtime") == "nvidia" or "gpus" in options):
            hint = "nvidia-smi and dmesg say why; a reboot brings back one that fell off the bus."
            found.append(Problem(name, "GPU", "none in /proc/driver/nvidia/gpus or nvidia-smi", "at least 1", hint, code="no-gpu"))
        if len(plan["nodes"]) > 1:
            found += _fabric(plan, node, hardware)
    return found


def _fabric(plan: Plan, node: Node, hardware: Hardware) -> list[Problem]:
    found = []
    kept, budget = scratch(hardware["memory"]), plan["memory"]["budget_gib"]
    over_rdma = any(link["rdma"] for link in hardware["links"])
    if kept and kept >= GIB and budget is not None and budget >= PINNING_FAILS_GIB and over_rdma:
        seen = f"{hardware['kernel']}, with {kept / GIB:.1f} GiB of free CMA that no area owns (kexec handover)"
        wanted = f"less than 1 GiB of it beside a budget of {budget} GiB: {_PINNING}"
        found.append(Problem(node["name"], "kernel", seen, wanted, _KHO_OFF, code="known-bad"))
    return found


def warnings(plan: Plan, infos: Mapping[str, Host]) -> list[str]:
    """`noticed`: one text each, with node, value found, value wanted and next step."""
    return [str(problem) for problem in noticed(plan, infos)]


def noticed(plan: Plan, infos: Mapping[str, Host]) -> list[Problem]:
    """What works and is slow, or often fails."""
    found: list[Problem] = []
    for node, hardware in _nodes(plan, infos):
        found += _known_bad(node["name"], hardware)
        if len(plan["nodes"]) > 1:
            for link in hardware["links"]:
                found += _link(node, link, hardware["bios"])
    found += _link_checks.warnings(plan, infos)
    found += _differences(plan, infos)
    return found + _measured(plan, infos)


def _known_bad(name: str, hardware: Hardware) -> list[Problem]:
    kept = scratch(hardware["memory"])
    return [
        Problem(name, bad.fact, f"{hardware[bad.fact]}: {bad.why}", "another one", f"{bad.remedy} Source: {bad.source}.", code="known-bad")
        for bad in KNOWN_BAD
        if re.match(bad.pattern, hardware[bad.fact] or "") and not (bad.scratch and kept is not None and kept < GIB)
    ]


def _link(node: Node, link: Link, bios: str | None) -> list[Problem]:
    """One interface of the fabric. Only an RDMA link is held to a GX10's numbers: another fabric is the site's choice."""
    name, key, rdma = node["name"], f"fabric interface {link['interface']}", link["rdma"]
    found = []
    if rdma is None:
        # A link without a PCIe function, as a container's, has none to lose.
        if link["pcie"] and any(device["host"] == "/dev/infiniband" for device in node["container"]["options"].get("devices", [])):
            hint = "NCCL falls back to sockets without a word. Check rdma link, and that mlx5_ib is loaded."
            found.append(Problem(name, key, "no RDMA device", "one, since the container gets /dev/infiniband", hint, code="no-rdma"))
        return found
    if link["speed_mbps"] is not None and link["speed_mbps"] < LINE_RATE_MBPS:
        hint = "Check the cable, and that the switch's port is set to 200G without autonegotiation."
        found.append(Problem(name, key, f"{link['speed_mbps']} Mb/s", f"{LINE_RATE_MBPS} Mb/s", hint, code="slow-link"))
    pcie = link["pcie"]
    lanes, widest = (pcie["width"], pcie["max_width"]) if pcie else (None, None)
    speed, fastest = (pcie["speed"], pcie["max_speed"]) if pcie else (None, None)
    if lanes and widest and lanes < widest:
        hint = f"Half the lanes are half the bandwidth. Update the BIOS ({bios or 'unknown'}) with fwupdmgr."
        found.append(Problem(name, key, f"PCIe x{lanes}", f"x{widest}", hint, code="slow-link"))
    if speed and fastest and speed < fastest:
        found.append(
            Problem(
                name, key, f"PCIe at {speed} GT/s", f"{fastest} GT/s", "Cold-start the node; see dmesg for PCIe errors.", code="slow-link"
            )
        )
    index = node["env"].get("NCCL_IB_GID_INDEX")
    usable = [gid["index"] for gid in rdma["gids"] if gid["type"] == ROCE_V2]
    if index is not None and usable and str(index) not in map(str, usable):
        wanted = f"{' or '.join(map(str, usable))}, where {rdma['device']} has a RoCE v2 GID of an IPv4 address"
        hint = "It moves when addresses come up in another order. Leave the variable out: NCCL finds the index by itself."
        found.append(Problem(name, "NCCL_IB_GID_INDEX", str(index), wanted, hint, code="wrong-gid"))
    return found


def _differences(plan: Plan, infos: Mapping[str, Host]) -> list[Problem]:
    """Two nodes that should be alike and are not: the first two that differ are named."""
    found = []
    rows = list(_nodes(plan, infos))
    links = [(node["name"], link) for node, hardware in rows for link in hardware["links"] if link["address"] == node["address"]]
    facts: tuple[tuple[str, str, list[tuple[str, str | int | None]]], ...] = (
        ("driver", "Install the same one on all nodes.", [(node["name"], hardware["driver"]) for node, hardware in rows]),
        ("kernel", "Boot the same one on all nodes.", [(node["name"], hardware["kernel"]) for node, hardware in rows]),
        (
            "MTU of the fabric",
            "A packet that is too long is dropped in silence; 9000 everywhere is usual.",
            [(name, link["mtu"]) for name, link in links],
        ),
    )
    for key, hint, values in facts:
        known = [(name, value) for name, value in values if value is not None]
        other = next(((name, value) for name, value in known if value != known[0][1]), None)
        if other:
            found.append(Problem(other[0], key, str(other[1]), f"{known[0][1]}, as on {known[0][0]}", hint, code="nodes-differ"))
    return found


def _measured(plan: Plan, infos: Mapping[str, Host]) -> list[Problem]:
    """A driver or kernel of another branch than the profile was measured with; a newer build of the branch is no news."""
    found = []
    for key, parts in BRANCH:
        measured = plan["measured_with"].get(key)
        if not measured:
            continue
        branch = measured.split(".")[:parts]
        for node, hardware in _nodes(plan, infos):
            found_here = hardware[key]
            if found_here and found_here.split(".")[:parts] != branch:
                wanted = f"branch {'.'.join(branch)}: the profile was measured with {measured}"
                found.append(
                    Problem(
                        node["name"],
                        key,
                        found_here,
                        wanted,
                        "It may work; compare a benchmark before you rely on it.",
                        code="other-version",
                    )
                )
    return found
