#!/usr/bin/python
# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: world_info
short_description: One look at all of a node that a launch plan can differ in
version_added: 0.2.0
description:
  - Returns the parts that are asked for, in one task. It reads no file's whole content; M(gx10.serving.manifest_info) does.
  - Evidence only; the caller judges.
author: [GX10 Serving contributors (@gx10)]
options:
  host:
    description: What the machine brings.
    type: dict
    suboptions:
      tools:
        description: Programs to look for.
        type: list
        elements: str
        default: [docker, docker-registry, curl, nginx, rsync]
      paths:
        description: Paths whose file system is asked for free space; the nearest folder that exists counts.
        type: list
        elements: path
        default: []
      fabric_address:
        description: The node's address on the fabric; its interface and the peers are looked at.
        type: str
      fabric_rails:
        description: The node's addresses on all halves of its fabric ports, whose hardware is looked at.
        type: list
        elements: str
        default: []
      fabric_peers:
        description: >-
          Fabric addresses of the nodes that this one must reach. Each is sent one connection attempt, and ARP where it stays silent.
        type: list
        elements: str
        default: []
  engine:
    description: What runs.
    type: dict
    suboptions:
      state_dir:
        description: Folder of the collection's state on the node.
        type: path
        required: true
      ports:
        description: Ports whose listeners are looked up.
        type: list
        elements: int
        default: []
  images:
    description: Which images Docker has, and which a folder keeps as layers.
    type: dict
    suboptions:
      store:
        description: The folder of layers.
        type: path
        required: true
      references:
        description: Images to look for in Docker, by reference or ID.
        type: list
        elements: str
        default: []
      containers:
        description: Containers whose images are looked up.
        type: list
        elements: str
        default: []
      names:
        description: Repositories whose images are listed with their tags. Without these, O(images.references) and O(images.containers)
          Docker is not asked.
        type: list
        elements: str
        default: []
  weights:
    description: What the checkpoints' folders hold, by names, sizes, the files' own headers and the hashes that are known already.
    type: dict
    suboptions:
      models:
        description: "The checkpoints: repo and path."
        type: list
        elements: dict
        required: true
      cache:
        description: File of hashes that M(gx10.serving.manifest_info) keeps.
        type: path
        required: true
      notes:
        description: Folder of the manifests that the first node keeps.
        type: path
        required: true
      mounted:
        description: The models root, which is all that an engine's container sees. A link that it cannot follow is a problem.
        type: path
  compiled:
    description: Folder of the collection's state on the node, to tell what it keeps of what engines have compiled; reads no compiled file.
    type: path
  lock:
    description: File of the cluster's lock, to tell who holds it.
    type: path
  left:
    description: What runs that ended early have left, and the node's clock.
    type: dict
    suboptions:
      state_dir:
        description: Folder of the collection's state on the node.
        type: path
        required: true
      models_root:
        description: Folder of the weights on the node.
        type: path
        required: true
      asked_at:
        description: The clock of the control node when it asked, in seconds since the epoch.
        type: float
        required: true
extends_documentation_fragment: [gx10.serving.attributes.info]
"""

EXAMPLES = r"""
- name: Look at what runs
  gx10.serving.world_info:
    engine:
      state_dir: /var/lib/gx10
      ports: [8000]
"""

RETURN = r"""
host:
  description: >-
    addresses, missing_tools (C(python3-requests) where the Docker modules could not run), disk (by path: free and size in bytes,
    writable), memory (total and available, bytes), fabric (the interface that holds the address, its state, other interfaces beside it
    in that network, routes and reached by peer), journal, docker (version and root folder, or the error) and hardware (what /proc and
    /sys say; what cannot be read is null).
  type: dict
  returned: when O(host) is given
engine:
  description: >-
    containers (name, id, image, labels, running, ports, exit_code, started_at, status of the supervisor), listeners (port, pid, command,
    container), processes (engine and Ray: pid, command, container), record (what the gate recorded as served), good (last and previous:
    what has passed a gate; at, seconds since the epoch), image_gone, boot_id, notifier (role notify's: hash of what is installed,
    active).
  type: dict
  returned: when O(engine) is given and Docker answers
images:
  description: >-
    images (by reference: id, layers, labels, size, architecture), containers (the image's ID by container), tags (of O(images.names):
    created and tags), kept (newest first: name, image, digest, complete, layers, labels, files), blobs (bytes by path), architecture
    (the node's, as Docker names it), disk (store and docker: path, free, device).
  type: dict
  returned: when O(images) is given and Docker answers
weights:
  description: >-
    By model: files (path, size, sha256 or null), size, problems, hash (null where a file's is), unread (bytes of such files), recorded
    (the manifest that the node keeps in its state folder), hub (revision and hashes that a download noted).
  type: dict
  returned: when O(weights) is given
compiled:
  description: >-
    name, image (its ID), image_gone (Docker does not have it any more), stamp (the launch that has passed its gate with it, or empty),
    bytes.
  type: list
  elements: dict
  returned: when O(compiled) is given
lock:
  description: holder, age and held in seconds (since it was renewed, and taken), or an error; null where there is none.
  type: dict
  returned: when O(lock) is given
left:
  description: >-
    clock (asked: O(left.asked_at), here: the node's), lock (as RV(lock)), files (that never got their name and that nobody has open:
    path, which, age in seconds, size), works (folders of programs in the background that run no more), stages (models of which an
    interrupted distribution keeps pieces).
  type: dict
  returned: when O(left) is given
"""

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _look

TEXTS = {"type": "list", "elements": "str", "default": []}


def main() -> None:
    host = {
        "tools": {"type": "list", "elements": "str", "default": list(_look.TOOLS)},
        "paths": {"type": "list", "elements": "path", "default": []},
        "fabric_address": {"type": "str"},
        "fabric_rails": TEXTS,
        "fabric_peers": TEXTS,
    }
    engine = {"state_dir": {"type": "path", "required": True}, "ports": {"type": "list", "elements": "int", "default": []}}
    images = {"store": {"type": "path", "required": True}, "references": TEXTS, "containers": TEXTS, "names": TEXTS}
    weights = {
        "models": {"type": "list", "elements": "dict", "required": True},
        "cache": {"type": "path", "required": True},
        "notes": {"type": "path", "required": True},
        "mounted": {"type": "path"},
    }
    left = {
        "state_dir": {"type": "path", "required": True},
        "models_root": {"type": "path", "required": True},
        "asked_at": {"type": "float", "required": True},
    }
    parts = {"host": host, "engine": engine, "images": images, "weights": weights, "left": left}
    module = AnsibleModule(
        argument_spec={
            "compiled": {"type": "path"},
            "lock": {"type": "path"},
            **{name: {"type": "dict", "options": options} for name, options in parts.items()},
        },
        supports_check_mode=True,
    )
    try:
        found = _look.world(module.run_command, module.params)
    except (OSError, _look.DockerError) as error:
        module.fail_json(msg=str(error))
    module.exit_json(changed=False, **found)


if __name__ == "__main__":
    main()
