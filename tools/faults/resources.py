"""How faults are done to disks, memory, files and ports. No filler ever lies on a disk of this machine, and its memory is never filled."""

from __future__ import annotations

import time

from .actions import Action, Done, Unproven, find, void
from .cluster import IMAGE, SMALL, Cluster, Failed

FOLDERS = {"state": SMALL[0][0], "models": SMALL[1][0]}
FILLER, STRANGER = "gx10-fault-filler", "stranger"
SHARD = "/srv/models/gx10/tiny-qwen3/model-00004-of-00010.safetensors"
KEPT = "/root/gx10-fault-kept"
API_PORT, OWN_PORT = 8000, 8099


def fill(cluster: Cluster, nodes: list[str], words: tuple[str, ...]) -> Done:
    (what,) = words
    (node,) = nodes
    folder = FOLDERS[what]
    if cluster.sh(node, f"stat -f -c %T {folder}").strip() != "tmpfs":
        raise Failed(
            f"{node}: {folder}: found no file system of its own; wanted a small one, since a filler must not fill this machine's disk"
        )
    at = time.time()
    cluster.sh(node, f"cd {folder} && for size in 65536 4096 1; do dd if=/dev/zero of={FILLER}-$size bs=$size 2>/dev/null; done; true")
    free = cluster.sh(node, f"df --output=avail -B1 {folder} | tail -1").strip()
    refused = cluster.sh(node, f"(echo x > {folder}/gx10-fault-probe) 2>&1 || true").strip()
    size = cluster.sh(node, f"stat -c %s {folder}/gx10-fault-probe 2>/dev/null || true").strip()

    def mend() -> None:
        cluster.sh(node, f"rm -f {folder}/{FILLER}-* {folder}/gx10-fault-probe")

    if free != "0" or size not in ("", "0"):
        mend()
        raise Unproven(f"{node}: {folder}: found {free} bytes free")
    return Done(at, f"{folder} of {node}: 0 bytes free, {refused.rpartition(': ')[2] or 'a file stays empty'}", mend)


def stub_memory(cluster: Cluster, nodes: list[str], _words: tuple[str, ...]) -> Done:
    """Stub: the supervisor reads another file in place of /proc/meminfo; all that it does about it is real."""
    (node,) = nodes
    pid = find(cluster, node, "supervisor")
    if not pid:
        raise Unproven(f"{node}: found no supervisor")
    stub = f"/var/lib/gx10/run/{cluster.group.profile}/stub-meminfo"
    inside = f"nsenter --target {pid} --mount"
    cluster.sh(node, f"sed 's/^MemAvailable:.*/MemAvailable:      65536 kB/' /proc/meminfo > {stub}")
    at = time.time()
    cluster.sh(node, f"{inside} mount --bind /run/gx10/stub-meminfo /proc/meminfo")
    seen = cluster.sh(node, f"{inside} grep MemAvailable /proc/meminfo").split()

    def mend() -> None:
        # Lazily: the supervisor reads it five times a second. Of one that has ended, the mount has gone with it.
        cluster.sh(node, f"{inside} umount --lazy /proc/meminfo 2>/dev/null; rm -f {stub}")
        if "65536 kB" in cluster.sh(node, f"{inside} grep MemAvailable /proc/meminfo 2>/dev/null || true"):
            raise Failed(f"{node}: the stub of /proc/meminfo cannot be taken away")

    if seen[1:2] != ["65536"]:
        mend()
        raise Unproven(f"{node}: found {seen}")
    return Done(at, f"the supervisor of {node} reads MemAvailable: 65536 kB", mend)


def weights(cluster: Cluster, nodes: list[str], _words: tuple[str, ...]) -> Done:
    (node,) = nodes
    at = time.time()
    cluster.sh(node, f"mv {SHARD} {KEPT}")

    def mend() -> None:
        cluster.sh(node, f"test ! -e {KEPT} || mv {KEPT} {SHARD}")

    if cluster.sh(node, f"test -e {SHARD} && echo there || true").strip():
        raise Unproven(f"{node}: {SHARD} is still there")
    return Done(at, f"{node} has no {SHARD.rpartition('/')[2]}", mend)


def image(cluster: Cluster, nodes: list[str], _words: tuple[str, ...]) -> Done:
    (node,) = nodes
    identifier = cluster.sh(node, f"docker image inspect -f '{{{{.Id}}}}' {IMAGE}").strip()
    at = time.time()
    cluster.sh(node, f"docker image rm --force {IMAGE}")
    if cluster.sh(node, f"docker image inspect {IMAGE} >/dev/null 2>&1 && echo there || true").strip():
        raise Unproven(f"{node}: {IMAGE} is still there")
    return Done(at, f"{node}: docker image inspect finds no {IMAGE}", lambda: void(cluster.sh(node, f"docker tag {identifier} {IMAGE}")))


def stranger(cluster: Cluster, nodes: list[str], words: tuple[str, ...]) -> Done:
    """Somebody else listens: a container on a port of its own, a process beside the API's address, or a process on it."""
    (what,) = words
    (node,) = nodes
    port = OWN_PORT if what == "container" else API_PORT
    address = f"172.31.240.{10 + int(node[-1])}" if what == "port" else "127.0.0.1"
    serve = f"-m http.server {port} --bind {address}"
    at = time.time()
    if what == "container":
        cluster.sh(node, f"docker run --detach --name {STRANGER} --network host --entrypoint python3 {IMAGE} {serve}")
        end = f"docker rm --force {STRANGER}"
    else:
        cluster.sh(node, f"systemd-run --quiet --unit {STRANGER} python3 {serve}")
        end = f"systemctl stop {STRANGER}"
    listens = cluster.wait(lambda: cluster.sh(node, f"ss -Hltn 'src {address}:{port}'").strip(), 15, 0.2)
    if not listens:
        cluster.sh(node, f"{end} || true")
        raise Unproven(f"{node}: found nobody at {address}:{port}")

    def mend() -> None:
        # It must have lived until now, whatever the group did.
        if not cluster.sh(node, f"ss -Hltn 'src {address}:{port}'").strip():
            raise Failed(f"{node}: the stranger at {address}:{port} was ended")
        cluster.sh(node, end)

    return Done(at, f"{node}: somebody listens at {address}:{port}", mend)


ACTIONS: dict[str, Action] = {"fill": fill, "stub_memory": stub_memory, "weights": weights, "image": image, "stranger": stranger}
