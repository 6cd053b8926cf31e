#!/usr/bin/python
# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: compiled_info
short_description: What engines have compiled and a node keeps
version_added: 0.2.0
description:
  - Looks at names and sizes; reads no compiled file.
author: [GX10 Serving contributors (@gx10)]
options:
  state_dir:
    description: Folder of the collection's state on the node.
    type: path
    required: true
extends_documentation_fragment: [gx10.serving.attributes.info]
"""

EXAMPLES = r"""
- name: Look
  gx10.serving.compiled_info:
    state_dir: /var/lib/gx10
"""

RETURN = r"""
compiled:
  description: >-
    name, image (its ID), image_gone (Docker does not have it any more), stamp (the launch that has passed its gate with it, or empty),
    bytes.
  type: list
  elements: dict
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _compiled, _docker


def main() -> None:
    module = AnsibleModule(argument_spec={"state_dir": {"type": "path", "required": True}}, supports_check_mode=True)
    try:
        found = _compiled.look(_docker.Docker(module.run_command), module.params["state_dir"])
    except (OSError, _docker.DockerError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, compiled=found)


if __name__ == "__main__":
    main()
