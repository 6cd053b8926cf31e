"""How faults are done to processes, containers, nodes and links, and how each is proven to have taken effect."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable

from .cluster import BYSTANDER, Cluster, Failed

# By the beginning of a command line; a title set by the process itself, or its arguments.
TARGETS = {
    "core": "^VLLM::EngineCore",
    "api": "^[^ ]*python[^ ]* [^ ]*/vllm serve ",
    "rank": "^ray::RayWorkerProc",
    "raylet": "^[^ ]*/raylet ",
    "gcs": "^[^ ]*/gcs_server ",
    "supervisor": "^python3 /opt/gx10/supervisor ",
}
DEVICE = "ip -o -4 address show | awk '/ 172[.]31[.]{net}[.]/ {{print $2; exit}}'"
NETS = {"fabric": "241", "management": "240"}
TABLE = "gx10_fault"


class Unproven(Exception):
    """The fault has not taken effect; nothing may be asserted."""


@dataclasses.dataclass(frozen=True)
class Done:
    """A fault that has taken effect: when, how that was seen, and what mends it."""

    at: float
    proof: str
    mend: Callable[[], None] | None = None
    # What was broken on the way.
    broken: tuple[str, ...] = ()


Action = Callable[[Cluster, list[str], tuple[str, ...]], Done]


def find(cluster: Cluster, node: str, target: str) -> int:
    """The process of this kind; 0 if there is none."""
    return int(cluster.sh(node, f"pgrep -o -f '{TARGETS[target]}' || true").strip() or 0)


def signal(cluster: Cluster, nodes: list[str], words: tuple[str, ...]) -> Done:
    target, name = words
    (node,) = nodes
    pid = find(cluster, node, target)
    if not pid:
        raise Unproven(f"{node}: found no process {TARGETS[target]}")
    # The state until it is as wanted, or for 5 s; of a dead one none, or Z until its parent has collected it.
    wanted = "T" if name == "STOP" else "Z|''"
    script = (
        f"date +%s.%N; kill -{name} {pid}; for n in $(seq 100); do s=$(ps -o stat= -p {pid} | cut -c1);"
        f' case "$s" in {wanted}) echo ok; exit 0;; esac; sleep 0.05; done; echo "state $s"'
    )
    lines = cluster.sh(node, script).splitlines()
    if not lines[1].strip() == "ok":
        raise Unproven(f"{node}: process {pid} after SIG{name}: found {lines[1]!r}")
    if name != "STOP":
        return Done(float(lines[0]), f"process {pid} of {node} is gone")
    still = f'test "$(ps -o stat= -p {pid} | cut -c1)" = T && kill -CONT {pid} || true'
    return Done(float(lines[0]), f"process {pid} of {node} is in state T", lambda: void(cluster.sh(node, still)))


def again(cluster: Cluster, nodes: list[str], words: tuple[str, ...]) -> Done:
    """A signal for so many times; the last is the fault."""
    target, name, times = words
    for number in range(int(times) - 1):
        before = cluster.generation()
        signal(cluster, nodes, (target, name))
        if not cluster.wait(lambda before=before: cluster.generation() > before and cluster.says_serving(), 240):  # type: ignore[misc]
            raise Unproven(f"did not serve again after {target} was ended {number + 1} times")
    return signal(cluster, nodes, (target, name))


def void(_value: object) -> None:
    pass


def container(cluster: Cluster, nodes: list[str], words: tuple[str, ...]) -> Done:
    (verb,) = words
    (node,) = nodes
    name = cluster.group.profile
    commands = {"kill": "kill", "stop": "stop", "pause": "pause", "restart": "restart", "remove": "rm --force"}
    state = "docker inspect -f '{{.State.Running}} {{.State.Paused}} {{.State.StartedAt}}' " + name
    before = cluster.sh(node, state).split()
    at = time.time()
    cluster.sh(node, f"docker {commands[verb]} {name}", 150)
    after = cluster.sh(node, f"{state} 2>&1 || true").split()
    effect = {
        "kill": after[0] == "false",
        "stop": after[0] == "false",
        "pause": after[1:2] == ["true"],
        "restart": after[2:] != before[2:],
        "remove": "true" not in after and "false" not in after,
    }
    if not effect[verb]:
        raise Unproven(f"{node}: docker {verb}: found {' '.join(after)}, before {' '.join(before)}")
    mends = {"kill": "start", "stop": "start", "pause": "unpause"}
    mend = (lambda: void(cluster.sh(node, f"docker {mends[verb]} {name}"))) if verb in mends else None
    return Done(at, f"docker inspect: {' '.join(after)[:80]}", mend)


def engine(cluster: Cluster, nodes: list[str], words: tuple[str, ...]) -> Done:
    """Docker's engine on a node."""
    (verb,) = words
    (node,) = nodes
    before = cluster.sh(node, "pgrep -o -x dockerd").strip()
    commands = {
        "restart": "systemctl restart docker",
        "kill": f"kill -KILL {before}",
        "stop": "systemctl stop docker.socket docker.service",
    }
    at = time.time()
    cluster.sh(node, commands[verb], 180)
    if verb == "stop":
        if cluster.sh(node, "pgrep -x dockerd || true").strip():
            raise Unproven(f"{node}: Docker's engine still runs")
        return Done(at, f"{node} has no dockerd", lambda: void(cluster.sh(node, "systemctl start docker.socket docker.service", 120)))
    after = cluster.wait(lambda: _other(cluster.sh(node, "pgrep -o -x dockerd || true").strip(), before), 60)
    if not after:
        raise Unproven(f"{node}: Docker's engine: found no other process than {before}")
    start = f"docker start {cluster.group.profile} {BYSTANDER}"
    mend = (lambda: void(cluster.sh(node, start, 120))) if verb == "kill" else None
    return Done(at, f"dockerd was process {before}, is {after}", mend)


def _other(now: str, before: str) -> str:
    return now if now != before else ""


def node(cluster: Cluster, nodes: list[str], words: tuple[str, ...]) -> Done:
    (verb,) = words
    started = "{{.State.StartedAt}}"
    before = [cluster.host("inspect", "-f", started, name).strip() for name in nodes]
    at = time.time()

    def off(name: str) -> None:
        cluster.host("stop" if verb in ("restart", "off") else "kill", name)

    def on(name: str) -> None:
        cluster.host("start", name)
        cluster.up(name)

    cluster.each(off, nodes)
    running = [cluster.host("inspect", "-f", "{{.State.Running}}", name).strip() for name in nodes]
    if running != ["false"] * len(nodes):
        raise Unproven(f"{', '.join(nodes)}: found running: {', '.join(running)}")
    if verb == "off":
        return Done(at, f"{nodes[0]} is off", lambda: on(nodes[0]))
    cluster.each(on, nodes)
    after = [cluster.host("inspect", "-f", started, name).strip() for name in nodes]
    if any(new == old for new, old in zip(after, before, strict=True)):
        raise Unproven(f"{', '.join(nodes)}: found them started at {after}, as before")
    return Done(at, f"{', '.join(nodes)} were off, and booted {time.time() - at:.0f} s after")


def device(cluster: Cluster, name: str, net: str) -> str:
    found = cluster.sh(name, DEVICE.format(net=NETS[net])).strip()
    if not found:
        raise Failed(f"{name}: found no interface in 172.31.{NETS[net]}.0/24")
    return found


def link(cluster: Cluster, nodes: list[str], words: tuple[str, ...]) -> Done:
    (net,) = words
    (name,) = nodes
    port = device(cluster, name, net)
    address = f"172.31.{NETS[net]}.{10 + int(name[-1])}"

    def mend() -> None:
        cluster.sh(name, f"ip link set {port} up")
        if not cluster.wait(lambda: address in cluster.sh(name, f"ip -o -4 address show {port}"), 30, 0.2):
            raise Failed(f"{name}: {port}: found no address {address} 30 s after it was up again")

    lines = cluster.sh(name, f"date +%s.%N; ip link set {port} down; ip -o link show {port}").splitlines()
    if "state DOWN" not in lines[1]:
        raise Unproven(f"{name}: {port}: found {lines[1]}")
    return Done(float(lines[0]), f"{port} of {name}: state DOWN", mend)


def lose(cluster: Cluster, nodes: list[str], words: tuple[str, ...]) -> Done:
    """Packets vanish behind a link that is up, both ways or those that come in."""
    (way,) = words
    (name,) = nodes
    port = device(cluster, name, "fabric")
    both = f"nft add rule inet {TABLE} out oifname {port} counter drop; " if way == "both" else ""
    script = (
        f"nft add table inet {TABLE}; nft 'add chain inet {TABLE} in {{ type filter hook input priority -200; }}'; "
        f"nft 'add chain inet {TABLE} out {{ type filter hook output priority -200; }}'; date +%s.%N; "
        f"nft add rule inet {TABLE} in iifname {port} counter drop; {both}sleep 2; nft list table inet {TABLE} | grep -o 'packets [0-9]*'"
    )

    def mend() -> None:
        cluster.sh(name, f"nft delete table inet {TABLE}")

    try:
        lines = cluster.sh(name, script).splitlines()
        counts = [int(line.split()[1]) for line in lines[1:]]
        if not any(counts):
            raise Unproven(f"{name}: {port}: found no packet that was dropped in 2 s")
    except (Failed, Unproven):
        cluster.sh(name, f"nft delete table inet {TABLE} || true")
        raise
    return Done(float(lines[0]), f"{port} of {name} has dropped {counts} packets", mend)


def slow(cluster: Cluster, nodes: list[str], words: tuple[str, ...]) -> Done:
    (rate,) = words
    ports = {name: device(cluster, name, "fabric") for name in nodes}
    at = time.time()
    for name, port in ports.items():
        cluster.sh(name, f"tc qdisc replace dev {port} root tbf rate {rate} burst 128kb latency 50ms")
    shown = [cluster.sh(name, f"tc qdisc show dev {port}").strip() for name, port in ports.items()]
    if any("tbf" not in line for line in shown):
        raise Unproven(f"found {shown}")

    def mend() -> None:
        for name, port in ports.items():
            cluster.sh(name, f"tc qdisc del dev {port} root")

    return Done(at, shown[0], mend)


def clock(_cluster: Cluster, _nodes: list[str], words: tuple[str, ...]) -> Done:
    raise Unproven(f"a container has its host's clock ({words[0]})")


ACTIONS: dict[str, Action] = {
    "signal": signal,
    "again": again,
    "container": container,
    "engine": engine,
    "node": node,
    "link": link,
    "lose": lose,
    "slow": slow,
    "clock": clock,
}
