# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
from __future__ import annotations

DOCUMENTATION = r"""
name: sources
short_description: The texts that a launch plan is made of
version_added: 0.1.0
description:
  - Finds a model profile by name and all image and mod definitions; returns their texts for P(gx10.serving.resolve#filter).
  - "Search order for profiles: O(model_profiles_path), C(model_profiles/) beside the inventory, this collection."
  - What it returns is data; nothing in it is ever templated.
author: [GX10 Serving contributors (@gx10)]
options:
  _terms:
    description: The profile's name; without one, all profiles are read.
  model_profiles_path:
    description: Folder or folders searched first.
    type: list
    elements: path
    default: []
  images_path:
    description: Folder or folders of image definitions searched before the collection's.
    type: list
    elements: path
    default: []
  mods_path:
    description: Folder or folders of mods searched before the collection's.
    type: list
    elements: path
    default: []
  checkpoints:
    description: ORG/NAME to a folder on the control node; its config.json and index are read, if they are there.
    type: dict
    default: {}
  pins:
    description: Folder of what the control node recorded at its first use; none if empty.
    type: str
    default: ""
  notify_secret:
    description: File of the notifier's secret, which is judged and not returned; none if empty.
    type: str
    default: ""
"""

EXAMPLES = r"""
- name: Resolve a profile
  ansible.builtin.debug:
    msg: "{{ lookup('gx10.serving.sources', 'sim-tiny-tp2') | gx10.serving.resolve(hostvars, groups['gx10']) }}"
"""

RETURN = r"""
_raw:
  description: "One dictionary: name, profile, schema, image_schema, images, mods, supervisor, notifier, problems."
  type: list
  elements: dict
"""

from pathlib import Path
from typing import Any

from ansible.plugins.lookup import LookupBase
from ansible_collections.gx10.serving.plugins.module_utils.plan import _profile_types, _sources


class LookupModule(LookupBase):
    """Reads files on the control node; decides nothing."""

    def run(self, terms: list[str | None], variables: dict[str, Any] | None = None, **kwargs: Any) -> list[_profile_types.Sources]:
        self.set_options(var_options=variables, direct=kwargs)
        beside = [
            str((path if path.is_dir() else path.parent) / "model_profiles")
            for path in map(Path, (variables or {}).get("ansible_inventory_sources") or [])
        ]
        profiles = [*self.get_option("model_profiles_path"), *beside]
        rest = [self.get_option(option) for option in ("images_path", "mods_path", "checkpoints", "pins", "notify_secret")]
        return [_sources.read(None if name is None else str(name), profiles, *rest) for name in terms or [None]]
