# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: image_ingest
short_description: Put a local image into a registry's folder, layer by layer, uncompressed
version_added: 0.1.0
description:
  - Every layer becomes one file named by its SHA-256, which the role fanout can bring to other nodes; a layer that is there is not read.
  - Layers are read from Docker's overlay2 store; from another store the stream of C(docker save) is taken apart, without a tar on the disk.
author: [GX10 Serving contributors (@gx10)]
options:
  image:
    description: The image, by reference or ID.
    type: str
    required: true
  store:
    description: The registry's folder.
    type: path
    required: true
  name:
    description: The image's name, without a tag.
    type: str
    required: true
  keep:
    description: How many images of the name stay in the folder, this one included; blobs that no image needs are removed.
    type: int
    default: 2
extends_documentation_fragment: [gx10.serving.attributes]
attributes:
  check_mode: {support: full, details: [Says whether the image would be added.]}
"""

EXAMPLES = r"""
- name: Put the image into the registry
  gx10.serving.image_ingest:
    image: vllm-node-mimo:latest
    name: vllm-node-mimo
    store: /var/lib/gx10/registry
"""

RETURN = r"""
digest:
  description: The manifest's digest; empty in check mode if the image is not there yet.
  type: str
  returned: always
files:
  description: "The image's files below the folder: path, size, sha256."
  type: list
  elements: dict
  returned: always
layers:
  description: The image's diff IDs.
  type: list
  elements: str
  returned: always
freed:
  description: Bytes of blobs that were removed.
  type: int
  returned: always
"""

import os
import subprocess
from typing import IO, Any, cast

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _docker, _oci, _processes


def add(module: AnsibleModule, store: str, image: dict[str, Any], root: str) -> str:
    """Read the image into the folder; `root` is Docker's. Returns the digest."""
    try:
        digest: str = _oci.ingest(store, root, image["Id"], image["RootFS"]["Layers"])
        return digest
    except (OSError, ValueError) as error:
        module.warn(f"layers cannot be read from Docker's own store ({error}); docker save is taken apart instead, which is slower")
    with _processes.beside(["docker", "save", image["Id"]], stdout=subprocess.PIPE) as child:
        digest = _oci.ingest_saved(store, cast(IO[bytes], child.stdout), image["RootFS"]["Layers"])
    if child.returncode:
        module.fail_json(msg=f"docker save {module.params['image']}: found exit code {child.returncode}; wanted 0")
    return digest


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "image": {"type": "str", "required": True},
            "store": {"type": "path", "required": True},
            "name": {"type": "str", "required": True},
            "keep": {"type": "int", "default": 2},
        },
        supports_check_mode=True,
    )
    store = module.params["store"]
    docker = _docker.Docker(module.run_command)
    try:
        image, root = docker.image(module.params["image"]), docker.root()
    except _docker.DockerError as error:
        module.fail_json(msg=str(error))
    digest = next((item["digest"] for item in _oci.known(store) if item["image"] == image["Id"]), "")
    changed = not (digest and _oci.complete(store, digest))
    freed = 0
    if changed and not module.check_mode:
        os.makedirs(store, mode=0o755, exist_ok=True)
        try:
            digest = add(module, store, image, root)
        except (OSError, ValueError) as error:
            module.fail_json(msg=f"image {module.params['image']} into {store}: {error}")
        freed = _oci.remember(store, module.params["name"], image["Id"], digest, module.params["keep"])
    files = []
    if digest and _oci.complete(store, digest):
        manifest, size = _oci.read_manifest(store, digest)
        files = _oci.files(manifest, digest, size)
    module.exit_json(changed=changed, digest=digest, files=files, layers=image["RootFS"]["Layers"], freed=freed)


if __name__ == "__main__":
    main()
