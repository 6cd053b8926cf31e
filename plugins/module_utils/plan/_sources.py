# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Find and read what a plan is made of: profile, image and mod definitions, schemas. PRIVATE to the collection.

Folders are a user's: whatever lies in them is passed by, or read within bounds, or has a problem of its own, which counts where it is used.
"""

from __future__ import annotations

import itertools
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypedDict

from ..common import _document, _files
from ..common._files import Refused
from ..common._problem import Problem, nearest, printable, show
from ..node import _manifest, _paths
from . import _pins, _secret
from ._profile_types import Checkpoint, ModSource, Sources, Text

ROOT = Path(__file__).resolve().parents[3]
PROFILES = ROOT / "model_profiles" / "schema.json"
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,99}")
# Of a folder of definitions, and of one of them. A mod is a few scripts, and is copied to every node.
MAX_ENTRIES = 2000
MAX_FILES, MAX_MOD_BYTES, MAX_CONTEXT_BYTES = 500, 64 * 1024**2, 1024**3
# Of a checkpoint: see _document.MAX_JSON_VALUES.
MAX_CONFIG, MAX_INDEX = 16 * 1024**2, 48 * 1024**2
# Beside config.json they may have an auto_map.
MAPPED = ("tokenizer_config.json", "processor_config.json", "preprocessor_config.json", "video_preprocessor_config.json")


def read(
    name: str | None,
    profiles: Sequence[str] = (),
    images: Sequence[str] = (),
    mods: Sequence[str] = (),
    checkpoints: Mapping[str, str] | None = None,
    pins: str = "",
    notify_secret: str = "",
) -> Sources:
    """The sources of profile `name`, for `_resolve.resolve`. The folders are searched in order, before the collection's own.

    No name (None) reads all of them, under "profiles". `checkpoints`: ORG/NAME to a folder on the control node, whose config.json
    and index are read, if they are there. `pins`: the folder of what the control node recorded at its first use; `notify_secret`: the
    file of the notifier's secret, which a launch needs; "" is none.
    """
    files = {one.stem: one for folder in _folders(profiles, "model_profiles") for one in _entries(folder) if one.suffix == ".yml"}
    problems = []
    if name is not None and name not in files:
        known = sorted(stem for stem in files if NAME.fullmatch(stem))
        wanted = "one of " + ", ".join(known)
        problems.append(Problem("command line", "profile", show(name), wanted, nearest(name, known), "not-a-choice"))
    problems += _secret.of_notifier(notify_secret) if notify_secret else []
    own = name is not None and name in files and not _is_shipped(files[name])
    return {
        "name": name,
        "profiles": {printable(stem): _named(one) for stem, one in files.items()} if name is None else {},
        # What is no folder is the inventory's problem.
        "checkpoints": {repo: _checkpoint(folder) for repo, folder in _mapping(checkpoints).items() if isinstance(folder, str) and folder},
        "code": _pins.code(pins) if pins else {},
        "profile": {"name": name, **_named(files[name])} if name is not None and name in files else None,
        "shipped": {one.stem: text(one) for one in sorted(PROFILES.parent.glob("*.yml"))} if own else {},
        "schema": {"path": str(PROFILES), "text": schema()},
        "image_schema": text(ROOT / "files" / "images" / "schema.json"),
        "mod_schema": text(ROOT / "files" / "mods" / "schema.json"),
        "images": {path.name: _image(path) for path in _holding(images, "files/images", "image.yml")},
        "mods": {path.name: _mod(path) for path in _holding(mods, "files/mods", "run.sh", "mod.yml")},
        # A folder per image; what is fetched for a build lies beside the collection.
        "wheels_path": str(ROOT / "wheels"),
        "supervisor": _manifest.digest(_manifest.tree(str(ROOT / "roles" / "engine" / "files" / "supervisor"))),
        "notifier": _manifest.digest(_manifest.tree(str(ROOT / "roles" / "notify" / "files" / "notifier"))),
        "problems": [problem.as_dict() for problem in problems],
    }


def _is_shipped(path: Path) -> bool:
    """Is a profile the collection's own, by whatever way?"""
    return Path(os.path.realpath(path)).parent == PROFILES.parent


def schema() -> str:
    """What a profile's keys take."""
    return PROFILES.read_text(encoding="utf-8")


def absolute(folder: str) -> str:
    """A folder of the user's on the control node: ~ is the user's home, a relative one starts where the user stands. "" stays none."""
    return str(Path(os.path.expanduser(folder)).absolute()) if folder else ""


def text(path: Path) -> Text:
    """A file's text. Bytes that are not UTF-8 become surrogates, which the reader refuses with their place."""
    shown = printable(str(path))
    try:
        return {"path": shown, "text": _files.read(str(path), _document.MAX_BYTES).decode("utf-8", "surrogateescape")}
    except Refused as refused:
        return {"path": shown, "text": "", "problem": _document.problem(refused, shown).as_dict()}


def _named(path: Path) -> Text:
    """A profile, which is known by its file's name."""
    if NAME.fullmatch(path.stem):
        return text(path)
    wanted = "at most 100 letters, digits, dots, dashes and underscores"
    problem = Problem(printable(str(path)), "", f"the name {show(path.stem)}", wanted, "Rename the file.", "wrong-name")
    return {"path": printable(str(path)), "text": "", "problem": problem.as_dict()}


def _checkpoint(folder: str) -> Checkpoint | None:
    """config.json and the tensors' names of a checkpoint folder; None where there is no config.json."""
    path = absolute(folder)
    at = os.path.join(path, "config.json")
    found: Checkpoint = {"path": printable(path), "config": {}, "tensors": [], "code": []}
    if not os.path.lexists(at):
        return None
    found["code"] = _code(path)
    try:
        found["config"] = _document.parse_json(_files.read(_within(path, "config.json"), MAX_CONFIG), nonfinite=True)
        if not isinstance(found["config"], dict):
            raise Refused(show(found["config"]), "a mapping", code="not-a-mapping")
        at = os.path.join(path, _manifest.INDEX)
        if os.path.lexists(at):
            found["tensors"] = _tensors(_files.read(_within(path, _manifest.INDEX), MAX_INDEX))
    except Refused as refused:
        found.update({"config": {}, "problem": _document.problem(refused, printable(at)).as_dict()})
    others = {name: _other(path, name) for name in MAPPED if os.path.lexists(os.path.join(path, name))}
    return {**found, "others": others} if others else found


def _other(folder: str, name: str) -> Any:
    """A document beside config.json; None where it cannot be read, which matters to nobody but who runs the code that it names."""
    try:
        # Nobody computes with them: a tokenizer without a bound has a model_max_length of 31 digits, int(1e30).
        return _document.parse_json(_files.read(_within(folder, name), MAX_INDEX), nonfinite=True, digits=400)
    except Refused:
        return None


def _code(folder: str) -> list[str]:
    """The Python files of a checkpoint, hidden ones passed by."""
    try:
        names = _manifest.kept(folder)
        return sorted(printable(name) for name in itertools.islice(names, MAX_ENTRIES) if name.endswith(".py"))
    except OSError:
        return []


def _within(folder: str, name: str) -> str:
    """A file's path; raises Refused where a link leads out of its folder."""
    if _paths.inside(folder, name) is None:
        raise Refused("a link out of the folder", "the file itself", code="link-outside")
    return os.path.join(folder, name)


def _tensors(raw: bytes) -> list[str]:
    # The names of parameters are; and Python holds a text of 64 MiB with one letter of another script in 256 MiB.
    if not raw.isascii() or b"\\u" in raw:
        raise Refused("letters that are not ASCII", "the names of tensors and their files", code="wrong-text")
    # Which file a tensor is in, nobody asks; without the files' names the largest index fits into the bound of memory.
    raw = re.sub(rb'("\s*:\s*)"[^"\\]*"', rb'\1""', raw)
    index = _document.parse_json(raw)
    names = index.get("weight_map") if isinstance(index, dict) else None
    if not isinstance(names, dict) or not all(isinstance(file, str) for file in names.values()):
        raise Refused("no weight_map", "weight_map, the files of the tensors by their names", code="wrong-type")
    return sorted(names)


def _image(path: Path) -> Text:
    """An image's definition; what it is built from is hashed and copied, so it is of files alone."""
    return {**text(path / "image.yml"), **_refused(path, "image.yml", MAX_CONTEXT_BYTES)}


def _mod(path: Path) -> ModSource:
    """A mod: its folder's hash, whether it has a program, and the text of its mod.yml (field mods have none)."""
    about, refused = path / "mod.yml", _refused(path, "run.sh", MAX_MOD_BYTES)
    return {
        "path": printable(str(path)),
        "hash": "" if refused else _manifest.digest(_manifest.tree(str(path))),
        "ready": os.path.isfile(path / "run.sh"),
        "about": text(about) if os.path.lexists(about) else None,
        **refused,
    }


class _Refused(TypedDict, total=False):
    problem: dict[str, str]


def _refused(path: Path, first: str, left: int) -> _Refused:
    """Why a small folder cannot be read, if that is so. `first`: a file that may be missing, but not be anything else."""
    at, home = path / first, os.path.realpath(path)
    try:
        if os.path.lexists(at):
            _files.check(str(at), left)
        for count, name in enumerate(_manifest.kept(str(path))):
            at = path / name
            if count >= MAX_FILES:
                raise Refused(f"more than {MAX_FILES} files", "a small folder", code="too-large")
            if not name.isprintable():
                raise Refused("a name that is not printable", "a name of letters", code="wrong-name")
            left -= _files.check(str(at), left)
            # The neighbours are its own: files/mods/_shared.
            _within(os.path.dirname(home), os.path.join(os.path.basename(home), name))
            if not os.access(at, os.R_OK):
                raise Refused("a file that cannot be read", "one that can", code="not-a-file")
    except Refused as refused:
        return {"problem": _document.problem(refused, printable(str(at))).as_dict()}
    return {}


def _mapping(value: Any) -> Mapping[str, Any]:
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def _folders(paths: Sequence[str], own: str) -> list[str]:
    """Last one first: what is found in a later folder replaces what an earlier one had."""
    given = [absolute(path) for path in paths if isinstance(path, str)]
    return [folder for folder in (str(ROOT / own), *reversed(given)) if os.path.isdir(folder)]


def _entries(folder: str) -> Iterator[Path]:
    """What is in a folder, but hidden files: an editor's lock and swap file are."""
    try:
        with os.scandir(folder) as entries:
            names = sorted(entry.name for entry in itertools.islice(entries, MAX_ENTRIES))
    except OSError:
        return
    for name in names:
        if not name.startswith("."):
            yield Path(folder, name)


def _holding(paths: Sequence[str], own: str, *names: str) -> Iterator[Path]:
    """Folders of a name that a profile can say and with one of these files in them, of whatever kind it is."""
    for folder in _folders(paths, own):
        for path in _entries(folder):
            if NAME.fullmatch(path.name) and any(os.path.lexists(path / name) for name in names):
                yield path
