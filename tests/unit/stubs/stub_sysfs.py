"""Stub /proc and /sys of a GX10, written from what the real tools print (data/nodes, whose sources are in SOURCES.md).

A real node is the only real part, and nobody who wrote this has one. Which file says what a tool prints: the kernel's Documentation/ABI
(sysfs-class-net, sysfs-bus-pci, sysfs-class-infiniband), ethtool(8), rdma(8), and the chapter on /proc of NVIDIA's driver README.
"""

from __future__ import annotations

import json
import re
from pathlib import Path

NODES = Path(__file__).resolve().parents[1] / "data/nodes"
# An RDMA device is its PCI function: rocep1s0f1 is 0000:01:00.1, roceP2p1s0f0 is 0002:01:00.0.
NAME = re.compile(r"roce(?:P(\d+))?p(\d+)s(\d+)f(\d+)")


def output(node: str, tool: str) -> str:
    """What `tool` prints on `node`; where its folder has nothing of its own, what it prints on the good one."""
    own = NODES / node / tool
    return (own if own.exists() else NODES / "good" / tool).read_text()


def write(path: Path, text: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{text}\n")


def build(node: str, root: Path) -> Path:
    """Write the /proc and /sys of `node` below `root`."""
    write(root / "proc/sys/kernel/osrelease", output(node, "uname").split()[2])
    write(root / "proc/version", output(node, "proc_version").strip())
    write(root / "proc/meminfo", output(node, "meminfo").strip())
    write(root / "proc/driver/nvidia/version", output(node, "nvidia_version").strip())
    for key, value in zip(("version", "date"), output(node, "bios").split()):
        write(root / f"sys/class/dmi/id/bios_{key}", value)
    for name, bus in re.findall(r"^\|\s+\d+\s+(NVIDIA \S+).*?([0-9A-F]{8}:\S+)", output(node, "nvidia-smi"), re.MULTILINE):
        write(root / f"proc/driver/nvidia/gpus/{bus.lower()[4:]}/information", f"Model: \t\t {name}")
    _links(node, root)
    _rdma(node, root)
    return root


def _links(node: str, root: Path) -> None:
    for row in json.loads(output(node, "ip_address.json")):
        home = root / "sys/class/net" / row["ifname"]
        up = "LOWER_UP" in row["flags"] and row["operstate"] == "UP"
        write(home / "operstate", row["operstate"].lower())
        write(home / "carrier", int(up))
        write(home / "mtu", row["mtu"])
        tool = f"ethtool_{row['ifname']}"
        known = (NODES / "good" / tool).exists()
        # The kernel says -1 of a link that is down.
        write(home / "speed", re.findall(r"Speed: (\d+)Mb/s", output(node, tool))[0] if known else -1)


def _rdma(node: str, root: Path) -> None:
    firmware = dict(re.findall(r"hca_id:\s*(\S+).*?fw_ver:\s*(\S+)", output(node, "ibv_devinfo"), re.DOTALL))
    pcie = {
        bdf: (*capable, *now)
        for bdf, *rest in re.findall(
            r"^(\S+) Ethernet.*?LnkCap:\s+Speed (\S+)GT/s, Width x(\d+).*?LnkSta:\s+Speed (\S+)GT/s, Width x(\d+)",
            output(node, "lspci"),
            re.DOTALL | re.MULTILINE,
        )
        for capable, now in [(rest[:2], rest[2:])]
    }
    for device, state, netdev in re.findall(r"link (\S+)/1 state (\S+) physical_state \S+ netdev (\S+)", output(node, "rdma_link")):
        domain, bus, slot, function = (int(part or 0) for part in NAME.fullmatch(device).groups())  # type: ignore[union-attr]
        max_speed, max_width, speed, width = pcie[f"{domain:04x}:{bus:02x}:{slot:02x}.{function}"]
        home = root / "sys/class/infiniband" / device
        write(home / "fw_ver", firmware[device])
        write(home / "ports/1/state", f"{4 if state == 'ACTIVE' else 1}: {state}")
        (home / f"device/net/{netdev}").mkdir(parents=True)
        pci = root / "sys/class/net" / netdev / "device"
        for name, value in (("current_link_width", width), ("max_link_width", max_width)):
            write(pci / name, value)
        for name, value in (("current_link_speed", speed), ("max_link_speed", max_speed)):
            write(pci / name, f"{float(value):.1f} GT/s PCIe")
    kinds = {"v1": "IB/RoCE v1", "v2": "RoCE v2"}
    for row in output(node, "show_gids").splitlines():
        cells = row.split()
        if len(cells) >= 6 and cells[0].startswith("roce"):
            port = root / f"sys/class/infiniband/{cells[0]}/ports/1"
            write(port / f"gids/{cells[2]}", cells[3])
            write(port / f"gid_attrs/types/{cells[2]}", kinds[cells[-2]])
