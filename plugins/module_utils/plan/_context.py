# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What an image is built from, on the control node: definition, wheels, and one hash of both. PRIVATE to the collection."""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

from ..node import _manifest
from ..node._types import File
from . import _pins
from ._types import Definition, Image

CACHE = "~/.cache/gx10/hashes.json"


class Inputs(TypedDict):
    """What one definition is built from: its folder, its folder of wheels, all files, and their hash.

    `size`: bytes of the wheels; `missing`: pinned wheels that are not there; `altered`: those with another SHA-256 than pinned;
    `held`: what was recorded of the first build.
    """

    definition: str
    wheels: str
    hash: str
    dockerfile: bool
    size: int
    inputs: list[File]
    missing: list[str]
    altered: list[str]
    held: _pins.HeldImage


class Context(Inputs):
    """`context`: the hash of itself and of those below it, so a change there changes all above."""

    context: str


def missing(requirements: str, wheels: Sequence[str]) -> list[str]:
    """Pins ("name==version") for which no wheel is there."""
    have = set(map(_release, wheels))
    pins = re.findall(r"^([A-Za-z0-9._-]+)(?:\[[^\]]*\])?==([^\s;#]+)", requirements, re.MULTILINE)
    return [f"{name}=={version}" for name, version in pins if (_normal(name), version) not in have]


def _release(wheel: str) -> tuple[str, str]:
    """Name and version of a wheel, by its file's name."""
    name, version, *rest = [*wheel.split("-"), "", ""]
    return (_normal(name), version) if len(rest) > 2 else ("", "")


def _strangers(names: Sequence[str], held: Mapping[str, str]) -> dict[str, str]:
    """Files that are another build of a wheel that was recorded, each with the recorded one: pip takes the highest build tag."""
    recorded = {_release(name): name for name in held}
    return {name: recorded[_release(name)] for name in names if name not in held and _release(name) in recorded}


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def inputs(definition: Definition, wheels_path: str, cache: _manifest.HashCache, pins: str) -> Inputs:
    """What one definition of a plan's image is built from. A hash in image.yml counts before one that was recorded."""
    folder = Path(definition["folder"])
    wheels = Path(wheels_path) / folder.name
    names = sorted(path.name for path in wheels.glob("*.whl"))
    found = {name: cache.get(os.path.realpath(wheels / name)) for name in names}
    sizes = {name: (wheels / name).stat().st_size for name in names}
    files: list[File] = [*_manifest.tree(str(folder))]
    files += [{"path": f"wheels/{name}", "size": sizes[name], "sha256": value} for name, value in found.items()]
    pinned = definition["requirements"]
    text = (folder / pinned).read_text(encoding="utf-8", errors="replace") if pinned and (folder / pinned).is_file() else ""
    held = _pins.image(pins, definition["name"])
    recorded = {name: (value, f", as first used ({held['path']})") for name, value in held["wheels"].items() if name in found}
    wanted = {**recorded, **{name: (value, "") for name, value in definition["wheels"].items() if value}}
    return {
        "definition": str(folder),
        "wheels": str(wheels),
        "hash": _manifest.digest(files),
        "dockerfile": (folder / "Dockerfile").is_file(),
        "size": sum(sizes.values()),
        "inputs": files,
        "missing": missing(text, names) + sorted(set(definition["wheels"]) - set(names)),
        "altered": [
            f"{wheels / name}: found SHA-256 {found[name]}; wanted {value}{source}"
            for name, (value, source) in sorted(wanted.items())
            if found.get(name, value) != value
        ]
        + [
            f"{wheels / name}: found another build of {known}; wanted that one alone, as first used ({held['path']})"
            for name, known in sorted(_strangers(names, held["wheels"]).items())
            if name not in definition["wheels"]
        ],
        "held": held,
    }


def read(image: Image, wheels_path: str, cache: str = CACHE) -> dict[str, Context]:
    """`inputs` of a plan's image and of what it is built on, by name, the lowest first."""
    hashes = _manifest.HashCache(str(Path(cache).expanduser()))
    found: dict[str, Context] = {}
    below = ""
    for definition in [*image["lineage"], image]:
        own = inputs(definition, wheels_path, hashes, image.get("pins") or _pins.folder(None))
        below = hashlib.sha256(f"{below} {own['hash']}".encode()).hexdigest()
        found[definition["name"]] = {**own, "context": below}
    hashes.save()
    return found
