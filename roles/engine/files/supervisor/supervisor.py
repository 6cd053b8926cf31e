# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The supervisor of one node: mods, Ray, membership, engine; then watch, drain and stop.

A container is Up only while its engine (head) or its Ray node (worker) is alive: this process is the container's main
one, and it ends when they end.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import time
from typing import Any, Callable

import mods
import probe
import ray_env
from memory import Floor, Guard
from processes import Child, Family, adopt_orphans
from status import Status
from watch import Watch

HERE = os.path.dirname(os.path.abspath(__file__))
# Seconds that each step may take, and what stop grants. `engine` comes with the plan: weights take minutes.
DEADLINES = {"mods": 600, "ray": 180, "members": 300, "engine": 1800, "drain": 20, "stop": 30}
# Every library that opens sockets between ranks must use the fabric.
INTERFACE_ENV = ("GLOO_SOCKET_IFNAME", "NCCL_SOCKET_IFNAME", "TP_SOCKET_IFNAME", "UCX_NET_DEVICES", "OMPI_MCA_btl_tcp_if_include")


class Failed(Exception):
    """The node cannot go on; the text is the reason in its status."""


class Stopped(Exception):
    """SIGTERM or SIGINT came."""


class Supervisor:
    """One node's part of a plan, from start to end. `part` is the JSON that the engine role writes."""

    def __init__(self, part: dict[str, Any]) -> None:
        self.part = part
        self.deadlines = {**DEADLINES, **part.get("deadlines", {})}
        about = {key: part[key] for key in ("node", "rank", "role", "hash", "profile")}
        with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
            about["boot_id"] = file.read().strip()
        self.status = Status(part["status_file"], about)
        self.family = Family()
        self.env = dict(os.environ)
        self.cwd = os.getcwd()
        self.ray: Child | None = None
        self.engine: Child | None = None
        self.watch: Watch | None = None
        self.guard = Guard(Floor(part["memory_floor_gib"]), self.family.kill)
        self.term = False

    def run(self) -> int:
        """Supervise until the end. 0: stopped as asked; 1: failed, with the reason in the status file and the log."""
        adopt_orphans()
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._on_signal)
        self.guard.start()
        try:
            try:
                self._start()
                self._supervise()
            except Stopped:
                self._stop()
                self._spared()
                self.status.enter("stopped", "as asked")
                return 0
        except (Failed, OSError, RuntimeError) as error:
            # What the guard has killed fails in its own way; the memory is why.
            self._fail(self.guard.verdict or str(error))
        return 1

    def _on_signal(self, _number: int, _frame: Any) -> None:
        self.term = True

    # -- start ---------------------------------------------------------------------------------------------------------

    def _start(self) -> None:
        self._network()
        if self.part["mods"]:
            self.status.enter("mods")
            # A mod may refuse a checkpoint that it would corrupt.
            env = {**self.env, "GX10_MODEL_DIR": self.part["model_dir"]}
            mods.apply(self.family, self.part["mods"], self.part["mods_dir"], self.cwd, env, self.deadlines["mods"])
            self.status.evidence(mods=self.part["mods"])
        if self.part["ray"]:
            self._start_ray(self.part["ray"])
        engine = self.part["engine"]
        if engine:
            self._start_engine(engine)
        if engine and engine["health"]:
            self.status.enter("serving")
            assert self.engine is not None
            self.watch = Watch(engine["health"], engine["served_name"], self.part["watch"], self.engine.pid)
            self.watch.start()
        else:
            self.status.enter("joined")

    def _network(self) -> None:
        address = self.part["address"]
        if address is None:
            return
        interface = probe.interface_of(address)
        if interface is None:
            raise Failed(f"no interface holds the fabric address {address}; check gx10_fabric_address and the link")
        self.status.evidence(interface=interface)
        for name in INTERFACE_ENV:
            self.env.setdefault(name, interface)

    def _start_ray(self, ray: dict[str, Any]) -> None:
        self.status.enter("ray")
        if self.part["role"] == "worker":
            # Ray itself would retry for minutes without a word.
            self._until(lambda: probe.connects(ray["head"]), self.deadlines["ray"], f"nothing listens at {ray['head']}, the head's Ray")
        self.status.evidence(own_env=ray_env.keep(self.env))
        self.ray = self.family.start("ray", ray["argv"], self.env, self.cwd)
        self._until(lambda: probe.connects(ray["head"]), self.deadlines["ray"], f"Ray did not listen at {ray['head']}")
        if "members" in ray:
            self.status.enter("members")
            wanted = {**ray["members"], "seconds": self.deadlines["members"]}
            self._members(wanted)
            self.status.evidence(members=ray["members"]["addresses"])

    def _members(self, wanted: dict[str, Any]) -> None:
        """Run membership.py and follow its answers."""
        answers = os.path.join(os.path.dirname(self.part["status_file"]), "members.jsonl")
        with contextlib.suppress(FileNotFoundError):
            os.remove(answers)
        argv = [sys.executable, os.path.join(HERE, "membership.py"), json.dumps(wanted), answers]
        child = self.family.start("membership", argv, self.env, self.cwd)
        self._until(lambda: child.code is not None, wanted["seconds"] + 60, "Ray's node table did not answer")
        if child.code == 0:
            return
        with open(answers, encoding="utf-8") as file:
            lines = file.read().splitlines()
        if child.code != 1 or not lines:
            raise Failed(f"Ray's node table could not be read: membership {child.ended()}; see this container's log")
        last = json.loads(lines[-1])
        found = [f"{key} {', '.join(last[key])}" for key in ("missing", "unexpected", "twice") if last[key]]
        raise Failed(
            f"Ray has not exactly the planned nodes after {wanted['seconds']} s: {'; '.join(found) or 'all nodes'};"
            f" {last['gpus']} GPUs of {wanted['gpus']}"
        )

    def _start_engine(self, engine: dict[str, Any]) -> None:
        self.status.enter("engine")
        self.engine = self.family.start("engine", engine["argv"], self.env, self.cwd)
        self.status.evidence(engine_pid=self.engine.pid)
        if not engine["health"]:
            return  # a worker rank has no API; that its process lives is all there is to see
        url = f"{engine['health']}/health"
        # A server that is not ours may answer there; then our engine cannot bind, ends, and `_alive` says so.
        self._until(lambda: probe.get(url, timeout=5)[0] == 200, self.deadlines["engine"], f"{url} did not answer 200")

    def _until(self, done: Callable[[], bool], seconds: float, otherwise: str) -> None:
        """Wait for `done` while all children live; Failed with `otherwise` when the time ran out."""
        deadline = time.monotonic() + seconds
        while not done():
            self._alive()
            if time.monotonic() >= deadline:
                raise Failed(f"{otherwise} within {seconds:.0f} s")
            time.sleep(0.5)
        self._alive()

    # -- watch ---------------------------------------------------------------------------------------------------------

    def _supervise(self) -> None:
        while True:
            self._alive()
            if self.watch and self.watch.verdict:
                assert self.engine is not None
                self.engine.signal(signal.SIGKILL)
                raise Failed(f"the engine is wedged: {self.watch.verdict}")
            time.sleep(0.5)

    def _alive(self) -> None:
        """Raise Stopped on a signal, Failed when a child has died or memory is under the floor."""
        self.family.reap()
        if self.term:
            raise Stopped
        for child in (self.engine, self.ray):
            if child and child.code is not None:
                what = "Ray (its head went away, or a Ray process died)" if child is self.ray else "the engine"
                raise Failed(f"{what} {child.ended()}; see this container's log")
        self._spared()

    def _spared(self) -> None:
        """Raise Failed once memory was under the floor."""
        if self.guard.verdict:
            raise Failed(self.guard.verdict)

    def _fail(self, reason: str) -> None:
        self.status.enter("failing", reason)
        if self.watch:
            self.watch.stopping.set()
        self.family.sweep(grace=0 if self.guard.verdict else 5)
        self.status.enter("failed", reason)

    # -- stop ----------------------------------------------------------------------------------------------------------

    def _stop(self) -> None:
        self.status.enter("stopping")
        if self.watch:
            self.watch.stopping.set()
            self._drain()
        for child, grace in ((self.engine, self.deadlines["stop"]), (self.ray, 10)):
            if child:
                child.signal(signal.SIGTERM)
                if not self.family.wait(child, grace):
                    child.signal(signal.SIGKILL)
        left = self.family.sweep(grace=5)
        if left:
            self.status.evidence(swept=left)

    def _drain(self) -> None:
        """Let running requests finish, within the deadline."""
        deadline = time.monotonic() + self.deadlines["drain"]
        while time.monotonic() < deadline and not self.guard.verdict:
            status, text = probe.get(f"{self.part['engine']['health']}/metrics", timeout=2)
            busy = [probe.samples(text, name) for name in self.part["watch"]["busy"]]
            if status != 200 or not any(busy):
                return
            time.sleep(0.5)
        self.status.evidence(drain="requests still ran when the drain time was over")
