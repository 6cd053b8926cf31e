# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: manifest_info
short_description: Read a checkpoint folder
version_added: 0.1.0
description:
  - Hashes every file (all cores), checks that the folder is a whole checkpoint, and reads the manifest that was recorded of it.
  - Finds dangling links, Git LFS pointers, cut or overlong safetensors files, and shards that the index names but are not there.
author: [GX10 Serving contributors (@gx10)]
options:
  path:
    description: The checkpoint folder.
    type: path
    required: true
  cache:
    description: File in which hashes are kept by device, inode, size, mtime and ctime, so that a repeat reads no file again.
    type: path
  reread:
    description: Read every byte again, whatever the cache says.
    type: bool
    default: false
  record:
    description: File that holds the recorded manifest.
    type: path
  mounted:
    description:
      - On a node, the models root, which is all that an engine's container sees. A link that it cannot follow is a problem.
      - Not for a folder on the control node, since a copy of it takes the files behind its links.
    type: path
    default: ""
  verified:
    description: Files whose content was hashed as it arrived, just now; they are noted in the cache, not read again.
    type: list
    elements: dict
    default: []
extends_documentation_fragment: [gx10.serving.attributes.info]
"""

EXAMPLES = r"""
- name: Read the checkpoint
  gx10.serving.manifest_info:
    path: /srv/models/Qwen/Qwen3.5-397B-A17B-FP8
    cache: /var/lib/gx10/hashes.json
"""

RETURN = r"""
files:
  description: "Every file: path below the folder, size in bytes, sha256."
  type: list
  elements: dict
  returned: always
size:
  description: Bytes in all.
  type: int
  returned: always
hash:
  description: One hash over all files.
  type: str
  returned: always
problems:
  description: Why this is not a whole checkpoint; empty if it is.
  type: list
  elements: str
  returned: always
recorded:
  description: The recorded manifest; none if there is no record, or none that can be read.
  type: dict
  returned: always
hub:
  description: "What hf download noted: revision, and sha256 by path of the files that the hub has one of."
  type: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "cache": {"type": "path"},
            "reread": {"type": "bool", "default": False},
            "record": {"type": "path"},
            "mounted": {"type": "path", "default": ""},
            "verified": {"type": "list", "elements": "dict", "default": []},
        },
        supports_check_mode=True,
    )
    params = module.params
    # Check mode must leave nothing behind on a host that has no state folder yet.
    usable = params["cache"] and not module.check_mode
    cache = _manifest.HashCache(params["cache"]) if usable else None
    try:
        if cache:
            cache.note(params["path"], params["verified"])
        found = _manifest.read(params["path"], cache, params["reread"], params["mounted"])
    except OSError as error:
        module.fail_json(msg=f"{params['path']}: {error}")
    recorded = _manifest.load(params["record"]) if params["record"] else None
    module.exit_json(changed=False, **found, recorded=recorded)


if __name__ == "__main__":
    main()
