"""Image definitions: torch cannot be swapped, and what a build needs is named before it starts."""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.node import _docker
from ansible_collections.gx10.serving.plugins.module_utils.phases import _image
from ansible_collections.gx10.serving.plugins.module_utils.plan._profile_types import ImageExpect
from conftest import ROOT, hostvars

FOLDERS = sorted(path.parent for path in (ROOT / "files/images").glob("*/Dockerfile"))


def lines(folder: Path) -> list[str]:
    """A Dockerfile's instructions, continuation lines joined, without comments."""
    text = (folder / "Dockerfile").read_text().replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_torch_for_cuda_is_pinned_against_every_dependency_and_installed_last(folder: Path) -> None:
    torch = yaml.safe_load((folder / "image.yml").read_text())["expect"]["torch"]
    if "+cu" not in torch:
        return
    version, index = torch.split("+")
    runs = [line for line in lines(folder) if line.startswith("RUN ")]
    last = f"RUN uv pip install --no-deps --force-reinstall --index-url https://download.pytorch.org/whl/{index} torch=={version}"
    assert runs[-1] == last
    for line in runs[:-1]:
        if "uv pip install" in line:
            assert f"'torch=={torch}'" in line, "a resolution without the override may swap torch for a CPU build"
            assert "--override" in line


@pytest.mark.parametrize("path", [*(folder / "Dockerfile" for folder in FOLDERS), ROOT / "tools/fetch-wheels", ROOT / "tools/setup"])
def test_no_package_is_looked_for_in_two_indexes(path: Path) -> None:
    """Of two indexes the higher version wins, whoever uploaded it there (CVE-2026-54232)."""
    text = path.read_text()
    assert not re.search(r"unsafe-(best|first)-match|--extra-index-url|--index-strategy|EXTRA_INDEX_URL", text)
    for line in re.findall(r"(?:uv )?pip (?:install|download).*", text.replace("\\\n", " ")):
        assert not ("--index-url" in line and "--torch-backend" in line), line


def test_the_lineage_is_whole() -> None:
    bases = {folder.name: yaml.safe_load((folder / "image.yml").read_text())["base"] for folder in FOLDERS}
    assert bases["vllm-node-mimo"] == "vllm-node-tf5:latest"
    assert bases["vllm-node-tf5"] == "vllm-node:latest"
    assert bases["vllm-node"] == "nvidia/cuda:13.2.0-devel-ubuntu24.04"
    for folder in FOLDERS:
        assert f"ARG BASE={bases[folder.name]}" in lines(folder)


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_every_image_says_what_it_is_made_of(folder: Path) -> None:
    assert "COPY build-metadata.yaml /workspace/build-metadata.yaml" in lines(folder)


def context(tmp_path: Path, wheels: dict[str, str | None]) -> dict[str, Any]:
    """What the lookup says, as a role would ask it."""
    image: dict[str, Any] = {
        "name": "vllm-node",
        "folder": f"{ROOT}/files/images/vllm-node",
        "requirements": None,
        "wheels": wheels,
        "lineage": [],
        "pins": f"{tmp_path}/pins",
    }
    task = f"msg={{{{ lookup('gx10.serving.image_context', image, wheels_path='{tmp_path}', cache='{tmp_path}/cache.json') | to_json }}}}"
    argv = [str(Path(sys.executable).parent / "ansible"), "localhost", "-c", "local", "-i", "localhost,", "-m", "debug", "-a", task]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run([*argv, "-e", json.dumps({"image": image})], capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(yaml.safe_load(done.stdout.split("=>", 1)[1])["msg"])
    return found["vllm-node"]  # type: ignore[no-any-return]


def test_missing_and_altered_wheels_are_named_before_a_build(tmp_path: Path) -> None:
    names = list(yaml.safe_load((ROOT / "files/images/vllm-node/image.yml").read_text())["wheels"])
    wanted = {names[0]: hashlib.sha256(b"a wheel").hexdigest(), names[1]: None}
    wheel = tmp_path / "vllm-node" / names[0]
    wheel.parent.mkdir()
    wheel.write_bytes(b"a wheel")
    before = context(tmp_path, wanted)
    assert before["missing"] == names[1:2]
    assert before["altered"] == []
    assert before["size"] == len(b"a wheel")
    # Another input, too: the image would be built again.
    wheel.write_bytes(b"another wheel")
    after = context(tmp_path, wanted)
    assert after["hash"] != before["hash"]
    assert after["altered"] == [f"{wheel}: found SHA-256 {hashlib.sha256(b'another wheel').hexdigest()}; wanted {wanted[names[0]]}"]


def test_a_base_that_has_a_definition_is_built_first(resolve: Any) -> None:
    plan = resolve("qwen397-mtp2")["plan"]["image"]
    assert [item["reference"] for item in plan["lineage"]] == ["vllm-node:latest", "vllm-node-tf5:latest"]
    assert plan["builder"] == "gx10-1"
    assert [node["name"] for node in plan["nodes"]] == ["gx10-1", "gx10-2", "gx10-3", "gx10-4"]


def test_a_build_host_is_a_host_of_the_group(resolve: Any) -> None:
    variables = {name: {**values, "gx10_build_host": "gx10-4"} for name, values in hostvars().items()}
    assert resolve("qwen397-mtp2", variables=variables)["plan"]["image"]["builder"] == "gx10-4"
    (problem,) = resolve("qwen397-mtp2", variables=hostvars(gx10_build_host="gx10-9"))["problems"]
    assert (
        "gx10_build_host: found 'gx10-9'; wanted a host of the group (gx10-1, gx10-2, gx10-3, gx10-4), or nothing for the head" in problem
    )


def test_a_host_outside_of_the_group_keeps_the_archive_and_builds_nothing(resolve: Any) -> None:
    from ansible_collections.gx10.serving.plugins.module_utils.plan import _inventory

    def problems(**site: Any) -> list[str]:
        variables = {**hostvars(2, **site), "nas": {}}
        return [str(problem) for problem in _inventory.read(variables, ["gx10-1", "gx10-2"], "inventory")[1]]

    assert problems(gx10_image_archive_host="nas") == problems(gx10_image_archive_host="localhost") == []
    (problem,) = problems(gx10_build_host="nas")
    assert "gx10_build_host: found 'nas'; wanted a host of the group" in problem
    for host in ("nos", "", ["nas"]):
        (problem,) = problems(gx10_image_archive_host=host)
        assert f"gx10_image_archive_host: found {host!r}; wanted localhost or a host of the inventory" in problem


DEFINITION: Any = {"name": "small", "reference": "small:latest", "base": "base:1", "size_gib": None, "expect": {"imports": []}}
EXPECT: ImageExpect = {"torch": "2.11.0+cu130", "cuda": "13.0", "imports": ["vllm"], "versions": {"vllm": "==0.22.0"}, "nccl": ">=2.28"}
EVIDENCE = {
    "torch": "2.11.0+cu130",
    "cuda": "13.0",
    "gpu": True,
    "nccl": "2.28.3",
    "nccl_path": "/usr/lib/libnccl.so.2",
    "imports": {"vllm": ""},
    "versions": {"vllm": "0.22.0"},
}


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({}, ""),
        ({"torch": "2.10.0+cpu"}, "torch.__version__: found '2.10.0+cpu'; wanted '2.11.0+cu130'"),
        ({"gpu": False}, "torch.cuda.is_available(): found False; wanted True"),
        ({"nccl": "2.27.5"}, "NCCL that torch loads: found 2.27.5 at /usr/lib/libnccl.so.2; wanted >=2.28"),
        ({"nccl": None, "nccl_path": ""}, "found none at no path"),
        ({"imports": {"vllm": "ImportError: libcudart"}}, "import vllm: found ImportError: libcudart"),
        ({"versions": {}}, "version of vllm: found not installed; wanted ==0.22.0"),
    ],
)
def test_what_differs_from_the_definition_is_named(change: dict[str, Any], text: str) -> None:
    found = _image.problems({**EVIDENCE, **change}, EXPECT, "Build it again.", "image small", gpu=True)
    assert bool(found) == bool(change)
    assert not text or (len(found) == 1 and text in found[0] and "Build it again. [" in found[0])


def test_an_image_for_cpus_needs_no_gpu_on_a_node_that_has_one() -> None:
    expect: ImageExpect = {"torch": "2.13.0+cpu", "cuda": None, "imports": []}
    evidence = {"torch": "2.13.0+cpu", "cuda": None, "gpu": False}
    assert _image.problems(evidence, expect, "", "image small", gpu=True) == []
    assert _image.problems(evidence, {"imports": []}, "", "image small", gpu=True) != []


def test_room_for_a_build_is_counted_on_both_disks() -> None:
    disk: Any = {
        "store": {"path": "/var/lib/gx10", "free": 9, "device": 1},
        "docker": {"path": "/var/lib/docker", "free": 2**30, "device": 2},
    }

    def room(size: int, **more: Any) -> list[str]:
        context: Any = {"size": size}
        definition: Any = {**DEFINITION, **more}
        return _image.room(context, definition, disk, "gx10-1")

    assert room(9) == []
    (text,) = room(10)
    assert text.startswith("gx10-1: /var/lib/gx10: found 0.00 GiB free")
    (text,) = room(9, size_gib=1.5)
    assert text.startswith("gx10-1: /var/lib/docker: found 1.00 GiB free; wanted 1.50 GiB to build small:latest")
    disk["store"]["device"] = 2
    (text,) = room(2**28)
    assert "found 1.00 GiB free; wanted 1.25 GiB" in text


def kept(**more: Any) -> Any:
    whole = {"name": "small", "image": "id", "digest": "d", "complete": True, "labels": {"c": "1"}, "files": [], "layers": ["l"]}
    return {**whole, "architecture": "arm64", **more}


@pytest.mark.parametrize(
    ("places", "archived", "wanted", "found"),
    [
        ({"b": [kept()], "a": [kept(digest="own")]}, [], {"c": "1"}, ("a", "own", False)),
        ({"a": [kept(complete=False)], "b": [kept()]}, [kept()], {"c": "1"}, ("b", "d", False)),
        ({"a": [kept(labels={"c": "2"})], "b": [kept(name="other")]}, [kept(digest="old")], {"c": "1"}, ("", "old", False)),
        ({"a": [], "b": [kept(image="x")]}, [kept(image="y", digest="old")], {"image": "y"}, ("", "old", False)),
        ({"a": [], "b": []}, [kept(labels={})], {"c": "1"}, None),
        # Of another architecture, or of one that nobody knows.
        ({"a": [], "b": [kept(architecture="amd64")]}, [kept(digest="old")], {"c": "1"}, ("", "old", False)),
        ({"a": [], "b": [kept(architecture="")]}, [kept(digest="old")], {"c": "1"}, ("b", "d", False)),
        ({"a": [], "b": []}, [kept(digest="new", architecture="amd64"), kept(digest="old")], {}, ("", "old", False)),
        ({"a": [], "b": []}, [kept(digest="new", complete=False), kept(digest="old")], {}, ("", "old", False)),
        ({"a": [], "b": []}, [kept(image="y", complete=False)], {"image": "y"}, None),
    ],
)
def test_a_lost_image_comes_from_the_nearest_place(places: Any, archived: Any, wanted: Any, found: Any) -> None:
    infos: Any = {name: {"kept": items, "images": {}, "architecture": "arm64"} for name, items in places.items()}
    answer = _image.recovery(infos, archived, "a", DEFINITION, wanted)
    assert (answer and (answer["node"], answer["digest"], answer["ingest"])) == (found or {})


def test_a_lost_image_comes_from_a_peers_docker_before_the_archive() -> None:
    there = {"id": "id", "labels": {"c": "1"}, "layers": ["l"], "architecture": "arm64"}
    infos: Any = {
        "a": {"kept": [], "images": {}, "architecture": "arm64"},
        "b": {"kept": [], "images": {"small:latest": there}, "architecture": "arm64"},
    }
    answer = _image.recovery(infos, [kept()], "a", DEFINITION, {"c": "1"})
    assert (answer["node"], answer["image"], answer["ingest"]) == ("b", "id", True)
    there["architecture"] = "amd64"
    assert _image.recovery(infos, [kept()], "a", DEFINITION, {"c": "1"})["node"] == ""


def test_only_our_tags_of_old_images_are_forgotten() -> None:
    def image(day: int, *tags: str) -> Any:
        return {"created": f"2026-06-{day:02}T00:00:00Z", "tags": [f"small:{tag}" for tag in tags]}

    images = [
        image(1, "0123456789ab", "verified-0123456789ab", "mine"),
        image(2, "previous", "aaaaaaaaaaaa"),
        image(3, "bbbbbbbbbbbb"),
        image(4, "latest", "cccccccccccc"),
    ]
    assert _docker.forgotten(images, "small", "latest", 1) == ["small:0123456789ab", "small:verified-0123456789ab"]
    assert _docker.forgotten(images, "small", "latest", 2) == []


def test_the_list_of_packages_is_cyclonedx() -> None:
    document = _image.sbom({"packages": {"python": {"torch": "2.11.0"}, "debian": {"libc6": "2.39"}}}, "small", "tag")
    assert (document["bomFormat"], document["specVersion"]) == ("CycloneDX", "1.6")
    assert [item["purl"] for item in document["components"]] == ["pkg:deb/libc6@2.39", "pkg:pypi/torch@2.11.0"]
    assert document["metadata"]["component"] == {"type": "container", "name": "small", "version": "tag"}


@pytest.mark.parametrize(
    ("image", "machine", "problem"),
    [
        (
            "amd64",
            "arm64",
            "gx10-2: image vllm-node:latest: architecture: found amd64; wanted arm64. Build it on a node that is arm64 (gx10_build_host), "
            "or docker pull --platform linux/arm64 vllm-node:latest on gx10-2.",
        ),
        ("arm64", "amd64", "gx10-2: image vllm-node:latest: architecture: found arm64; wanted amd64. "),
        ("arm64", "arm64", None),
        # Docker's containerd store names none for an index of several platforms.
        ("", "arm64", None),
    ],
)
def test_an_image_of_another_architecture_is_refused_by_name(image: str, machine: str, problem: str | None) -> None:
    node: Any = {"architecture": machine}
    found = _image.foreign({"architecture": image}, "vllm-node:latest", node, "gx10-2")
    assert (found == []) if problem is None else (len(found) == 1 and found[0].startswith(problem))
    assert _image.foreign({}, "vllm-node:latest", node, "gx10-2") == [], "an image that is not there yet"


@pytest.mark.parametrize(
    ("tasks", "name"),
    [
        # An image runs, a base is built upon, and layers travel, only after the check.
        ("verify", "verify | Ask a throwaway container what is installed"),
        ("build", "build | Build a candidate"),
        ("distribute", "distribute | Bring it to the nodes that lack it"),
    ],
)
def test_the_architecture_is_checked_before_an_image_is_used(tasks: str, name: str) -> None:
    steps = yaml.safe_load((ROOT / f"roles/image/tasks/{tasks}.yml").read_text())
    names = [step["name"] for step in steps]
    checks = [index for index, step in enumerate(steps) if "gx10.serving._image_foreign" in str(step.get("vars"))]
    assert checks and checks[0] < names.index(name)
    assert "__image_foreign | length > 0" in steps[checks[0]]["when"]


def test_a_base_that_was_pulled_just_now_is_compared_with_the_first_one() -> None:
    """Nobody had it when the build was decided; its tag may have moved since."""
    held: Any = {"path": "/pins/x.json", "base": {"reference": "vendor/base:1", "id": "sha256:a"}, "wheels": {}, "problem": ""}
    about: Any = {"reference": "x:latest", "base": "vendor/base:1"}
    for found in ("", "sha256:a"):
        assert _image.unheld_base(held, about, found) == []
    (line,) = _image.unheld_base(held, about, "sha256:b")
    assert line.startswith("image x:latest: base vendor/base:1: found sha256:b; wanted sha256:a, as first used. ")
    nothing, newer = held | {"base": {}}, about | {"base": "vendor/base:2"}
    assert _image.unheld_base(nothing, about, "sha256:b") == _image.unheld_base(held, newer, "sha256:b") == []
