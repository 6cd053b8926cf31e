#!/usr/bin/python
# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: doctor
short_description: Compare what was seen of the nodes with a launch plan, and say what mends each difference
version_added: 0.2.0
description:
  - Judges what M(gx10.serving.world_info) and M(gx10.serving.api_info) returned. It changes nothing and asks no host.
author: [GX10 Serving contributors (@gx10)]
options:
  plan:
    description: The launch plan; empty where nothing is planned or served.
    type: dict
    default: {}
  image_id:
    description: The ID of the image that is served with O(plan), which then counts whatever its inputs are now.
    type: str
    default: ""
  unread:
    description: Why the record of what is served cannot be read.
    type: str
    default: ""
  looks:
    description: What M(gx10.serving.world_info) returned of host, engine and left, by node; of all nodes of the inventory.
    type: dict
    required: true
  more:
    description: What it returned of images and weights, by node.
    type: dict
    default: {}
  api:
    description: What M(gx10.serving.api_info) returned on the head.
    type: dict
    default: {}
  head:
    description: The node of rank 0, which has the lock.
    type: str
    required: true
  addresses:
    description: The nodes' addresses on the fabric.
    type: dict
    default: {}
  state_dir:
    description: Folder of the collection's state on the nodes.
    type: path
    required: true
  fanout_port:
    description: The port of a distribution.
    type: int
    required: true
extends_documentation_fragment: [gx10.serving.attributes.info]
attributes:
  action: {support: full, description: It runs on the control node only., details: []}
"""

EXAMPLES = r"""
- name: Diagnose
  gx10.serving.doctor:
    plan: "{{ plan_document }}"
    looks: "{{ looks }}"
    head: gx10-1
    state_dir: /var/lib/gx10
    fanout_port: 8731
"""

RETURN = r"""
diagnosis:
  description: >-
    ok, verdict (healthy, degraded or down), exit_code (0, 1, 2), profile, plan (its hash), url, serving (null where nothing is planned),
    findings (node, what, found, wanted, mend, code, mends), mended, unmended (node, code, why), notes, nodes (what was seen of each), mend
    (what mend=true takes away, by node).
  type: dict
  returned: success
"""
