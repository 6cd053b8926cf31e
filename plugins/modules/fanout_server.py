# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: fanout_server
short_description: Serve files by their SHA-256 over HTTP while a distribution runs
version_added: 0.1.0
description:
  - Starts stock nginx on one address, with a folder of links named by SHA-256 and nothing else; or stops it and removes the folder.
author: [GX10 Serving contributors (@gx10)]
options:
  work_dir:
    description: Folder for links, configuration and log; belongs to this distribution alone.
    type: path
    required: true
  state:
    description: V(started) or V(stopped).
    type: str
    choices: [started, stopped]
    default: started
  address:
    description: The address to listen on.
    type: str
  port:
    description: The port to listen on.
    type: int
    default: 8731
  allow:
    description: Addresses that may fetch; all others are refused.
    type: list
    elements: str
    default: []
  root:
    description: Folder of the files.
    type: path
  files:
    description: "The files: path below O(root), and sha256."
    type: list
    elements: dict
    default: []
attributes:
  check_mode: {support: full, description: Says whether it would start or stop., details: []}
"""

EXAMPLES = r"""
- name: Serve the checkpoint to the workers
  gx10.serving.fanout_server:
    work_dir: /var/lib/gx10/fanout
    address: 192.168.177.11
    allow: [192.168.177.12]
    root: /srv/models/gx10/tiny-qwen3
    files: "{{ manifest.files }}"
"""

RETURN = r"""
url:
  description: Where the files are, by SHA-256.
  type: str
  returned: when started
"""

import os
import shutil
import time

from ansible.module_utils.basic import AnsibleModule

CONFIG = """\
daemon on;
user root;
worker_processes 2;
pid {work}/nginx.pid;
error_log {work}/error.log;
events {{ worker_connections 256; }}
http {{
  access_log off;
  sendfile on;
  default_type application/octet-stream;
  client_body_temp_path {work}/tmp;
  proxy_temp_path {work}/tmp;
  fastcgi_temp_path {work}/tmp;
  uwsgi_temp_path {work}/tmp;
  scgi_temp_path {work}/tmp;
  server {{
    listen {address}:{port};
{allow}
    deny all;
    root {work}/files;
  }}
}}
"""


def alive(pid: int) -> bool:
    """Does a process run?"""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def stop(work: str) -> None:
    """End the server and wait until it has gone."""
    try:
        with open(os.path.join(work, "nginx.pid"), encoding="ascii") as file:
            pid = int(file.read())
        os.kill(pid, 15)
        for _attempt in range(100):
            if not alive(pid):
                break
            time.sleep(0.1)
    except (OSError, ValueError):
        pass  # it was not running
    shutil.rmtree(work, ignore_errors=True)


def start(module: AnsibleModule, work: str) -> None:
    """Lay out the links and start nginx."""
    params = module.params
    for folder in ("files", "tmp"):
        os.makedirs(os.path.join(work, folder), mode=0o755)
    for item in params["files"]:
        link = os.path.join(work, "files", item["sha256"])
        if not os.path.islink(link):
            os.symlink(os.path.join(params["root"], item["path"]), link)
    address = f"[{params['address']}]" if ":" in params["address"] else params["address"]
    allow = "\n".join(f"    allow {peer};" for peer in params["allow"])
    config = os.path.join(work, "nginx.conf")
    with open(config, "w", encoding="utf-8") as file:
        file.write(CONFIG.format(work=work, address=address, port=params["port"], allow=allow))
    code, _out, err = module.run_command(["nginx", "-c", config, "-p", work])
    if code:
        stop(work)
        module.fail_json(msg=f"nginx did not start on {address}:{params['port']}: {err.strip()}; is the port taken?")


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "work_dir": {"type": "path", "required": True},
            "state": {"type": "str", "choices": ["started", "stopped"], "default": "started"},
            "address": {"type": "str"},
            "port": {"type": "int", "default": 8731},
            "allow": {"type": "list", "elements": "str", "default": []},
            "root": {"type": "path"},
            "files": {"type": "list", "elements": "dict", "default": []},
        },
        required_if=[("state", "started", ("address", "root"))],
        supports_check_mode=True,
    )
    work = module.params["work_dir"]
    there = os.path.exists(work)
    if module.params["state"] == "stopped":
        if there and not module.check_mode:
            stop(work)
        module.exit_json(changed=there)
    if not module.check_mode:
        stop(work)  # what an interrupted distribution left
        start(module, work)
    module.exit_json(changed=True, url=f"http://{module.params['address']}:{module.params['port']}")


if __name__ == "__main__":
    main()
