# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: image_record
short_description: Prove that an image lies whole in a registry's folder, and keep it there
version_added: 0.1.0
description:
  - Reads every file of the image and compares it with its name, which is its SHA-256; fails naming each that differs.
  - Notes the image as the newest of its name; files that only forgotten images need are removed.
  - With O(state=absent) it is forgotten instead, whole or not.
author: [GX10 Serving contributors (@gx10)]
options:
  store:
    description: The registry's folder.
    type: path
    required: true
  name:
    description: The image's name, without a tag.
    type: str
    required: true
  image:
    description: Docker's ID of the image.
    type: str
    required: true
  digest:
    description: The manifest's digest.
    type: str
    required: true
  keep:
    description: How many images of the name stay.
    type: int
  state:
    description: V(absent) forgets the image.
    type: str
    choices: [present, absent]
    default: present
extends_documentation_fragment: [gx10.serving.attributes.info]
"""

EXAMPLES = r"""
- name: Keep the archived image
  gx10.serving.image_record:
    store: /srv/backup/images
    name: vllm-node-mimo
    image: "{{ image_id }}"
    digest: "{{ image_ingested.digest }}"
    keep: 3
"""

RETURN = r"""
freed:
  description: Bytes of files that were removed.
  type: int
  returned: always
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _oci


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "store": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "image": {"type": "str", "required": True},
            "digest": {"type": "str", "required": True},
            "keep": {"type": "int"},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
        },
        required_if=[("state", "present", ["keep"])],
        supports_check_mode=True,
    )
    params = module.params
    if params["state"] == "absent":
        there = params["digest"] in [item["digest"] for item in _oci.known(params["store"])]
        freed = _oci.forget(params["store"], params["digest"]) if there and not module.check_mode else 0
        module.exit_json(changed=there, freed=freed)
    problems = _oci.damage(params["store"], params["digest"])
    if problems:
        text = "\n".join(problems)
        module.fail_json(msg=f"image {params['name']} in {params['store']} is damaged, and was not used:\n{text}")
    wanted = {key: params[key] for key in ("name", "image", "digest")}
    changed = wanted not in _oci.known(params["store"])
    freed = 0
    if changed and not module.check_mode:
        freed = _oci.remember(params["store"], params["name"], params["image"], params["digest"], params["keep"])
    module.exit_json(changed=changed, freed=freed)


if __name__ == "__main__":
    main()
