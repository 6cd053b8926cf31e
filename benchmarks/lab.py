# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Hosts in network namespaces behind one switch, each link shaped both ways; runs as root inside a container of its own."""

from __future__ import annotations

import importlib
import json
import os
import random
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parents[1]
PROGRAM = SOURCE / "roles/fanout/files/fanout"
WORK = Path("/bench")
PORT = 8731


def run(*argv: str, **options: Any) -> str:
    """A command that must succeed; its output."""
    return subprocess.run(argv, check=True, capture_output=True, text=True, **options).stdout


def module(name: str) -> Any:
    """One of the collection's module_utils, without Ansible."""
    sys.path.insert(0, str(SOURCE / "plugins"))
    return importlib.import_module(f"module_utils.{name}")


def program() -> Path:
    """Our engine with what it shares with the modules, as the role installs it."""
    folder = WORK / "program"
    if not folder.exists():
        shutil.copytree(PROGRAM, folder)
        shutil.copy(SOURCE / "plugins/module_utils/node/_paths.py", folder)
    return folder


class Net:
    """`count` hosts h0…; `mbit` per link and direction, with a queue of 4 ms: a long one delays acknowledgements."""

    def __init__(self, count: int, mbit: int) -> None:
        self.names = [f"h{number}" for number in range(count)]
        run("ip", "link", "add", "switch", "type", "bridge")
        run("ip", "link", "set", "switch", "mtu", "9000", "up")
        shape = ["root", "tbf", "rate", f"{mbit}mbit", "burst", "128kb", "latency", "4ms"]
        for number, name in enumerate(self.names):
            run("ip", "netns", "add", name)
            run("ip", "link", "add", f"port{number}", "mtu", "9000", "type", "veth", "peer", "fab0", "netns", name, "mtu", "9000")
            run("ip", "link", "set", f"port{number}", "master", "switch", "up")
            run("ip", "-n", name, "address", "add", f"{self.address(number)}/24", "dev", "fab0")
            run("ip", "-n", name, "link", "set", "fab0", "up")
            run("ip", "-n", name, "link", "set", "lo", "up")
            run("tc", "qdisc", "add", "dev", f"port{number}", *shape)
            run("tc", "-n", name, "qdisc", "add", "dev", "fab0", *shape)

    @staticmethod
    def address(number: int) -> str:
        return f"10.77.0.{number + 1}"

    def sent(self) -> list[int]:
        """Bytes that each host has sent so far, headers included."""
        return [json.loads(run("ip", "-n", n, "-s", "-j", "link", "show", "fab0"))[0]["stats64"]["tx"]["bytes"] for n in self.names]

    def start(self, number: int, *argv: str) -> subprocess.Popen[bytes]:
        """Start a command on a host."""
        return subprocess.Popen(["ip", "netns", "exec", self.names[number], *argv])

    def cut(self, number: int, *, up: bool = False) -> None:
        """Pull a host's cable, or put it back."""
        run("ip", "link", "set", f"port{number}", "up" if up else "down")

    def remove(self) -> None:
        for number, name in enumerate(self.names):
            subprocess.run(["ip", "link", "delete", f"port{number}"], check=False)
            subprocess.run(["ip", "netns", "delete", name], check=False)
        run("ip", "link", "delete", "switch")


def files(folder: Path, count: int, size: int) -> list[dict[str, Any]]:
    """Random files, and what a manifest says of them."""
    manifest = module("node._manifest")
    folder.mkdir(parents=True)
    generator = random.Random(0)
    found = []
    for number in range(count):
        path = folder / f"shard-{number:03}.safetensors"
        path.write_bytes(generator.randbytes(size))
        found.append({"path": path.name, "size": size, "sha256": manifest.sha256(str(path))})
    return found


class Distribution:
    """Our engine on the hosts of a Net: host 0 has all, the others what `lacks` leaves them."""

    def __init__(
        self,
        net: Net,
        listing: list[dict[str, Any]],
        *,
        star: bool = False,
        lanes: int = 2,
        stall: int = 4,
        order: list[str] | None = None,
        later: list[int] | None = None,
        lease: int = 3600,
    ) -> None:
        self.net = net
        nodes = [{"name": name, "addresses": [net.address(number)]} for number, name in enumerate(net.names)]
        lacks = {name: [item["path"] for item in listing if not (WORK / name / item["path"]).exists()] for name in net.names[1:]}
        fanout = module("phases._fanout")
        self.plan = fanout.plan(nodes, listing, lacks, PORT, lanes, chains=len(net.names) - 1 if star else 0)
        self.processes: list[subprocess.Popen[bytes]] = []
        for name in net.names:
            work = WORK / "work" / name
            run("rm", "-rf", str(work))
            work.mkdir(parents=True)
            rest = {"work": str(work), "root": str(WORK / name), "stall_seconds": stall, "lease_seconds": lease}
            job = {**self.plan["jobs"][name], **rest}
            if order and job["parents"]:  # whom to ask, in another order than planned
                job["parents"] = [[fanout.url(net.address(net.names.index(parent)), PORT)] for parent in order]
            (work / "job.json").write_text(json.dumps(job))
        self.started = time.monotonic()
        for number in range(len(net.names)):
            if number not in (later or []):
                self.start(number)

    def start(self, number: int) -> None:
        """Start a host's part."""
        job = str(WORK / "work" / self.net.names[number] / "job.json")
        self.processes.append(self.net.start(number, "python3", "-B", str(program()), job))

    def state(self, number: int) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((WORK / "work" / self.net.names[number] / "state.json").read_text())
        except (OSError, ValueError):
            return {"phase": "starting"}
        return found

    def wait(self, numbers: list[int], seconds: float) -> float:
        """Seconds until the last of these hosts had everything."""
        deadline = self.started + seconds
        while any(self.state(number)["phase"] not in ("done", "failed") for number in numbers):
            if time.monotonic() > deadline:
                raise TimeoutError({number: self.state(number) for number in numbers})
            time.sleep(0.05)
        for number in numbers:
            if self.state(number)["phase"] == "failed":
                print(f"{self.net.names[number]}: {self.state(number)['failed']}", flush=True)
        return float(max(self.state(number).get("seconds", 0) for number in numbers))

    def stop(self) -> None:
        for process in self.processes:
            process.terminate()
        for process in self.processes:
            process.wait()


def clean(net: Net) -> None:
    """Empty receivers."""
    for name in net.names[1:]:
        run("rm", "-rf", str(WORK / name))
        (WORK / name).mkdir()


def same(net: Net, numbers: list[int], listing: list[dict[str, Any]]) -> bool:
    """Is every file on these hosts as in the manifest, and nothing else there?"""
    manifest = module("node._manifest")
    return all(
        sorted(os.listdir(WORK / net.names[number])) == sorted(item["path"] for item in listing)
        and all(manifest.sha256(str(WORK / net.names[number] / item["path"])) == item["sha256"] for item in listing)
        for number in numbers
    )
