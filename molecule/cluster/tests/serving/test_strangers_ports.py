"""What answers a neighbour that is no node, while four ranks serve; it writes docs/security-ports.md.

Runs last of its folder: a scan knocks at the ranks' own ports, too.
"""

from __future__ import annotations

import json
from typing import Any

from open_ports import NODES, SCANNED, STATES, Neighbour, holders, judge, look, ssh
from sim import HEAD, Node, ask, eventually


def test_a_port_that_nobody_means_is_named(nodes: dict[str, Node]) -> None:
    """The scan sees a listener that is planted, and the judgement names node, address, port and process."""
    name, port = "gx10-sim-3", 23456
    node = nodes[name]
    address = NODES[name]["fabric"]
    node.run(f"nohup python3 -m http.server {port} --bind {address} >/dev/null 2>&1 &")
    try:
        assert eventually(lambda: node.run(f"ss -Hltn 'sport = :{port}'"), 10)
        with Neighbour() as neighbour:
            answers = neighbour.scan(list(SCANNED[name].values()), port - 50, port + 50)
        own = {name: SCANNED[name]}
        found, _rows = judge(answers, {}, ssh(own), own, {name: holders(name)})
    finally:
        node.run(f"pkill -f '[h]ttp.server {port}'")
    (problem,) = [text for text in found if f"port {port}:" in text]
    assert problem.startswith(f"{name}: {address}: port {port}: found open, held by pid ")
    assert "http.server" in problem


def test_only_what_is_meant_answers_while_a_model_serves(nodes: dict[str, Any]) -> None:
    plan = json.loads(nodes[HEAD].run("cat /var/lib/gx10/current.json"))["plan"]
    found = look(STATES[2], plan, {})
    assert ask().strip(), "the ranks did not survive that somebody knocked at their ports"
    assert found == []
