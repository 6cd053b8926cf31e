"""The nightly rebuild beside a model that serves: promoted everywhere or nowhere, and what serves is not touched. In file order."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from sim import HEAD, ROOT, Node, Playbook, ask, eventually

SERVING = [HEAD, "gx10-sim-2"]
REFERENCE = "vllm-node-sim:latest"
SWAP = "RUN sed -i \"s/^__version__ = .*/__version__ = '2.10.0+cpu'/\" /usr/local/lib/python3*/dist-packages/torch/version.py\n"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Definitions of the same image: with a comment more, and with torch swapped by its last layer."""
    folder = tmp_path_factory.mktemp("images")
    for name, added in (("changed", "# changed\n"), ("broken", SWAP)):
        shutil.copytree(ROOT / "files/images/vllm-node-sim", folder / name / "vllm-node-sim")
        with (folder / name / "vllm-node-sim/Dockerfile").open("a") as file:
            file.write(added)
    return folder


def rebuild(folder: Path, kind: str, **extra: Any) -> Playbook:
    extra = {"profile": "sim-tiny-tp2", "gate_profile": "sim-tiny-solo", "images_path": str(folder / kind), **extra}
    return Playbook("rebuild_nightly", report=str(folder / "report.json"), **extra)


def report(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "report.json").read_text())
    return found


def tags(nodes: dict[str, Node]) -> dict[str, list[str]]:
    command = "docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | grep -v rejected | sort"
    return {name: nodes[name].run(command).splitlines() for name in SERVING}


def tagged(node: Node, reference: str) -> str:
    return node.run(f"docker image inspect --format '{{{{.Id}}}}' {reference}").strip()


def engines(nodes: dict[str, Node]) -> list[tuple[str, str, str]]:
    """Which containers serve, with which image, since when."""
    return [(item["Id"], item["Image"], item["State"]["StartedAt"]) for name in SERVING for item in nodes[name].containers(running=True)]


@pytest.fixture(scope="module", autouse=True)
def served() -> None:
    Playbook("serve", profile="sim-tiny-tp2").ok()


def test_a_candidate_is_gated_and_promoted_while_the_model_serves(folder: Path, nodes: dict[str, Node]) -> None:
    before, image = engines(nodes), tagged(nodes[HEAD], REFERENCE)
    run = rebuild(folder, "changed", background=True)
    assert eventually(lambda: nodes[HEAD].run("cat /var/lib/gx10/lock.json 2>/dev/null || true"), 60)
    # No overlap: another run is told who is at work.
    refused = Playbook("serve", profile="sim-tiny-tp2").refused().output
    assert f"locked by rebuild {REFERENCE}, process" in refused.replace("\n", " ")
    run.wait().ok()
    found = report(folder)
    assert found["ok"]
    assert found["promoted"]
    assert found["gate"] == {"node": found["gate"]["node"], "profile": "sim-tiny-solo", "ok": True, "why": ""}
    assert found["gate"]["node"] in ("gx10-sim-3", "gx10-sim-4")
    new = found["candidate"]["id"]
    assert new != image
    assert {tagged(nodes[name], REFERENCE) for name in SERVING} == {new}
    assert engines(nodes) == before
    assert ask().strip()
    # Nothing of the gate is left on its node, and nobody holds the lock.
    gate = nodes[found["gate"]["node"]]
    assert gate.containers() == []
    assert gate.run("ls -d /var/lib/gx10/nightly 2>/dev/null || true") == ""
    assert nodes[HEAD].run("ls /var/lib/gx10/lock.json 2>/dev/null || true") == ""


def test_unchanged_inputs_build_nothing(folder: Path, nodes: dict[str, Node]) -> None:
    before = tags(nodes)
    rebuild(folder, "changed").ok()
    assert report(folder)["built"] is False
    assert tags(nodes) == before


def test_a_broken_candidate_leaves_what_serves_and_its_tags(folder: Path, nodes: dict[str, Node]) -> None:
    before, running = tags(nodes), engines(nodes)
    output = rebuild(folder, "broken").refused().output
    assert "torch.__version__: found '2.10.0+cpu'" in output
    found = report(folder)
    assert (found["ok"], found["promoted"]) == (False, False)
    assert len(found["errors"]) == 1
    assert found["errors"][0].startswith(f"{HEAD}: verify | Refuse a wrong image")
    assert tagged(nodes[HEAD], "vllm-node-sim:rejected") != tagged(nodes[HEAD], REFERENCE)
    assert tags(nodes) == before
    assert engines(nodes) == running
    assert ask().strip()


def test_the_last_good_image_survives_a_prune(folder: Path, nodes: dict[str, Node]) -> None:
    before = engines(nodes)
    good = tagged(nodes[HEAD], "vllm-node-sim:last-good")
    Playbook("serve", profile="sim-tiny-tp2", images_path=str(folder / "changed")).ok()
    # The promoted image is another one, so the group was started anew, and what was good before is kept.
    assert engines(nodes) != before
    for name in SERVING:
        nodes[name].run("docker image prune --all --force")
        # By ID: a prune takes all tags of an image but one.
        assert tagged(nodes[name], good) == good


def test_a_rollback_serves_what_was_served_before(nodes: dict[str, Node]) -> None:
    now = {image for _id, image, _since in engines(nodes)}
    good = nodes[HEAD].run("docker container inspect --format '{{.Image}}' gx10-keep-vllm-node-sim-previous").strip()
    assert now != {good}
    output = Playbook("rollback").ok().output
    assert f"Back to sim-tiny-tp2 with image {good[:19]}" in output
    assert {image for _id, image, _since in engines(nodes)} == {good}
    assert ask().strip()
    # And the other way round: what served before the rollback is what is kept now.
    assert {tagged(nodes[name], "vllm-node-sim:last-good") for name in SERVING} == {good}
    assert {tagged(nodes[name], "vllm-node-sim:previous") for name in SERVING} == now
    Playbook("stop").ok()
