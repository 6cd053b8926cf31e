# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find and read what a plan is made of: profile, image and mod definitions, schemas. PRIVATE to the collection."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from ..common._problem import Problem, nearest
from ..node import _manifest
from ._profile_types import Checkpoint, ModSource, Sources, Text

ROOT = Path(__file__).resolve().parents[3]


def read(
    name: str | None,
    profiles: Sequence[str] = (),
    images: Sequence[str] = (),
    mods: Sequence[str] = (),
    checkpoints: Mapping[str, str] | None = None,
) -> Sources:
    """The sources of profile `name`, for `_resolve.resolve`. The folders are searched in order, before the collection's own.

    No name (None) reads all of them, under "profiles". `checkpoints`: ORG/NAME to a folder on the control node, whose config.json
    and index are read, if they are there.
    """
    files = {path.stem: path for folder in _folders(profiles, "model_profiles") for path in folder.glob("*.yml")}
    problems = []
    if name is not None and name not in files:
        known = sorted(files)
        problems.append(Problem("command line", "profile", repr(name), "one of " + ", ".join(known), nearest(name, known)))
    return {
        "name": name,
        "profiles": {stem: _text(path) for stem, path in files.items()} if name is None else {},
        "checkpoints": {repo: _checkpoint(Path(absolute(folder))) for repo, folder in (checkpoints or {}).items()},
        "profile": {"name": name, **_text(files[name])} if name is not None and name in files else None,
        "schema": _text(ROOT / "model_profiles" / "schema.json"),
        "image_schema": _text(ROOT / "files" / "images" / "schema.json"),
        "mod_schema": _text(ROOT / "files" / "mods" / "schema.json"),
        "images": {path.parent.name: _text(path) for folder in _folders(images, "files/images") for path in folder.glob("*/image.yml")},
        "mods": {path.name: _mod(path) for folder in _folders(mods, "files/mods") for path in folder.iterdir() if _is_mod(path)},
        # A folder per image; what is fetched for a build lies beside the collection.
        "wheels_path": str(ROOT / "wheels"),
        "supervisor": _manifest.digest(_manifest.tree(str(ROOT / "roles" / "engine" / "files" / "supervisor"))),
        "problems": [problem.as_dict() for problem in problems],
    }


def absolute(folder: str) -> str:
    """A folder of the user's on the control node: ~ is the user's home, a relative one starts where the user stands. "" stays none."""
    return str(Path(folder).expanduser().absolute()) if folder else ""


def _text(path: Path) -> Text:
    # Bytes that are not UTF-8 become surrogates, which the reader refuses with their place.
    return {"path": str(path), "text": path.read_bytes().decode("utf-8", "surrogateescape")}


def _checkpoint(folder: Path) -> Checkpoint | None:
    """config.json and the tensors' names of a checkpoint folder; None where they are not there or not JSON."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    try:
        tensors = sorted(json.loads((folder / _manifest.INDEX).read_text(encoding="utf-8"))["weight_map"])
    except (OSError, ValueError, KeyError, TypeError):
        tensors = []
    return {"path": str(folder), "config": config, "tensors": tensors} if isinstance(config, dict) else None


def _is_mod(path: Path) -> bool:
    return (path / "run.sh").is_file() or (path / "mod.yml").is_file()


def _mod(path: Path) -> ModSource:
    """A mod: its folder's hash, whether it has a program, and the text of its mod.yml (field mods have none)."""
    about = path / "mod.yml"
    return {
        "path": str(path),
        "hash": _manifest.digest(_manifest.tree(str(path))),
        "ready": (path / "run.sh").is_file(),
        "about": _text(about) if about.is_file() else None,
    }


def _folders(paths: Sequence[str], own: str) -> list[Path]:
    """Last one first: what is found in a later folder replaces what an earlier one had."""
    return [folder for folder in (ROOT / own, *reversed([Path(absolute(path)) for path in paths])) if folder.is_dir()]
