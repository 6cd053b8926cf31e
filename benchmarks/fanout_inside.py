# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Ways to bring the same files to N receivers, measured side by side. Run it with benchmarks/fanout."""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import lab

KEY = Path("/bench/key")


def ssh_everywhere(net: lab.Net) -> list[subprocess.Popen[bytes]]:
    """An sshd on each host."""
    if not KEY.exists():
        lab.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(KEY))
        lab.run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", "/bench/host_key")
        Path("/run/sshd").mkdir(exist_ok=True)
    options = ["-D", "-h", "/bench/host_key", "-o", f"AuthorizedKeysFile={KEY}.pub", "-o", "StrictModes=no"]
    return [net.start(number, "/usr/sbin/sshd", *options) for number in range(len(net.names))]


def rsync(net: lab.Net, source: int, target: int) -> subprocess.Popen[bytes]:
    """What the field does: rsync over ssh, from one host to another."""
    ssh = f"ssh -i {KEY} -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null -o LogLevel=ERROR"
    place = f"{lab.WORK}/{net.names[source]}/"
    return net.start(source, "rsync", "-a", "-e", ssh, place, f"{net.address(target)}:{lab.WORK}/{net.names[target]}/")


def rsync_star(net: lab.Net, parallel: bool) -> None:
    running = []
    for target in range(1, len(net.names)):
        running.append(rsync(net, 0, target))
        if not parallel:
            running[-1].wait()
    if any(process.wait() for process in running):
        raise RuntimeError("rsync failed")


def rsync_chain(net: lab.Net) -> None:
    for target in range(1, len(net.names)):
        if rsync(net, target - 1, target).wait():
            raise RuntimeError("rsync failed")


def measure(receivers: int, options: argparse.Namespace) -> dict[str, float]:
    """A table for one number of receivers; {way: time in units of size/bandwidth}."""
    net = lab.Net(receivers + 1, options.mbit)
    lab.run("rm", "-rf", "/bench/h0")
    listing = lab.files(lab.WORK / "h0", options.files, options.kib * 1024)
    total = sum(item["size"] for item in listing)
    unit = total * 8 / options.mbit / 1e6
    print(
        f"\n{receivers} receivers, {total / 1e6:.0f} MB in {len(listing)} files, {options.mbit} Mbit/s links, size/bandwidth = {unit:.1f} s"
    )
    print(f"{'way':24}{'time':>8}{'x S/B':>8}{'head sent':>11}{'most sent':>11}   (sent: in units of the size)")
    times: dict[str, float] = {}
    daemons = ssh_everywhere(net)
    time.sleep(1)
    ways = {
        "rsync+ssh star, serial": lambda: rsync_star(net, parallel=False),
        "rsync+ssh star, parallel": lambda: rsync_star(net, parallel=True),
        "rsync+ssh chain": lambda: rsync_chain(net),
        "ours, star": None,
        "ours, chain": None,
    }
    failed = False
    for name, way in ways.items():
        if options.only and not any(word.strip() in name for word in options.only.split(";")):
            continue
        lab.clean(net)
        before, started = net.sent(), time.monotonic()
        if way:
            way()
            seconds = time.monotonic() - started
        else:
            distribution = lab.Distribution(net, listing, star="star" in name, lanes=options.lanes, stall=20)
            seconds = distribution.wait(list(range(1, receivers + 1)), 40 * unit + 60)
            distribution.stop()
        sent = [(after - start) / total for start, after in zip(before, net.sent(), strict=True)]
        times[name] = seconds / unit
        print(f"{name:24}{seconds:7.1f}s{times[name]:8.2f}{sent[0]:11.2f}{max(sent):11.2f}", flush=True)
        if not lab.same(net, list(range(1, receivers + 1)), listing):
            print(f"{name}: not every receiver has the files")
            failed = True
        # Counters are deterministic, times are not: only the counters can fail.
        if name == "ours, chain" and max(sent) > 1.05:
            print(f"ours, chain: found {max(sent):.3f} x the size sent by one node; wanted at most 1.05")
            failed = True
    for daemon in daemons:
        daemon.terminate()
        daemon.wait()
    net.remove()
    if "ours, chain" in times:
        shown = [f"{name} ÷ ours, chain = {value / times['ours, chain']:.2f}" for name, value in times.items() if name != "ours, chain"]
        print("\n".join(shown))
    if failed:
        sys.exit(1)
    return times


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--receivers", default="3,7", help="numbers of receivers")
    parser.add_argument("--mbit", type=int, default=100, help="rate of each link and direction")
    parser.add_argument("--files", type=int, default=64)
    parser.add_argument("--kib", type=int, default=4096, help="size of each file")
    parser.add_argument("--lanes", type=int, default=2, help="transfers in flight per node, ours")
    parser.add_argument("--only", default="", help="parts of the names of the ways to measure, with semicolons between them")
    options = parser.parse_args()
    for receivers in map(int, options.receivers.split(",")):
        measure(receivers, options)


if __name__ == "__main__":
    main()
