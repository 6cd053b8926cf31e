# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is the notifier of role notify on the head as the plan says, and nowhere else? Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TypedDict

from ..node._types import Engine
from ..plan._types import Plan
from ._actions import Action, action

PHASE = "notify"


class NotifyDecision(TypedDict):
    """`install`: the head needs it, or has another; `fresh`: it had none, so that what waits there is of before; `remove`: nodes."""

    install: bool
    fresh: bool
    remove: list[str]
    actions: list[Action]


def decide(plan: Plan, looks: Mapping[str, Engine]) -> NotifyDecision:
    """A plan of before there were notices leaves them as they are."""
    if "notify" not in plan:
        return {"install": False, "fresh": False, "remove": [], "actions": []}
    wanted, head = plan["notify"], plan["nodes"][0]["name"]
    there = {name: look["notifier"] for name, look in looks.items()}
    actions = []
    install = False
    if wanted and head in there:
        install = there[head] != {"hash": wanted["hash"], "active": True}
        if install and there[head]["hash"] == wanted["hash"]:
            actions.append(action(PHASE, head, "start", "start the notifier, for which systemd does not look"))
        elif install:
            do = "replace" if there[head]["hash"] else "install"
            actions.append(action(PHASE, head, do, f"{do} the notifier{': it differs from the plan' if do == 'replace' else ''}"))
    remove = [name for name, found in there.items() if found["hash"] and not (wanted and name == head)]
    why = f"{head} is the head" if wanted else "nobody is to be told any more"
    actions += [action(PHASE, name, "remove", f"remove the notifier: {why}") for name in remove]
    return {"install": install, "fresh": bool(wanted and head in there and not there[head]["hash"]), "remove": remove, "actions": actions}
