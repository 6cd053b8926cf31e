# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: image_context
short_description: What an image is built from, on the control node
version_added: 0.1.0
description:
  - For an image of a launch plan and each definition that it is built on the folder, the wheels, one hash over both, and the pinned
    wheels that are missing.
author: [GX10 Serving contributors (@gx10)]
options:
  _terms:
    description: The key C(image) of a launch plan. A definition whose folder is gone is built from nothing, so it matches no image.
    required: true
  wheels_path:
    description: Folder that holds a folder of wheels per image.
    type: path
    required: true
  cache:
    description: File in which the wheels' hashes are kept.
    type: path
    default: ~/.cache/gx10/hashes.json
"""

EXAMPLES = r"""
- name: Look at the inputs
  ansible.builtin.debug:
    msg: "{{ lookup('gx10.serving.image_context', plan_document.image, wheels_path='wheels') }}"
"""

RETURN = r"""
_raw:
  description: >-
    One dictionary an image, by definition's name, the lowest first. definition (folder), dockerfile (is there one), wheels (folder),
    hash, context (hash of it and of those below it), size (bytes of the wheels), inputs (what the hash covers), missing (pinned wheels
    that are not there), altered (wheels with another SHA-256 than pinned).
  type: list
  elements: dict
"""

from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.gx10.serving.plugins.module_utils.plan import _context
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Image


class LookupModule(LookupBase):
    """Reads the control node; builds nothing."""

    def run(self, terms: list[Image], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, _context.Context]]:
        self.set_options(var_options=variables, direct=kwargs)
        return [_context.read(image, self.get_option("wheels_path"), self.get_option("cache")) for image in terms]
