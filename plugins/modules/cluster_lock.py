# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_lock
short_description: Let one run at a time change a cluster
version_added: 0.1.0
description:
  - Keeps a file on the node, for as long as the run of C(ansible-playbook) lives that made it. A run that ended without removing it
    holds nothing, as the same control node can tell; another control node is told who holds it.
  - It is never reported as a change, since it belongs to the run and is gone after it.
author: [GX10 Serving contributors (@gx10)]
options:
  path:
    description: The file.
    type: path
    required: true
  purpose:
    description: What the run does, for whoever finds the lock.
    type: str
    default: ""
  state:
    description: Take the lock, or give it back.
    type: str
    choices: [present, absent]
    default: present
  holder:
    description: Set by the action part.
    type: dict
  gone:
    description: Set by the action part, the holder that does not live any more.
    type: dict
extends_documentation_fragment: [gx10.serving.attributes]
attributes:
  check_mode: {support: full, details: [Nothing is locked.]}
"""

EXAMPLES = r"""
- name: Take the lock
  gx10.serving.cluster_lock:
    path: /var/lib/gx10/lock.json
    purpose: serve qwen397-mtp2
"""

RETURN = r"""
held_by:
  description: Another run that holds the lock; empty if none.
  type: dict
  returned: always
"""

import fcntl
import json
import os
from typing import Any

from ansible.module_utils.basic import AnsibleModule


def read(path: str) -> dict[str, Any]:
    """Who holds the lock; a file that is not ours to understand has no holder's name."""
    try:
        with open(path, encoding="utf-8") as file:
            found: dict[str, Any] = json.load(file)
            return found
    except FileNotFoundError:
        return {}
    except (OSError, ValueError) as error:
        return {"purpose": f"unknown ({error})"}


def take(path: str, holder: dict[str, Any], gone: dict[str, Any] | None) -> dict[str, Any]:
    """Take the lock; returns who else holds it."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path + ".guard", "w", encoding="utf-8") as guard:
        fcntl.flock(guard, fcntl.LOCK_EX)
        before = read(path)
        if before and before != gone and before.get("run") != holder["run"]:
            return before
        with open(path + ".new", "w", encoding="utf-8") as file:
            json.dump(holder, file)
        os.replace(path + ".new", path)
    return {}


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "purpose": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["present", "absent"], "default": "present"},
            "holder": {"type": "dict"},
            "gone": {"type": "dict"},
        },
        supports_check_mode=True,
    )
    params = module.params
    holder = {**(params["holder"] or {}), "purpose": params["purpose"]}
    held_by: dict[str, Any] = {}
    if params["state"] == "absent":
        if read(params["path"]).get("run") == holder.get("run") and not module.check_mode:
            os.remove(params["path"])
    elif not module.check_mode:
        held_by = take(params["path"], holder, params["gone"])
    module.exit_json(changed=False, held_by=held_by)


if __name__ == "__main__":
    main()
