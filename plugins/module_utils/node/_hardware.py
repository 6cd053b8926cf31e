# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a node's hardware says of itself, read from /proc and /sys. Runs on the nodes (Python >= 3.9).

Nothing here judges, and what cannot be read is None (unknown): a container, a node without a GPU or an old kernel has less to say.
Forms of the files: the kernel's Documentation/ABI (sysfs-class-net, sysfs-bus-pci, sysfs-class-infiniband). PRIVATE to the collection.
"""

from __future__ import annotations

import glob
import json
import os
import re

from ._hardware_types import Gid, Gpu, Hardware, Link, Pcie, Rdma, SmiGpu

# Of /proc/meminfo; CmaFree beyond CmaTotal is memory that cannot be pinned for RDMA.
MEMORY = ("MemTotal", "MemFree", "MemAvailable", "Cached", "SwapTotal", "SwapFree", "CmaTotal", "CmaFree")
SMI = ("nvidia-smi", "--query-gpu=name,driver_version,memory.total", "--format=csv,noheader,nounits")


def read(path: str) -> str | None:
    """A small file's text without spaces around it; None where it cannot be read (`speed` of a link that is down: EINVAL)."""
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read().strip()
    except OSError:
        return None


def number(text: str | None) -> int | None:
    """The first whole number above zero in a text: a link that is down has the speed -1, a virtual function the width 0."""
    match = re.search(r"(?<![\d.-])\d+", text or "")
    return int(match.group()) or None if match else None


def rate(text: str | None) -> float | None:
    """GT/s of a PCIe link: "32.0 GT/s PCIe", "Unknown"."""
    match = re.match(r"([\d.]+) GT/s", text or "")
    return float(match.group(1)) if match else None


def interfaces(text: str) -> dict[str, str]:
    """The interfaces by their IP addresses, from `ip -j address show`."""
    return {entry["local"]: row["ifname"] for row in json.loads(text) for entry in row.get("addr_info", []) if "local" in entry}


def meminfo(text: str) -> dict[str, int]:
    """Bytes by field of /proc/meminfo, those of MEMORY that are there."""
    rows = re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)
    return {key: int(value) * 1024 for key, value in rows if key in MEMORY}


def driver(text: str | None) -> str | None:
    """The version in /proc/driver/nvidia/version, of the open and of the closed kernel module."""
    match = re.search(r"^NVRM version:.*?\s(\d+(?:\.\d+)+)\b", text or "", re.MULTILINE)
    return match.group(1) if match else None


def smi(text: str) -> list[SmiGpu]:
    """GPUs that the command SMI printed; `memory_mib` is None on unified memory ("[N/A]", "Not Supported")."""
    rows = [[cell.strip() for cell in line.split(",")] for line in text.splitlines()]
    # One that fails says so in words: "No devices were found".
    rows = [row for row in rows if len(row) == 3 and re.match(r"\d+\.\d+", row[1])]
    return [{"name": row[0], "driver": row[1], "memory_mib": number(row[2]) if row[2][:1].isdigit() else None} for row in rows]


def gpus(root: str) -> list[Gpu] | None:
    """GPUs that the kernel module has, without starting a tool that a wedged driver would hold; None without the module."""
    if read(f"{root}/proc/driver/nvidia/version") is None:
        return None
    models: list[Gpu] = []
    for path in sorted(glob.glob(f"{root}/proc/driver/nvidia/gpus/*/information")):
        match = re.search(r"^Model:\s*(.+?)\s*$", read(path) or "", re.MULTILINE)
        models.append({"name": match.group(1) if match else "unknown"})
    return models


def gids(port: str) -> list[Gid]:
    """The IPv4 GIDs of an RDMA port's folder."""
    found: list[Gid] = []
    for path in glob.glob(f"{port}/gids/*"):
        match = re.fullmatch(r"(?:0000:){5}ffff:([0-9a-f]{4}):([0-9a-f]{4})", read(path) or "")
        if match:
            high, low = (int(part, 16) for part in match.groups())
            index = int(os.path.basename(path))
            address = f"{high >> 8}.{high & 255}.{low >> 8}.{low & 255}"
            found.append({"index": index, "address": address, "type": read(f"{port}/gid_attrs/types/{index}")})
    return sorted(found, key=lambda item: item["index"])


def rdma(root: str, interface: str) -> Rdma | None:
    """The RDMA device of a network interface; None if it has none."""
    for path in sorted(glob.glob(f"{root}/sys/class/infiniband/*/device/net/{glob.escape(interface)}")):
        device = path.split("/infiniband/")[1].split("/")[0]
        home = f"{root}/sys/class/infiniband/{device}"
        state = read(f"{home}/ports/1/state")
        return {
            "device": device,
            "firmware": read(f"{home}/fw_ver"),
            # "4: ACTIVE"
            "state": state.split(": ")[-1] if state else None,
            "gids": gids(f"{home}/ports/1"),
        }
    return None


def link(root: str, interface: str, address: str) -> Link:
    """One network interface: speed in Mb/s, PCIe in lanes and GT/s."""
    home = f"{root}/sys/class/net/{interface}"
    carrier = read(f"{home}/carrier")
    pcie: Pcie | None = None
    if os.path.exists(f"{home}/device/max_link_width"):
        width, widest = (number(read(f"{home}/device/{name}_link_width")) for name in ("current", "max"))
        speed, fastest = (rate(read(f"{home}/device/{name}_link_speed")) for name in ("current", "max"))
        pcie = {"width": width, "max_width": widest, "speed": speed, "max_speed": fastest}
    return {
        "address": address,
        "interface": interface,
        "operstate": read(f"{home}/operstate"),
        "carrier": None if carrier is None else carrier == "1",
        "speed_mbps": number(read(f"{home}/speed")),
        "mtu": number(read(f"{home}/mtu")),
        "pcie": pcie,
        "rdma": rdma(root, interface),
    }


def observe(fabric: dict[str, str], root: str = "") -> Hardware:
    """The node: `fabric` is its interfaces by address; `root` stands before /proc and /sys."""
    kernel = os.uname()
    return {
        "architecture": kernel.machine,
        "kernel": read(f"{root}/proc/sys/kernel/osrelease") or kernel.release,
        "bios": " of ".join(filter(None, (read(f"{root}/sys/class/dmi/id/bios_{key}") for key in ("version", "date")))) or None,
        "driver": driver(read(f"{root}/proc/driver/nvidia/version")),
        "gpus": gpus(root),
        "memory": meminfo(read(f"{root}/proc/meminfo") or ""),
        "links": [link(root, interface, address) for address, interface in sorted(fabric.items())],
    }
