# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is an image what its definition says, and where does a lost one come from? PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..common._problem import Problem, show


def problems(evidence: Mapping[str, Any], expect: Mapping[str, Any], rebuild: str, where: str, gpu: bool = False) -> list[str]:
    """Compare what a throwaway container printed (roles/image/files/inspect_image.py) with image.yml's `expect`; `gpu`: it had one."""
    # ansible-core itself depends on packaging.
    from packaging.specifiers import SpecifierSet

    found: list[Problem] = []
    for key, label in (("torch", "torch.__version__"), ("cuda", "torch.version.cuda")):
        # Absent: nobody has recorded it for this image; null: a CPU build.
        if key in expect and evidence.get(key) != expect[key]:
            found.append(Problem(where, label, show(evidence.get(key)), show(expect[key]), rebuild))
    for name in expect["imports"]:
        error = evidence.get("imports", {}).get(name, "not tried")
        if error:
            found.append(Problem(where, f"import {name}", error, "no error", rebuild))
    for name, specifier in expect.get("versions", {}).items():
        version = evidence.get("versions", {}).get(name)
        if version is None or not SpecifierSet(specifier).contains(version, prereleases=True):
            found.append(Problem(where, f"version of {name}", version or "not installed", specifier, rebuild))
    if "nccl" in expect and not SpecifierSet(expect["nccl"]).contains(evidence.get("nccl") or "0", prereleases=True):
        where_from = f"{evidence.get('nccl') or 'none'} at {evidence.get('nccl_path') or 'no path'}"
        found.append(Problem(where, "NCCL that torch loads", where_from, expect["nccl"], rebuild))
    # An image for CPUs may run on a node with a GPU.
    if gpu and expect.get("cuda", "any") is not None and evidence.get("gpu") is not True:
        found.append(Problem(where, "torch.cuda.is_available()", show(evidence.get("gpu")), "True", rebuild))
    return [str(problem) for problem in found]


def foreign(image: Mapping[str, Any], reference: str, info: Mapping[str, Any], node: str) -> list[str]:
    """Is an image of another architecture than the node where it shall run? One text, or none.

    `image`: of module world_info, on whichever node has it; empty, or without an architecture: unknown. `info`: the same on `node`.
    """
    found, wanted = image.get("architecture"), info["architecture"]
    if not found or found == wanted:
        return []
    hint = f"Build it on a node that is {wanted} (gx10_build_host), or docker pull --platform linux/{wanted} {reference} on {node}."
    return [str(Problem(f"{node}: image {reference}", "architecture", found, wanted, hint))]


def room(context: Mapping[str, Any], definition: Mapping[str, Any], disk: Mapping[str, Any], node: str) -> list[str]:
    """Is there room for a build? One text per file system that is too small, with numbers.

    `context`: lookup image_context, of this definition; `disk`: module world_info. The wheels are copied below the state folder, and what
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
    infos: Mapping[str, Any], archived: Sequence[Mapping[str, Any]], builder: str, definition: Mapping[str, Any], wanted: Mapping[str, str]
) -> dict[str, Any]:
    """Where a lost image can come from; empty if from nowhere.

    `infos`: module world_info by node; `archived`: its `kept` of the archive; `wanted`: {"image": ID} or labels that it must have.
    In order: what the builder keeps as layers, what a peer keeps, what a node's Docker has, the archive. Returns {"node" (empty:
    the archive), "ingest" (from Docker), "image", "digest", "files", "layers"}.
    """

    def fits(image: str, labels: Mapping[str, str]) -> bool:
        return all((image if key == "image" else labels.get(key)) == value for key, value in wanted.items())

    order = sorted(infos, key=lambda name: name != builder)
    places = [(name, item) for name in order for item in infos[name]["kept"]]
    for name, item in places:
        if item["name"] == definition["name"] and item["complete"] and fits(item["image"], item["labels"]):
            return {
                "node": name,
                "ingest": False,
                "image": item["image"],
                "digest": item["digest"],
                "files": item["files"],
                "layers": item["layers"],
            }
    for name in order:
        for item in infos[name]["images"].values():
            if wanted and fits(item["id"], item["labels"]):
                return {"node": name, "ingest": True, "image": item["id"], "digest": "", "files": [], "layers": item["layers"]}
    for item in archived:
        if item["name"] == definition["name"] and fits(item["image"], item["labels"]):
            return {
                "node": "",
                "ingest": False,
                "image": item["image"],
                "digest": item["digest"],
                "files": item["files"],
                "layers": item["layers"],
            }
    return {}


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


def metadata(context: Mapping[str, Any], definition: Mapping[str, Any], base: str, lineage: str) -> dict[str, Any]:
    """What /workspace/build-metadata.yaml says of a build; no time in it, so that the same inputs give the same layer."""
    return {
        "image": definition["reference"],
        "built_by": "gx10.serving",
        "base": {"reference": definition["base"], "id": base},
        "context": lineage,
        "expect": definition["expect"],
        "inputs": context["inputs"],
    }
