# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action part of the module doctor."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any, ClassVar, cast

from ansible_collections.gx10.serving.plugins.action.cluster_lock import gone
from ansible_collections.gx10.serving.plugins.module_utils.node import _oci
from ansible_collections.gx10.serving.plugins.module_utils.phases import _doctor, _doctor_checks, _image_actions
from ansible_collections.gx10.serving.plugins.module_utils.plan import _context
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from ansible_collections.gx10.serving.plugins.plugin_utils._control import ControlAction


class ActionModule(ControlAction):
    """Reads the control node's side and judges."""

    ARGUMENTS: ClassVar = {
        "plan": {"type": "dict", "default": {}},
        "image_id": {"type": "str", "default": ""},
        "unread": {"type": "str", "default": ""},
        "looks": {"type": "dict", "required": True},
        "more": {"type": "dict", "default": {}},
        "api": {"type": "dict", "default": {}},
        "head": {"type": "str", "required": True},
        "addresses": {"type": "dict", "default": {}},
        "state_dir": {"type": "path", "required": True},
        "fanout_port": {"type": "int", "required": True},
    }

    def answer(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        looks, more, plan = given["looks"], given["more"], given["plan"] or None
        names = dict.fromkeys([*([node["name"] for node in plan["nodes"]] if plan else []), *looks])
        # A module that failed has a message, and nothing else.
        worlds = {name: {**looks[name], **(more.get(name) or {})} for name in names if "left" in (looks.get(name) or {})}
        seen = _doctor_checks.Seen(
            worlds=cast(Any, worlds),
            half={name: str(one["msg"]) for name, one in more.items() if name in worlds and one and one.get("msg")},
            silent={
                name: str((looks[name] or {}).get("msg", ""))
                if name in looks
                else "a node that -e without names, or that is not in the inventory"
                for name in names
                if name not in worlds
            },
            head=given["head"],
            state_dir=given["state_dir"],
            fanout_port=given["fanout_port"],
            now=time.time(),
            ended=[name for name, world in worlds.items() if gone((world["left"]["lock"] or {}).get("holder") or {})],
            api=cast(Any, given["api"] if "chat" in given["api"] else None),
        )
        wanted = _wanted(plan, given)
        return {"diagnosis": _doctor.diagnose(wanted, seen)}


def _wanted(plan: Plan | None, given: dict[str, Any]) -> _doctor.Wanted:
    """What is served is wanted with the image that it has; a profile with what it would be served with."""
    contexts: Any = {}
    archived, archive = [], ""
    if plan and given["image_id"]:
        # Whatever the definition is by now.
        contexts = {plan["image"]["name"]: {"context": "", "dockerfile": False}}
    elif plan:
        contexts = _context.read(plan["image"], plan["image"]["wheels_path"])
        if plan["image"]["archive"]["host"] == "localhost":
            archive = str(Path(plan["image"]["archive"]["path"]).expanduser()) if plan["image"]["archive"]["path"] else ""
            archived = _oci.kept(archive)
    keep = plan["image"]["keep"] if plan else 1
    wish = _image_actions.Wish(targets=[], keep=keep, build=not given["image_id"], wanted=given["image_id"], archive=archive)
    return _doctor.Wanted(plan, contexts, archived, wish, given["addresses"], given["unread"])
