"""Stop means stopped: no process, no port, no container; and status says so."""

from __future__ import annotations

from typing import Any

from sim import Playbook


def test_nothing_of_the_engine_is_left(nodes: dict[str, Any]) -> None:
    for node in nodes.values():
        assert node.containers() == []
        left = node.run("ps -wweo stat=,args= | grep -E '[v]llm serve|[V]LLM::|[r]ay::|[r]aylet|[g]cs_server' | grep -v '^Z' || true")
        assert left == "", f"{node.name}: {left}"
        assert node.run("ss -Hltn 'sport = :8000 or sport = :6379'") == ""


def test_what_was_staged_is_kept(nodes: dict[str, Any]) -> None:
    for node in nodes.values():
        node.run("docker image inspect vllm-node-sim:latest")
        node.run("test -f /srv/models/gx10/tiny-qwen3/config.json")


def test_status_says_that_nothing_is_served() -> None:
    assert "Nothing is served" in Playbook("status").refused().output


def test_a_second_stop_changes_nothing() -> None:
    output = Playbook("stop").ok().output
    assert all("changed=0 " in line for line in output.splitlines() if "changed=" in line)
