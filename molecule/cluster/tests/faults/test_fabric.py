"""The fabric, cut before a serve: what serves must still serve."""

from __future__ import annotations

import time
from typing import Any

from sim import Playbook, ask, eventually


def test_a_link_that_is_down_is_named_in_seconds_and_nothing_is_stopped(nodes: dict[str, Any]) -> None:
    node = nodes["gx10-sim-3"]
    before = {name: one.containers(running=True)[0]["Id"] for name, one in nodes.items()}
    device = node.device()
    node.run(f"ip link set {device} down")
    try:
        assert "state DOWN" in node.run(f"ip link show {device}")
        started = time.monotonic()
        output = Playbook("serve", profile="sim-tiny-tp4").refused().output
        print(f"refused after {time.monotonic() - started:.1f} s")
        assert "nothing was changed" in output
        assert "gx10-sim-3: " in output
        assert device in output.split("gx10-sim-3: ")[1].split("\n")[0]
        assert "no answer to" not in output, "its victims are named, too"
    finally:
        node.run(f"ip link set {device} up")
    assert eventually(lambda: "172.31.241.13" in node.run(f"ip -4 address show {device}"), 30)
    assert {name: one.containers(running=True)[0]["Id"] for name, one in nodes.items()} == before
    assert eventually(lambda: node.host.run("ip route get 172.31.241.11 | grep -c " + device).stdout.strip() == "1", 30)
    assert ask().strip(), "what served before must still serve"
