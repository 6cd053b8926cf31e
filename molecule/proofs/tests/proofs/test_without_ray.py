"""Ranks without Ray: the engine's own multi-node processes, served and killed."""

from __future__ import annotations

from typing import Any

from sim import HEAD, Playbook, ask, eventually


def test_serving_without_ray(nodes: dict[str, Any]) -> None:
    """vLLM's own multi-node processes; an override that status keeps saying."""
    output = Playbook("serve", profile="sim-tiny-tp2", override={"executor": "mp"}).ok().output
    assert "differs from its profile: executor: 'mp', not 'ray'" in output
    assert "differs from its profile: executor: 'mp', not 'ray'" in Playbook("status").ok().output
    assert ask().strip()
    for name in (HEAD, "gx10-sim-2"):
        assert nodes[name].run("pgrep -c raylet || true").strip() == "0"
    assert "--headless" in nodes["gx10-sim-2"].run("ps -wweo args= | grep '[v]llm serve'")


def test_a_worker_without_ray_that_dies_is_named_and_the_group_heals(nodes: dict[str, Any]) -> None:
    head, worker = nodes[HEAD], nodes["gx10-sim-2"]
    generation = head.status()["generation"]
    worker.run(f"docker exec sim-tiny-tp2 sh -c 'kill -9 {worker.status()['evidence']['engine_pid']}'")
    assert eventually(lambda: head.status()["phase"] not in ("serving", "engine"), 15), "it serves over a dead rank"
    assert eventually(lambda: head.status()["phase"] == "serving" and head.status()["generation"] == generation + 1, 240), head.status()
    assert ask().strip()
    for node in (head, worker):
        assert node.status()["evidence"]["ended"].startswith("gx10-sim-2: the engine was ended by SIGKILL"), node.status()
