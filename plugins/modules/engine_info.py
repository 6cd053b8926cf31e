# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: engine_info
short_description: What runs on a node, and optionally wait for it to serve or to fail
version_added: 0.1.0
description:
  - Returns this collection's containers with their supervisors' status, the given ports' listeners, engine and Ray processes.
  - With O(wait_for) it looks until the container is in one of these phases, has failed or ended, or the time is over; the caller judges.
author: [GX10 Serving contributors (@gx10)]
options:
  state_dir:
    description: Folder of the collection's state on the node.
    type: path
    required: true
  ports:
    description: Ports whose listeners are looked up.
    type: list
    elements: int
    default: []
  wait_for:
    description: Phases of the supervisor to wait for.
    type: list
    elements: str
    default: []
  container:
    description: The container to wait for and whose log is read.
    type: str
  timeout:
    description: Seconds to wait at most.
    type: float
    default: 0
  log:
    description: Read the log of O(container) for facts, known causes of failure and its last lines.
    type: bool
    default: false
  good:
    description: Read what has passed a gate, too; two records of 16 KiB for each node, which few ask for.
    type: bool
    default: false
extends_documentation_fragment: [gx10.serving.attributes.info]
"""

EXAMPLES = r"""
- name: Look at the node
  gx10.serving.engine_info:
    state_dir: /var/lib/gx10
    ports: [8000, 6379]
"""

RETURN = r"""
containers:
  description: "Containers of this collection: name, id, image, labels, running, ports, exit_code, started_at, status (of the supervisor)."
  type: list
  elements: dict
  returned: always
listeners:
  description: "Who listens on O(ports): port, pid, command, container."
  type: list
  elements: dict
  returned: always
processes:
  description: "Engine and Ray processes: pid, command, container."
  type: list
  elements: dict
  returned: always
record:
  description: What the gate recorded as served; empty if nothing.
  type: dict
  returned: always
good:
  description:
    - "What has passed a gate: C(last) and C(previous), each a record, empty where there is none; C(at), seconds since the epoch."
    - Empty unless O(good) is true.
  type: dict
  returned: always
image_gone:
  description: Docker does not have the image of what is served any more.
  type: bool
  returned: always
boot_id:
  description: Changes when the node reboots.
  type: str
  returned: always
notifier:
  description: "What of role notify is installed: C(hash), empty where nothing is; C(active), systemd looks for notices."
  type: dict
  returned: always
log:
  description:
    - "facts and signs (known causes of failure) of the last generation in the container's log, and the log's tail."
    - "whole: the last generation's start is still in it."
  type: dict
  returned: when O(log) is true and the container exists
"""

import time

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _docker, _log_facts, _look
from ansible_collections.gx10.serving.plugins.module_utils.node._types import Container, Log


def wait(module: AnsibleModule, docker: _docker.Docker) -> list[Container]:
    """Look until the container is in a wanted phase, has ended, or the time is over."""
    deadline = time.monotonic() + module.params["timeout"]
    while True:
        found = _look.containers(docker, module.params["state_dir"])
        ours = next((item for item in found if item["name"] == module.params["container"]), None)
        # A group that is down stays in phase failed, where it may restart at all.
        done = ours is None or not ours["running"] or ours["status"].get("phase") in ("failed", *module.params["wait_for"])
        if not module.params["wait_for"] or done or time.monotonic() >= deadline:
            return found
        time.sleep(2)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "state_dir": {"type": "path", "required": True},
            "ports": {"type": "list", "elements": "int", "default": []},
            "wait_for": {"type": "list", "elements": "str", "default": []},
            "container": {"type": "str"},
            "timeout": {"type": "float", "default": 0},
            "log": {"type": "bool", "default": False},
            "good": {"type": "bool", "default": False},
        },
        supports_check_mode=True,
    )
    docker = _docker.Docker(module.run_command)
    try:
        found = wait(module, docker)
        result = _look.engine(docker, module.params["state_dir"], module.params["ports"], found, module.params["good"])
    except _docker.DockerError as error:
        module.fail_json(msg=f"{error} (systemctl start docker)")
    log: dict[str, Log] = {}
    if module.params["log"] and any(item["name"] == module.params["container"] for item in found):
        # In one stream: a traceback stands on stderr, between lines of stdout that say when.
        command = ["sh", "-c", 'exec docker logs "$0" 2>&1', module.params["container"]]
        _code, text, _err = module.run_command(command, errors="replace")
        last, whole = _log_facts.last_generation(text)
        log["log"] = {"facts": _log_facts.facts(last), "whole": whole, "signs": _log_facts.signs(last), "tail": _log_facts.tail(text)}
    module.exit_json(changed=False, **result, **log)


if __name__ == "__main__":
    main()
