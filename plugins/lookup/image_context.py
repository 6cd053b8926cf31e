# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: image_context
short_description: What an image is built from, on the control node
version_added: 0.1.0
description:
  - The definition's folder, its wheels, one hash over both, and the pinned wheels that are missing.
author: [GX10 Serving contributors (@gx10)]
options:
  _terms:
    description: Folders of image definitions. One that is gone is built from nothing, so it matches no image.
    required: true
  requirements:
    description: The definition's file of pinned requirements, whose wheels must be there.
    type: str
  wheels:
    description: Files that must be in the folder of wheels, each with its SHA-256 or null.
    type: dict
    default: {}
  wheels_path:
    description: Folder that holds a folder of wheels per image.
    type: path
    required: true
  cache:
    description: File in which the wheels' hashes are kept.
    type: path
    default: ~/.cache/gx10/hashes.json
"""

EXAMPLES = r"""
- name: Look at the inputs
  ansible.builtin.debug:
    msg: "{{ lookup('gx10.serving.image_context', 'files/images/vllm-node-sim', wheels_path='wheels') }}"
"""

RETURN = r"""
_raw:
  description: >-
    One dictionary a name. definition (folder), dockerfile (is there one), wheels (folder), hash, size (bytes of the wheels),
    inputs (what the hash covers), missing (pinned wheels that are not there), altered (wheels with another SHA-256 than pinned).
  type: list
  elements: dict
"""

import re
from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.gx10.serving.plugins.module_utils import _manifest


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def missing(requirements: str, wheels: list[str]) -> list[str]:
    """Pins ("name==version") for which no wheel is there."""
    have = {(_normal(parts[0]), parts[1]) for parts in (wheel.split("-") for wheel in wheels) if len(parts) > 2}
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;#]+)", requirements, re.MULTILINE)
    return [f"{name}=={version}" for name, version in pins if (_normal(name), version) not in have]


class LookupModule(LookupBase):
    """Reads the control node; builds nothing."""

    def run(self, terms: list[str], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[dict[str, Any]]:
        self.set_options(var_options=variables, direct=kwargs)
        return [self._context(Path(folder)) for folder in terms]

    def _context(self, definition: Path) -> dict[str, Any]:
        wheels = Path(self.get_option("wheels_path")) / definition.name
        names = sorted(path.name for path in wheels.glob("*.whl"))
        cache = _manifest.HashCache(str(Path(self.get_option("cache")).expanduser()))
        inputs = _manifest.tree(str(definition))
        inputs += [
            {"path": f"wheels/{wheel}", "size": (wheels / wheel).stat().st_size, "sha256": cache.get(str(wheels / wheel))}
            for wheel in names
        ]
        cache.save()
        found = {Path(item["path"]).name: item["sha256"] for item in inputs if item["path"].startswith("wheels/")}
        pinned_files: dict[str, str | None] = self.get_option("wheels")
        pinned = self.get_option("requirements")
        text = (definition / pinned).read_text(encoding="utf-8") if pinned and (definition / pinned).is_file() else ""
        return {
            "definition": str(definition),
            "wheels": str(wheels),
            "hash": _manifest.digest(inputs),
            "dockerfile": (definition / "Dockerfile").is_file(),
            "size": sum(item["size"] for item in inputs if item["path"].startswith("wheels/")),
            "inputs": inputs,
            "missing": missing(text, names) + sorted(set(pinned_files) - set(names)),
            "altered": [
                f"{wheels / wheel}: found SHA-256 {found[wheel]}; wanted {wanted}"
                for wheel, wanted in sorted(pinned_files.items())
                if wanted and found.get(wheel, wanted) != wanted
            ],
        }
