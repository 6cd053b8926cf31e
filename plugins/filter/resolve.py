# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: resolve
short_description: Resolve a profile and an inventory into one launch plan
version_added: 0.1.0
description:
  - Pure; the same input gives the same bytes. All problems are reported at once.
author: [GX10 Serving contributors (@gx10)]
positional: hostvars, hosts, override, accept_untested, settings, known, without
options:
  _input:
    description: What the lookup P(gx10.serving.sources#lookup) returned.
    type: dict
    required: true
  hostvars:
    description: The inventory's variables by host.
    type: dict
    required: true
  hosts:
    description: The nodes in inventory order.
    type: list
    elements: str
    required: true
  override:
    description: Changes of the profile for this launch; null removes a key.
    type: dict
  accept_untested:
    description: The user's word for a profile that nobody has measured.
    type: bool
    default: false
  settings:
    description: Settings of the inventory that this plan has otherwise, by their names.
    type: dict
  known:
    description: Problems that were found before, as M(gx10.serving.arguments) returns them; they are told with the rest.
    type: list
    elements: dict
  without:
    description: Nodes that the plan leaves as they are, because they are gone.
    type: list
    elements: str
"""

EXAMPLES = r"""
- name: Resolve a profile
  ansible.builtin.set_fact:
    resolved: "{{ lookup('gx10.serving.sources', profile) | gx10.serving.resolve(hostvars, groups['gx10']) }}"
"""

RETURN = r"""
_value:
  description: "{plan: the launch plan or null, problems: list of text, message: all of them}."
  type: dict
"""

from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve


class FilterModule:
    """The filter `resolve`."""

    def filters(self) -> dict[str, object]:
        return {"resolve": _resolve.resolve}
