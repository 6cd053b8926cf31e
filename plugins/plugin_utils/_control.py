# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the action plugins that touch no host have in common. PRIVATE to the collection."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.plugins.action import ActionBase


class ControlAction(ActionBase):
    """Runs on the control node alone, with the arguments that ARGUMENTS describes."""

    TRANSFERS_FILES = False
    _requires_connection = False
    ARGUMENTS: ClassVar[dict[str, Any]]

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(self.ARGUMENTS)
        return {**result, "changed": False, **self.answer(given, task_vars or {})}

    def answer(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        """The result; `given` are the task's arguments, `variables` its variables."""
        raise NotImplementedError
