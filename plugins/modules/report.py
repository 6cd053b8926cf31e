# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: report
short_description: Print a verb's result as it is, and publish it as data
version_added: 0.1.0
description:
  - The debug action shows text inside a quoted result; this shows lines that a person can read and copy.
author: [GX10 Serving contributors (@gx10)]
options:
  text:
    description: The text.
    type: str
    required: true
  data:
    description: The same for programs, as C(set_stats) publishes it; ansible-runner and C(show_custom_stats) show it.
    type: dict
extends_documentation_fragment: [gx10.serving.attributes.info]
"""

EXAMPLES = r"""
- name: Show the plan
  gx10.serving.report:
    text: "{{ resolved.plan | gx10.serving.commands }}"
"""

RETURN = r""" # """
