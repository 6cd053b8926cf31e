# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What was taken on trust when it was first used, and is held from then on: wheels and bases of images, checkpoints that run code.

The records lie on the control node, one JSON each, for people to read, compare and keep beside their inventory. PRIVATE to the collection.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from ..common import _document, _files
from ..common._files import Refused
from ..common._problem import Problem
from ..node._types import File, Manifest

FOLDER = "~/.local/state/gx10"
NOTE = "Trust on first use: nobody vouched for these hashes when they were recorded. What differs is refused until this file is removed."
SHA256 = re.compile(r"[0-9a-f]{64}")
# Of a folder of records.
MOST = 2000
PREFIXED = re.compile(r"sha256:[0-9a-f]{64}")


class HeldBase(TypedDict, total=False):
    """`id` is the image's on the build host."""

    reference: str
    id: str


class HeldImage(TypedDict):
    """`path`: of the record; `problem`: why it cannot be read, which is never taken for a first use."""

    path: str
    base: HeldBase
    wheels: dict[str, str]
    problem: str


class HeldCode(TypedDict):
    """`manifest`: of the checkpoint; `code`: its Python files; `problem`: why the record cannot be read."""

    path: str
    manifest: str
    revision: str | None
    code: list[str]
    problem: dict[str, str]


def folder(secrets_dir: str | None) -> str:
    """Where the records lie: beside what else the control node remembers."""
    return f"{secrets_dir or FOLDER}/pins"


def _read(path: str) -> tuple[Mapping[str, Any], str]:
    """A record, and why it cannot be read; nothing of either before the first use."""
    try:
        raw = _files.read(path, _document.MAX_BYTES)
        found = _document.parse_json(raw)
        return (found, "") if isinstance(found, dict) else ({}, f"{path}: found no mapping")
    except Refused as refused:
        return ({}, "") if refused.found == "nothing" else ({}, f"{path}: found {refused.found}")


def image(pins: str, name: str) -> HeldImage:
    """What was recorded of an image's first build."""
    path = str(Path(pins).expanduser() / "images" / f"{name}.json")
    found, problem = _read(path)
    base, wheels = found.get("base", {}), found.get("wheels", {})
    good = isinstance(base, dict) and isinstance(wheels, dict)
    good = good and all(isinstance(value, str) and SHA256.fullmatch(value) for value in wheels.values())
    held: HeldBase = {"reference": str(base["reference"]), "id": str(base["id"])} if good and {"reference", "id"} <= base.keys() else {}
    if not good or bool(base) != bool(held):
        return {"path": path, "base": {}, "wheels": {}, "problem": problem or f"{path}: found no base and SHA-256 of wheels in it"}
    return {"path": path, "base": held, "wheels": wheels, "problem": problem}


def image_file(name: str, held: HeldImage, inputs: Sequence[File], reference: str | None, base: str) -> dict[str, str]:
    """The record of a verified build, as a file for the module node_files; what was recorded before stays. `base`: an ID, or nothing."""
    prefix = "wheels/"
    now = {item["path"].removeprefix(prefix): item["sha256"] for item in inputs if item["path"].startswith(prefix)}
    about: dict[str, Any] = {"note": NOTE, "image": name, "wheels": {**held["wheels"], **now}}
    if reference and base:
        about["base"] = {"reference": reference, "id": base}
    return _file(f"images/{name}.json", about)


def code(pins: str) -> dict[str, HeldCode]:
    """What was recorded of checkpoints whose own code was run, by repository."""
    home = Path(pins).expanduser() / "weights"
    return {path.stem.replace("--", "/", 1): _code(path) for path in sorted(home.glob("*--*.json"))[:MOST]}


def _code(path: Path) -> HeldCode:
    found, problem = _read(str(path))
    manifest, revision, files = found.get("manifest"), found.get("revision"), found.get("code")
    if isinstance(manifest, str) and PREFIXED.fullmatch(manifest) and isinstance(files, dict) and isinstance(revision, str | None):
        return {"path": str(path), "manifest": manifest, "revision": revision, "code": sorted(map(str, files)), "problem": {}}
    what = problem.partition(": found ")[2] or "no manifest's hash and Python files in it"
    hint = "Restore it, or remove it: then what is there is recorded anew."
    wrong = Problem(str(path), "", what, "the record of a first use", hint, "wrong-type").as_dict()
    return {"path": str(path), "manifest": "", "revision": None, "code": [], "problem": wrong}


def code_file(manifest: Manifest, repo: str) -> dict[str, str]:
    """The record of a checkpoint that has served with its own code, as a file for the module node_files."""
    files = {item["path"]: item["sha256"] for item in manifest["files"] if item["path"].endswith(".py")}
    about = {"note": NOTE, "repo": repo, "revision": manifest.get("revision"), "manifest": manifest["hash"], "code": files}
    return _file(f"weights/{repo.replace('/', '--')}.json", about)


def _file(path: str, about: Mapping[str, Any]) -> dict[str, str]:
    text = json.dumps(about, indent=1, sort_keys=True)
    return {"path": path, "content": base64.b64encode(f"{text}\n".encode()).decode(), "mode": "0644"}
