"""Faults of whoever runs serve.yml: two at once, and one that is ended in each of its phases."""

from __future__ import annotations

import re
import signal
import time
from typing import Any

from . import resources
from .actions import Action, Done, Unproven
from .catalogue import PHASES
from .cluster import Cluster, Failed, Playbook
from .verdict import is_down, serves

# A difference that replaces the group.
OTHER: dict[str, Any] = {"override": {"args": {"max-num-seqs": 3}}}
THIRD: dict[str, Any] = {"override": {"args": {"max-num-seqs": 2}}}
# What a group that was left half replaced may take to say so.
SETTLE = 30.0


def two_serves(cluster: Cluster, _nodes: list[str], _words: tuple[str, ...]) -> Done:
    first = Playbook("serve", background=True, quiet=True, **{**cluster.extra(), **OTHER})
    if not first.until(PHASES["preflight"], 120):
        raise Unproven(f"the first serve.yml did not take the lock: {first.wait().output[-500:]}")
    at = time.time()
    second = Playbook("serve", quiet=True, **{**cluster.extra(), **THIRD})
    first.wait()
    broken = []
    if first.code:
        broken.append(f"the first serve.yml failed: {first.output[-400:]}")
    if not second.code:
        broken.append("the second serve.yml succeeded beside the first")
    elif "found the cluster locked by" not in second.output:
        broken.append(f"the second serve.yml was not refused by the lock: {second.output[-400:]}")
    return Done(at, "the second was refused while the first ran", _again(cluster), tuple(broken))


def interrupt(cluster: Cluster, _nodes: list[str], words: tuple[str, ...]) -> Done:
    name, phase = words
    worker = cluster.group.nodes[1:2]
    # A phase without actions runs no task.
    if phase == "image":
        resources.image(cluster, list(worker), ())
    if phase == "weights":
        cluster.sh(worker[0], f"rm -f {resources.SHARD}")
    more = OTHER if phase in ("stop", "start", "wait") else {}
    run = Playbook("serve", background=True, quiet=True, **{**cluster.extra(), **more})
    task = run.until(PHASES[phase], 240)
    if not task:
        raise Unproven(f"serve.yml did not come to its phase {phase}: {run.wait().output[-300:]}")
    time.sleep(0.7)
    at = time.time()
    run.end(getattr(signal, f"SIG{name}"))
    run.wait()
    if run.code == 0:
        raise Unproven("serve.yml succeeded")
    broken: list[str] = []

    def settled() -> bool:
        looks = cluster.looks()
        broken[:] = [] if serves(looks, cluster.group) else [f"after it: {text}" for text in is_down(looks, cluster.group)]
        return not broken

    cluster.wait(settled, SETTLE, 3)
    return Done(at, f"serve.yml ended with code {run.code} in {re.sub(r'[^ -~]', '', task)[:80]}", _again(cluster), tuple(broken))


def _again(cluster: Cluster) -> Any:
    def mend() -> None:
        run = cluster.serve(cluster.served)
        if run.code:
            raise Failed(f"the next serve.yml failed: {run.output[-600:]}")

    return mend


ACTIONS: dict[str, Action] = {"two_serves": two_serves, "interrupt": interrupt}
