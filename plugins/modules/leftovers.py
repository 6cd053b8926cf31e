#!/usr/bin/python
# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: leftovers
short_description: Remove files that never got their name
version_added: 0.2.0
description:
  - Removes those of O(files) that M(gx10.serving.world_info) would still name, unchanged - regular files in the state folder, of its owner,
    with the name of a file that is being written, old, and open in no process. All others are left.
author: [GX10 Serving contributors (@gx10)]
options:
  state_dir:
    description: Folder of the collection's state on the node.
    type: path
    required: true
  files:
    description: The files, as M(gx10.serving.world_info) named them.
    type: list
    elements: dict
    required: true
    suboptions:
      path:
        description: The file.
        type: path
        required: true
      which:
        description: Tells it from another one that gets its name.
        type: str
        required: true
extends_documentation_fragment: [gx10.serving.attributes]
"""

EXAMPLES = r"""
- name: Remove what was left over
  gx10.serving.leftovers:
    state_dir: /var/lib/gx10
    files: "{{ world.left.files }}"
"""

RETURN = r"""
removed:
  description: The files that were removed, or would be.
  type: list
  elements: str
  returned: success
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _left

FILE = {"path": {"type": "path", "required": True}, "which": {"type": "str", "required": True}}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "dict", "options": FILE, "required": True},
        },
        supports_check_mode=True,
    )
    try:
        removed = _left.remove(module.params["state_dir"], module.params["files"], module.check_mode)
    except OSError as error:
        module.fail_json(msg=f"{error.filename}: found {(error.strerror or str(error)).lower()}; wanted to remove it")
    module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()
