# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action part of the module arguments."""

from __future__ import annotations

import json
from typing import Any, ClassVar

from ansible.vars.plugins import get_vars_from_inventory_sources
from ansible_collections.gx10.serving.plugins.module_utils.common import _problem
from ansible_collections.gx10.serving.plugins.module_utils.plan import _arguments, _inventory
from ansible_collections.gx10.serving.plugins.plugin_utils._control import ControlAction


class ActionModule(ControlAction):
    """Reads variables."""

    ARGUMENTS: ClassVar = {
        "verb": {"type": "str", "required": True},
        "refuse": {"type": "bool", "default": True},
    }

    def answer(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        def lookup(name: str) -> Any:
            return self._templar.template(variables[name])

        extra = self._task.get_variable_manager().extra_vars
        found, problems = _arguments.read(given["verb"], lookup, extra, variables["groups"], lambda: self._owners(variables))
        if given["refuse"]:
            hosts = variables["groups"].get(found.get("nodes"), [])
            problems += _inventory.settings(variables["hostvars"], hosts, "inventory")
            # Where something is resolved, that tells it.
            problems += _inventory.there(hosts or variables["groups"].get("gx10", []), found.get("without") or [])[1]
        if given["refuse"] and problems:
            return {"failed": True, "msg": _problem.report(f"Cannot run {given['verb']}.yml", problems)}
        return {"given": found, "problems": [problem.as_dict() for problem in problems]}

    def _owners(self, variables: dict[str, Any]) -> str:
        """The inventory's own variables, extra ones apart, as one text."""
        manager = self._task.get_variable_manager()
        inventory = manager._inventory
        everything = [*inventory.groups.values(), *inventory.get_hosts()]
        sources = variables.get("ansible_inventory_sources") or []
        own = [get_vars_from_inventory_sources(self._loader, sources, everything, stage) for stage in ("inventory", "task")]
        return json.dumps([own, [one.get_vars() for one in everything]], default=str, ensure_ascii=False)
