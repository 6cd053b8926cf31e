"""One row of the matrix: bring the group to its moment, do the fault, prove it, watch what follows, judge, and leave the group serving."""

from __future__ import annotations

import contextlib
import datetime
import functools
import json
import os
import subprocess
import time
import urllib.request
from pathlib import Path
from typing import Any

from . import actions, catalogue, resources, runs, verdict
from .actions import Done, Unproven
from .catalogue import Fault
from .cluster import API, ROOT, Cluster, Failed, Playbook, Streams
from .table import Row

ACTIONS = {**actions.ACTIONS, **resources.ACTIONS, **runs.ACTIONS}
EVIDENCE = ROOT / ".build/faults"
# Seconds: a held fault that is longer is looked at while it lasts; after one that nothing must come of; beyond two boots, for a node's.
LONG, CALM, BEYOND = 15.0, 6.0, 120.0
UP = ("serving", "joined", "ray", "members", "engine")
# Restarts that are kept in hand; with fewer left the launch is made anew.
RESERVE = 8


def commit() -> str:
    argv = ["git", "-C", str(ROOT), "rev-parse", "--short", "HEAD"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip()


class Driver:
    """Rows, one after the other, on one cluster."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        self.group = cluster.group

    # -- before --------------------------------------------------------------------------------------------------------

    def ready(self, served: str) -> None:
        """A group that serves like this, with restarts to spare, and strangers beside it."""
        restarts = str(self.cluster.status(self.group.head).get("restarts", "")).split()
        spent = len(restarts) > 2 and int(restarts[2]) > 2 * RESERVE and int(restarts[0]) > int(restarts[2]) - RESERVE
        if spent or (self.cluster.served == catalogue.THREE and restarts[:1] != ["0"]):
            Playbook("stop", quiet=True).ok()
        elif self.cluster.served == served and self.cluster.says_serving() and self.cluster.answers():
            return
        self.cluster.arrange(served)

    def _moment(self, fault: Fault, moment: str, stack: contextlib.ExitStack) -> str:
        cluster, head = self.cluster, self.group.head
        if moment == catalogue.STREAMS:
            streams = stack.enter_context(Streams(API))
            if not cluster.wait(lambda: self._requests() >= 4 and streams.chunks, 60):
                raise Unproven(f"found {self._requests():.0f} requests; wanted streams that run")
            return f"{self._requests():.0f} requests in the engine"
        if moment == catalogue.LOADING:
            before = cluster.generation()
            actions.signal(cluster, [head], ("api", "KILL"))

            def loads() -> bool:
                found = cluster.status(head)
                return bool(found.get("generation", 0) > before and found["phase"] == "engine")

            if not cluster.wait(loads, 120, 0.5):
                raise Unproven(f"found phase {cluster.status(head).get('phase')}; wanted an engine that loads")
            time.sleep(3)
            if fault.how[0] == "signal":
                (node,) = cluster.targets(fault.on)
                cluster.wait(lambda: not loads() or actions.find(cluster, node, fault.how[1]), 60, 0.5)
            if not loads():
                raise Unproven(f"found phase {cluster.status(head).get('phase')}; wanted an engine that loads")
            return "phase engine"
        return "no request"

    def _requests(self) -> float:
        try:
            with urllib.request.urlopen(f"{API}/metrics", timeout=10) as answer:
                lines = answer.read().decode().splitlines()
        except OSError:
            return 0.0
        names = ("vllm:num_requests_running{", "vllm:num_requests_waiting{")
        return sum(float(line.rsplit(" ", 1)[1]) for line in lines if line.startswith(names))

    # -- a row ---------------------------------------------------------------------------------------------------------

    def row(self, fault: Fault, moment: str) -> Row:
        """Always a row, and a group that serves after it."""
        cluster = self.cluster
        about: dict[str, Any] = {
            "fault": fault.name,
            "moment": moment,
            "nodes": len(self.group.nodes),
            "date": datetime.datetime.now(tz=datetime.UTC).strftime("%Y-%m-%d %H:%M"),
            "commit": commit(),
            "load": round(os.getloadavg()[0], 1),
        }
        self.ready(fault.served)
        before: verdict.Looks = {}
        try:
            with contextlib.ExitStack() as stack:
                note = self._moment(fault, moment, stack)
                before = self._before()
                generation = verdict.status(before[self.group.head], self.group).get("generation", 0)
                done = ACTIONS[fault.how[0]](cluster, cluster.targets(fault.on), fault.how[1:])
                found = self._follow(fault, done, generation, before)
            found["proof"] = f"{note}; {done.proof}"
        except (Unproven, Failed, KeyError, ValueError, subprocess.SubprocessError, OSError) as error:
            found = {"unproven": f"{type(error).__name__}: {error}"[:600], "outcome": ""}
        result = Row(**{**about, "boot": round(cluster.boot, 1) or None, **found})
        if result.broken or result.unproven or result.mended_by or not cluster.says_serving():
            self._evidence(result, before)
            self._restore()
        return result

    def _before(self) -> verdict.Looks:
        looks = self.cluster.looks()
        mine = [looks[name] for name in self.group.nodes]
        if all(look["bystander"] and any(not item["profile"] for item in look["containers"] or []) for look in mine):
            return looks
        self.cluster.strangers()
        return self.cluster.looks()

    def _follow(self, fault: Fault, done: Done, generation: int, before: verdict.Looks) -> dict[str, Any]:
        cluster, group = self.cluster, self.group
        since, broken, held = done.at, list(done.broken), 0.0
        if fault.served == catalogue.THREE:
            # Until nothing is tried any more.
            cluster.wait(lambda: cluster.status(group.head).get("phase") == "failed", 400, 2)
        elif fault.hold:
            broken += self._hold(fault, done, generation)
        if done.mend and fault.outcome != catalogue.DOWN:
            held = time.time() - done.at if fault.hold else 0.0
            broken += self._mend(done)
            since = time.time() if fault.hold else since
        if fault.outcome == catalogue.DOWN:
            found = self._down(fault, done, before)
            return {**found, "broken": tuple(broken + found["broken"])}
        outcome = self._settle(fault, generation, time.monotonic())
        time.sleep(2)
        looks = cluster.looks(done.at)
        heard = verdict.heard({name: look["journal"] for name, look in looks.items()}, group, done.at)
        # From when it was mended, where it was held; from its verdict, where nothing but the watch could tell.
        start = (heard.first or 0.0) if _stands_still(fault) else since - done.at
        serving = heard.serving if heard.serving is not None or outcome != catalogue.HEALS else time.time() - done.at
        broken += verdict.broken(looks, before, group, cluster.answers(10))
        found = {
            "outcome": outcome,
            "detected": _round(heard.first),
            "everywhere": _round(heard.everywhere),
            "serving": None if outcome != catalogue.HEALS or serving is None else _round(max(serving - start, 0.0)),
            "held": 0.0 if _stands_still(fault) else _round(held) or 0.0,
            "broken": tuple(broken),
        }
        if outcome == catalogue.HEALS:
            # Of this start: others on the machine make each of them another one.
            cluster.measure_boot()
        if outcome != catalogue.GOES_ON and fault.on != "control":
            found.update(self._culprit(fault, looks, heard))
        return found

    def _hold(self, fault: Fault, done: Done, generation: int) -> list[str]:
        """While the fault lasts; what is broken by then, where it lasts long enough to be known."""
        cluster, stopped = self.cluster, _stands_still(fault)
        while time.time() - done.at < fault.hold:
            # A process that stood still, and was ended, needs nobody to go on.
            if stopped and cluster.generation() > generation and cluster.says_serving():
                return []
            time.sleep(min(1.0, max(0.05, done.at + fault.hold - time.time())))
        if fault.hold < LONG or stopped or fault.outcome == catalogue.EITHER:
            return []
        if cluster.generation() > generation:
            return []  # ended, and starting again already
        looks = cluster.looks()
        # What is frozen with all that is in it cannot end.
        frozen = cluster.targets(fault.on) if fault.how == ("container", "pause") else []
        seen = {name: look for name, look in looks.items() if name not in frozen}
        if fault.outcome == catalogue.GOES_ON or verdict.serves(looks, self.group):
            return []
        return [f"while it lasted: {text}" for text in verdict.is_down(seen, self.group)]

    @staticmethod
    def _mend(done: Done) -> list[str]:
        try:
            if done.mend:
                done.mend()
        except Failed as error:
            return [str(error)]
        return []

    def _settle(self, fault: Fault, generation: int, began: float) -> str:
        """Wait for what comes of it, and say what it is."""
        cluster, disturbed = self.cluster, False
        patience = {catalogue.GOES_ON: CALM, catalogue.EITHER: max(fault.detect or 0.0, CALM)}.get(fault.outcome, 30.0)
        patience = CALM if fault.hold >= patience or fault.on == "control" else patience
        limit = 2 * cluster.boot + BEYOND
        down = 0.0
        while time.monotonic() - began < limit:
            found = [self._status(name) for name in self.group.nodes]
            numbers = {item.get("generation") for item in found}
            phases = {item.get("phase") for item in found}
            disturbed = disturbed or numbers != {generation} or not phases <= set(UP)
            waited = time.monotonic() - began
            if cluster.says_serving() and (disturbed or waited > patience):
                return catalogue.HEALS if disturbed else catalogue.GOES_ON
            # A word of the group, not of one rank that is late.
            down = down or (waited if phases == {"failed"} else 0.0)
            if down and waited - down > 10:
                return catalogue.DOWN
            time.sleep(1)
        return catalogue.DOWN

    def _status(self, name: str) -> dict[str, Any]:
        with contextlib.suppress(Failed):
            return self.cluster.status(name)
        return {}

    def _down(self, fault: Fault, done: Done, before: verdict.Looks) -> dict[str, Any]:
        """It must be down now; then it is mended, and served by hand."""
        cluster, group = self.cluster, self.group
        cluster.wait(lambda: not verdict.is_down(cluster.looks(), group), 30, 3)
        looks = cluster.looks(done.at)
        serves = verdict.serves(looks, self.group)
        broken = verdict.broken(looks, before, group, cluster.answers(3))
        heard = verdict.heard({name: look["journal"] for name, look in looks.items()}, group, done.at)
        held = time.time() - done.at
        broken += self._mend(done)
        began = time.time()
        run = cluster.serve(fault.served)
        if run.code:
            broken.append(f"serve.yml after it was mended: {run.output[-400:]}")
        found = {
            "outcome": catalogue.HEALS if serves else catalogue.DOWN,
            "detected": _round(heard.first),
            "everywhere": _round(heard.everywhere),
            "serving": None if run.code else _round(time.time() - began),
            "held": _round(held) or 0.0,
            "mended_by": "serve.yml",
            "broken": broken,
        }
        return {**found, **self._culprit(fault, looks, heard)}

    def _culprit(self, fault: Fault, looks: verdict.Looks, heard: verdict.Heard) -> dict[str, Any]:
        """The group's reason, and whether every rank names the culprit."""
        told = [
            str(verdict.status(looks[name], self.group).get("evidence", {}).get("ended", "")) for name in self.group.nodes if name in looks
        ]
        culprit = heard.culprit or told[0]
        wanted = [text.format(node=(self.cluster.targets(fault.on) or [""])[0]) for text in fault.culprit]
        named = all(text in line for line in (culprit, *filter(None, told)) for text in wanted) if wanted else None
        return {"culprit": culprit[:400], "named": named}

    # -- after ---------------------------------------------------------------------------------------------------------

    def _quietly(self, script: str, node: str) -> None:
        with contextlib.suppress(Failed):
            self.cluster.sh(node, f"{script}; true", 120, check=False)

    def _evidence(self, row: Row, before: verdict.Looks) -> None:
        folder = EVIDENCE / f"{row.fault}-{row.moment.replace(' ', '-')}-{datetime.datetime.now(tz=datetime.UTC):%H%M%S}"
        folder.mkdir(parents=True, exist_ok=True)

        def write(name: str, content: Any) -> None:
            Path(folder / f"{name}.json").write_text(json.dumps(content, indent=1, ensure_ascii=False))

        write("row", row.__dict__)
        write("before", before)
        with contextlib.suppress(Failed, subprocess.SubprocessError):
            write("after", self.cluster.looks(time.time() - 600))
        for node in self.group.nodes:
            with contextlib.suppress(Failed, subprocess.SubprocessError):
                log = self.cluster.sh(node, f"docker logs --timestamps --tail 600 {self.group.profile} 2>&1 || true", check=False)
                (folder / f"{node}.log").write_text(log)

    def _restore(self) -> None:
        """Whatever a fault has left goes, and serve.yml brings back what should serve."""
        cluster = self.cluster
        for node in cluster.nodes:
            with contextlib.suppress(Failed):
                cluster.host("start", node)
                cluster.up(node)
        for script in (
            f"nft delete table inet {actions.TABLE} 2>/dev/null",
            "for port in $(ip -o link show | awk -F'[:@ ]+' '/state DOWN/ {print $2}'); do ip link set $port up; done",
            "for port in $(tc qdisc show | awk '/ tbf / {print $5}'); do tc qdisc del dev $port root; done",
            "systemctl start docker.socket docker.service 2>/dev/null",
            f"systemctl stop {resources.STRANGER} 2>/dev/null; docker rm --force {resources.STRANGER} 2>/dev/null",
            f"docker unpause {self.group.profile} 2>/dev/null",
            f"rm -f {' '.join(f'{folder}/{resources.FILLER}-*' for folder in resources.FOLDERS.values())}",
            f"test ! -e {resources.KEPT} || mv {resources.KEPT} {resources.SHARD}",
            "rm -rf /root/.ansible/tmp/* /home/spark/.ansible/tmp/*; systemctl reset-failed 2>/dev/null",
        ):
            cluster.each(functools.partial(self._quietly, script), cluster.nodes)
        run = cluster.serve(cluster.served or catalogue.USUAL)
        if run.code:
            Playbook("stop", quiet=True)
            cluster.arrange(cluster.served or catalogue.USUAL)


def _stands_still(fault: Fault) -> bool:
    """Is it a process of the engine that is stopped by a signal until somebody ends it?"""
    return fault.how[0] == "signal" and fault.how[2] == "STOP" and fault.how[1] != "supervisor"


def _round(value: float | None) -> float | None:
    return None if value is None else round(value, 1)
