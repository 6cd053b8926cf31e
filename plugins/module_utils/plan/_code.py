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
    for at, name in elsewhere(own["config"] if own else {}):
        hint = "Nothing is downloaded at serve time, and no manifest holds what another repository has."
        problems.append(Problem(at, "auto_map", f"code of {show(name)}", "code in the checkpoint itself", hint, "code-elsewhere"))
    for name in named(own["config"] if own else {}):
        if len(name) > MAX_NAME:
            wanted = f"FILE.CLASS, FILE of at most {MAX_NAME} characters"
            problems.append(Problem("config.json", "auto_map", f"{show(name)}, {len(name)} characters", wanted, code="wrong-name"))
    return found, problems


def _files(repo: str, own: Checkpoint | None, record: HeldCode | None) -> tuple[list[str] | None, str]:
    """The files that would run, and who says so; None is unknown."""
    if record:
        return record["code"], record["path"]
    if own and not own.get("problem"):
        names = sorted({*own.get("code", []), *(name for name in named(own["config"]) if len(name) <= MAX_NAME)})
        more = [f"{len(names) - MAX_TOLD} more"] if len(names) > MAX_TOLD else []
        return names[:MAX_TOLD] + more, own["path"]
    return None, f"nobody has looked into {repo}: gx10_weights_sources has no folder of it, and it has not served yet"


def _mapped(config: Mapping[str, Any]) -> Iterator[str]:
    mapped = config.get("auto_map")
    for value in mapped.values() if isinstance(mapped, Mapping) else []:
        for name in value if isinstance(value, Sequence) and not isinstance(value, str) else [value]:
            if isinstance(name, str):
                yield name


def named(config: Mapping[str, Any]) -> list[str]:
    """The files that auto_map of a config.json names: "modeling_x.Class" is of modeling_x.py."""
    return sorted({f"{name.partition('.')[0]}.py" for name in _mapped(config) if "--" not in name})


def elsewhere(config: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Repositories that auto_map names beside the checkpoint's own: "ORG/NAME--modeling_x.Class"."""
    return sorted({("config.json", name.partition("--")[0]) for name in _mapped(config) if "--" in name})


def lines(found: Sequence[RemoteCode]) -> list[str]:
    """For a person."""
    out = []
    for one in found:
        files = ", ".join(one["files"] or ["no Python file"]) if one["files"] is not None else f"unknown files ({one['files_from']})"
        source = f" (as {one['files_from']} says)" if one["files"] is not None else ""
        held = f"held at manifest {one['manifest']} by {one['held_by']}" if one["manifest"] else "its first use will be recorded, and held"
        out.append(f"# Runs code of {one['repo']}: {files}{source}; {held}")
    return out
