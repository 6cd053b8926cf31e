"""What answers a neighbour that is no node, when nothing runs, and while files are distributed."""

from __future__ import annotations

import json
import random
import struct
from pathlib import Path
from typing import Any

from open_ports import NODES, STATES, distribution, look
from sim import HEAD, Node, Playbook, eventually

MODEL = "gx10/ports"
# At this rate the distribution outlives the scan, which takes some of it; afterwards the rest travels at full speed.
RATE, MIB = "10mbit", 128


def checkpoint(folder: Path) -> Path:
    """One shard of random bytes, and its configuration."""
    header = json.dumps({"layer": {"dtype": "U8", "shape": [MIB * 2**20], "data_offsets": [0, MIB * 2**20]}}).encode()
    (folder / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header + random.Random(13).randbytes(MIB * 2**20))
    (folder / "config.json").write_text("{}")
    return folder


def test_only_ssh_answers_when_nothing_runs() -> None:
    assert look(STATES[0], None, {}) == []


def test_only_the_distribution_answers_beside_it(tmp_path: Path, nodes: dict[str, Node]) -> None:
    head: Any = nodes[HEAD]
    port = json.loads(head.run("cat /var/lib/gx10/last-good.json"))["plan"]["weights"]["port"]
    fabric = [{"name": name, "addresses": [addresses["fabric"]]} for name, addresses in NODES.items()]
    for node in nodes.values():
        node.shape(RATE)
    running = Playbook("stage", background=True, quiet=True, model=MODEL, gx10_weights_sources={MODEL: str(checkpoint(tmp_path))})
    listens = f"ss -Hltn 'sport = :{port}'"
    try:
        assert all(eventually(lambda node=node: node.run(listens), 60) for node in nodes.values()), "nginx did not start everywhere"
        found = look(STATES[1], None, distribution({"port": port, "nodes": fabric}))
        still = [name for name, node in nodes.items() if node.run(listens)]
    finally:
        for node in nodes.values():
            node.shape("")
        output = running.wait().output
        for node in nodes.values():
            node.run(f"rm -rf /srv/models/{MODEL} /var/lib/gx10/manifests/{MODEL.replace('/', '--')}.json")
    assert running.code == 0, output[-3000:]
    assert still == list(nodes), "the distribution was over before the scan: more MIB"
    assert found == []
