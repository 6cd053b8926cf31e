# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A checkpoint's own code, which `trust-remote-code` runs: which files, and what holds them as they are. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ..common._problem import Problem, show
from ._pins import HeldCode
from ._profile_types import Checkpoint, Profile
from ._types import RemoteCode

FLAG = "trust-remote-code"
# Of a file, as file systems have it; and of those that a plan tells.
MAX_NAME, MAX_TOLD = 255, 100


def planned(profile: Profile, own: Checkpoint | None, held: Mapping[str, HeldCode]) -> tuple[list[RemoteCode], list[Problem]]:
    """What runs of each checkpoint and what holds it; nothing where the profile trusts none. `own`: the model's, on the control node.

    A revision is a commit (the schema wants one), which pins a download; what lies on a disk is held by its manifest alone.
    """
    if not profile.get("args", {}).get(FLAG):
        return [], []
    model = profile["model"]
    found: list[RemoteCode] = []
    problems: list[Problem] = []
    for one in [model, *model.get("drafts", [])]:
        record = held.get(one["repo"])
        revision, manifest = one.get("revision"), one.get("manifest")
        if record and record["problem"] and not manifest:
            problems.append(Problem(**record["problem"]))
        # Another commit is another first use.
        fits = record is not None and not record["problem"] and (not revision or record["revision"] in (None, revision))
        first = record if fits and not manifest else None
        files, source = _files(one["repo"], own if one is model else None, record if fits else None)
        found.append(
            {
                "repo": one["repo"],
                "manifest": manifest or (first["manifest"] if first else None),
                "held_by": "the profile" if manifest else first["path"] if first else None,
                "files": files,
                "files_from": source,
            }
        )
    for at in [at for at, document in (own.get("others", {}) if own else {}).items() if document is None]:
        wanted = "JSON: its auto_map may name code, which trust-remote-code runs"
        problems.append(Problem(at, "", "a file that cannot be read", wanted, code="not-json"))
    for at, name in elsewhere(own) if own else []:
        hint = "Nothing is downloaded at serve time, and no manifest holds what another repository has."
        problems.append(Problem(at, "auto_map", f"code of {show(name)}", "code in the checkpoint itself", hint, "code-elsewhere"))
    for name in named(own) if own else []:
        if len(name) > MAX_NAME:
            wanted = f"FILE.CLASS, FILE of at most {MAX_NAME} characters"
            problems.append(Problem("config.json", "auto_map", f"{show(name)}, {len(name)} characters", wanted, code="wrong-name"))
    return found, problems


def _files(repo: str, own: Checkpoint | None, record: HeldCode | None) -> tuple[list[str] | None, str]:
    """The files that would run, and who says so; None is unknown."""
    if record:
        return record["code"], record["path"]
    if own and not own.get("problem"):
        names = sorted({*own.get("code", []), *(name for name in named(own) if len(name) <= MAX_NAME)})
        more = [f"{len(names) - MAX_TOLD} more"] if len(names) > MAX_TOLD else []
        return names[:MAX_TOLD] + more, own["path"]
    return None, f"nobody has looked into {repo}: gx10_weights_sources has no folder of it, and it has not served yet"


def _mapped(own: Checkpoint) -> Iterator[tuple[str, str]]:
    """What auto_map names, with the file that says it."""
    for file, config in [("config.json", own["config"]), *own.get("others", {}).items()]:
        for mapped in _maps(config):
            for value in mapped.values():
                for name in value if isinstance(value, Sequence) and not isinstance(value, str) else [value]:
                    if isinstance(name, str):
                        yield file, name


def _maps(value: Any) -> Iterator[Mapping[str, Any]]:
    """Each auto_map in a document: a model's parts (text_config) have their own."""
    if isinstance(value, Mapping):
        if isinstance(value.get("auto_map"), Mapping):
            yield value["auto_map"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from _maps(item)


def named(own: Checkpoint) -> list[str]:
    """The files that auto_map names: "modeling_x.Class" is of modeling_x.py."""
    return sorted({f"{name.partition('.')[0]}.py" for _file, name in _mapped(own) if "--" not in name})


def elsewhere(own: Checkpoint) -> list[tuple[str, str]]:
    """Repositories that auto_map names beside the checkpoint's own: "ORG/NAME--modeling_x.Class"."""
    return sorted({(file, name.partition("--")[0]) for file, name in _mapped(own) if "--" in name})


def lines(found: Sequence[RemoteCode]) -> list[str]:
    """For a person."""
    out = []
    for one in found:
        files = ", ".join(one["files"] or ["no Python file"]) if one["files"] is not None else f"unknown files ({one['files_from']})"
        source = f" (as {one['files_from']} says)" if one["files"] is not None else ""
        held = f"held at manifest {one['manifest']} by {one['held_by']}" if one["manifest"] else "its first use will be recorded, and held"
        out.append(f"# Runs code of {one['repo']}: {files}{source}; {held}")
    return out
