"""The faults of docs/faults.md, as data: what is done where, and what must come of it. actions.py and its neighbours do it."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

LOADING, IDLE, STREAMS = "loading", "idle", "8 streams"
MOMENTS = (LOADING, IDLE, STREAMS)
# What must come of it. HEALS: the group ends, and serves again without anybody once the fault is over. GOES_ON: the same generation serves.
# EITHER: one of these two. DOWN: it is down with a reason until serve.yml.
HEALS, GOES_ON, EITHER, DOWN = "heals", "goes on", "either", "down"
# What the group is served with: restarts without end, or three; SMALL: its folders of state and models are small file systems of their own.
USUAL, THREE, SMALL = "usual", "three", "small"
# Seconds: the bound of recovery.md for a process or a link, and its sum for an engine that stands still (the watch of sim-tiny-tp2).
AT_ONCE, WEDGED = 5.0, 220.0


@dataclasses.dataclass(frozen=True)
class Fault:
    """One fault. `how`: a function of the modules that do faults, and its words. `on`: "head", "worker", "all", or "control".

    `hold`: seconds until it is mended. `detect`: the bound in seconds until a rank says so, None where nothing must be said.
    `culprit`: what the group's reason must contain; {node} is where it was done. `without`: why it cannot be done here.
    """

    name: str
    words: str
    how: tuple[str, ...]
    on: str = "worker"
    outcome: str = HEALS
    hold: float = 0.0
    detect: float | None = AT_ONCE
    culprit: tuple[str, ...] = ("{node}",)
    served: str = USUAL
    moments: tuple[str, ...] = MOMENTS
    without: str = ""


def _processes() -> Iterator[Fault]:
    # name, words, where, what the reason must contain beside the node
    targets = (
        ("core", "the engine core", "head", "engine"),
        ("api", "the API server", "head", "engine"),
        ("rank", "the worker process", "head", ""),
        ("rank", "the worker process", "worker", ""),
        ("raylet", "the raylet", "head", "raylet"),
        ("raylet", "the raylet", "worker", "raylet"),
        ("gcs", "Ray's GCS", "head", "gcs_server"),
        ("supervisor", "the supervisor", "head", ""),
        ("supervisor", "the supervisor", "worker", ""),
    )
    for target, words, where, says in targets:
        culprit = ("{node}", says) if says else ("{node}",)
        yield Fault(f"{target}-kill-{where}", f"SIGKILL of {words}, {where}", ("signal", target, "KILL"), where, culprit=culprit)
        stopped = f"SIGSTOP of {words}, {where}"
        if target == "supervisor":
            # What it has started goes on without it until it does, too.
            yield Fault(f"{target}-stop-{where}", f"{stopped}, 20 s", ("signal", target, "STOP"), where, hold=20)
        else:
            # Of Ray's own, only Ray can tell; the engine does without them until it does.
            outcome = EITHER if target in ("raylet", "gcs") else HEALS
            how = ("signal", target, "STOP")
            yield Fault(f"{target}-stop-{where}", stopped, how, where, outcome, hold=WEDGED, detect=WEDGED)


def _machines() -> Iterator[Fault]:
    for where in ("head", "worker"):
        # A stop by hand: Docker does not start it again.
        yield Fault(f"container-kill-{where}", f"docker kill, {where}, started after 20 s", ("container", "kill"), where, hold=20)
        yield Fault(f"container-stop-{where}", f"docker stop, {where}, started after 20 s", ("container", "stop"), where, hold=20)
        yield Fault(f"container-pause-{where}", f"docker pause, {where}, 20 s", ("container", "pause"), where, hold=20)
        yield Fault(f"container-restart-{where}", f"docker restart, {where}", ("container", "restart"), where)
        yield Fault(f"docker-restart-{where}", f"Docker's engine restarted, {where}", ("engine", "restart"), where)
        # Docker takes its own stop of what has outlived it for one by hand: docs/faults.md.
        killed = f"SIGKILL of Docker's engine, {where}, its containers started after 20 s"
        yield Fault(f"docker-kill-{where}", killed, ("engine", "kill"), where, hold=20)
        yield Fault(f"node-restart-{where}", f"reboot, {where}", ("node", "restart"), where)
        yield Fault(f"node-power-{where}", f"power off and on, {where}", ("node", "power"), where)
    yield Fault("container-remove-worker", "docker rm --force, worker", ("container", "remove"), outcome=DOWN, hold=20)
    yield Fault("docker-stop-worker", "Docker's engine stopped for 30 s, worker", ("engine", "stop"), hold=30)
    yield Fault("node-gone-worker", "a node off for 60 s, worker", ("node", "off"), hold=60)
    yield Fault("nodes-restart", "reboot, all nodes at once", ("node", "restart"), "all", detect=None, culprit=())
    yield Fault("nodes-power", "power off and on, all nodes at once", ("node", "power"), "all", detect=None, culprit=())


def _networks() -> Iterator[Fault]:
    for where in ("head", "worker"):
        # Shorter than the silence that counts as a loss, and longer than it.
        yield Fault(f"fabric-2s-{where}", f"fabric link down for 2 s, {where}", ("link", "fabric"), where, EITHER, hold=2, detect=None)
        yield Fault(f"fabric-5s-{where}", f"fabric link down for 5 s, {where}", ("link", "fabric"), where, EITHER, hold=5)
        yield Fault(f"fabric-60s-{where}", f"fabric link down for 60 s, {where}", ("link", "fabric"), where, hold=60)
        forever = f"fabric link down until serve.yml, {where}"
        yield Fault(f"fabric-gone-{where}", forever, ("link", "fabric"), where, DOWN, hold=90, moments=(IDLE,))
        lost = f"fabric packets lost for 20 s, link up, {where}"
        yield Fault(f"fabric-lost-{where}", lost, ("lose", "both"), where, hold=20)
        words = f"management link down for 20 s, {where}"
        yield Fault(f"management-{where}", words, ("link", "management"), where, GOES_ON, hold=20, detect=None, culprit=())
    yield Fault("fabric-deaf-worker", "fabric packets lost one way for 20 s, worker", ("lose", "input"), hold=20)
    slow = "fabric at 10 Mbit/s, 1 % of a gigabit, for 30 s"
    yield Fault("fabric-slow", slow, ("slow", "10mbit"), "all", GOES_ON, hold=30, detect=None, culprit=())


def _resources() -> Iterator[Fault]:
    for where in ("head", "worker"):
        full = f"disk of the state full for 20 s, {where}"
        yield Fault(f"state-full-{where}", full, ("fill", "state"), where, EITHER, hold=20, detect=None, culprit=(), served=SMALL)
        # Filling the memory of this machine would end what else runs on it.
        short = f"memory under the floor for 5 s (stub: the number in /proc/meminfo), {where}"
        yield Fault(f"memory-{where}", short, ("stub_memory",), where, hold=5, culprit=("{node}", "memory"))
    full = "disk of the models full for 20 s, worker"
    yield Fault("models-full-worker", full, ("fill", "models"), outcome=GOES_ON, hold=20, detect=None, culprit=(), served=SMALL)
    gone = "a weights file gone for 20 s, worker"
    yield Fault("weights-gone-worker", gone, ("weights",), outcome=GOES_ON, hold=20, detect=None, culprit=(), moments=(IDLE, STREAMS))
    again = "a weights file gone when the engine starts again, head, 3 restarts an hour"
    yield Fault("weights-gone-restart", again, ("weights",), "head", DOWN, 30, None, ("{node}",), THREE, (LOADING,))
    gone = "the image's name gone from Docker for 20 s, worker"
    yield Fault("image-gone-worker", gone, ("image",), outcome=GOES_ON, hold=20, detect=None, culprit=())
    fourth = "the engine core killed a fourth time, 3 restarts an hour"
    yield Fault(
        "fourth", fourth, ("again", "core", "KILL", "4"), "head", DOWN, 0, AT_ONCE, ("{node}", "no restart is left"), THREE, (IDLE,)
    )
    for name, words in (("forward", "+ 1 h"), ("back", "- 1 h")):
        why = "a container has its host's clock, and a time namespace moves only the steady ones"
        yield Fault(f"clock-{name}", f"clock {words}", ("clock", words), outcome=GOES_ON, culprit=(), without=why)


def _strangers() -> Iterator[Fault]:
    yield Fault(
        "foreign-container",
        "a foreign container comes, listens and goes, worker",
        ("stranger", "container"),
        "worker",
        GOES_ON,
        15,
        None,
        (),
    )
    listens = "a foreign listener beside the API's, on 127.0.0.1, for 15 s, head"
    yield Fault("foreign-listener", listens, ("stranger", "listener"), "head", GOES_ON, 15, None, (), moments=(IDLE, STREAMS))
    takes = "a foreign listener takes the API's port before the engine does, for 30 s, head"
    yield Fault("foreign-api-port", takes, ("stranger", "port"), "head", HEALS, 30, WEDGED, ("{node}",), moments=(LOADING,))


# The phases of serve.yml, by the words of the first task of each.
PHASES = {
    "plan": "Resolve",
    "lock": "Take the lock",
    "preflight": "gx10.serving.preflight",
    "image": "gx10.serving.image",
    "weights": "gx10.serving.weights",
    "stop": "replace | Stop what runs|end | End",
    "start": "replace | Start the container",
    "wait": "wait | Until this node serves",
    "gate": "gx10.serving.gate",
}


def _runs() -> Iterator[Fault]:
    """Needs Ansible, so these come last. Their moment is the phase."""
    two = "two serve.yml at once, with different flags"
    yield Fault("two-serves", two, ("two_serves",), "control", EITHER, 0, None, ())
    for signal in ("INT", "KILL"):
        for phase in PHASES:
            words = f"SIG{signal} of serve.yml in its phase {phase}"
            yield Fault(
                f"serve-{signal.lower()}-{phase}", words, ("interrupt", signal, phase), "control", EITHER, 0, None, (), moments=(IDLE,)
            )


FAULTS = (*_processes(), *_machines(), *_networks(), *_resources(), *_strangers(), *_runs())
BY_NAME = {fault.name: fault for fault in FAULTS}
# What `make test` can bear, and what molecule/cluster does not do already: a process is killed there, a container, a link before a serve.
SUBSET = (("supervisor-kill-head", IDLE), ("docker-restart-worker", IDLE), ("fabric-5s-worker", STREAMS), ("nodes-power", IDLE))
