# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: tree
short_description: The files of a small folder on the control node, with their content
version_added: 0.1.0
description:
  - Feeds the module M(gx10.serving.node_files), which writes them on a node in one task.
author: [GX10 Serving contributors (@gx10)]
options:
  _terms:
    description: Folders.
    required: true
  prefix:
    description: Put before each path.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Read the supervisor
  ansible.builtin.debug:
    msg: "{{ query('gx10.serving.tree', role_path ~ '/files/supervisor') | map(attribute='path') }}"
"""

RETURN = r"""
_raw:
  description: "One dictionary a file: path, content (base64), mode, size, sha256."
  type: list
  elements: dict
"""

import base64
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest


class LookupModule(LookupBase):
    """Reads files on the control node."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        prefix = self.get_option("prefix")
        return [
            {**item, "path": prefix + item["path"], "content": base64.b64encode((Path(term) / item["path"]).read_bytes()).decode()}
            for term in terms
            for item in _manifest.tree(str(term))
        ]
