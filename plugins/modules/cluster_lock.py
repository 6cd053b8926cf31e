# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: cluster_lock
short_description: Let one run at a time change a cluster
version_added: 0.1.0
description:
  - Keeps a file on the node for the run of C(ansible-playbook) that made it. While that run lives, a process beside it on the control
    node renews the lock over the task's own connection, every quarter of the lease; it ends with the run, or when the lock is not the
    run's any more.
  - The lock of a run that died is taken over, with a warning that names it. On the machine where it ran, in the same boot and PID
    namespace, that is at once; for everybody else when it was not renewed for its lease. A living run's is refused, with who holds it.
  - A lock's age is measured by the node's own clock since it booted, which nobody sets and which does not count sleep; after a reboot it is
    the time since then.
  - A run that cannot reach the node for longer than the lease may lose the lock, and is not told.
  - A file that is no lock of this release is refused, never replaced.
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
    description: >-
      Take the lock, or give it back; V(free) takes nothing, and fails where another run that lives has one here, as on a node where this
      run did not take its own. The action part renews it.
    type: str
    choices: [present, absent, free, renewed]
    default: present
  lease:
    description: The lock counts for so many seconds after it was last renewed.
    type: int
    default: 120
  holder:
    description: Set by the action part.
    type: dict
  gone:
    description: Set by the action part, the run that does not live any more.
    type: str
    default: ""
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
  description: >-
    Another run that holds the lock; C(age) and C(held), the seconds since it was renewed, and taken. Empty if none.
  type: dict
  returned: always
taken_from:
  description: The dead run that held the lock before, and C(age); empty if none.
  type: dict
  returned: always
renewed:
  description: Whether the lock was this run's to renew.
  type: bool
  returned: when O(state=renewed)
"""

import contextlib
import errno
import fcntl
import json
import os
import time
from collections.abc import Iterator
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node._lock import NoLock, age, held, read, stamp

# Ours is held for one write; a slow disk may take some seconds.
GUARD_SECONDS = 15


@contextlib.contextmanager
def guard(path: str) -> Iterator[None]:
    """One process at a time looks and writes; raises OSError where another holds it longer than any of ours does."""
    os.makedirs(os.path.dirname(path), mode=0o755, exist_ok=True)
    with open(path + ".guard", "w", encoding="utf-8") as file:
        # Who can open it can hold it.
        os.fchmod(file.fileno(), 0o600)
        deadline = time.monotonic() + GUARD_SECONDS
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError as error:
                if time.monotonic() > deadline:
                    why = f"that another process has held it for {GUARD_SECONDS} s (fuser {file.name} names it)"
                    raise OSError(errno.EWOULDBLOCK, why, file.name) from error
                time.sleep(0.05)
        yield


def write(path: str, lock: dict[str, Any]) -> None:
    """Whole or not at all, also when the node loses power."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({**lock, **stamp()}, file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(path + ".new", path)


def look(path: str, run: str, gone: str = "") -> dict[str, Any]:
    """Who else holds the lock, and which dead run did."""
    found = read(path)
    if not found or found["run"] == run:
        return {"held_by": {}, "taken_from": {}}
    other = {**found, "age": round(age(found), 1), "held": round(held(found), 1)}
    lives = found["run"] != gone and other["age"] <= found["lease"]
    return {"held_by": other if lives else {}, "taken_from": {} if lives else other}


def take(path: str, holder: dict[str, Any], gone: str = "") -> dict[str, Any]:
    """Take the lock, unless somebody else holds it."""
    with guard(path):
        answer = look(path, holder["run"], gone)
        if not answer["held_by"]:
            write(path, {**holder, "since": stamp()["renewed"]})
    return answer


def renew(path: str, token: str) -> bool:
    """Renew the lock if it is still the one that was taken with this token."""
    with guard(path):
        try:
            lock = read(path)
        except NoLock:
            return False
        if lock.get("token") != token:
            return False
        write(path, lock)
    return True


def give_back(path: str, run: str) -> None:
    """Remove this run's lock, and nothing else."""
    if not os.path.exists(path):
        return
    # Whoever takes the lock is told what lies there.
    with guard(path), contextlib.suppress(NoLock):
        if read(path).get("run") == run:
            os.remove(path)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "purpose": {"type": "str", "default": ""},
            "state": {"type": "str", "choices": ["present", "absent", "free", "renewed"], "default": "present"},
            "lease": {"type": "int", "default": 120},
            "holder": {"type": "dict"},
            "gone": {"type": "str", "default": ""},
        },
        supports_check_mode=True,
    )
    params = module.params
    path, holder = params["path"], params["holder"] or {}
    answer: dict[str, Any] = {"held_by": {}, "taken_from": {}}
    try:
        if params["lease"] < 1:
            module.fail_json(msg=f"lease: found {params['lease']}; wanted at least one second.")
        if module.check_mode:
            pass
        elif params["state"] == "absent":
            give_back(path, holder["run"])
        elif params["state"] == "free":
            answer["held_by"] = look(path, holder["run"], params["gone"])["held_by"]
        elif params["state"] == "renewed":
            answer["renewed"] = renew(path, holder["token"])
        else:
            answer.update(take(path, {**holder, "purpose": params["purpose"], "lease": params["lease"]}, params["gone"]))
    except NoLock as found:
        module.fail_json(msg=f"{path}: found {found}; wanted a lock of this release, or none. If no run changes the group, remove it.")
    except OSError as error:
        module.fail_json(
            msg=f"{error.filename or path}: found {(error.strerror or str(error)).lower()}; wanted to keep the cluster's lock there. "
            "Put that right and run again."
        )
    module.exit_json(changed=False, lease=params["lease"], **answer)


if __name__ == "__main__":
    main()
