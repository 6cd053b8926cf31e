# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: arguments
short_description: Read the extra variables of a verb
version_added: 0.1.0
description:
  - Checks them against the verb's argument spec, and refuses an extra variable that neither the verb, a role nor the inventory reads.
  - Runs on the control node; no host is asked.
author: [GX10 Serving contributors (@gx10)]
options:
  verb:
    description: Whose arguments these are.
    type: str
    required: true
  refuse:
    description: Fail with all problems, those of the inventory's settings, too; otherwise they are returned.
    type: bool
    default: true
extends_documentation_fragment: [gx10.serving.attributes.info]
"""

EXAMPLES = r"""
- name: Read the arguments
  gx10.serving.arguments:
    verb: status
"""

RETURN = r"""
given:
  description: The arguments as typed values; the default of one that was not given.
  type: dict
  returned: success
problems:
  description: What is wrong, for P(gx10.serving.resolve#filter).
  type: list
  elements: dict
  returned: success
"""
