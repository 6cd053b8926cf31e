# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What has to be done for every node to have the plan's image. Pure. PRIVATE to the collection.

`looks` is everywhere by node.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import TypedDict

from ..node._docker import forgotten
from ..node._types import DockerImage, File, Images, Kept, Tagged
from ..plan._context import Context
from ..plan._types import Definition, Image
from ._actions import Action, action
from ._fanout import size_text
from ._image import Recovery, foreign, recovery, room, unheld_base

PHASE = "image"
CONTEXT, BASE = "gx10.serving.context", "gx10.serving.base"


@dataclasses.dataclass(frozen=True)
class Wish:
    """What a verb wants of the image. `wanted`: this ID, whatever its inputs are; `keep`: images of a name per node.

    `pull_base`: a base that is another one than recorded is meant.
    """

    targets: Sequence[str]
    keep: int
    build: bool = True
    promote: bool = True
    wanted: str = ""
    archive: str = ""
    pull_base: bool = False


class Asked(TypedDict):
    """The option `images` of module world_info."""

    store: str
    references: list[str]
    containers: list[str]
    names: list[str]


class Build(TypedDict):
    build: bool
    verify: bool


class ImageDecision(TypedDict):
    """`id` is the image's in the end, empty where only a build will tell; `builds`: by definition; `send`: nodes; `forget`:
    references by node; `good`: actions that wait for the gate, and bring no image; `keepers`: by node what its containers keep
    now; `contexts`: what it was decided on."""

    id: str
    restore: Recovery
    builds: dict[str, Build]
    send: list[str]
    forget: dict[str, list[str]]
    keep_archive: bool
    good: list[Action]
    keepers: dict[str, dict[str, str]]
    contexts: dict[str, Context]
    problems: list[str]
    actions: list[Action]


def verified(definition: Definition) -> str:
    """The tag that records a verification: it points to the image that passed, and names what was expected of it."""
    text = json.dumps(definition["expect"])
    return f"{definition['name']}:verified-{hashlib.sha256(text.encode()).hexdigest()[:12]}"


def keepers(name: str) -> list[str]:
    """The containers that are never started and keep an image from a prune: of the last good one, and of the one before."""
    return [f"gx10-keep-{name}-{which}" for which in ("last", "previous")]


def asked(image: Image, state_dir: str, wanted: str = "") -> Asked:
    """What to look for on every node."""
    chain = [*image["lineage"], image]
    references = [reference for item in chain for reference in (item["reference"], item["base"], verified(item))]
    return {
        "store": f"{state_dir}/registry",
        "references": list(dict.fromkeys(text for text in (image["reference"], wanted, *references) if text)),
        "containers": keepers(image["name"]),
        "names": [image["name"]],
    }


def decide(
    image: Image,
    looks: Mapping[str, Images],
    contexts: Mapping[str, Context],
    archived: Sequence[Kept],
    wish: Wish,
) -> ImageDecision:
    """`contexts`: by definition; `archived`: what the archive keeps."""
    builder, name, reference = image["builder"], image["name"], image["reference"]
    look = looks[builder]
    now = look["images"].get(reference)
    context = contexts[name]["context"]
    # A restore brings back what is tagged, whatever the definition says by now.
    peers = [each["images"][reference] for each in looks.values() if reference in each["images"]]
    tagged = now or next((item for item in peers if item["architecture"] in ("", look["architecture"])), None)
    wanted = wish.wanted or (tagged["id"] if tagged and not wish.build else "")
    other = tagged is not None and tagged["labels"].get(CONTEXT, context) != context
    stale = now is not None and other
    lost = now is None or (bool(wanted) and now["id"] != wanted) or (wish.promote and not wanted and stale)
    identity = {"image": wanted} if wanted else {CONTEXT: context} if contexts[name]["dockerfile"] else {}
    restore: Recovery = recovery(looks, archived, builder, image, identity) if lost else {}
    actions: list[Action] = []
    problems: list[str] = []
    if restore:
        actions.append(action(PHASE, builder, "restore", f"bring {reference} back from {_place(restore, builder)}: {_why(now, wish)}"))
    elif lost and not wish.build:
        problems.append(_nowhere(image, look["architecture"], looks, archived, wish, wanted))
    # Whoever pulled a base asks of the lowest definition whether it is another one now.
    outdated = wish.build and not restore and (now is None or stale or wish.pull_base)
    builds: dict[str, Build] = {}
    for item in [*image["lineage"], image] if outdated else [image]:
        if not wish.build or (restore and item is image):
            build, why = False, ""
        else:
            why = _build(item, look, contexts, builds)
            build = bool(why)
        found = restore["image"] if restore and item is image else _id(look, item["reference"])
        proven = _id(look, verified(item))
        # What is tagged of other inputs was verified as that: the definition of now says nothing of it.
        unproven = bool(found) and found != proven and (wish.build or bool(wish.wanted) or not other)
        builds[item["name"]] = {"build": build, "verify": build or unproven}
        if build:
            problems += _unbuildable(item, look, contexts[item["name"]], builder) + _unheld(item, look, contexts, wish)
            actions.append(action(PHASE, builder, "build", f"build {item['reference']}: {why}"))
        if builds[item["name"]]["verify"]:
            actions.append(action(PHASE, builder, "verify", f"verify {item['reference']} in a throwaway container"))
    built = builds[name]["build"]
    identifier = "" if built else restore["image"] if restore else _id(look, reference)
    layers = restore["layers"] if restore else now["layers"] if now else []
    there = {"architecture": restore["architecture"] if restore else now["architecture"] if now else ""}
    files = _files(look, restore, identifier)
    send: list[str] = []
    forget: dict[str, list[str]] = {}
    for node in dict.fromkeys([builder, *wish.targets]):
        if not built and identifier:
            problems += foreign(there, reference, looks[node], node)
        here = looks[node]["images"].get(reference)
        if node != builder and (not identifier or here is None or (here["id"], here["layers"]) != (identifier, layers)):
            send.append(node)
            actions.append(action(PHASE, node, "send", f"bring {_parts(files, looks[node])}: {_state(here, identifier)}"))
        comes = node in send or (node == builder and (built or bool(restore)))
        moved = reference if wish.promote or not built else f"{name}:candidate"
        tags = forgotten(_left(looks[node]["tags"], moved if comes else ""), name, reference.rpartition(":")[2], wish.keep)
        # Until a candidate is promoted, all may have to be as before.
        if tags and (wish.promote or not built):
            forget[node] = tags
            actions.append(action(PHASE, node, "forget", f"remove {', '.join(tags)}: more than the {wish.keep} newest"))
    kept = next((item["digest"] for item in look["kept"] if identifier and item["image"] == identifier and item["complete"]), "")
    digest = restore.get("digest", "") if restore and not built else kept
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
        "good": [
            action(PHASE, node, "good", f"keep the image as the last good one: {why}")
            for node in wish.targets
            if (why := _not_good(looks[node], name, identifier))
        ],
        "keepers": {node: dict(looks[node]["containers"]) for node in wish.targets},
        "contexts": dict(contexts),
        "problems": problems,
        "actions": actions,
    }


def _left(tags: Sequence[Tagged], moved: str) -> list[Tagged]:
    """What is there already, once the tag `moved` names the image that comes."""
    return [{**item, "tags": [one for one in item["tags"] if one != moved]} for item in tags]


def _id(look: Images, reference: str) -> str:
    """The image's ID on a node; empty if it is not there."""
    return look["images"][reference]["id"] if reference in look["images"] else ""


def _why(now: DockerImage | None, wish: Wish) -> str:
    if now is None:
        return "Docker has it no more"
    return "another one is tagged" if wish.wanted else "what is tagged has other inputs"


def _place(restore: Recovery, builder: str) -> str:
    if not restore["node"]:
        return "the archive"
    kind = "Docker" if restore["ingest"] else "layers"
    return f"its own {kind}" if restore["node"] == builder else f"the {kind} of {restore['node']}"


def _nowhere(image: Image, machine: str, looks: Mapping[str, Images], archived: Sequence[Kept], wish: Wish, wanted: str) -> str:
    """Where it was looked for, and what is there instead."""
    where = f"image {image['reference']}{' with ID ' + wanted if wanted else ''}"
    places = {**{f"the layers of {name}": look["kept"] for name, look in looks.items()}, "the archive": archived}
    fits = ("", machine)
    others = [
        place
        for place, items in places.items()
        if any(item["name"] == image["name"] and item["complete"] and item["architecture"] in fits for item in items)
    ]
    if others and not wanted:
        hint = f"Put {image['folder']} back as it was when they were built, or serve.yml builds it as it is now."
        return f"{where}: found it of other inputs only, in {', '.join(others)}; wanted one of the inputs of {image['folder']}. {hint}"
    found = f"neither in Docker nor as layers on any node, nor in the archive ({wish.archive or 'there is none'}), for {machine}"
    hint = "Choose another one." if wish.wanted else "serve.yml builds it again."
    return f"{where}: found it {found}; wanted it in one of them. {hint}"


def _build(item: Definition, look: Images, contexts: Mapping[str, Context], below: Mapping[str, Build]) -> str:
    """Why a definition has to be built; empty if it is as its inputs say. One without our label was built elsewhere: never replaced."""
    tagged = look["images"].get(item["reference"])
    context = contexts[item["name"]]["context"]
    base = _id(look, item["base"] or "")
    if not tagged:
        return "it is not there"
    if tagged["labels"].get(CONTEXT, context) != context:
        return "its inputs are others now"
    if base and tagged["labels"].get(BASE, base) != base:
        return f"{item['base']} is another one now"
    under = below.get(str(item["base"]).partition(":")[0])
    if under and under["build"]:
        return f"{item['base']} is built again"
    return ""


def _unbuildable(item: Definition, look: Images, context: Context, builder: str) -> list[str]:
    """Every reason why a definition cannot be built on the build host."""
    where, absent = f"image {item['reference']}", [*(f"no wheel {name}" for name in context["missing"]), *context["altered"]]
    if absent:
        hint = f"Run tools/fetch-wheels {item['name']}" if item["requirements"] else "Put them there"
        found = f"neither the image on {builder} nor what it is built from: {'; '.join(absent)} (in {context['wheels']})"
        return [f"{where}: found {found}; wanted the wheels as image.yml pins them. {hint}, or load the image on {builder}."]
    if not context["dockerfile"]:
        found = f"neither the image on {builder} nor a Dockerfile in {context['definition']}"
        hint = f"docker pull {item['reference']} on {builder} (or docker load), then run again."
        return [f"{where}: found {found}; wanted one of them. {hint}"]
    base = item["base"]
    below = look["images"].get(base) if base else None
    return room(context, item, look["disk"], builder) + (foreign(below, base, look, builder) if base and below else [])


def _unheld(item: Definition, look: Images, contexts: Mapping[str, Context], wish: Wish) -> list[str]:
    """What was recorded of the first build, and cannot be read, or is another one now."""
    held, base = contexts[item["name"]].get("held"), item["base"]
    if not held:
        return []
    if held["problem"]:
        hint = "Restore it, or remove it: then what is there is recorded anew."
        return [f"image {item['reference']}: {held['problem']}; wanted the record of a first build. {hint}"]
    return [] if wish.pull_base else unheld_base(held, item, _id(look, base or ""))


def _files(look: Images, restore: Recovery, identifier: str) -> list[File]:
    """The image as files, as far as anybody knows before it is taken apart."""
    if restore:
        return restore["files"]
    return next((item["files"] for item in look["kept"] if identifier and item["image"] == identifier and item["complete"]), [])


def lacking(files: Sequence[File], look: Images) -> list[str]:
    """Paths of an image's files that a node does not have."""
    return [item["path"] for item in files if look["blobs"].get(item["path"]) != item["size"]]


def _parts(files: Sequence[File], look: Images) -> str:
    if not files:
        return "what it lacks of the image"
    sizes = {item["path"]: item["size"] for item in files}
    brought = lacking(files, look)
    total = sum(sizes[path] for path in brought)
    return f"{len(brought)} of {len(files)} files, {size_text(total)}" if brought else "the image from its own layers"


def _state(here: DockerImage | None, identifier: str) -> str:
    if here is None:
        return "Docker does not have it"
    return f"Docker has another one ({here['id'][7:19]})" if identifier else "it will be another one"


def _not_good(look: Images, name: str, identifier: str) -> str:
    """Why the image is not kept as the last good one, container and tag; empty if it is."""
    keeper, tag = keepers(name)[0], f"{name}:last-good"
    kept = look["containers"].get(keeper)
    if not identifier:
        return "it will be another one"
    if kept != identifier:
        return f"{keeper} keeps {kept[7:19]}" if kept else f"no container {keeper}"
    tags: Sequence[str] = next((item["tags"] for item in look["tags"] if item["id"] == identifier), [])
    return "" if tag in tags else f"{tag} does not name it"
