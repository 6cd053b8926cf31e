# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is an image what its definition says, and where does a lost one come from? PRIVATE to the collection."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Literal, TypedDict

from ..common._problem import Problem, show
from ..node._types import Disk, DockerImage, File, Images, Kept
from ..plan import _floors, _pins
from ..plan._context import Context
from ..plan._profile_types import ImageExpect
from ..plan._types import Definition

# A key that is absent in `expect` was never recorded for this image; null is a CPU build.
PINNED: tuple[tuple[Literal["torch", "cuda"], str], ...] = (("torch", "torch.__version__"), ("cuda", "torch.version.cuda"))


class Recovery(TypedDict, total=False):
    """Where a lost image comes from; empty: from nowhere. `node` is empty for the archive; `ingest`: from Docker there."""

    node: str
    ingest: bool
    image: str
    digest: str
    files: list[File]
    layers: list[str]
    architecture: str


def problems(evidence: Mapping[str, Any], expect: ImageExpect, rebuild: str, where: str, gpu: bool = False) -> list[str]:
    """Compare what a throwaway container printed (roles/image/files/inspect_image.py) with image.yml's `expect`; `gpu`: it had one."""
    # ansible-core itself depends on packaging.
    from packaging.specifiers import SpecifierSet

    found: list[Problem] = []
    for key, label in PINNED:
        if key in expect and evidence.get(key) != expect[key]:
            found.append(Problem(where, label, show(evidence.get(key)), show(expect[key]), rebuild, code="other-version"))
    for name in expect["imports"]:
        error = evidence.get("imports", {}).get(name, "not tried")
        if error:
            found.append(Problem(where, f"import {name}", error, "no error", rebuild, code="no-import"))
    for name, specifier in expect.get("versions", {}).items():
        version = evidence.get("versions", {}).get(name)
        if version is None or not SpecifierSet(specifier).contains(version, prereleases=True):
            found.append(Problem(where, f"version of {name}", version or "not installed", specifier, rebuild, code="other-version"))
    # What the image really has, where its definition says that it is used: image.yml may ask for no version.
    for name in sorted({*expect["imports"], *expect.get("versions", {})} & {floor.name for floor in _floors.FLOORS}):
        version = evidence.get("packages", {}).get("python", {}).get(name) or evidence.get("versions", {}).get(name) or ""
        floor = _floors.below(name, version)
        if floor:
            hint = f"Reason: {floor.because}."
            found.append(Problem(where, f"version of {name}", version, f"{floor.version} or newer", hint, code="below-floor"))
    if "nccl" in expect and not SpecifierSet(expect["nccl"]).contains(evidence.get("nccl") or "0", prereleases=True):
        where_from = f"{evidence.get('nccl') or 'none'} at {evidence.get('nccl_path') or 'no path'}"
        found.append(Problem(where, "NCCL that torch loads", where_from, expect["nccl"], rebuild, code="other-version"))
    # An image for CPUs may run on a node with a GPU.
    if gpu and expect.get("cuda", "any") is not None and evidence.get("gpu") is not True:
        found.append(Problem(where, "torch.cuda.is_available()", show(evidence.get("gpu")), "True", rebuild, code="no-gpu"))
    return [str(problem) for problem in found]


def foreign(image: Mapping[str, Any], reference: str, info: Images, node: str) -> list[str]:
    """Is an image of another architecture than the node where it shall run? One text, or none.

    `image`: of module world_info, on whichever node has it; empty, or without an architecture: unknown. `info`: the same on `node`.
    """
    found, wanted = image.get("architecture"), info["architecture"]
    if not found or found == wanted:
        return []
    hint = f"Build it on a node that is {wanted} (gx10_build_host), or docker pull --platform linux/{wanted} {reference} on {node}."
    return [str(Problem(f"{node}: image {reference}", "architecture", found, wanted, hint, code="other-architecture"))]


def room(context: Context, definition: Definition, disk: Mapping[str, Disk], node: str) -> list[str]:
    """Is there room for a build? One text per file system that is too small, with numbers.

    `context`: of this definition; `disk`: store and docker. The wheels are copied below the state folder, and what
    a build adds goes to Docker's: `size_gib` of the definition, else four times the wheels (measured: 3.8 for the virtual cluster's image).
    """
    wanted = {"store": context["size"], "docker": int(definition["size_gib"] * 2**30) if definition["size_gib"] else 4 * context["size"]}
    needs = {key: size for key, size in wanted.items() if key in disk}
    if len(needs) == 2 and disk["store"]["device"] == disk["docker"]["device"]:
        needs = {"docker": sum(needs.values())}
    return [
        f"{node}: {disk[key]['path']}: found {disk[key]['free'] / 2**30:.2f} GiB free; wanted {size / 2**30:.2f} GiB to build "
        f"{definition['reference']}. docker system df shows what takes the room."
        for key, size in needs.items()
        if disk[key]["free"] < size
    ]


def recovery(
    infos: Mapping[str, Images], archived: Sequence[Kept], builder: str, definition: Definition, wanted: Mapping[str, str]
) -> Recovery:
    """Where a lost image can come from.

    `archived`: what the archive keeps; `wanted`: {"image": ID} or labels that it must have. In order: what the builder keeps as layers,
    what a peer keeps, what a node's Docker has, the archive. One that is known to be of another architecture than the builder is passed by.
    """
    machine = infos[builder]["architecture"]

    def fits(image: str, item: Kept | DockerImage) -> bool:
        named = all((image if key == "image" else item["labels"].get(key)) == value for key, value in wanted.items())
        return named and item["architecture"] in ("", machine)

    order = sorted(infos, key=lambda name: name != builder)
    places = [(name, item) for name in order for item in infos[name]["kept"]]
    for name, item in places:
        if item["name"] == definition["name"] and item["complete"] and fits(item["image"], item):
            return _layers(name, item)
    for name in order:
        for there in infos[name]["images"].values():
            if wanted and fits(there["id"], there):
                return {
                    "node": name,
                    "ingest": True,
                    "image": there["id"],
                    "digest": "",
                    "files": [],
                    "layers": there["layers"],
                    "architecture": there["architecture"],
                }
    for item in archived:
        if item["name"] == definition["name"] and item["complete"] and fits(item["image"], item):
            return _layers("", item)
    return {}


class Undo(TypedDict):
    """What makes a node's images what they were: IDs and references to tag and to take a tag from, images to forget as layers."""

    tag: list[Tag]
    untag: list[str]
    forget: list[Kept]


# Tags that a rebuild sets beside the definition's own: by inputs, and by what was verified.
OURS = re.compile(r"latest|verified-.+|[0-9a-f]{12}|candidate|rejected")


class Tag(TypedDict):
    id: str
    reference: str


def undo(names: Sequence[str], before: Images, after: Images) -> Undo:
    """What a rebuild has changed on a node, and that does not serve.

    `names`: of the definitions that it may have built; the references that were looked for, such as their bases, count too. Other tags of
    the same images are other people's.
    """
    then, now = _named(names, before), _named(names, after)
    known = [item["digest"] for item in before["kept"]]
    return {
        "tag": [{"id": identifier, "reference": reference} for reference, identifier in then.items() if now.get(reference) != identifier],
        "untag": [reference for reference in now if reference not in then],
        "forget": [item for item in after["kept"] if item["name"] in names and item["digest"] not in known],
    }


def _named(names: Sequence[str], look: Images) -> dict[str, str]:
    """IDs by reference, of the tags that a rebuild sets. One by digest cannot move; what failed a verification is kept to be looked at,
    and a candidate goes anyway."""
    found = {reference: item["id"] for reference, item in look["images"].items() if "@" not in reference}
    tagged = ((tag, item["id"], *tag.rpartition(":")[::2]) for item in look["tags"] for tag in item["tags"])
    found |= {tag: identifier for tag, identifier, name, last in tagged if name in names and OURS.fullmatch(last)}
    return {reference: identifier for reference, identifier in found.items() if not reference.endswith((":rejected", ":candidate"))}


def _layers(node: str, kept: Kept) -> Recovery:
    return {
        "node": node,
        "ingest": False,
        "image": kept["image"],
        "digest": kept["digest"],
        "files": kept["files"],
        "layers": kept["layers"],
        "architecture": kept["architecture"],
    }


def sbom(evidence: Mapping[str, Any], name: str, image: str) -> dict[str, Any]:
    """A CycloneDX 1.6 document of the packages that a throwaway container listed. Deterministic: no time, no random serial."""
    kinds = {"python": "pypi", "debian": "deb"}
    components = [
        {"type": "library", "name": package, "version": version, "purl": f"pkg:{kinds[kind]}/{package}@{version}"}
        for kind, packages in sorted(evidence.get("packages", {}).items())
        for package, version in sorted(packages.items())
    ]
    about = {"component": {"type": "container", "name": name, "version": image}}
    return {"bomFormat": "CycloneDX", "specVersion": "1.6", "version": 1, "metadata": about, "components": components}


def unheld_base(held: _pins.HeldImage, definition: Definition, found: str) -> list[str]:
    """Why a base is not the one that was used first; empty where it is, or nobody has it yet. `found`: its ID on the build host."""
    wanted = held["base"].get("id", "")
    if not found or held["base"].get("reference") != definition["base"] or found == wanted:
        return []
    hint = f"If that is meant: rebuild_nightly.yml -e pull_base=true, or remove base from {held['path']}."
    return [f"image {definition['reference']}: base {definition['base']}: found {found}; wanted {wanted}, as first used. {hint}"]


def pins(context: Context, definition: Definition, base: str) -> list[dict[str, str]]:
    """The record of a build that was verified, as files for the module node_files. `base`: its ID; empty where a definition made it."""
    return [_pins.image_file(definition["name"], context["held"], context["inputs"], definition["base"], base)]


def metadata(context: Context, definition: Definition, base: str, lineage: str) -> dict[str, Any]:
    """What /workspace/build-metadata.yaml says of a build; no time in it, so that the same inputs give the same layer."""
    return {
        "image": definition["reference"],
        "built_by": "gx10.serving",
        "base": {"reference": definition["base"], "id": base},
        "context": lineage,
        "expect": definition["expect"],
        "inputs": context["inputs"],
    }
