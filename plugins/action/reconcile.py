# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action part of the module reconcile."""

from __future__ import annotations

from pathlib import Path
from typing import Any, ClassVar

from ansible.utils.display import Display
from ansible_collections.gx10.serving.plugins.action.cluster_lock import gone, this_run
from ansible_collections.gx10.serving.plugins.module_utils.common._problem import told
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest, _oci
from ansible_collections.gx10.serving.plugins.module_utils.node._lock import NAME
from ansible_collections.gx10.serving.plugins.module_utils.phases import _image_actions, _locks, _reconcile
from ansible_collections.gx10.serving.plugins.module_utils.plan import _context, _pins, _secret, _sources
from ansible_collections.gx10.serving.plugins.plugin_utils._control import ControlAction


class ActionModule(ControlAction):
    """Reads the control node's side, decides, and prints what will be done."""

    ARGUMENTS: ClassVar = {
        "plan": {"type": "dict", "required": True},
        "worlds": {"type": "dict", "required": True},
        "present": {"type": "list", "elements": "str", "required": True},
        "archived": {"type": "list", "elements": "dict"},
        "sources": {"type": "dict", "default": {}},
        "image": {"type": "dict", "required": True},
    }

    def answer(self, given: dict[str, Any], variables: dict[str, Any]) -> dict[str, Any]:
        plan = given["plan"]
        hashes = _manifest.HashCache(str(Path("~/.cache/gx10/hashes.json").expanduser()))
        repos = [model["repo"] for model in plan["weights"]["models"]]
        origins = {repo: _sources.absolute(given["sources"][repo]) for repo in repos if repo in given["sources"]}
        seen = _reconcile.Evidence(
            worlds=given["worlds"],
            contexts=_context.read(plan["image"], plan["image"]["wheels_path"]),
            archived=_oci.kept(given["image"]["archive"]) if given["archived"] is None else given["archived"],
            sources={repo: _manifest.read(path, hashes) for repo, path in origins.items()},
            origins=origins,
        )
        # A check takes no lock, and is kept from nothing by one.
        others = [] if self._task.check_mode else _locks.elsewhere(given["worlds"], f"{plan['state_dir']}/{NAME}", this_run()["run"], gone)
        decision = _reconcile.reconcile(plan, seen, _image_actions.Wish(**given["image"]), given["present"])
        secrets = Path(plan["image"].get("pins") or _pins.folder(None)).parent
        bad = _secret.problems(str(secrets)) if _secret.needed(plan) else []
        problems = [*map(str, [*others, *bad]), *decision["problems"]]
        if problems:
            shown = told(problems)
            if len(shown) < len(set(problems)):
                # Of many nodes.
                Display().v("\n".join(problems))
                shown[-1] += "; -v shows all of them"
            lines = "\n  - ".join(shown)
            return {"failed": True, "msg": f"Cannot serve {plan['profile']}; nothing was changed:\n  - {lines}"}
        Display().display("\n".join(_reconcile.lines(decision)))
        return {**decision}
