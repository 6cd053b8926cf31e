# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One generation on this node, from Ray's start to the last process's end: Ray, membership, engine; then watch, drain and stop."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from collections.abc import Mapping
from typing import Any, Callable

import group
import probe
import ray_env
import tuned
from processes import Child, Family, Kin
from ranks import Ranks
from status import Status
from watch import Watch

HERE = os.path.dirname(os.path.abspath(__file__))
LOOK = 0.25
# Seconds for one answer of /health.
HEALTH = 5.0
# Ray ends with either of them, a second later, and does not say by which.
RAY_PROCESSES = ("raylet", "gcs_server")


class Failed(Exception):
    """This node cannot go on; the text is the reason in its status, `kind` is one of `group`."""

    def __init__(self, reason: str, kind: str = group.EXIT) -> None:
        super().__init__(reason)
        self.kind = kind


class Answers(threading.Thread):
    """Asks until an URL answers 200; an answer that takes long holds nobody up."""

    def __init__(self, url: str) -> None:
        super().__init__(name="answers", daemon=True)
        self.url, self.yes, self.over = url, False, threading.Event()

    def run(self) -> None:
        while not self.yes and not self.over.wait(LOOK):
            self.yes = probe.get(self.url, timeout=HEALTH)[0] == 200


class Generation:
    """Ray and the engine of this node. `check` raises when it must not go on, and says whether the whole group serves; `pause` waits, but
    not longer than until the group has news."""

    def __init__(
        self,
        part: Mapping[str, Any],
        deadlines: Mapping[str, float],
        family: Family,
        env: Mapping[str, str],
        status: Status,
        check: Callable[[], bool],
        pause: Callable[[float], None],
    ) -> None:
        self.part, self.deadlines, self.family, self.env, self.status = part, deadlines, family, env, status
        self.check, self.pause = check, pause
        self.cwd = os.getcwd()
        self.ray: Child | None = None
        self.kin: Kin | None = None
        self.engine: Child | None = None
        self.watch: Watch | None = None
        self.ranks = Ranks(os.getpid())

    # -- start ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Until this node serves, or has joined."""
        tuned.forget(self.env)
        if self.part["ray"]:
            self._start_ray(self.part["ray"])
        engine = self.part["engine"]
        if engine:
            self._start_engine(engine)
        if engine and engine["health"]:
            assert self.engine is not None
            self.watch = Watch(engine["health"], engine["served_name"], self.part["watch"], self.engine.pid)
            self.watch.start()

    def _start_ray(self, ray: Mapping[str, Any]) -> None:
        self.status.enter("ray")
        if self.part["role"] == "worker":
            # Ray itself would retry for minutes without a word.
            self._until(lambda: probe.connects(ray["head"]), self.deadlines["ray"], f"nothing listens at {ray['head']}, the head's Ray")
        self.status.evidence(own_env=ray_env.keep(self.env))
        self.ray = self.family.start("ray", ray["argv"], self.env, self.cwd)
        self.kin = Kin(self.ray.pid, RAY_PROCESSES)
        self._until(lambda: probe.connects(ray["head"]), self.deadlines["ray"], f"Ray did not listen at {ray['head']}")
        if "members" in ray:
            self.status.enter("members")
            self._members({**ray["members"], "seconds": self.deadlines["members"]})
            self.status.evidence(members=ray["members"]["addresses"])

    def _members(self, wanted: Mapping[str, Any]) -> None:
        """Run membership.py and follow its answers."""
        answers = os.path.join(os.path.dirname(self.part["status_file"]), "members.jsonl")
        with contextlib.suppress(FileNotFoundError):
            os.remove(answers)
        argv = [sys.executable, os.path.join(HERE, "membership.py"), json.dumps(wanted), answers]
        child = self.family.start("membership", argv, self.env, self.cwd)
        self._until(lambda: child.code is not None, wanted["seconds"] + 60, "Ray's node table did not answer")
        if child.code == 0:
            return
        try:
            with open(answers, encoding="utf-8") as file:
                last = json.loads(file.read().splitlines()[-1])
        except (OSError, ValueError, IndexError):
            last = None  # it ended before its first answer, or a full disk has cut it
        if child.code != 1 or last is None:
            raise Failed(f"Ray's node table could not be read: membership {child.ended()}; see this container's log")
        found = [f"{key} {', '.join(last[key])}" for key in ("missing", "unexpected", "twice") if last[key]]
        raise Failed(
            f"Ray has not exactly the planned nodes after {wanted['seconds']} s: {'; '.join(found) or 'all nodes'};"
            f" {last['gpus']} GPUs of {wanted['gpus']}"
        )

    def _start_engine(self, engine: Mapping[str, Any]) -> None:
        self.status.enter("engine")
        self.engine = self.family.start("engine", engine["argv"], self.env, self.cwd)
        self.status.evidence(engine_pid=self.engine.pid)
        if not engine["health"]:
            return  # a worker rank has no API; that its process lives is all there is to see
        url = f"{engine['health']}/health"
        # A server that is not ours may answer there; then our engine cannot bind, ends, and `look` says so.
        answers = Answers(url)
        answers.start()
        try:
            self._until(lambda: answers.yes, self.deadlines["engine"], f"{url} did not answer 200")
        finally:
            answers.over.set()

    def _until(self, done: Callable[[], bool], seconds: float, otherwise: str) -> None:
        """Wait for `done` while all children live; Failed with `otherwise` when the time ran out."""
        deadline = time.monotonic() + seconds
        while not done():
            self.look()
            if time.monotonic() >= deadline:
                raise Failed(f"{otherwise} within {seconds:.0f} s")
            self.pause(LOOK)
        self.look()

    # -- watch ---------------------------------------------------------------------------------------------------------

    def look(self) -> None:
        """Raise what `check` raises; Failed when a child has died or the engine is wedged."""
        if self.kin:
            self.kin.look()
        self.family.reap()
        self.ranks.look()
        serves = self.check()
        if self.kin and self.kin.killed:
            raise Failed(f"{self.kin.killed}; see this container's log", group.SIGNAL)
        for child in (self.engine, self.ray):
            if child and child.code is not None:
                what = "Ray (its head went away, or a Ray process died)" if child is self.ray else "the engine"
                raise Failed(f"{what} {child.ended()}; see this container's log", group.SIGNAL if child.code < 0 else group.EXIT)
        # Before it serves, its own words on why it does not start count.
        if self.ranks.killed and serves:
            raise Failed(f"{self.ranks.killed}; see this container's log", group.SIGNAL)
        if self.watch and self.watch.verdict:
            assert self.engine is not None
            self.engine.signal(signal.SIGKILL)
            raise Failed(f"the engine is wedged: {self.watch.verdict}", group.WEDGE)

    # -- stop ----------------------------------------------------------------------------------------------------------

    def end(self, grace: float) -> None:
        """End all of it at once."""
        if self.watch:
            self.watch.stopping.set()
        self.family.sweep(grace)
        self.ranks.close()

    def drain(self, go_on: Callable[[], bool]) -> None:
        """Let running requests finish, within the deadline and while `go_on`."""
        if not self.watch:
            return
        self.watch.stopping.set()
        deadline = time.monotonic() + self.deadlines["drain"]
        while time.monotonic() < deadline and go_on():
            status, text = probe.get(f"{self.part['engine']['health']}/metrics", timeout=2)
            busy = [probe.samples(text, name) for name in self.part["watch"]["busy"]]
            if status != 200 or not any(busy):
                return
            time.sleep(0.5)
        self.status.evidence(drain="requests still ran when the drain time was over")

    def stop(self) -> None:
        """Ask the engine, then Ray, to end; then end what is left."""
        for child, grace in ((self.engine, self.deadlines["stop"]), (self.ray, 10)):
            if child:
                child.signal(signal.SIGTERM)
                if not self.family.wait(child, grace):
                    child.signal(signal.SIGKILL)
        left = self.family.sweep(grace=5)
        self.ranks.close()
        if left:
            self.status.evidence(swept=left)
