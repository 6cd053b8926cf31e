# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: commands
short_description: Show a launch plan as the commands that an expert would have typed
version_added: 0.1.0
description:
  - Per node the commands, then everything that the supervisor and the security defaults add, with the reasons.
author: [GX10 Serving contributors (@gx10)]
options:
  _input:
    description: A launch plan.
    type: dict
    required: true
"""

EXAMPLES = r"""
- name: Show the plan
  ansible.builtin.debug:
    msg: "{{ resolved.plan | gx10.serving.commands }}"
"""

RETURN = r"""
_value:
  description: Text for a terminal.
  type: str
"""

from ansible_collections.gx10.serving.plugins.module_utils.plan import _commands


class FilterModule:
    """The filter `commands`."""

    def filters(self) -> dict[str, object]:
        return {"commands": _commands.commands}
