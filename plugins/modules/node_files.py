# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
module: node_files
short_description: Make a folder on a node hold these small files
version_added: 0.1.0
description:
  - One task for a whole folder, with diff. The files are replaced in the order in which they are given.
author: [GX10 Serving contributors (@gx10)]
options:
  path:
    description: The folder; made if it is not there.
    type: path
    required: true
  mode:
    description: The folder's octal mode. Without it one that is there keeps its own, and a new one has 0755.
    type: str
    version_added: 0.2.0
  files:
    description: "The files: path below the folder, content (base64), mode (octal text). With none the folder is made, or emptied."
    type: list
    elements: dict
    required: true
    suboptions:
      path: {type: str, required: true, description: Path below the folder.}
      content: {type: str, required: true, description: Content in base64.}
      mode: {type: str, default: "0644", description: Octal mode.}
      size: {type: int, description: Not used; so that a lookup's answer can be passed as it is.}
      sha256: {type: str, description: "Not used, likewise."}
  exclusive:
    description: Remove the files that are not named.
    type: bool
    default: true
  absent:
    description: Paths below the folder to remove, whatever wrote them.
    type: list
    elements: str
    default: []
    version_added: 0.2.0
extends_documentation_fragment: [gx10.serving.attributes]
attributes:
  diff_mode: {support: full}
"""

EXAMPLES = r"""
- name: Install the supervisor
  gx10.serving.node_files:
    path: /var/lib/gx10/supervisor
    files: "{{ query('gx10.serving.tree', role_path ~ '/files/supervisor') }}"
"""

RETURN = r"""
actions:
  description: What was made, written or removed.
  type: list
  elements: str
  returned: always
"""

import base64
import os
import shutil

from ansible.module_utils.basic import AnsibleModule
from ansible_collections.gx10.serving.plugins.module_utils.node import _paths

FILE = {
    "path": {"type": "str", "required": True},
    "content": {"type": "str", "required": True},
    "mode": {"type": "str", "default": "0644"},
    "size": {"type": "int"},
    "sha256": {"type": "str"},
}
# Bytes; the largest file of ours, a plan, has some 100 KiB.
LARGEST = 16 * 1024**2


def read(full: str) -> tuple[bytes, int] | None:
    """Content and mode of a file; None of what is no file, or larger than any of ours: it is replaced unread."""
    try:
        with open(_paths.opened(full), "rb") as file:
            content, mode = file.read(LARGEST + 1), os.fstat(file.fileno()).st_mode & 0o7777
    except OSError:
        return None
    return (content, mode) if len(content) <= LARGEST else None


def present(root: str) -> dict[str, tuple[bytes, int] | None]:
    """Content and mode of every file below `root`, by relative path."""
    found = {}
    for folder, folders, names in os.walk(root):
        folders[:] = [name for name in folders if name != "__pycache__"]
        for name in names:
            full = os.path.join(folder, name)
            found[os.path.relpath(full, root)] = read(full)
    return found


def remove(full: str) -> None:
    """Whatever is there."""
    if os.path.isdir(full) and not os.path.islink(full):
        shutil.rmtree(full)
    elif os.path.lexists(full):
        os.remove(full)


def write(full: str, content: bytes, mode: int) -> None:
    """Replace a file in one step, or what stands in its place."""
    os.makedirs(os.path.dirname(full), mode=0o755, exist_ok=True)
    temporary = full + ".new"
    for path in (temporary, full):
        if os.path.isdir(path):
            remove(path)
    with open(_paths.fresh(temporary, 0o600), "wb") as file:
        file.write(content)
        # Not by its path: in a container's folder that may be a link by now.
        os.fchmod(file.fileno(), mode)
    os.replace(temporary, full)


def main() -> None:
    module = AnsibleModule(
        argument_spec={
            "path": {"type": "path", "required": True},
            "mode": {"type": "str"},
            "files": {"type": "list", "elements": "dict", "options": FILE, "required": True},
            "exclusive": {"type": "bool", "default": True},
            "absent": {"type": "list", "elements": "str", "default": []},
        },
        supports_check_mode=True,
    )
    root = module.params["path"]
    wanted = {item["path"]: (base64.b64decode(item["content"]), int(item["mode"], 8)) for item in module.params["files"]}
    absent = module.params["absent"]
    bad = sorted(path for path in [*wanted, *absent] if _paths.improper(path))
    if bad:
        module.fail_json(msg=f"found paths outside the folder: {', '.join(bad)}; wanted paths below {root}")
    if module.params["exclusive"]:
        have = present(root)
    else:
        have = {path: read(os.path.join(root, path)) for path in [*wanted, *absent] if os.path.lexists(os.path.join(root, path))}
    actions, diff = [], []
    there, mode = os.path.isdir(root), int(module.params["mode"] or "0755", 8)
    if not there or (module.params["mode"] and os.stat(root).st_mode & 0o7777 != mode):
        actions.append(f"make {root}" if not there else f"give {root} mode {mode:04o}")
        if not module.check_mode:
            os.makedirs(root, exist_ok=True)
            os.chmod(root, mode)
    for path in [*wanted, *sorted(set(have) - set(wanted))]:
        if path in wanted and wanted[path] == have.get(path):
            continue
        full = os.path.join(root, path)
        actions.append(f"{'write' if path in wanted else 'remove'} {full}")
        before, after = ((side.get(path) or (b"", 0))[0].decode("utf-8", "replace") for side in (have, wanted))
        diff.append({"before_header": full, "after_header": full, "before": before, "after": after})
        if module.check_mode:
            continue
        if path in wanted:
            write(full, *wanted[path])
        else:
            remove(full)
    if actions and not module.check_mode:
        shutil.rmtree(os.path.join(root, "__pycache__"), ignore_errors=True)
    module.exit_json(changed=bool(actions), actions=actions, diff=diff)


if __name__ == "__main__":
    main()
