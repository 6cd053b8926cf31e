# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done for every node to have the plan's image. Pure. PRIVATE to the collection.

`looks` is everywhere the part `images` of module world_info, by node.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..node._docker import forgotten
from ._actions import Action, action
from ._fanout import size_text
from ._image import foreign, recovery, room

PHASE = "image"
CONTEXT, BASE = "gx10.serving.context", "gx10.serving.base"


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a verb wants of the image. `wanted`: this ID, whatever its inputs are; `keep`: images of a name per node."""

    targets: Sequence[str]
    keep: int
    build: bool = True
    promote: bool = True
    wanted: str = ""
    archive: str = ""


def verified(definition: Mapping[str, Any]) -> str:
    """The tag that records a verification: it points to the image that passed, and names what was expected of it."""
    text = json.dumps(definition["expect"])
    return f"{definition['name']}:verified-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def keepers(name: str) -> list[str]:
    """The containers that are never started and keep an image from a prune: of the last good one, and of the one before."""
    return [f"gx10-keep-{name}-{which}" for which in ("last", "previous")]


def asked(image: Mapping[str, Any], state_dir: str, wanted: str = "") -> dict[str, Any]:
    """What to look for on every node: the option `images` of module world_info."""
    chain = [*image["lineage"], image]
    references = [reference for item in chain for reference in (item["reference"], item["base"], verified(item))]
    return {
        "store": f"{state_dir}/registry",
        "references": list(dict.fromkeys(text for text in (image["reference"], wanted, *references) if text)),
        "containers": keepers(image["name"]),
        "name": image["name"],
    }


def decide(
    image: Mapping[str, Any],
    looks: Mapping[str, Any],
    contexts: Mapping[str, Any],
    archived: Sequence[Mapping[str, Any]],
    wish: Wish,
) -> dict[str, Any]:
    """Return {"id", "restore", "builds", "send", "forget", "keep_archive", "good", "problems", "actions"}.

    `image`: of a launch plan; `contexts`: lookup image_context; `archived`: what the archive keeps. `id` is the image's in the end,
    "" where only a build will tell; `restore` as `_image.recovery`; `builds`: by definition {"build", "verify"}; `send` and `good`:
    nodes; `forget`: references by node.
    """
    builder, name, reference = image["builder"], image["name"], image["reference"]
    look = looks[builder]
    now = look["images"].get(reference, {})
    context = contexts[name]["context"]
    stale = now.get("labels", {}).get(CONTEXT, context) != context
    lost = not now or (bool(wish.wanted) and now["id"] != wish.wanted) or (wish.promote and not wish.wanted and stale)
    identity = {"image": wish.wanted} if wish.wanted else {CONTEXT: context} if contexts[name]["dockerfile"] else {}
    restore = recovery(looks, archived, builder, image, identity) if lost else {}
    actions: list[Action] = []
    problems: list[str] = []
    if restore:
        actions.append(action(PHASE, builder, "restore", f"bring {reference} back from {_place(restore, builder)}: {_why(now, wish)}"))
    elif lost and not wish.build:
        problems.append(_nowhere(reference, wish))
    outdated = wish.build and not restore and (not now or stale)
    builds: dict[str, dict[str, bool]] = {}
    for item in [*image["lineage"], image] if outdated else [image]:
        if not wish.build or (restore and item is image):
            build, why = False, ""
        else:
            why = _build(item, look, contexts, builds)
            build = bool(why)
        found = restore["image"] if restore and item is image else look["images"].get(item["reference"], {}).get("id")
        proven = look["images"].get(verified(item), {}).get("id")
        builds[item["name"]] = {"build": build, "verify": build or (bool(found) and found != proven)}
        if build:
            problems += _unbuildable(item, look, contexts[item["name"]], builder)
            actions.append(action(PHASE, builder, "build", f"build {item['reference']}: {why}"))
        if builds[item["name"]]["verify"]:
            actions.append(action(PHASE, builder, "verify", f"verify {item['reference']} in a throwaway container"))
    built = builds[name]["build"]
    identifier = "" if built else restore["image"] if restore else now.get("id", "")
    layers = restore["layers"] if restore else now.get("layers", [])
    there = {"id": identifier, "layers": layers, "architecture": now.get("architecture", "")}
    files = _files(look, restore, identifier)
    send, forget = [], {}
    for node in dict.fromkeys([builder, *wish.targets]):
        if not built and identifier:
            problems += foreign(there, reference, looks[node], node)
        here = looks[node]["images"].get(reference, {})
        if node != builder and (not identifier or (here.get("id"), here.get("layers")) != (identifier, layers)):
            send.append(node)
            actions.append(action(PHASE, node, "send", f"bring {_parts(files, looks[node])}: {_state(here, identifier)}"))
        tags = forgotten(looks[node]["tags"], name, reference.rpartition(":")[2], wish.keep)
        if tags:
            forget[node] = tags
            actions.append(action(PHASE, node, "forget", f"remove {', '.join(tags)}: more than the {wish.keep} newest"))
    digest = next((item["digest"] for item in look["kept"] if identifier and item["image"] == identifier and item["complete"]), "")
    keep_archive = bool(wish.archive) and digest not in [item["digest"] for item in archived if item["complete"]]
    if keep_archive and (identifier or built):
        actions.append(action(PHASE, builder, "archive", f"keep a verified copy in {wish.archive}"))
    return {
        "id": identifier,
        "restore": restore,
        "builds": builds,
        "send": send,
        "forget": forget,
        "keep_archive": keep_archive,
        "good": [node for node in wish.targets if not _is_good(looks[node], name, identifier)],
        "problems": problems,
        "actions": actions,
    }


def _why(now: Mapping[str, Any], wish: Wish) -> str:
    if not now:
        return "Docker has it no more"
    return "another one is tagged" if wish.wanted else "what is tagged has other inputs"


def _place(restore: Mapping[str, Any], builder: str) -> str:
    if not restore["node"]:
        return "the archive"
    kind = "Docker" if restore["ingest"] else "layers"
    return f"its own {kind}" if restore["node"] == builder else f"the {kind} of {restore['node']}"


def _nowhere(reference: str, wish: Wish) -> str:
    where = f"image {reference}{' with ID ' + wish.wanted if wish.wanted else ''}"
    found = f"neither in Docker nor as layers on any node, nor in the archive ({wish.archive or 'there is none'})"
    hint = "Choose another one." if wish.wanted else "serve.yml builds it again."
    return f"{where}: found it {found}; wanted it in one of them. {hint}"


def _build(item: Mapping[str, Any], look: Mapping[str, Any], contexts: Mapping[str, Any], below: Mapping[str, Mapping[str, bool]]) -> str:
    """Why a definition has to be built; empty if it is as its inputs say. One without our label was built elsewhere: never replaced."""
    tagged = look["images"].get(item["reference"], {})
    context = contexts[item["name"]]["context"]
    base = look["images"].get(item["base"] or "", {}).get("id", "")
    if not tagged:
        return "it is not there"
    if tagged["labels"].get(CONTEXT, context) != context:
        return "its inputs are others now"
    if base and tagged["labels"].get(BASE, base) != base:
        return f"{item['base']} is another one now"
    if below.get(str(item["base"]).partition(":")[0], {}).get("build"):
        return f"{item['base']} is built again"
    return ""


def _unbuildable(item: Mapping[str, Any], look: Mapping[str, Any], context: Mapping[str, Any], builder: str) -> list[str]:
    """Every reason why a definition cannot be built on the build host."""
    where, lacking = f"image {item['reference']}", [*(f"no wheel {name}" for name in context["missing"]), *context["altered"]]
    if lacking:
        hint = f"Run tools/fetch-wheels {item['name']}" if item["requirements"] else "Put them there"
        found = f"neither the image on {builder} nor what it is built from: {'; '.join(lacking)} (in {context['wheels']})"
        return [f"{where}: found {found}; wanted the wheels as image.yml pins them. {hint}, or load the image on {builder}."]
    if not context["dockerfile"]:
        found = f"neither the image on {builder} nor a Dockerfile in {context['definition']}"
        hint = f"docker pull {item['reference']} on {builder} (or docker load), then run again."
        return [f"{where}: found {found}; wanted one of them. {hint}"]
    base = look["images"].get(item["base"] or "", {})
    return room(context, item, look["disk"], builder) + (foreign(base, item["base"], look, builder) if base else [])


def _files(look: Mapping[str, Any], restore: Mapping[str, Any], identifier: str) -> list[Mapping[str, Any]]:
    """The image as files, as far as anybody knows before it is taken apart."""
    if restore:
        return list(restore["files"])
    return next((list(item["files"]) for item in look["kept"] if identifier and item["image"] == identifier and item["complete"]), [])


def _parts(files: Sequence[Mapping[str, Any]], look: Mapping[str, Any]) -> str:
    lacking = [item["size"] for item in files if look["blobs"].get(item["path"]) != item["size"]]
    if not files:
        return "what it lacks of the image"
    return f"{len(lacking)} of {len(files)} files, {size_text(sum(lacking))}" if lacking else "the image from its own layers"


def _state(here: Mapping[str, Any], identifier: str) -> str:
    if not here:
        return "Docker does not have it"
    return f"Docker has another one ({here['id'][7:19]})" if identifier else "it will be another one"


def _is_good(look: Mapping[str, Any], name: str, identifier: str) -> bool:
    """Is the image kept as the last good one, container and tag?"""
    tags: Sequence[str] = next((item["tags"] for item in look["tags"] if item["id"] == identifier), [])
    return bool(identifier) and look["containers"].get(keepers(name)[0]) == identifier and f"{name}:last-good" in tags
