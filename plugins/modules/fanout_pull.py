# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fanout_pull
short_description: Fetch files by their SHA-256 from other nodes, resumable and verified
version_added: 0.1.0
description:
  - Stock curl fetches each missing file from the first source that has it, into a folder inside O(dest); a part that is there is resumed.
  - A file gets its name only after its SHA-256 matched.
author: [GX10 Serving contributors (@gx10)]
options:
  sources:
    description: Base URLs, tried in order.
    type: list
    elements: str
    required: true
  dest:
    description: Folder that gets the files.
    type: path
    required: true
  files:
    description: "The files: path below O(dest), size in bytes, sha256."
    type: list
    elements: dict
    required: true
  stall_seconds:
    description: Give a source up after so many seconds below 1 KiB/s.
    type: int
    default: 10
attributes:
  check_mode: {support: full, description: Says which files it would fetch., details: []}
"""

EXAMPLES = r"""
- name: Fetch the checkpoint
  gx10.serving.fanout_pull:
    sources: [http://192.168.177.11:8731]
    dest: /srv/models/gx10/tiny-qwen3
    files: "{{ manifest.files }}"
"""

RETURN = r"""
fetched:
  description: Paths that were fetched.
  type: list
  elements: str
  returned: always
bytes:
  description: Their size in bytes.
  type: int
  returned: always
seconds:
  description: How long it took.
  type: float
  returned: always
"""

import os
import time
from typing import Any

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils import _manifest

STAGE = ".gx10"


def fetch(module: AnsibleModule, item: dict[str, Any], part: str) -> str:
    """Bring one file into `part`; returns an empty text, or why no source could give it."""
    reasons = []
    stall = str(module.params["stall_seconds"])
    for source in module.params["sources"]:
        command = [
            *("curl", "--fail", "--silent", "--show-error", "--noproxy", "*", "--continue-at", "-", "--connect-timeout", "5"),
            *("--speed-limit", "1024", "--speed-time", stall, "--output", part, f"{source}/{item['sha256']}"),
        ]
        # An empty file has nothing to resume, and a whole part nothing to fetch: the server would answer 416.
        size = os.path.getsize(part) if os.path.exists(part) else -1
        if size > item["size"]:
            os.remove(part)
        if size != item["size"]:
            code, _out, err = module.run_command(command)
            if code:
                reasons.append(f"{source}: curl exit code {code}: {err.strip()}")
                continue
        found = _manifest.sha256(part)
        if found == item["sha256"]:
            return ""
        os.remove(part)
        reasons.append(f"{source}: found SHA-256 {found}; wanted {item['sha256']}")
    return "; ".join(reasons)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "sources": {"type": "list", "elements": "str", "required": True},
            "dest": {"type": "path", "required": True},
            "files": {"type": "list", "elements": "dict", "required": True},
            "stall_seconds": {"type": "int", "default": 10},
        },
        supports_check_mode=True,
    )
    dest, files = module.params["dest"], module.params["files"]
    started = time.monotonic()
    failed = []
    fetched: list[dict[str, Any]] = []
    if not module.check_mode:
        stage = os.path.join(dest, STAGE)
        os.makedirs(stage, mode=0o755, exist_ok=True)
        for item in files:
            part = os.path.join(stage, item["sha256"])
            try:
                why = fetch(module, item, part)
                if not why:
                    final = os.path.join(dest, item["path"])
                    os.makedirs(os.path.dirname(final), mode=0o755, exist_ok=True)
                    os.chmod(part, 0o644)
                    descriptor = os.open(part, os.O_RDONLY)
                    os.fsync(descriptor)
                    os.close(descriptor)
                    os.replace(part, final)
            except OSError as error:
                why = str(error)
            if why:
                failed.append(f"{item['path']}: {why}")
            else:
                fetched.append(item)
        if not failed and not os.listdir(stage):
            os.rmdir(stage)
    result = {
        "changed": bool(fetched) or (module.check_mode and bool(files)),
        "fetched": [item["path"] for item in fetched],
        "bytes": sum(item["size"] for item in fetched),
        "seconds": round(time.monotonic() - started, 3),
    }
    if failed:
        module.fail_json(msg=f"{len(failed)} of {len(files)} files could not be fetched into {dest}: " + " | ".join(failed), **result)
    module.exit_json(**result)


if __name__ == "__main__":
    main()
