# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: files_info
short_description: Which of these hash-named files a node lacks
version_added: 0.1.0
description:
  - Compares names and sizes, and the content of small files; the files' names are their SHA-256, checked when they were written.
author: [GX10 Serving contributors (@gx10)]
options:
  path:
    description: The files' folder.
    type: path
    required: true
  files:
    description: "The files: path below the folder, size in bytes, sha256."
    type: list
    elements: dict
    required: true
extends_documentation_fragment: [gx10.serving.attributes.info]
"""

EXAMPLES = r"""
- name: Look which layers are here
  gx10.serving.files_info:
    path: /var/lib/gx10/registry
    files: "{{ image_ingested.files }}"
"""

RETURN = r"""
lacking:
  description: Paths that are not there, or not as they should be.
  type: list
  elements: str
  returned: always
free:
  description: Free bytes on the folder's file system.
  type: int
  returned: always
"""

import os

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _oci


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "dict", "required": True},
        },
        supports_check_mode=True,
    )
    path = module.params["path"]
    lacking = _oci.lacking(path, module.params["files"])
    path = os.path.abspath(path)
    while not os.path.exists(path):
        path = os.path.dirname(path)
    stat = os.statvfs(path)
    module.exit_json(changed=False, lacking=lacking, free=stat.f_bavail * stat.f_frsize)


if __name__ == "__main__":
    main()
