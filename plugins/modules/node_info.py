# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: What a node brings - addresses, tools, disk, memory and hardware
version_added: 0.1.0
description:
  - Evidence for the role preflight; the caller judges.
author: [GX10 Serving contributors (@gx10)]
options:
  tools:
    description: Programs to look for.
    type: list
    elements: str
    default: []
  paths:
    description: Paths whose file system is asked for free space; the nearest folder that exists counts.
    type: list
    elements: path
    default: []
  fabric_address:
    description: The node's address on the fabric; its interface and the peers are looked at.
    type: str
  fabric_rails:
    description: The node's addresses on all halves of its fabric ports, whose hardware is looked at.
    type: list
    elements: str
    default: []
  fabric_peers:
    description: Fabric addresses of the nodes that this one must reach. Each is sent one connection attempt, and ARP where it stays silent.
    type: list
    elements: str
    default: []
attributes:
  check_mode: {support: full, description: It only reads., details: []}
"""

EXAMPLES = r"""
- name: Look at the node
  gx10.serving.node_info:
    tools: [docker, nginx, curl]
    paths: [/srv/models]
    fabric_address: 192.168.177.11
    fabric_peers: [192.168.177.12]
"""

RETURN = r"""
addresses:
  description: The node's IP addresses.
  type: list
  elements: str
  returned: always
missing_tools:
  description: Programs of O(tools) that are not there; C(python3-requests) where the Docker modules could not run.
  type: list
  elements: str
  returned: always
disk:
  description: "By path: free and size of its file system, in bytes, and whether it can be written."
  type: dict
  returned: always
memory:
  description: "total and available, in bytes."
  type: dict
  returned: always
fabric:
  description: "interface that holds O(fabric_address), its state, other interfaces beside it in that network, routes and reached by peer."
  type: dict
  returned: when O(fabric_address) is given
journal:
  description: Whether systemd-journald takes entries; each engine's container gets its socket.
  type: bool
  returned: always
docker:
  description: "The engine's version and root folder, or the error."
  type: dict
  returned: always
hardware:
  description:
    - "What /proc and /sys say: architecture, kernel, bios, driver, gpus (name), memory (bytes by field of meminfo) and links."
    - "A link: address, interface, operstate, carrier, speed_mbps, mtu, pcie (width, max_width, speed, max_speed in GT/s) and rdma
      (device, firmware, state, gids)."
    - What cannot be read is null.
  type: dict
  returned: always
"""

import importlib.util
import os
import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils import _hardware, _links

JOURNAL = "/run/systemd/journal/socket"


def addresses(module: AnsibleModule) -> dict[str, str]:
    """The interfaces of the node by their IP addresses."""
    code, out, err = module.run_command(["ip", "-j", "address", "show"])
    if code:
        module.fail_json(msg=f"ip address show: found exit code {code}: {err.strip()}; wanted iproute2")
    found: dict[str, str] = _hardware.interfaces(out)
    return found


def disk(path: str) -> dict[str, Any]:
    """Free space of the file system that would hold `path`."""
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    stat = os.statvfs(path)
    return {"free": stat.f_bavail * stat.f_frsize, "size": stat.f_blocks * stat.f_frsize, "writable": os.access(path, os.W_OK)}


def hardware(module: AnsibleModule, interfaces: dict[str, str]) -> dict[str, Any]:
    """Without the kernel module of the GPU, nvidia-smi says why, and may load it."""
    found: dict[str, Any] = _hardware.observe(interfaces)
    if found["gpus"] is None and shutil.which(_hardware.SMI[0]):
        _code, out, _err = module.run_command(["timeout", "10", *_hardware.SMI])
        gpus = _hardware.smi(out)
        found.update(gpus=gpus, driver=next((gpu["driver"] for gpu in gpus), None))
    return found


def docker(module: AnsibleModule) -> dict[str, str]:
    """The Docker engine's version and root folder."""
    if not shutil.which("docker"):
        return {"error": "docker is not installed"}
    code, out, err = module.run_command(["docker", "info", "--format", "{{.ServerVersion}} {{.DockerRootDir}}"])
    if code or err.startswith("Cannot connect"):
        return {"error": err.strip() or out.strip()}
    version, _space, root = out.strip().partition(" ")
    return {"version": version, "root": root, "error": ""}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "tools": {"type": "list", "elements": "str", "default": []},
            "paths": {"type": "list", "elements": "path", "default": []},
            "fabric_address": {"type": "str"},
            "fabric_rails": {"type": "list", "elements": "str", "default": []},
            "fabric_peers": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    missing = [tool for tool in module.params["tools"] if not shutil.which(tool)]
    if not importlib.util.find_spec("requests"):
        missing.append("python3-requests")
    engine = docker(module)
    paths = [*module.params["paths"], *([engine["root"]] if engine.get("root") else [])]
    interfaces = addresses(module)
    look = hardware(module, {address: interfaces[address] for address in module.params["fabric_rails"] if address in interfaces})
    fabric = {}
    if module.params["fabric_address"]:
        fabric["fabric"] = _links.look(
            module.run_command, module.params["fabric_address"], module.params["fabric_peers"], module.params["fabric_rails"]
        )
    module.exit_json(
        changed=False,
        **fabric,
        addresses=list(interfaces),
        missing_tools=missing,
        disk={path: disk(path) for path in paths},
        memory={"total": look["memory"]["MemTotal"], "available": look["memory"]["MemAvailable"]},
        journal=os.path.exists(JOURNAL),
        docker=engine,
        hardware=look,
    )


if __name__ == "__main__":
    main()
