"""Built once, proven, archived, and brought back. A small image with a state folder of its own, so that nothing else is touched."""

from __future__ import annotations

import hashlib
import json
import os
from pathlib import Path

import pytest
import yaml
from sim import HEAD, ROOT, Node
from small import DOCKERFILE, SMALL, STATE, Site


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return Site(tmp_path_factory.mktemp("site"))


def identifier(node: Node, reference: str = "small:latest") -> str:
    return node.run(f"docker image inspect --format '{{{{.Id}}}}' {reference} 2>/dev/null || true").strip()


def forget(node: Node) -> None:
    """Docker and the folder of layers lose the image."""
    node.run(f"docker image ls --format '{{{{.Repository}}}}:{{{{.Tag}}}}' small | xargs -r docker image rm; rm -rf {STATE}/registry")
    assert identifier(node) == ""
    assert node.run("docker image ls --quiet small") == ""


def test_an_image_says_what_it_is_made_of(site: Site, nodes: dict[str, Node]) -> None:
    site.bring().ok()
    head = nodes[HEAD]
    assert len({identifier(node) for node in nodes.values()}) == 1
    metadata = yaml.safe_load(head.run("docker run --rm --network none --entrypoint cat small:latest /workspace/build-metadata.yaml"))
    payload = next(item for item in metadata["inputs"] if item["path"] == "payload")
    assert payload["sha256"] == hashlib.sha256((site.images / "small/payload").read_bytes()).hexdigest()
    assert metadata["base"]["id"] == identifier(head, "gx10-sim-base:latest")
    labels = json.loads(head.run("docker image inspect --format '{{json .Config.Labels}}' small:latest"))
    assert labels["gx10.serving.context"] == metadata["context"]
    assert labels["gx10.serving.base"] == metadata["base"]["id"]
    # The same inputs have the same tag.
    assert identifier(head, f"small:{labels['org.opencontainers.image.version']}") == identifier(head)


def test_the_archive_is_verified_and_has_a_list_of_packages(site: Site, nodes: dict[str, Node]) -> None:
    (record,) = json.loads((site.archive / "images.json").read_text())
    assert record["image"] == identifier(nodes[HEAD])
    for path in site.archive.glob("docker/registry/v2/blobs/sha256/*/*/data"):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.parent.name
    (sbom,) = site.archive.glob("small-*.cdx.json")
    document = json.loads(sbom.read_text())
    assert document["bomFormat"] == "CycloneDX"
    version = nodes[HEAD].run("docker run --rm --network none --entrypoint dpkg-query gx10-sim-base:latest -W -f='${Version}' libc6")
    assert {"type": "library", "name": "libc6", "version": version, "purl": f"pkg:deb/libc6@{version}"} in document["components"]


def test_a_second_run_changes_nothing(site: Site) -> None:
    site.bring().unchanged()


def test_a_node_that_lost_its_image_and_its_layers_gets_them_from_peers(site: Site, nodes: dict[str, Node]) -> None:
    wanted = identifier(nodes[HEAD])
    forget(nodes["gx10-sim-3"])
    site.restore().ok()
    assert identifier(nodes["gx10-sim-3"]) == wanted


def test_a_build_host_that_lost_its_image_gets_it_back_without_a_build(site: Site, nodes: dict[str, Node]) -> None:
    wanted = identifier(nodes[HEAD])
    forget(nodes[HEAD])
    output = site.bring().ok().output
    assert "candidate | Build" not in output
    assert identifier(nodes[HEAD]) == wanted


def test_a_corrupted_archive_is_refused_and_a_good_one_restores(site: Site, nodes: dict[str, Node]) -> None:
    wanted = identifier(nodes[HEAD])
    for node in nodes.values():
        forget(node)
    blob = max(site.archive.glob("docker/registry/v2/blobs/sha256/*/*/data"), key=lambda path: path.stat().st_size)
    good = blob.read_bytes()
    blob.write_bytes(good[:1000] + bytes([good[1000] ^ 255]) + good[1001:])
    assert hashlib.sha256(blob.read_bytes()).hexdigest() != blob.parent.name
    output = site.restore().refused().output
    assert blob.parent.name in output
    assert "is damaged" in output
    assert all(identifier(node) == "" for node in nodes.values())
    blob.write_bytes(good)
    site.restore().ok()
    assert {identifier(node) for node in nodes.values()} == {wanted}


def test_a_full_disk_is_refused_with_numbers_before_the_build(site: Site, nodes: dict[str, Node]) -> None:
    head = nodes[HEAD]
    head.run(
        "truncate -s 24M /tmp/small.img && mkfs.ext4 -q /tmp/small.img && mkdir -p /mnt/small && mount -o loop /tmp/small.img /mnt/small"
    )
    try:
        free = int(head.run("stat -f -c '%a %S' /mnt/small | awk '{print $1*$2}'"))
        assert free < 32 * 1024**2
        (site.wheels / "large").mkdir(parents=True)
        (site.wheels / "large/large-1-py3-none-any.whl").write_bytes(bytes(32 * 1024**2))
        site.define("large", SMALL, DOCKERFILE, {"payload": b"any"})
        profile = Path(site.extra["model_profiles_path"]) / "small.yml"
        (profile.parent / "large.yml").write_text(profile.read_text().replace("image: small", "image: large"))
        output = site.bring(profile="large", gx10_state_dir="/mnt/small").refused().output
        assert f"/mnt/small/registry: found {free / 2**30:.2f} GiB free; wanted 0.03 GiB to build large:latest" in output
        assert head.run("ls /mnt/small").split() == ["lost+found"]
    finally:
        head.run("umount /mnt/small; rm /tmp/small.img")


def test_an_altered_wheel_is_named_before_the_build(site: Site, nodes: dict[str, Node]) -> None:
    wheel = site.wheels / "large/large-1-py3-none-any.whl"
    site.define("large", {**SMALL, "wheels": {wheel.name: "0" * 64, "other-1-py3-none-any.whl": None}}, DOCKERFILE, {})
    output = site.bring(profile="large").refused().output
    assert f"{wheel}: found SHA-256 {hashlib.sha256(wheel.read_bytes()).hexdigest()}; wanted {'0' * 64}" in output
    assert "no wheel other-1-py3-none-any.whl" in output
    assert nodes[HEAD].run("docker image ls --quiet large") == ""


# What the field's Dockerfile does: something swaps torch, and the last layer sets it right, without dependencies.
SWAP = """\
RUN sed -i "s/^__version__ = .*/__version__ = '2.10.0+cpu'/" /usr/local/lib/python3*/dist-packages/torch/version.py
"""
LAST = """\
RUN --mount=type=bind,source=wheels,target=/wheels \\
    uv pip install --offline --no-index --no-deps --force-reinstall --find-links /wheels torch
"""


def test_the_torch_regression_is_refused_when_the_last_layer_is_dropped(site: Site, nodes: dict[str, Node]) -> None:
    head = nodes[HEAD]
    (torch,) = (ROOT / "wheels/vllm-node-sim").glob("torch-*.whl")
    (site.wheels / "regression").mkdir(parents=True)
    os.link(torch, site.wheels / "regression" / torch.name)
    # Its base is built from these; unchanged, so it is not built.
    (site.wheels / "vllm-node-sim").symlink_to(ROOT / "wheels/vllm-node-sim")
    expect = yaml.safe_load((ROOT / "files/images/vllm-node-sim/image.yml").read_text())["expect"]
    about = {"summary": "For tests", "base": "vllm-node-sim:latest", "requirements": "pins.txt", "expect": expect}
    about["rebuild"] = "Keep torch as the last layer."
    profile = Path(site.extra["model_profiles_path"]) / "small.yml"
    text = (
        profile.read_text()
        .replace("image: small", "image: regression")
        .replace("tensor: 4", "tensor: 1")
        .replace("executor: ray", "executor: solo")
    )
    (profile.parent / "regression.yml").write_text(text)
    whole = "ARG BASE\nFROM ${BASE}\n" + SWAP + LAST
    pins = {"pins.txt": f"torch=={expect['torch']}\n".encode()}
    site.define("regression", about, whole, pins)
    run = {"profile": "regression", "gx10_state_dir": "/var/lib/gx10", "gx10_image_archive": ""}
    site.bring(**run).ok()
    good = identifier(head, "regression:latest")
    assert good
    site.define("regression", about, whole.removesuffix(LAST), pins)
    output = site.bring(**run).refused().output
    assert f"torch.__version__: found '2.10.0+cpu'; wanted '{expect['torch']}'. Keep torch as the last layer." in output
    assert "nothing was distributed" in output.replace("\n", " ")
    assert identifier(head, "regression:latest") == good
    assert identifier(head, "regression:rejected") not in ("", good)
    for node in nodes.values():
        node.run("docker image ls --quiet --no-trunc regression | sort -u | xargs -r docker image rm --force")
