"""Nodes as owners report them, and a plan for four of them. Sources: data/nodes/SOURCES.md."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.gx10.serving.plugins.module_utils.node import _hardware
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from conftest import ROOT, hostvars
from stubs import stub_sysfs

SAMPLE = yaml.safe_load((ROOT / "inventories/sample/group_vars/gx10.yml").read_text())
GIB = 2**30
FABRIC = ("192.168.177.11", "192.168.178.11")


def observe(node: str, root: Path) -> Any:
    """`node` as the part `host` of module world_info sees it."""
    addresses = _hardware.interfaces(stub_sysfs.output(node, "ip_address.json"))
    return _hardware.observe({one: addresses[one] for one in FABRIC}, str(stub_sysfs.build(node, root)))


def planned(resolve: Any) -> Plan:
    """108 GiB a rank on four nodes of the sample inventory."""
    found: Plan = resolve("nemotron3-ultra", variables=hostvars(**SAMPLE))["plan"]
    return found


def group(tmp_path: Path, *nodes: str) -> Any:
    """that by node; each has its own fabric address."""
    infos = {}
    for number, name in enumerate(nodes, start=1):
        hardware = copy.deepcopy(observe(name, tmp_path / f"{number}"))
        hardware["links"][0]["address"] = f"192.168.177.1{number}"
        infos[f"gx10-{number}"] = {"hardware": hardware}
    return infos
