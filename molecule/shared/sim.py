"""The cluster as its user sees it: playbooks from the control node, the API over the network, and the nodes over SSH."""

from __future__ import annotations

import json
import os
import queue
import re
import subprocess
import sys
import threading
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import testinfra

ROOT = Path(__file__).resolve().parents[2]
INVENTORY = ROOT / "inventories/sim"
HEAD = "gx10-sim-1"
API = "http://172.31.240.11:8000"


class Playbook:
    """One run of a playbook: exit code, output, and changed counts per host."""

    def __init__(self, name: str, *arguments: str, background: bool = False, quiet: bool = False, **extra: Any) -> None:
        playbook = name if name.endswith(".yml") else f"gx10.serving.{name}"
        argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(INVENTORY), playbook, *arguments]
        argv += ["-e", json.dumps(extra)]
        env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_FORCE_COLOR": "0", "ANSIBLE_NOCOLOR": "1"}
        env["ANSIBLE_STDOUT_CALLBACK"] = "ansible.builtin.default"
        streams: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        # Of its own, so that all of it can be ended at once, as a terminal does.
        self._process = subprocess.Popen(argv, env=env, cwd="/", start_new_session=background, **streams)
        # Read beside it: a task that says nothing for long holds up nobody who waits for another one.
        self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()
        self.code, self.output, self._quiet = -1, "", quiet
        if not background:
            self.wait()

    def wait(self) -> Playbook:
        """Until it ends."""
        self.code = self._process.wait()
        self._reader.join()
        while not self._lines.empty():
            self.output += self._lines.get()
        if not self._quiet:
            print(self.output)
        return self

    def until(self, pattern: str, seconds: float) -> str:
        """Until a task's name matches; its line, or "" where the run ended first or took longer."""
        deadline = time.monotonic() + seconds
        while self._reader.is_alive() or not self._lines.empty():
            try:
                line = self._lines.get(timeout=min(1.0, max(0.0, deadline - time.monotonic())))
            except queue.Empty:
                if time.monotonic() >= deadline:
                    break
                continue
            self.output += line
            if line.startswith("TASK [") and re.search(pattern, line):
                return line.strip()
        return ""

    def _read(self) -> None:
        assert self._process.stdout
        for line in self._process.stdout:
            self._lines.put(line)

    def end(self, number: int) -> None:
        """A signal to a run in the background, and to all that it has started."""
        os.killpg(self._process.pid, number)

    def ok(self) -> Playbook:
        assert self.code == 0, self.output[-3000:]
        return self

    def unchanged(self) -> Playbook:
        """It succeeded and changed nothing on any host."""
        self.ok()
        recap = [line for line in self.output.splitlines() if "changed=" in line]
        assert recap
        assert all("changed=0 " in line for line in recap), recap
        return self

    def actions(self) -> list[str]:
        """What it said that it does, or would do."""
        return [line for line in self.output.splitlines() if line.startswith(("image: ", "weights: ", "engine: "))]

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

    def device(self) -> str:
        """The interface that holds the fabric address; no two nodes need call it the same."""
        return self.run("ip -o -4 address show | awk '/ 172[.]31[.]241[.]/ {print $2}'").strip()

    def fabric(self, way: str = "tx") -> int:
        """Bytes that the node has sent (or received: rx) on the fabric since it started."""
        return int(self.run(f"cat /sys/class/net/{self.device()}/statistics/{way}_bytes"))

    def shape(self, rate: str) -> None:
        """Limit what the node sends on the fabric; an empty rate takes the limit away."""
        device = self.device()
        self.run(f"tc qdisc del dev {device} root 2>/dev/null || true")
        if rate:
            self.run(f"tc qdisc add dev {device} root tbf rate {rate} burst 128kb latency 4ms")

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


def ask(text: str = "hello", api: str = API, timeout: float = 60) -> str:
    """A chat completion over the management network."""
    body = {"model": "tiny-qwen3", "messages": [{"role": "user", "content": text}], "max_tokens": 16, "temperature": 0}
    request = urllib.request.Request(f"{api}/v1/chat/completions", json.dumps(body).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=timeout) as answer:
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
