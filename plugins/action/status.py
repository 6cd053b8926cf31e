# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action part of the module status."""

from __future__ import annotations

from typing import Any, ClassVar

from ansible.utils.display import Display
from ansible_collections.gx10.serving.plugins.module_utils.phases import _gate
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve
from ansible_collections.gx10.serving.plugins.plugin_utils._control import ControlAction


class ActionModule(ControlAction):
    """Judges in one step: each filter of a playbook would be handed all records of all nodes again."""

    ARGUMENTS: ClassVar = {
        "looks": {"type": "dict", "required": True},
        "api": {"type": "dict"},
        "judge": {"type": "bool", "default": False},
    }

    def answer(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        infos = _gate.answered(given["looks"])
        record: Any = _gate.served_record(infos)
        if not record:
            silent = [name for name in given["looks"] if name not in infos]
            return {
                "failed": True,
                "msg": f"Nothing is served: none of {', '.join(infos) or 'the nodes'} has a record of it "
                f"(no answer from {', '.join(silent) or 'none'}). ansible-playbook serve.yml -e profile=NAME serves one.",
            }
        if unreadable := _resolve.other_format(record) or _gate.unasked(record, infos):
            return {"failed": True, "msg": unreadable}
        head, ready = record["plan"]["nodes"][0]["name"], record["plan"]["ready"]
        if not given["judge"]:
            return {"head": head, "answers": head in infos, "url": ready["url"], "served_name": ready["served_name"]}
        api: Any = given["api"] if head in infos else None
        checks = _gate.record_checks(record, infos) + _gate.container_checks(record, infos) + _gate.api_checks(record, infos, api)
        result, warnings = _gate.document(record, checks, infos, api), _gate.other_records(record, infos)
        Display().display("\n".join([*(f"Warning: {text}" for text in warnings), _gate.text(result)]))
        wrong = ", ".join(dict.fromkeys(one["node"] for one in checks if one["ok"] is not True))
        told = {"failed": True, "msg": f"{wrong}: see above."} if not result["ok"] else {}
        return {"ansible_stats": {"data": {**result, "warnings": warnings}, "per_host": False, "aggregate": True}, **told}
