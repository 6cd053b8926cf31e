"""`serve --check --diff` names exactly what the run then does, and does nothing itself. Runs first: what serves goes on."""

from __future__ import annotations

from typing import Any

from sim import Playbook

REFERENCE = "vllm-node-sim:latest"
SHARD = "/srv/models/gx10/tiny-qwen3/model-00004-of-00010.safetensors"


def test_after_a_pruned_image_and_a_lost_shard(nodes: dict[str, Any]) -> None:
    before = {name: node.containers()[0]["Id"] for name, node in nodes.items()}
    second, third = nodes["gx10-sim-2"], nodes["gx10-sim-3"]
    shard = second.run(f"sha256sum {SHARD}")
    second.run(f"rm {SHARD}")
    third.run(f"docker image rm --force {REFERENCE}")
    check = Playbook("serve", "--check", "--diff", profile="sim-tiny-tp4").unchanged()
    actions = check.actions()
    assert [line.split(": ")[:2] for line in actions] == [["image", "gx10-sim-3"], ["weights", "gx10-sim-2"]], actions
    assert "Docker does not have it" in actions[0]
    assert "bring 1 files of gx10/tiny-qwen3" in actions[1]
    assert second.host.run(f"test -e {SHARD}").rc, "the check brought the shard"
    assert third.host.run(f"docker image inspect {REFERENCE}").rc, "the check brought the image"
    run = Playbook("serve", profile="sim-tiny-tp4").ok()
    assert run.actions() == actions
    assert second.run(f"sha256sum {SHARD}") == shard
    third.run(f"docker image inspect {REFERENCE}")
    assert {name: node.containers()[0]["Id"] for name, node in nodes.items()} == before, "no action named the engine"
    assert "Nothing differs from the plan." in Playbook("serve", profile="sim-tiny-tp4").unchanged().output
