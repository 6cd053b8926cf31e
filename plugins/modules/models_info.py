# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: models_info
short_description: What lies in a node's models folder, and how much room its disk has
version_added: 0.1.0
description:
  - Looks at names, sizes and headers only; reads no weights.
author: [GX10 Serving contributors (@gx10)]
options:
  path:
    description: The models root, which holds ORG/NAME folders and hub caches.
    type: path
    required: true
  notes:
    description: The folder in which the node keeps the manifests of what was staged; without it nothing is compared.
    type: path
    default: ""
extends_documentation_fragment: [gx10.serving.attributes.info]
"""

EXAMPLES = r"""
- name: Look
  gx10.serving.models_info:
    path: /srv/models
    notes: /var/lib/gx10/manifests
"""

RETURN = r"""
models:
  description: >-
    name (ORG/NAME), path, bytes, files, staged (bytes of an unfinished transfer), whole, problems; manifest (its hash, if one was
    recorded), differing and unknown (paths, by name and size).
  type: list
  elements: dict
  returned: always
caches:
  description: "Folders of a hub cache: name, path, bytes."
  type: list
  elements: dict
  returned: always
disk:
  description: "path, mount, type, free and size in bytes, read_only, writable."
  type: dict
  returned: always
user:
  description: Who looked.
  type: str
  returned: always
"""

import getpass
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest
from ansible_collections.gx10.serving.plugins.module_utils.node._types import HubCache, ModelFolder, ModelsDisk


def size(folder: str) -> int:
    """Bytes on the disk below a folder; holes do not count, links are not followed."""
    total = 0
    for where, _folders, names in os.walk(folder):
        for name in names:
            total += os.lstat(os.path.join(where, name)).st_blocks * 512
    return total


def model(root: str, name: str, notes: str) -> ModelFolder:
    """One ORG/NAME folder."""
    path = os.path.join(root, name)
    look = _manifest.scan(path, _manifest.HashCache(os.devnull), glance=True, mounted=root)
    problems, sizes = look["problems"], {item["path"]: item["size"] for item in look["files"]}
    manifest = _manifest.recorded(notes, name)
    wanted = {item["path"]: item["size"] for item in (manifest["files"] if manifest else [])}
    return {
        "name": name,
        "path": path,
        "bytes": sum(sizes.values()),
        "files": len(sizes),
        "staged": size(os.path.join(path, ".gx10")),
        "whole": not problems,
        "problems": problems,
        "manifest": manifest["hash"] if manifest else "",
        "differing": sorted(item for item, length in wanted.items() if sizes.get(item) != length),
        "unknown": sorted(set(sizes) - set(wanted)) if wanted else [],
    }


def disk(path: str) -> ModelsDisk:
    """The file system that holds, or would hold, `path`."""
    where = path
    while not os.path.exists(where):
        where = os.path.dirname(where)
    where = os.path.realpath(where)
    best = ("/", "unknown", "")
    with open("/proc/mounts", encoding="utf-8") as file:
        for line in file:
            _device, mount, kind, options = (word.encode().decode("unicode_escape") for word in line.split()[:4])
            if (where == mount or where.startswith(mount.rstrip("/") + "/")) and len(mount) >= len(best[0]):
                best = (mount, kind, options)
    stat = os.statvfs(where)
    return {
        "path": where,
        "mount": best[0],
        "type": best[1],
        "free": stat.f_bavail * stat.f_frsize,
        "size": stat.f_blocks * stat.f_frsize,
        "read_only": bool(stat.f_flag & os.ST_RDONLY),
        "writable": os.access(where, os.W_OK),
    }


def folders(path: str) -> list[str]:
    """Names of the folders in a folder, without hidden ones."""
    try:
        return sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith("."))
    except OSError:
        return []


ARGUMENTS: dict[str, Any] = {"path": {"type": "path", "required": True}, "notes": {"type": "path", "default": ""}}


def main() -> None:
    module = AnsibleModule(argument_spec=ARGUMENTS, supports_check_mode=True)
    root, notes = module.params["path"], module.params["notes"]
    models: list[ModelFolder] = []
    caches: list[HubCache] = []
    for first in folders(root):
        for second in folders(os.path.join(root, first)):
            full = os.path.join(root, first, second)
            if first == "hub":
                if second.startswith(("models--", "datasets--")):
                    caches.append({"name": second, "path": full, "bytes": size(full)})
            else:
                models.append(model(root, f"{first}/{second}", notes))
    module.exit_json(changed=False, models=models, caches=caches, disk=disk(root), user=getpass.getuser())


if __name__ == "__main__":
    main()
