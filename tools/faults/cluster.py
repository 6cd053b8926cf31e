"""The group on the virtual cluster, from outside: nodes over Docker, so that a network that is cut does not cut this, too."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

from . import catalogue
from .verdict import Group, Look

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "molecule/shared"))

from sim import API, Playbook, ask

LOOK = (ROOT / "tools/faults/look.py").read_text()
__all__ = ["API", "ROOT", "Cluster", "Failed", "Playbook", "Streams"]
PROFILES = {2: "sim-tiny-tp2", 4: "sim-tiny-tp4"}
# What is beside the group, and not of it: a container and a unit of systemd. look.py knows the name, too.
BYSTANDER = "bystander"
# An image that every node has.
IMAGE = "vllm-node-sim:latest"
RESTARTS = {catalogue.USUAL: 60, catalogue.SMALL: 60, catalogue.THREE: 3}
# Small file systems, so that no fault fills this machine's disk: folder, MiB.
SMALL = (("/var/lib/gx10/run", 8), ("/srv/models", 16))


class Failed(Exception):
    """The cluster is not as this needs it; the text says what was found."""


class Cluster:
    """The nodes `gx10-sim-N` and the group that is served on the first of them."""

    def __init__(self, count: int) -> None:
        if count not in PROFILES:
            raise Failed(f"NODES: found {count}; wanted {' or '.join(map(str, PROFILES))}")
        self.nodes = tuple(sorted(self.host("ps", "--filter", "label=gx10.sim.node", "--format", "{{.Names}}").split()))
        if len(self.nodes) < count:
            raise Failed(f"the virtual cluster: found {len(self.nodes)} nodes that run; wanted {count}. make sim-up")
        self.group = Group(PROFILES[count], self.nodes[:count])
        self.served = ""
        self.boot = 0.0
        self._pool = ThreadPoolExecutor(8)

    # -- nodes ---------------------------------------------------------------------------------------------------------

    def sh(self, node: str, script: str, seconds: float = 60, *, check: bool = True) -> str:
        """A shell's output on a node."""
        argv = ["docker", "exec", node, "sh", "-c", script]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds, check=False)
        except subprocess.TimeoutExpired:
            raise Failed(f"{node}: {script[:120]!r}: found no end in {seconds:.0f} s") from None
        if check and done.returncode:
            raise Failed(f"{node}: {script[:120]!r}: found exit code {done.returncode}: {(done.stderr or done.stdout).strip()[-300:]}")
        return done.stdout

    def host(self, *argv: str, seconds: float = 180) -> str:
        """A command of this machine's Docker."""
        done = subprocess.run(["docker", *argv], capture_output=True, text=True, timeout=seconds, check=False)
        if done.returncode:
            raise Failed(f"docker {' '.join(argv)[:120]}: found exit code {done.returncode}: {done.stderr.strip()[-300:]}")
        return done.stdout

    def each(self, function: Callable[[str], Any], nodes: Iterable[str]) -> list[Any]:
        """The same on several nodes at once."""
        return list(self._pool.map(function, nodes))

    def targets(self, on: str) -> list[str]:
        found = {"head": self.group.nodes[:1], "worker": self.group.nodes[1:2], "all": self.group.nodes, "control": ()}
        return list(found[on])

    def look(self, node: str, since: float | None = None) -> Look | None:
        """One node; None where it is off."""
        argv = ["docker", "exec", "-i", node, "python3", "-", *([repr(since)] if since is not None else [])]
        try:
            done = subprocess.run(argv, input=LOOK, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            return None
        if done.returncode:
            if "is not running" in done.stderr or "is restarting" in done.stderr:
                return None
            raise Failed(f"{node}: looking at it: found exit code {done.returncode}: {done.stderr.strip()[-400:]}")
        found: Look = json.loads(done.stdout)
        return found

    def looks(self, since: float | None = None) -> dict[str, Look]:
        found = dict(zip(self.nodes, self.each(lambda node: self.look(node, since), self.nodes), strict=True))
        return {name: look for name, look in found.items() if look is not None}

    def status(self, node: str) -> dict[str, Any]:
        """What its supervisor wrote last; empty where it wrote nothing."""
        text = self.sh(node, f"cat /var/lib/gx10/run/{self.group.profile}/status.json 2>/dev/null || true", check=False)
        found: dict[str, Any] = json.loads(text) if text else {}
        return found

    def wait(self, condition: Callable[[], Any], seconds: float, every: float = 1.0) -> Any:
        deadline = time.monotonic() + seconds
        while not (value := condition()) and time.monotonic() < deadline:
            time.sleep(every)
        return value

    def up(self, node: str, seconds: float = 120) -> None:
        """Until a node has booted."""
        if not self.wait(lambda: "running" in self._running(node), seconds):
            raise Failed(f"{node}: found it {self._running(node)!r} after {seconds:.0f} s; wanted it booted, with no failed unit")

    def _running(self, node: str) -> str:
        argv = ["docker", "exec", node, "systemctl", "is-system-running"]
        try:
            done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
        except subprocess.TimeoutExpired:
            return "without an answer"
        # A unit that was killed has failed; the node runs.
        return done.stdout.strip().replace("degraded", "running") or done.stderr.strip()

    # -- the group -----------------------------------------------------------------------------------------------------

    def generation(self) -> int:
        return int(self.status(self.group.head).get("generation", 0))

    def says_serving(self) -> bool:
        """By the status files alone, which is cheap."""
        found = self.each(self.status, self.group.nodes)
        phases = [item.get("phase") for item in found]
        same = len({item.get("generation") for item in found}) == 1
        return same and phases == ["serving"] + ["joined"] * (len(self.group.nodes) - 1)

    def answers(self, seconds: float = 20) -> bool:
        try:
            return bool(ask(timeout=seconds).strip())
        except (urllib.error.URLError, OSError, ValueError):
            return False

    def extra(self) -> dict[str, Any]:
        return {"profile": self.group.profile, "gx10_restarts_per_hour": RESTARTS[self.served or catalogue.USUAL]}

    def serve(self, served: str, **more: Any) -> Playbook:
        """serve.yml, as a user would."""
        self.served = served
        return Playbook("serve", quiet=True, **{**self.extra(), **more})

    def arrange(self, served: str) -> None:
        """Serve like this, with strangers beside it."""
        if served != self.served and catalogue.SMALL in (served, self.served):
            Playbook("stop", quiet=True).ok()
            for node in self.group.nodes:
                for folder, size in SMALL:
                    self._small(node, folder, size, make=served == catalogue.SMALL)
        self.strangers()
        run = self.serve(served)
        if run.code:
            raise Failed(f"serve.yml: found exit code {run.code}:\n{run.output[-2500:]}")
        self.measure_boot()

    def _small(self, node: str, folder: str, size: int, *, make: bool) -> None:
        mounted = self.sh(node, f"mountpoint -q {folder} && echo yes || true").strip() == "yes"
        if make and not mounted:
            self.sh(
                node,
                f"mkdir -p {folder} && rm -rf /tmp/kept && cp -a {folder} /tmp/kept"
                f" && mount -t tmpfs -o size={size}m,mode=0755 small {folder} && cp -a /tmp/kept/. {folder}/ && rm -rf /tmp/kept",
            )
        elif mounted and not make:
            self.sh(node, f"umount --lazy {folder}")

    def measure_boot(self) -> None:
        """Of the generation that serves, from its first phase on."""
        phases = self.status(self.group.head).get("phases", [])
        if phases and phases[-1]["name"] == "serving":
            self.boot = phases[-1]["at"] - phases[0]["at"]

    def strangers(self) -> None:
        """A foreign container and a foreign process on each node, which must outlive everything. A reboot ends the process."""

        def plant(node: str) -> None:
            found = self.sh(node, f"docker inspect -f '{{{{.State.Running}}}}' {BYSTANDER} 2>/dev/null || true").strip()
            if found != "true":
                self.sh(node, f"docker rm --force {BYSTANDER} >/dev/null 2>&1 || true")
                run = f"docker run --detach --name {BYSTANDER} --network none --restart unless-stopped --entrypoint sleep {IMAGE} infinity"
                self.sh(node, f"! docker image inspect {IMAGE} >/dev/null 2>&1 || {run}")
            if self.sh(node, f"systemctl is-active {BYSTANDER} || true").strip() != "active":
                self.sh(
                    node, f"systemctl reset-failed {BYSTANDER} 2>/dev/null || true; systemd-run --quiet --unit {BYSTANDER} sleep infinity"
                )

        self.each(plant, self.nodes)

    def close(self) -> None:
        """Leave nodes on which nothing runs, and nothing is left of this."""
        Playbook("stop", quiet=True)
        self.each(
            lambda node: self.sh(node, f"docker rm --force {BYSTANDER} >/dev/null 2>&1; systemctl stop {BYSTANDER} 2>/dev/null; true"),
            self.nodes,
        )
        for node in self.group.nodes:
            for folder, size in SMALL:
                self._small(node, folder, size, make=False)


class Streams:
    """Eight requests at once, again and again, until it is left."""

    def __init__(self, api: str, count: int = 8) -> None:
        self.api, self.count = api, count
        self.body = {"model": "tiny-qwen3", "prompt": "Count:", "max_tokens": 400, "ignore_eos": True, "stream": True}
        self.over = threading.Event()
        self.chunks = 0

    def __enter__(self) -> Streams:
        for _number in range(self.count):
            threading.Thread(target=self._run, daemon=True).start()
        return self

    def __exit__(self, *_error: object) -> None:
        self.over.set()

    def _run(self) -> None:
        request = urllib.request.Request(f"{self.api}/v1/completions", json.dumps(self.body).encode(), {"Content-Type": "application/json"})
        while not self.over.is_set():
            try:
                with urllib.request.urlopen(request, timeout=30) as answer:
                    for _line in answer:
                        self.chunks += 1
                        if self.over.is_set():
                            return
            except (OSError, ValueError):
                self.over.wait(0.5)
