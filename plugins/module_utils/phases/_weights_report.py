# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Weights on nodes: is there room, what lies where, is it as it was staged, may it go? Pure. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from ..common._problem import Problem, nearest
from ..node import _manifest
from ..node._types import Engine, File, Manifest, Models, Staged
from ..plan._types import Weights, WeightsModel
from ._fanout import size_text
from ._gate import check
from ._types import Check

# Beyond the files themselves: the file system's own needs.
MARGIN = 1.02
# File systems that are no place for 400 GB: gone after a boot, or over a network that serving would then depend on.
UNFIT = ("tmpfs", "ramfs", "nfs", "nfs4", "cifs", "fuse.sshfs")


class Verdict(TypedDict):
    ok: bool
    checks: list[Check]


def room(name: str, model: WeightsModel, lacking: Sequence[File], look: Models) -> list[str]:
    """Why a node cannot take the files it lacks, with numbers; empty if it can."""
    if not lacking:
        return []
    disk = look["disk"]
    problems = []
    # What an interrupted run brought is on the disk already.
    staged = sum(item["staged"] for item in look["models"] if item["name"] == model["repo"])
    needed = max(0, sum(item["size"] for item in lacking) - staged) * MARGIN
    if disk["read_only"]:
        problems.append(
            Problem(name, disk["mount"], "a read-only mount", "a writable one", f"mount -o remount,rw {disk['mount']}", code="not-writable")
        )
    elif not disk["writable"]:
        problems.append(
            Problem(
                name,
                disk["path"],
                f"a folder that {look['user']} cannot write",
                "a writable one",
                "Check its owner and mode.",
                code="not-writable",
            )
        )
    if disk["type"] in UNFIT:
        problems.append(
            Problem(
                name,
                disk["mount"],
                f"file system {disk['type']}",
                "a local disk",
                "Set gx10_models_root to a folder on one.",
                code="unfit-disk",
            )
        )
    if disk["free"] < needed:
        found, wanted = f"{size_text(disk['free'])} free", f"{size_text(needed)} for {len(lacking)} files"
        problems.append(Problem(name, disk["mount"], found, wanted, removable(model["repo"], look), code="too-little-room"))
    return [str(problem) for problem in problems]


def removable(repo: str, look: Models) -> str:
    """What a person could remove to make room; nothing is removed unless it is named on the command line."""
    others = [item for item in look["models"] if item["name"] != repo and item["bytes"]]
    items = [(f"{item['path']} ({size_text(item['bytes'])}{'' if item['whole'] else ', not whole'})", item["bytes"]) for item in others]
    items += [(f"{item['path']} ({size_text(item['bytes'])}, hub cache)", item["bytes"]) for item in look["caches"]]
    if not items:
        return "Nothing else of ours is there to remove: free space on that disk."
    named = ", ".join(text for text, _size in sorted(items, key=lambda pair: -pair[1])[:6])
    return f"Could be removed: {named}. remove_weights.yml -e model=ORG/NAME removes a model."


def overview(looks: Mapping[str, Models], missing: Sequence[str] = ()) -> str:
    """Which model is on which node, as a table for people; by names and sizes, no content is read.

    `looks`: by node that answered; `missing`: nodes that did not.
    """
    rows = [("node", "model", "size", "state")]
    for name, look in looks.items():
        for item in look["models"]:
            state = "whole" if item["whole"] else "partial: " + _first(item["problems"])
            state += f", manifest {item['manifest'][7:19]}" if item["manifest"] else ", no manifest"
            if item["differing"]:
                state += ", differs from it: " + _first(item["differing"])
            if item["unknown"]:
                state += ", unknown: " + _first(item["unknown"])
            if item["staged"]:
                state += f", {size_text(item['staged'])} in staging"
            rows.append((name, item["name"], size_text(item["bytes"]), state))
        rows += [(name, cache["name"], size_text(cache["bytes"]), "hub cache") for cache in look["caches"]]
        disk = look["disk"]
        rows.append((name, "", f"{size_text(disk['free'])} free", f"of {size_text(disk['size'])} on {disk['mount']} ({disk['type']})"))
    rows += [(name, "", "unknown", "no answer; is it powered on, does ssh work?") for name in missing]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    return "\n".join("  ".join([*(row[c].ljust(widths[c]) for c in range(3)), row[3]]).rstrip() for row in rows)


def _first(texts: Sequence[str]) -> str:
    """The first of several texts, and how many more there are."""
    return texts[0] + (f" (and {len(texts) - 1} more)" if len(texts) > 1 else "")


def removal_problems(
    repo: str,
    confirm: str,
    targets: Sequence[str],
    looks: Mapping[str, Models],
    missing: Sequence[str],
    serving: Sequence[str],
    elsewhere: bool,
) -> list[str]:
    """Why a model may not be removed from `targets`. `looks`: by node that answered; `missing`: those that did not;
    `serving`: nodes whose engine uses it; `elsewhere`: the control node has a whole source of it."""
    problems = []
    if confirm != repo:
        problems.append(
            Problem(
                "command line",
                "confirm",
                repr(confirm),
                repr(repo),
                "Say the name twice: nothing is removed by mistake.",
                code="not-confirmed",
            )
        )
    have = {name: [item for item in look["models"] if item["name"] == repo] for name, look in looks.items()}
    nodes = [*looks, *missing]
    unknown = [name for name in targets if name not in nodes]
    for name in unknown:
        problems.append(
            Problem("command line", "only", repr(name), f"one of {', '.join(nodes)}", nearest(name, nodes), code="not-a-choice")
        )
    holders = [name for name, items in have.items() if items]
    if not holders:
        known = sorted({item["name"] for look in looks.values() for item in look["models"]})
        problems.append(
            Problem("command line", "model", repr(repo), "one that is there: " + (", ".join(known) or "none is"), code="not-a-choice")
        )
    elif not unknown and not set(targets) & {*holders, *missing}:
        problems.append(
            Problem("command line", "only", ", ".join(targets), f"a node that has {repo}: {', '.join(holders)}", code="not-a-choice")
        )
    whole = [name for name, items in have.items() if items and items[0]["whole"]]
    if whole and not set(whole) - set(targets) and not elsewhere:
        hint = "Name fewer nodes with -e only=NODE, or keep a whole copy on the control node and name it in gx10_weights_sources."
        problems.append(Problem(repo, "copies", f"no whole one but on {', '.join(whole)}", "one that stays", hint, code="last-copy"))
    for name in serving:
        if name in targets:
            problems.append(
                Problem(name, "engine", f"a running one that uses {repo}", "none", "ansible-playbook stop.yml first.", code="in-use")
            )
    problems += [Problem(name, "node", "no answer", "all nodes, to know that a copy stays", code="no-answer") for name in missing]
    return [str(problem) for problem in problems]


def node_checks(model: WeightsModel, manifest: Manifest | None, infos: Mapping[str, Staged]) -> list[Check]:
    """One check per node for verify_weights: are the files the manifest's, all of them, and no others?"""
    checks = []
    for name, info in infos.items():
        if manifest is None:
            found = "; ".join(info["problems"]) or "a whole checkpoint, but no manifest"
            wanted, good = "a manifest to compare with", False
        else:
            bad = [f"{item['path']}: {item['why']}" for item in _manifest.compare(manifest, info)]
            bad += [f"{path}: unknown to the manifest" for path in _manifest.unknown(manifest, info)]
            found = "; ".join(bad) or f"{len(info['files'])} files, {size_text(info['size'])}"
            wanted, good = manifest["hash"], not bad
        hint = f"stage.yml -e model={model['repo']} brings the right files; unknown ones are yours to remove."
        checks.append(check(f"weights {model['repo']}", name, good, found, wanted, hint))
    return checks


def verdict(document: Weights, hostvars: Mapping[str, Any]) -> Verdict:
    """verify_weights. `hostvars` hold `verify_info`, module manifest_info per model, of the nodes that answered."""
    checks: list[Check] = []
    names = [node["name"] for node in document["nodes"]]
    for number, model in enumerate(document["models"]):
        infos = {}
        for name in names:
            results = (hostvars[name].get("verify_info") or {}).get("results") or []
            if len(results) > number and "files" in results[number]:
                infos[name] = results[number]
        recorded = next((info["recorded"] for info in infos.values() if info["recorded"]), None)
        checks += node_checks(model, recorded, infos)
        checks += [check(f"weights {model['repo']}", name, False, "no answer", "an answer over SSH") for name in names if name not in infos]
    return {"ok": all(item["ok"] for item in checks), "checks": checks}


def users(infos: Mapping[str, Engine], repo: str) -> list[str]:
    """Nodes whose running engine uses a model, as far as anybody knows."""
    using = []
    for name, info in infos.items():
        models = _recorded(info["record"])
        if any(item["running"] for item in info["containers"]) and (models is None or repo in models):
            using.append(name)
    return using


def _recorded(record: Any) -> list[str] | None:
    """The models of a record of any release; None where it does not say."""
    try:
        return [model["repo"] for model in record["plan"]["weights"]["models"]]
    except (KeyError, TypeError):
        return None
