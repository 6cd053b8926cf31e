# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Action part of the module reconcile."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ansible.plugins.action import ActionBase
from ansible.utils.display import Display
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest, _oci
from ansible_collections.gx10.serving.plugins.module_utils.phases import _image_actions, _reconcile
from ansible_collections.gx10.serving.plugins.module_utils.plan import _context, _pins, _secret, _sources

ARGUMENTS = {
    "plan": {"type": "dict", "required": True},
    "worlds": {"type": "dict", "required": True},
    "present": {"type": "list", "elements": "str", "required": True},
    "archived": {"type": "list", "elements": "dict"},
    "sources": {"type": "dict", "default": {}},
    "image": {"type": "dict", "required": True},
}


class ActionModule(ActionBase):
    """Reads the control node's side, decides, and prints what will be done; touches no host."""

    TRANSFERS_FILES = False
    _requires_connection = False

    def run(self, tmp: str | None = None, task_vars: dict[str, Any] | None = None) -> dict[str, Any]:
        result = super().run(tmp, task_vars)
        _validation, given = self.validate_argument_spec(ARGUMENTS)
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
        decision = _reconcile.reconcile(plan, seen, _image_actions.Wish(**given["image"]), given["present"])
        secrets = Path(plan["image"].get("pins") or _pins.folder(None)).parent
        bad = _secret.problems(str(secrets)) if _secret.needed(plan) else []
        problems = [*map(str, bad), *decision["problems"]]
        if problems:
            lines = "\n  - ".join(problems)
            return {**result, "failed": True, "msg": f"Cannot serve {plan['profile']}; nothing was changed:\n  - {lines}"}
        Display().display("\n".join(_reconcile.lines(decision)))
        return {**result, "changed": False, **decision}
