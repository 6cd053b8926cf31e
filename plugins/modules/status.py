#!/usr/bin/python
# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: status
short_description: Judge whether the cluster serves what was served last
version_added: 0.2.0
description:
  - Judges what M(gx10.serving.engine_info) and M(gx10.serving.api_info) returned. It changes nothing and asks no host.
  - Fails where nothing is served, where the record of it cannot be believed, and with O(judge) where anything is not as recorded.
author: [GX10 Serving contributors (@gx10)]
options:
  looks:
    description: What M(gx10.serving.engine_info) returned, by node; of all nodes of the inventory.
    type: dict
    required: true
  api:
    description: What M(gx10.serving.api_info) returned on the head; none where it does not answer.
    type: dict
  judge:
    description: Say whether it serves. Without it, only whom to ask.
    type: bool
    default: false
extends_documentation_fragment: [gx10.serving.attributes.info]
attributes:
  action: {support: full, description: It runs on the control node only., details: []}
"""

EXAMPLES = r"""
- name: Find what is served
  gx10.serving.status:
    looks: "{{ looks }}"
"""

RETURN = r"""
head:
  description: The node of rank 0.
  type: str
  returned: without O(judge)
answers:
  description: Did the head answer?
  type: bool
  returned: without O(judge)
url:
  description: Where the API is.
  type: str
  returned: without O(judge)
served_name:
  description: The model's name there.
  type: str
  returned: without O(judge)
"""
