# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a distribution does when peers lie, die or fill up. Run it with GX10_LAB=fanout_faults.py benchmarks/fanout."""

from __future__ import annotations

import time
from collections.abc import Callable

import lab


def eventually(condition: Callable[[], bool], seconds: float = 30) -> None:
    """Wait for a fault to take effect, or give up loudly."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError("the fault did not take effect")
        time.sleep(0.05)


def flip(path: str) -> None:
    """One byte in the middle of a file."""
    with open(path, "r+b") as file:
        file.seek(500_000)
        byte = file.read(1)
        file.seek(500_000)
        file.write(bytes([byte[0] ^ 1]))


def wrong_from_the_start(net: lab.Net, listing: list[dict[str, object]]) -> None:
    """h1 believes it has all, but a bit of one file flipped on its disk long ago: its CRCs fit its bytes, the whole does not."""
    lab.run("sh", "-c", f"cp {lab.WORK}/h0/* {lab.WORK}/h1/")
    flip(f"{lab.WORK}/h1/{listing[0]['path']}")
    # The planner would ask the head first; here h1 stands between.
    distribution = lab.Distribution(net, listing, order=["h1", "h0"])
    distribution.wait([2], 60)
    state = distribution.state(2)
    assert state["phase"] == "done", state
    assert state["repeated"] >= listing[0]["size"], state
    distribution.stop()
    assert lab.same(net, [2], listing)


def wrong_after_the_check(net: lab.Net, listing: list[dict[str, object]]) -> None:
    """A bit flips on h1 after it published its CRC: the piece is refused and comes from elsewhere."""
    lab.run("sh", "-c", f"cp {lab.WORK}/h0/* {lab.WORK}/h1/")
    distribution = lab.Distribution(net, listing, order=["h1", "h0"], later=[2])
    eventually(lambda: distribution.state(1)["phase"] == "done")
    flip(f"{lab.WORK}/h1/{listing[0]['path']}")
    distribution.start(2)
    distribution.wait([2], 60)
    state = distribution.state(2)
    assert state["phase"] == "done", state
    assert "CRC-32" in str(state["passed_by"]), state
    distribution.stop()
    assert lab.same(net, [2], listing)


def cut_in_the_middle(net: lab.Net, listing: list[dict[str, object]]) -> None:
    """The cable of h1 is pulled while h2 and h3 hang on it."""
    distribution = lab.Distribution(net, listing)
    eventually(lambda: distribution.state(2).get("received", 0) > 0)
    net.cut(1)
    distribution.wait([2, 3], 120)
    for number in (2, 3):
        assert distribution.state(number)["phase"] == "done", distribution.state(number)
    assert distribution.state(2)["passed_by"], "nobody was passed by"
    distribution.stop()
    net.cut(1, up=True)
    assert lab.same(net, [2, 3], listing)


def a_disk_that_fills_up(net: lab.Net, listing: list[dict[str, object]]) -> None:
    """h2 has room for half: it fails with the reason and without a final name for what is not whole; h3 gets all."""
    half = sum(int(str(item["size"])) for item in listing) // 2
    lab.run("mount", "-t", "tmpfs", "-o", f"size={half}", "tmpfs", f"{lab.WORK}/h2")
    distribution = lab.Distribution(net, listing)
    distribution.wait([1, 2, 3], 120)
    state = distribution.state(2)
    assert state["phase"] == "failed", state
    assert "free; wanted" in str(state["failed"]) or "disk full" in str(state["failed"]), state
    distribution.stop()
    assert lab.same(net, [1, 3], listing)
    manifest = lab.module("node._manifest")
    for item in listing:
        path = lab.WORK / "h2" / str(item["path"])
        assert not path.exists() or manifest.sha256(str(path)) == item["sha256"], "a final name over half a file"
    lab.run("umount", f"{lab.WORK}/h2")


def a_control_node_that_goes_away(net: lab.Net, listing: list[dict[str, object]]) -> None:
    """Nobody looks at the distribution any more: every program ends by itself, and its nginx with it."""
    distribution = lab.Distribution(net, listing, lease=8)
    distribution.wait([1, 2, 3], 60)
    assert nginx(), "no server ran"
    for process in distribution.processes:
        assert process.wait(30) == 0
    assert not nginx(), "a server is left"


def nginx() -> str:
    """The servers that run."""
    return lab.run("sh", "-c", "pgrep -x nginx || true")


def main() -> None:
    net = lab.Net(4, 100)
    listing = lab.files(lab.WORK / "h0", 8, 6 * 1024**2)
    for fault in (wrong_from_the_start, wrong_after_the_check, cut_in_the_middle, a_disk_that_fills_up, a_control_node_that_goes_away):
        lab.clean(net)
        started = time.monotonic()
        fault(net, listing)
        print(f"ok  {fault.__name__.replace('_', ' ')} ({time.monotonic() - started:.1f} s)", flush=True)
    net.remove()


if __name__ == "__main__":
    main()
