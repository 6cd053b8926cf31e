# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: background_wait
short_description: Wait for a program in the background, with a line of progress now and then
version_added: 0.1.0
description:
  - Asks M(gx10.serving.background_info) until the program is done or gave up, and prints bytes, rate and remaining time.
author: [GX10 Serving contributors (@gx10)]
options:
  work_dir:
    description: Its folder.
    type: path
    required: true
  interval:
    description: Seconds between two lines.
    type: float
    default: 10
extends_documentation_fragment: [gx10.serving.attributes]
attributes:
  check_mode: {support: none, details: [There is nothing to wait for.]}
"""

EXAMPLES = r"""
- name: Wait
  gx10.serving.background_wait:
    work_dir: /var/lib/gx10/fanout/run
"""

RETURN = r"""
progress:
  description: The last state, as from M(gx10.serving.background_info).
  type: dict
  returned: always
"""
