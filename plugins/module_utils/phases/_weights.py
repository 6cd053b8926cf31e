# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights on nodes: which manifest counts, and who lacks what. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from ..node import _manifest
from ..node._types import Checkpoint, Differing, File, Manifest, Staged
from ..plan._types import WeightsModel


class Truth(TypedDict):
    """Which manifest counts: None where there is none, or not yet (`download`)."""

    manifest: Manifest | None
    download: bool
    problems: list[str]


def truth(model: WeightsModel, infos: Mapping[str, Staged], source: Checkpoint | None, origin: str, adopt: bool = False) -> Truth:
    """Which manifest counts.

    `infos`: by node, in rank order; `source`: a folder on the control node; `origin` names it. In order: the source; what a node recorded
    when it was staged (unless `adopt`); the first node that has a whole checkpoint; a download, if a revision is pinned.
    """
    repo, revision = model["repo"], model.get("revision")
    # Nothing may be brought into a folder that lies elsewhere.
    start = f"{model['path']}: found a link to "
    links = [(name, text) for name, info in infos.items() for text in info["problems"] if text.startswith(start)]
    if links:
        return _refusal([f"weights {repo} lie where no engine sees them:", *(f"{name}: {text}" for name, text in links)])
    if source is not None:
        if source["problems"]:
            return _refusal([f"weights {repo} at {origin} on the control node are not a whole checkpoint:", *source["problems"]])
        return _checked(model, _document(model, source, f"{origin} on the control node"), origin)
    recorded = [(name, info["recorded"]) for name, info in infos.items() if info["recorded"]]
    fitting = [(name, manifest) for name, manifest in recorded if not revision or manifest.get("revision") in (None, revision)]
    if fitting and not adopt:
        return _checked(model, fitting[0][1], f"the record on {fitting[0][0]}")
    for name, info in infos.items():
        found = info["hub"]["revision"]
        if info["files"] and not info["problems"] and (adopt or not revision or found in (None, revision)):
            return _checked(model, _document(model, info, name), name)
    if revision:
        return {"manifest": None, "download": True, "problems": []}
    lines = [f"weights {repo}: no node has a whole checkpoint, and no source is known:"]
    for name, info in infos.items():
        linked = any(": found a link to " in text for text in info["problems"])
        why = info["problems"] if info["files"] or linked else [f"{model['path']}: found no file of it; wanted a whole checkpoint"]
        lines += [f"{name}: {problem}" for problem in why]
    lines.append(
        f"Name a folder on the control node in gx10_weights_sources ({{{repo}: FOLDER}}), put the files on one node, "
        "or pin model.revision to a commit of the hub, which one node then downloads."
    )
    return _refusal(lines)


def _document(model: WeightsModel, info: Checkpoint, origin: str) -> Manifest:
    revision = info["hub"]["revision"] or model.get("revision")
    return {
        "repo": model["repo"],
        "revision": revision,
        "origin": origin,
        "hash": _manifest.digest(info["files"]),
        "size": info["size"],
        "files": info["files"],
        "hub": info["hub"]["sha256"],
    }


def _checked(model: WeightsModel, manifest: Manifest, origin: str) -> Truth:
    """Compare a manifest with what the profile pins and with what the hub said."""
    problems = []
    if model.get("manifest") and model["manifest"] != manifest["hash"]:
        text = f"weights {model['repo']}: {origin}: found manifest {manifest['hash']}; wanted {model['manifest']}"
        held = model.get("held_by")
        # Code that runs is looked at by a person before it is another one.
        first = f"as first used: its code runs (trust-remote-code). Compare the *.py files; if they are meant, remove {held}"
        problems.append(f"{text}, {first if held else 'which the profile pins'}")
    hashes = {item["path"]: item["sha256"] for item in manifest["files"]}
    for path, wanted in manifest.get("hub", {}).items():
        if path in hashes and hashes[path] != wanted:
            text = f"weights {model['repo']}: {origin}: {path}: found SHA-256 {hashes[path]}; wanted {wanted}, as the hub says"
            problems.append(f"{text}. Remove that file and download it again")
    return {"manifest": manifest, "download": False, "problems": problems}


def _refusal(lines: list[str]) -> Truth:
    return {"manifest": None, "download": False, "problems": lines}


def differences(manifest: Manifest, infos: Mapping[str, Staged]) -> dict[str, list[Differing]]:
    """By node, the files that it lacks or holds otherwise, each with why."""
    return {name: _manifest.compare(manifest, info) for name, info in infos.items()}


def other_content(model: WeightsModel, differing: Mapping[str, Sequence[Differing]]) -> list[str]:
    """Files that are there and are not what the manifest says: serve never overwrites them by itself."""
    return [
        f"{name}: {model['path']}/{item['path']}: found {item['why']}; wanted SHA-256 {item['sha256']}"
        for name, items in differing.items()
        for item in items
        if item["why"] != "missing"
    ]


def downloaded(model: WeightsModel, name: str, info: Checkpoint, failed: Sequence[str] = ()) -> Truth:
    """What `truth` would say after node `name` has downloaded the model; `failed`: why it could not."""
    if failed:
        kept = "What arrived is kept: the next run goes on."
        return _refusal([f"weights {model['repo']}, revision {model['revision']}: no download on {name}:", *failed, kept])
    if info["problems"]:
        return _refusal([f"weights {model['repo']}: {name}: the download is not a whole checkpoint:", *info["problems"]])
    return _checked(model, _document(model, info, f"the hub, by {name}"), f"the download on {name}")


def nowhere(files: Sequence[File], differing: Mapping[str, Sequence[Differing]]) -> list[str]:
    """Paths that no node has right."""
    lacking = [{item["path"] for item in items} for items in differing.values()]
    return [item["path"] for item in files if all(item["path"] in paths for paths in lacking)]


def joined(hashes: Mapping[str, str]) -> str:
    """The manifests' hashes by model as one text, which an engine is started with; empty where one is not known."""
    return " ".join(hashes[repo] for repo in sorted(hashes)) if all(hashes.values()) else ""


def lacks(differing: Mapping[str, Sequence[Differing]], hosts: Sequence[str], filled: str = "") -> dict[str, list[str]]:
    """Paths that each of `hosts` lacks; node `filled` has just got everything."""
    return {name: [] if name == filled else [item["path"] for item in items] for name, items in differing.items() if name in hosts}
