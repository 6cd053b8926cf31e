# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action part of the module cluster_lock: who this run is, and whether the run that holds the lock lives."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase


def machine() -> str:
    """What tells this machine from another one of the same name."""
    try:
        return Path("/etc/machine-id").read_text(encoding="ascii").strip()
    except OSError:
        return socket.gethostname()


def gone(held: dict[str, Any]) -> bool:
    """Has the run that holds a lock ended? Only its own machine can tell."""
    return held.get("machine") == machine() and held.get("run") != run_of(int(held.get("pid", 0)))


def run_of(pid: int) -> str:
    """A process of this machine, named so that no other ever has the name; empty if it does not live."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    started = stat[stat.rindex(")") + 2 :].split()[19]
    boot = Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()
    return f"{boot} {pid} {started}"


class ActionModule(ActionBase):
    """Asks the node; only this machine knows its processes."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        super().run(tmp, task_vars)
        # A task runs in a child of ansible-playbook.
        pid = os.getppid()
        here = {"control": socket.gethostname(), "machine": machine(), "pid": pid, "run": run_of(pid)}
        arguments = {**self._task.args, "holder": here}
        answer: dict[str, Any] = self._execute_module(module_name="gx10.serving.cluster_lock", module_args=arguments, task_vars=task_vars)
        held = answer.get("held_by") or {}
        if gone(held):
            answer = self._execute_module(
                module_name="gx10.serving.cluster_lock", module_args={**arguments, "gone": held}, task_vars=task_vars
            )
            held = answer.get("held_by") or {}
        if held:
            who = f"{held.get('purpose') or 'a run'}, process {held.get('pid', '?')} on {held.get('control', 'an unknown control node')}"
            node = (task_vars or {}).get("inventory_hostname", "")
            path = self._task.args.get("path")
            answer["failed"] = True
            answer["msg"] = f"{node}: found the cluster locked by {who}; wanted it free. Wait for that run; if it is gone, remove {path}."
        return answer
