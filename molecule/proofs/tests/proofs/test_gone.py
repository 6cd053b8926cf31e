"""A node that is gone for good: the others serve, another one is the head, and it does nothing when it comes back until it is asked."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from sim import HEAD, INVENTORY, Playbook, ask, eventually

PROFILE: dict[str, Any] = {"profile": "sim-tiny-tp2"}
OTHER = "http://172.31.240.12:8000"


@pytest.fixture(scope="module")
def known(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The head as an owner's inventory has it, running or not; that of the virtual cluster has only what runs."""
    host = {
        "ansible_connection": "ssh", "ansible_host": "172.31.240.11", "ansible_port": 22, "ansible_ssh_extra_args": "-o ConnectTimeout=5",
        "gx10_management_address": "172.31.240.11", "gx10_fabric_address": "172.31.241.11", "gx10_rank": 0,
        # As for the others, of whose inventory's folder it is made.
        "sim_state": f"{INVENTORY}/../../.sim",
    }  # fmt: skip
    path: Path = tmp_path_factory.mktemp("known") / "hosts.yml"
    path.write_text(yaml.safe_dump({"gx10": {"hosts": {HEAD: host}}}))
    return str(path)


def docker(*words: str) -> None:
    subprocess.run(["docker", *words], check=True, capture_output=True)


def booted() -> bool:
    """By Docker: SSH would say nothing for as long as it does not answer."""
    done = subprocess.run(["docker", "exec", HEAD, "systemctl", "is-active", "docker", "ssh"], capture_output=True, text=True, check=False)
    return done.stdout.split() == ["active", "active"]


def test_the_others_serve_with_another_head(nodes: dict[str, Any], known: str) -> None:
    Playbook("serve", **PROFILE).ok()
    docker("stop", "-t", "60", HEAD)
    try:
        output = Playbook("serve", "-i", known, **PROFILE).refused().output
        assert "UNREACHABLE" in output
        output = Playbook("serve", "-i", known, without="gx10-sim-9", **PROFILE).refused().output
        assert "without: found 'gx10-sim-9'; wanted nodes of the group" in output
        output = Playbook("serve", "-i", known, without=HEAD, **PROFILE).ok().output
        assert f"{HEAD}: left out, as it is gone" in output
        assert ask(api=OTHER).strip()
        assert [bool(nodes[name].containers(running=True)) for name in sorted(nodes) if name != HEAD] == [True, True, False]
        Playbook("serve", "-i", known, without=HEAD, **PROFILE).unchanged()
        Playbook("status", "-i", known).ok()
        for verb in ("verify_weights", "stage", "restore"):
            Playbook(verb, "-i", known, without=HEAD, **PROFILE).ok()
        # Stopped, it is served again without a word of whom that left out.
        assert f"{HEAD}: node: found no answer" in Playbook("stop", "-i", known).refused().output
        assert f"{HEAD}: left out, as it is gone" in Playbook("rollback", "-i", known).ok().output
        assert ask(api=OTHER).strip()
    finally:
        docker("start", HEAD)


def test_who_comes_back_waits_until_asked(nodes: dict[str, Any]) -> None:
    head = nodes[HEAD]
    assert eventually(booted, 120)
    assert eventually(lambda: head.containers(running=True), 60), "Docker did not start what was there"
    assert eventually(lambda: head.status()["phase"] == "waiting", 60), head.status()
    # Long enough for a start.
    assert not eventually(lambda: head.status()["phase"] != "waiting" or head.run("pgrep -f '[v]llm serve|[r]aylet' || true"), 60)
    assert ask(api=OTHER).strip()
    Playbook("status").ok()
    Playbook("serve", **PROFILE).ok()
    assert ask().strip()
    assert [bool(nodes[name].containers()) for name in sorted(nodes)] == [True, True, False, False]
    Playbook("serve", **PROFILE).unchanged()
