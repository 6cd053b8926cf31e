# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done for every node to have the plan's weights. Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TypedDict

from ..node._types import Checkpoint, Manifest, ModelLook
from ..plan._types import Weights, WeightsModel
from ._actions import Action, action
from ._fanout import size_text
from ._weights import differences, joined, nowhere, other_content, truth

PHASE = "weights"


class WeightsDecision(TypedDict):
    """`hash` is of all manifests, empty where only reading or downloading will tell."""

    hash: str
    problems: list[str]
    actions: list[Action]


def decide(
    weights: Weights, looks: Mapping[str, Mapping[str, ModelLook]], sources: Mapping[str, Checkpoint], origins: Mapping[str, str]
) -> WeightsDecision:
    """`looks`: by node in rank order, and by model; `sources`: what a folder on the control node holds, by model; `origins`: its path."""
    actions: list[Action] = []
    problems: list[str] = []
    hashes: dict[str, str] = {}
    for model in weights["models"]:
        repo = model["repo"]
        infos = {name: look[repo] for name, look in looks.items()}
        unread = {name: info["unread"] for name, info in infos.items() if info["unread"]}
        for name, size in unread.items():
            actions.append(action(PHASE, name, "read", f"read {size_text(size)} of {repo}: nobody has hashed these files"))
        if unread:
            # What else has to be done, only their content tells.
            hashes[repo] = ""
            continue
        found = truth(model, infos, sources.get(repo), origins.get(repo, ""))
        problems += ["\n".join(found["problems"])] if found["problems"] else []
        if found["download"]:
            actions.append(action(PHASE, next(iter(looks)), "download", f"download {repo}, revision {model['revision']}: no node has it"))
        manifest = found["manifest"]
        hashes[repo] = manifest["hash"] if manifest else ""
        if manifest and not found["problems"]:
            lost, wanted = _compare(weights, model, manifest, infos, repo in sources)
            problems += lost
            actions += wanted
    return {"hash": joined(hashes), "problems": problems, "actions": actions}


def _compare(
    weights: Weights, model: WeightsModel, manifest: Manifest, infos: Mapping[str, ModelLook], source: bool
) -> tuple[list[str], list[Action]]:
    """Every node against the manifest: refusals, actions. `source`: the control node has what no node has."""
    repo, actions = model["repo"], []
    differing = differences(manifest, infos)
    other = other_content(model, differing)
    if other:
        first = next(iter(infos))
        text = f"weights {repo} are not what was staged:\n" + "\n".join(other)
        hint = "brings these files again from a node that has them right; -e adopt=true takes what"
        return [f"{text}\nstage.yml -e profile=NAME {hint} {first} has as the new truth."], []
    gone = [] if source else nowhere(manifest["files"], differing)
    if gone:
        return [_gone(model, manifest, infos, gone)], []
    for name, items in differing.items():
        if items:
            paths = _few([item["path"] for item in items])
            size = size_text(sum(item["size"] for item in items))
            actions.append(action(PHASE, name, "bring", f"bring {len(items)} files of {repo}, {size}: missing ({paths})"))
    for name, info in infos.items():
        if not info["recorded"] or info["recorded"]["hash"] != manifest["hash"]:
            actions.append(action(PHASE, name, "record", f"keep the manifest of {repo} in {weights['state_dir']}/manifests"))
    return [], actions


def _few(paths: Sequence[str]) -> str:
    return ", ".join(paths[:3]) + (f" and {len(paths) - 3} more" if len(paths) > 3 else "")


def _gone(model: WeightsModel, manifest: Manifest, infos: Mapping[str, ModelLook], paths: Sequence[str]) -> str:
    """What was staged, and no node has any more: what brings it back, with the records in the way or without."""
    repo, revision = model["repo"], model["revision"] or manifest["revision"]
    whole = next((name for name, info in infos.items() if info["files"] and not info["problems"]), "")
    adopt = f"stage.yml -e model={repo}" + (f" -e revision={revision}" if revision else "") + " -e adopt=true"
    ways = [f"Name a folder on the control node in gx10_weights_sources ({{{repo}: FOLDER}}), or put the files on one node"]
    if whole:
        ways.append(f"{adopt} takes what {whole} has as the new truth, without them")
    elif revision:
        ways.append(f"{adopt} downloads revision {revision} anew")
    found = f"{len(paths)} of {len(manifest['files'])} files on no node ({_few(paths)})"
    return f"weights {repo}: found {found}; wanted each on at least one, as they were staged. {'; '.join(ways)}."
