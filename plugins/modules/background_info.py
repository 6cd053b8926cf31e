# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: background_info
short_description: How far a program in the background is
version_added: 0.1.0
description:
  - Reads the state of what M(gx10.serving.background) started, and tells it that the control node is still there.
author: [GX10 Serving contributors (@gx10)]
options:
  work_dir:
    description: Its folder.
    type: path
    required: true
  wait:
    description: Return after so many seconds, or as soon as it is done or failed.
    type: float
    default: 0
extends_documentation_fragment: [gx10.serving.attributes.info]
attributes:
  check_mode: {support: full, details: [Nothing but its own lease is touched.]}
"""

EXAMPLES = r"""
- name: Look
  gx10.serving.background_info:
    work_dir: /var/lib/gx10/fanout/run
    wait: 5
"""

RETURN = r"""
progress:
  description: >-
    phase (starting, pulling, done, failed), total, done, received, repeated and resumed in bytes, seconds, failed (path and why);
    and what else the program says.
  type: dict
  returned: always
"""

import os
import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _background

OVER = ("done", "failed")


def main() -> None:
    module = AnsibleModule(
        argument_spec={"work_dir": {"type": "path", "required": True}, "wait": {"type": "float", "default": 0}},
        supports_check_mode=True,
    )
    work = module.params["work_dir"]
    deadline = time.monotonic() + module.params["wait"]
    while True:
        alive = _background.running(work)
        state = _background.state(work)
        if state.get("phase") in OVER or not alive or time.monotonic() >= deadline:
            break
        time.sleep(0.2)
    if alive:
        os.utime(os.path.join(work, _background.JOB))
    elif state.get("phase") not in OVER:
        why = f"the program ended without a word: {_background.log(work) or 'its log is empty'}"
        state = {**state, "phase": "failed", "failed": [{"path": work, "why": why}]}
    module.exit_json(changed=False, progress=state)


if __name__ == "__main__":
    main()
