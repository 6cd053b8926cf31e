# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action part of the module background_wait."""

from __future__ import annotations

from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.gx10.serving.plugins.module_utils.phases import _fanout


class ActionModule(ActionBase):
    """Prints from the control node what the node says of itself."""

    TRANSFERS_FILES = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, arguments = self.validate_argument_spec(
            {"work_dir": {"type": "path", "required": True}, "interval": {"type": "float", "default": 10}}
        )
        node = (task_vars or {}).get("inventory_hostname", "")
        before: _fanout.State = {}
        while True:
            answer = self._execute_module(
                module_name="gx10.serving.background_info",
                module_args={"work_dir": arguments["work_dir"], "wait": arguments["interval"]},
                task_vars=task_vars,
            )
            if answer.get("failed") or answer.get("unreachable"):
                return {**result, **answer}
            progress = answer["progress"]
            if progress.get("phase") in ("done", "failed"):
                break
            Display().display(_fanout.progress(node, progress, before))
            before = progress
        if progress.get("total") or progress.get("failed"):
            Display().display(_fanout.summary(node, progress))
        return {**result, "changed": bool(progress.get("fetched")), "progress": progress}
