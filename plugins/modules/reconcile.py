#!/usr/bin/python
# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: reconcile
short_description: Decide what a run will do, and say it, before anything is done
version_added: 0.2.0
description:
  - Compares a launch plan with what M(gx10.serving.world_info) saw of every node and with what the control node has.
  - Fails with every problem of all nodes at once; else prints the warnings and the actions in order.
author: [GX10 Serving contributors (@gx10)]
options:
  plan:
    description: The launch plan.
    type: dict
    required: true
  worlds:
    description: What M(gx10.serving.world_info) returned, by node.
    type: dict
    required: true
  present:
    description: Names of the nodes that take part in this run.
    type: list
    elements: str
    required: true
  archived:
    description: What the archive of images keeps, where that is on another host than the control node.
    type: list
    elements: dict
  sources:
    description: Folders of checkpoints on the control node, by model.
    type: dict
    default: {}
  image:
    description: "What is wanted of the image: targets, build, promote, wanted, keep, archive."
    type: dict
    required: true
extends_documentation_fragment: [gx10.serving.attributes.info]
attributes:
  action: {support: full, description: It runs on the control node only., details: []}
"""

EXAMPLES = r"""
- name: Decide
  gx10.serving.reconcile:
    plan: "{{ plan_document }}"
    worlds: "{{ worlds }}"
    present: "{{ ansible_play_hosts_all }}"
    image: {targets: [gx10-1], keep: 2}
"""

RETURN = r"""
image:
  description: "id (empty where only a build will tell), restore, builds, send, forget, keep_archive, good (actions that wait for the
    gate), keepers, contexts,
    actions."
  type: dict
  returned: success
weights:
  description: "hash (empty where only reading or downloading will tell), actions."
  type: dict
  returned: success
engine:
  description: "parts (what each node's supervisor shall get), remove (containers that are left over, by node), looks (what was seen of each
    node), actions."
  type: dict
  returned: success
cautions:
  description: What is slow, or often fails.
  type: list
  elements: str
  returned: success
proven:
  description: What runs has passed a gate, and nothing of it started again since.
  type: bool
  returned: success
actions:
  description: "In order: phase, node (empty for the whole group), do, text."
  type: list
  elements: dict
  returned: success
"""
