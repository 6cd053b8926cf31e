# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_info
short_description: What a node brings - addresses, tools, disk and memory
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
docker:
  description: "The engine's version and root folder, or the error."
  type: dict
  returned: always
"""

import importlib.util
import json
import os
import shutil
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils import _links


def addresses(module: AnsibleModule) -> list[str]:
    """All IP addresses of the node."""
    code, out, err = module.run_command(["ip", "-j", "address", "show"])
    if code:
        module.fail_json(msg=f"ip address show: found exit code {code}: {err.strip()}; wanted iproute2")
    return [entry["local"] for link in json.loads(out) for entry in link.get("addr_info", [])]


def disk(path: str) -> dict[str, Any]:
    """Free space of the file system that would hold `path`."""
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    stat = os.statvfs(path)
    return {"free": stat.f_bavail * stat.f_frsize, "size": stat.f_blocks * stat.f_frsize, "writable": os.access(path, os.W_OK)}


def memory() -> dict[str, int]:
    """MemTotal and MemAvailable in bytes."""
    with open("/proc/meminfo", encoding="ascii") as file:
        rows = dict(line.split(":", 1) for line in file)
    return {key: int(rows[row].split()[0]) * 1024 for key, row in (("total", "MemTotal"), ("available", "MemAvailable"))}


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
            "fabric_peers": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    missing = [tool for tool in module.params["tools"] if not shutil.which(tool)]
    if not importlib.util.find_spec("requests"):
        missing.append("python3-requests")
    engine = docker(module)
    paths = [*module.params["paths"], *([engine["root"]] if engine.get("root") else [])]
    fabric = {}
    if module.params["fabric_address"]:
        fabric["fabric"] = _links.look(module.run_command, module.params["fabric_address"], module.params["fabric_peers"])
    module.exit_json(
        changed=False,
        **fabric,
        addresses=addresses(module),
        missing_tools=missing,
        disk={path: disk(path) for path in paths},
        memory=memory(),
        docker=engine,
    )


if __name__ == "__main__":
    main()
