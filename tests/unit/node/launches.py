"""The supervisors of one launch as real processes, each with a stub of an engine: `sleep` on workers, stub_engine.py on the head."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from test_supervisor import HOME, STUB, WATCH, Supervised, eventually, free_port, processes

# The promise is 5 s; this machine may be busy with other things.
GENEROUS = 15.0
SECRET = "a secret of the launch, of 32 bytes or more"


class Node(Supervised):
    """One node: its part, its process, its status."""

    program = HOME

    def __init__(self, folder: Path, rank: int, part: dict[str, Any]) -> None:
        self.folder, self.rank, self.part = folder, rank, part
        folder.mkdir()
        self.start()

    def start(self) -> None:
        (self.folder / "node.json").write_text(json.dumps(self.part))
        self.process = subprocess.Popen([sys.executable, str(self.program), str(self.folder / "node.json")], cwd=self.folder)

    def phase(self) -> str:
        return str(self.status().get("phase"))

    def kill_rank(self) -> None:
        """SIGKILL for the rank's own process."""
        os.kill(self.status()["evidence"]["engine_pid"], signal.SIGKILL)

    def end(self) -> None:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGCONT)
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()


class Launch:
    """Some nodes of one launch."""

    node = Node

    def __init__(self, folder: Path, ranks: int, restarts: int, **changes: Any) -> None:
        self.folder, self.ranks = folder, ranks
        self.link_port, self.api_port = free_port(), free_port()
        (folder / "secret").write_text(SECRET)
        (folder / "engine.json").write_text("{}")
        self.mark = f"{folder.name}-{self.api_port}"
        self.names = [f"n{rank}" for rank in range(ranks)]
        self.settings = {
            "names": self.names, "launch": "sha256:l", "address": f"127.0.0.1:{self.link_port}", "secret_file": str(folder / "secret"),
            "restarts_per_hour": restarts, "gather_seconds": 30, **changes,
        }  # fmt: skip
        self.nodes = [self.node(folder / name, rank, self.part(rank)) for rank, name in enumerate(self.names)]

    def part(self, rank: int, port: int | None = None) -> dict[str, Any]:
        url = f"http://127.0.0.1:{self.api_port}"
        stub = [sys.executable, str(STUB), str(self.api_port), str(self.folder / "engine.json")]
        argv = ["/bin/sh", "-c", "exec sleep 86421 # $0", self.mark] if rank else stub
        settings = {**self.settings, **({"address": f"127.0.0.1:{port}"} if port else {})}
        name = self.names[rank]
        return {
            "node": name, "rank": rank, "role": "worker" if rank else "head", "hash": f"sha256:{name}", "profile": "p",
            "address": f"127.0.0.{rank + 1}" if rank < 1 else "127.0.0.1", "status_file": str(self.folder / name / "status.json"),
            "mods": [], "mods_dir": "", "model_dir": "/models/x", "ray": None,
            "engine": {"argv": argv, "health": None if rank else url, "served_name": "m"},
            "memory_floor_gib": 0, "deadlines": {"engine": 60, "drain": 1, "stop": 5}, "watch": WATCH, "group": settings,
        }  # fmt: skip

    @property
    def head(self) -> Node:
        return self.nodes[0]

    def serves(self, generation: int = 1, seconds: float = 30) -> None:
        """Wait until all ranks serve this generation."""

        def all_up() -> bool:
            found = [(node.phase(), node.status().get("generation")) for node in self.nodes]
            return found == [("joined" if node.rank else "serving", generation) for node in self.nodes]

        assert eventually(all_up, seconds), [node.status() for node in self.nodes]

    def ended(self, nodes: list[Node], generation: int, seconds: float = GENEROUS) -> float:
        """Seconds until these nodes know that a generation is over."""
        start = time.monotonic()

        def known() -> bool:
            return all(node.status()["generation"] != generation or node.phase() not in ("serving", "joined") for node in nodes)

        assert eventually(known, seconds), [node.status() for node in nodes]
        return time.monotonic() - start

    def down(self, reason: str, seconds: float = GENEROUS) -> None:
        """All nodes are down and name the same culprit; nothing of theirs runs."""
        assert eventually(lambda: [node.phase() for node in self.nodes] == ["failed"] * self.ranks, seconds), self.statuses()
        for node in self.nodes:
            assert reason in node.status()["reason"], node.status()
        assert processes(str(self.api_port)) == [] or all("stub_engine" not in line for line in processes(str(self.api_port)))

    def statuses(self) -> list[dict[str, Any]]:
        return [node.status() for node in self.nodes]


def launching(tmp_path: Path) -> Iterator[Callable[..., Launch]]:
    """For a fixture: start launches, and end their processes after the test."""
    launches: list[Launch] = []

    def start(ranks: int = 3, restarts: int = 3, kind: type[Launch] = Launch, **more: Any) -> Launch:
        launches.append(kind(tmp_path, ranks, restarts, **more))
        return launches[-1]

    yield start
    for one in launches:
        for node in reversed(one.nodes):
            node.end()
