# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action part of the module report."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.utils.display import Display
from ansible_collections.gx10.serving.plugins.plugin_utils._control import ControlAction


class ActionModule(ControlAction):
    """Prints."""

    ARGUMENTS: ClassVar = {
        "text": {"type": "str", "required": True},
        "data": {"type": "dict"},
    }

    def answer(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        Display().display(given["text"])
        published = {"data": given["data"], "per_host": False, "aggregate": True}
        return {"ansible_stats": published} if given["data"] else {}
