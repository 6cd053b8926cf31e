# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: image_retain
short_description: Remove this collection's tags from all but the newest images of a name
version_added: 0.1.0
description:
  - An image goes with its last tag. Images that a container uses, and tags that somebody else made, are left alone.
author: [GX10 Serving contributors (@gx10)]
options:
  name:
    description: The images' name, without a tag.
    type: str
    required: true
  tag:
    description: The tag that serves; its image stays, as do those of C(last-good), C(previous), C(candidate) and C(rejected).
    type: str
    required: true
  keep:
    description: How many images stay beside these.
    type: int
    required: true
extends_documentation_fragment: [gx10.serving.attributes]
attributes:
  check_mode: {support: full, details: [Says what it would remove.]}
"""

EXAMPLES = r"""
- name: Keep the newest two
  gx10.serving.image_retain:
    name: vllm-node-mimo
    tag: latest
    keep: 2
"""

RETURN = r"""
removed:
  description: The references that were removed.
  type: list
  elements: str
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _docker


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "name": {"type": "str", "required": True},
            "tag": {"type": "str", "required": True},
            "keep": {"type": "int", "required": True},
        },
        supports_check_mode=True,
    )
    params = module.params
    try:
        images = _docker.Docker(module.run_command).images([params["name"]])
    except _docker.DockerError as error:
        module.fail_json(msg=str(error))
    removed = []
    for reference in _docker.forgotten(images, params["name"], params["tag"], params["keep"]):
        code = 0 if module.check_mode else module.run_command(["docker", "image", "rm", reference])[0]
        # What a container uses stays.
        if not code:
            removed.append(reference)
    module.exit_json(changed=bool(removed), removed=removed)


if __name__ == "__main__":
    main()
