# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: image_info
short_description: Which images Docker has, which a folder keeps as layers, and what room there is
version_added: 0.1.0
description:
  - One look for all that the role image decides from.
author: [GX10 Serving contributors (@gx10)]
options:
  store:
    description: The registry's folder.
    type: path
    required: true
  references:
    description: Images to look for in Docker, by reference or ID.
    type: list
    elements: str
    default: []
  containers:
    description: Containers whose images are looked up; without these and O(references) Docker is not asked.
    type: list
    elements: str
    default: []
attributes:
  check_mode: {support: full, description: It only reads., details: []}
"""

EXAMPLES = r"""
- name: Look for the image
  gx10.serving.image_info:
    store: /var/lib/gx10/registry
    references: [vllm-node-mimo:latest]
"""

RETURN = r"""
images:
  description: "What Docker has, by reference: id, layers (diff IDs), labels, size (bytes), architecture (as Docker names it)."
  type: dict
  returned: always
containers:
  description: The image's ID by container, for those that are there.
  type: dict
  returned: always
kept:
  description: "What the folder keeps, newest first: name, image (ID), digest (of the manifest), complete, layers, labels, bytes, files."
  type: list
  elements: dict
  returned: always
architecture:
  description: The node's, as Docker names it.
  type: str
  returned: always
disk:
  description: "For C(store) and C(docker): path, free (bytes) and device, which tells whether they are one file system."
  type: dict
  returned: always
"""

import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils import _oci

# Docker's names (Go's) by the kernel's.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


def inspect(module: AnsibleModule, kind: str, name: str) -> list[dict[str, Any]]:
    """What Docker says of an image or a container; an empty list where it is not there."""
    code, out, err = module.run_command(["docker", kind, "inspect", name])
    if code and "no such" not in err.lower():
        module.fail_json(msg=f"docker {kind} inspect {name}: found exit code {code}: {err.strip()}")
    found: list[dict[str, Any]] = [] if code else json.loads(out)
    return found


def look(module: AnsibleModule, references: list[str]) -> dict[str, Any]:
    """Inspect each reference; those that are not there are left out."""
    found = {}
    for reference in references:
        for item in inspect(module, "image", reference):
            labels = (item.get("Config") or {}).get("Labels") or {}
            facts = {"id": item["Id"], "layers": item["RootFS"]["Layers"], "labels": labels, "size": item["Size"]}
            found[reference] = {**facts, "architecture": item.get("Architecture", "")}
    return found


def disk(path: str) -> dict[str, Any]:
    """Free space of the file system that would hold `path`."""
    wanted = path
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    stat = os.statvfs(path)
    return {"path": wanted, "free": stat.f_bavail * stat.f_frsize, "device": os.stat(path).st_dev}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "store": {"type": "path", "required": True},
            "references": {"type": "list", "elements": "str", "default": []},
            "containers": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    store, references, containers = (module.params[key] for key in ("store", "references", "containers"))
    where = {"store": disk(store)}
    if references or containers:
        code, out, err = module.run_command(["docker", "info", "--format", "{{json .DockerRootDir}}"])
        if code:
            module.fail_json(msg=f"docker info: found exit code {code}: {err.strip()}; wanted an engine that answers")
        where["docker"] = disk(json.loads(out))
    found = {name: item["Image"] for name in containers for item in inspect(module, "container", name)}
    machine = os.uname().machine
    module.exit_json(
        changed=False,
        images=look(module, references),
        containers=found,
        kept=_oci.kept(store),
        architecture=ARCHITECTURES.get(machine, machine),
        disk=where,
    )


if __name__ == "__main__":
    main()
