# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: image_pull
short_description: Hand an image that lies in a registry's folder to Docker, and tag it
version_added: 0.1.0
description:
  - Runs a registry on the loopback address over the folder, for as long as C(docker pull) by digest takes.
  - Docker takes only the layers that it lacks.
author: [GX10 Serving contributors (@gx10)]
options:
  store:
    description: The registry's folder, which has all files of the image.
    type: path
    required: true
  name:
    description: The image's name in the registry.
    type: str
    required: true
  digest:
    description: The manifest's digest.
    type: str
    required: true
  tags:
    description: References that the image gets.
    type: list
    elements: str
    required: true
  port:
    description: The registry's port on the loopback address.
    type: int
    default: 8732
  keep:
    description: How many images stay in the folder, this one included.
    type: int
    default: 2
extends_documentation_fragment: [gx10.serving.attributes]
"""

EXAMPLES = r"""
- name: Give the image to Docker
  gx10.serving.image_pull:
    store: /var/lib/gx10/registry
    name: vllm-node-mimo
    digest: "{{ image_ingested.digest }}"
    tags: [vllm-node-mimo:latest]
"""

RETURN = r"""
image:
  description: The image's ID.
  type: str
  returned: when not in check mode
layers:
  description: Its diff IDs.
  type: list
  elements: str
  returned: when not in check mode
"""

import json
import os
import subprocess
import tempfile
import time

from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.urls import open_url
from ansible_collections.gx10.serving.plugins.module_utils.node import _oci, _paths, _processes

# A plain registry: as a proxy in a chain it would fetch every blob twice and send it three times.
CONFIG = """\
version: 0.1
log: {{accesslog: {{disabled: true}}, level: error}}
storage:
  filesystem: {{rootdirectory: {store}}}
  maintenance: {{readonly: {{enabled: true}}, uploadpurging: {{enabled: false}}}}
http: {{addr: "127.0.0.1:{port}"}}
"""


def run(module: AnsibleModule, *argv: str) -> str:
    """A Docker command that must succeed."""
    code, out, err = module.run_command(["docker", *argv])
    if code:
        module.fail_json(msg=f"docker {' '.join(argv)}: found exit code {code}: {err.strip() or out.strip()}")
    return str(out)


def link(store: str, name: str, digest: str) -> None:
    """Make the image known in the folder: the blobs first, the manifest's link last."""
    manifest, _size = _oci.read_manifest(store, digest)
    for path, content in reversed(list(_oci.links(name, manifest, digest).items())):
        full = os.path.join(_paths.must(store, os.path.dirname(path)), os.path.basename(path))
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(_paths.fresh(full + ".new"), "w", encoding="ascii") as file:
            file.write(content)
        os.replace(full + ".new", full)


def wait(module: AnsibleModule, child: subprocess.Popen[bytes], port: int, log: str) -> None:
    """Until the registry answers."""
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        if child.poll() is not None:
            break
        try:
            open_url(f"http://127.0.0.1:{port}/v2/", timeout=2, use_proxy=False).close()
            return
        except OSError:
            time.sleep(0.1)
    with open(log, encoding="utf-8", errors="replace") as file:
        module.fail_json(
            msg=f"the registry on 127.0.0.1:{port} does not answer: {file.read()[-600:].strip() or 'no word'}; is the port taken?"
        )


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "store": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "digest": {"type": "str", "required": True},
            "tags": {"type": "list", "elements": "str", "required": True},
            "port": {"type": "int", "default": 8732},
            "keep": {"type": "int", "default": 2},
        },
        supports_check_mode=True,
    )
    params = module.params
    if module.check_mode:
        module.exit_json(changed=True)
    store, port = params["store"], params["port"]
    if not _oci.complete(store, params["digest"]):
        module.fail_json(msg=f"{store}: found no whole image {params['digest']}; wanted all its layers there")
    link(store, params["name"], params["digest"])
    reference = f"127.0.0.1:{port}/{params['name']}@{params['digest']}"
    with tempfile.TemporaryDirectory() as folder:
        config, log = os.path.join(folder, "config.yml"), os.path.join(folder, "log")
        with open(config, "w", encoding="utf-8") as file:
            file.write(CONFIG.format(store=store, port=port))
        with open(log, "wb") as sink:
            child = _processes.beside(["docker-registry", "serve", config], stdout=sink, stderr=sink)
        try:
            wait(module, child, port, log)
            run(module, "pull", "--quiet", reference)
        finally:
            child.terminate()
            child.wait()
    found = json.loads(run(module, "image", "inspect", reference))[0]
    for tag in params["tags"]:
        run(module, "tag", reference, tag)
    # Else the registry's name would keep the image when its tags are gone.
    run(module, "image", "rm", reference)
    _oci.remember(store, params["name"], found["Id"], params["digest"], params["keep"])
    module.exit_json(changed=True, image=found["Id"], layers=found["RootFS"]["Layers"])


if __name__ == "__main__":
    main()
