# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: background
short_description: Run a program of this collection in the background on a node
version_added: 0.1.0
description:
  - Starts a Python program with one JSON file, its job, and waits for its first word. The program writes C(state.json) beside the job.
  - Ending it leaves no process and no working folder.
author: [GX10 Serving contributors (@gx10)]
options:
  work_dir:
    description: Folder for job, state and log; belongs to this run alone.
    type: path
    required: true
  state:
    description: V(started) or V(stopped).
    type: str
    choices: [started, stopped]
    default: started
  program:
    description: The program's file or folder.
    type: path
  job:
    description: The job, as the program documents it; C(work) and C(lease_seconds) are added.
    type: dict
  lease_seconds:
    description: The program ends by itself when the control node did not look for so long.
    type: int
    default: 900
extends_documentation_fragment: [gx10.serving.attributes]
attributes:
  check_mode: {support: full, details: [Says whether it would start or stop.]}
"""

EXAMPLES = r"""
- name: Start
  gx10.serving.background:
    work_dir: /var/lib/gx10/fanout/run
    program: /var/lib/gx10/fanout/program
    job: "{{ fanout_plan.jobs[inventory_hostname] }}"
"""

RETURN = r"""
last:
  description: The last state of what was ended.
  type: dict
  returned: when stopped
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _background, _processes


def stop(work: str) -> dict[str, Any]:
    """End the program and its children, and remove the folder; returns its last state."""
    last: dict[str, Any] = _background.state(work)
    pid = _background.running(work)
    if pid:
        os.kill(pid, signal.SIGTERM)
        deadline = time.monotonic() + 20
        while _background.running(work) and time.monotonic() < deadline:
            time.sleep(0.05)
        pid = _background.running(work)
        if pid:
            os.killpg(pid, signal.SIGKILL)  # it leads a session of its own
            time.sleep(0.5)
    shutil.rmtree(work, ignore_errors=True)
    return last


def start(module: AnsibleModule, work: str) -> None:
    """Start the program and wait for its first word."""
    params = module.params
    what = os.path.basename(params["program"])
    os.makedirs(work, mode=0o755)
    path = os.path.join(work, _background.JOB)
    with open(path, "w", encoding="utf-8") as file:
        json.dump({**params["job"], "work": work, "lease_seconds": params["lease_seconds"]}, file)
    with open(os.path.join(work, "log"), "ab") as log:
        child = _processes.beside(
            [sys.executable, "-B", params["program"], path],
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            cwd=work,
            start_new_session=True,
        )
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        state = _background.state(work)
        if child.poll() is not None:
            reasons = [item["why"] for item in state.get("failed", [])] or [_background.log(work)]
            stop(work)
            module.fail_json(msg=f"{what} did not start on this node: {'; '.join(reasons)}")
        if state:
            return
        time.sleep(0.05)
    stop(work)
    module.fail_json(msg=f"{what} did not start on this node: no sign of life after 20 s")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "work_dir": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "program": {"type": "path"},
            "job": {"type": "dict"},
            "lease_seconds": {"type": "int", "default": 900},
        },
        required_if=[("state", "started", ("program", "job"))],
        supports_check_mode=True,
    )
    work = module.params["work_dir"]
    there = os.path.exists(work)
    if module.params["state"] == "stopped":
        last = stop(work) if there and not module.check_mode else {}
        module.exit_json(changed=there, last=last)
    if not module.check_mode:
        if there:
            stop(work)  # what an interrupted control node left
        start(module, work)
    module.exit_json(changed=True)


if __name__ == "__main__":
    main()
