"""The cluster as its user sees it: playbooks from the control node, the API over the network, and the nodes over SSH."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import testinfra

ROOT = Path(__file__).resolve().parents[3]
INVENTORY = ROOT / "inventories/sim"
HEAD = "gx10-sim-1"
API = "http://172.31.240.11:8000"


class Playbook:
    """One run of a playbook: exit code, output, and changed counts per host."""

    def __init__(self, name: str, *arguments: str, **extra: Any) -> None:
        argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(INVENTORY), f"gx10.serving.{name}", *arguments]
        argv += ["-e", json.dumps(extra)]
        env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
        done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd="/")
        self.code, self.output = done.returncode, done.stdout + done.stderr
        print(self.output)

    def ok(self) -> Playbook:
        assert self.code == 0, self.output[-3000:]
        return self

    def refused(self) -> Playbook:
        assert self.code != 0, "the playbook succeeded"
        return self


class Node:
    """A node over SSH, with what the tests ask of it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.host = testinfra.get_host(f"ssh://{name}?ssh_config={ROOT / '.sim/ssh_config'}&controlpersist=60")

    def run(self, command: str) -> str:
        done = self.host.run(command)
        assert done.rc == 0, f"{self.name}: {command}: {done.stderr}"
        out: str = done.stdout
        return out

    def containers(self, *, running: bool | None = None) -> list[dict[str, Any]]:
        """docker inspect of our containers."""
        identifiers = self.run("docker ps --all --quiet --filter label=gx10.serving.profile").split()
        found = json.loads(self.run("docker inspect " + " ".join(identifiers))) if identifiers else []
        return [item for item in found if running is None or item["State"]["Running"] is running]

    def status(self) -> dict[str, Any]:
        """What the supervisor of the only container wrote."""
        name = self.containers()[0]["Name"].strip("/")
        found: dict[str, Any] = json.loads(self.run(f"cat /var/lib/gx10/run/{name}/status.json"))
        return found


@pytest.fixture(scope="session")
def nodes() -> dict[str, Node]:
    return {name: Node(name) for name in (f"gx10-sim-{number}" for number in range(1, 5))}


@pytest.fixture(scope="session")
def head(nodes: dict[str, Node]) -> Node:
    return nodes[HEAD]


def ask(text: str = "hello") -> str:
    """A chat completion over the management network."""
    body = {"model": "tiny-qwen3", "messages": [{"role": "user", "content": text}], "max_tokens": 16, "temperature": 0}
    request = urllib.request.Request(f"{API}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        content: str = json.load(answer)["choices"][0]["message"]["content"]
        return content


def eventually(condition: Callable[[], Any], seconds: float) -> Any:
    """Wait for a condition; its last value is returned."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(1)
    return condition()
