# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a doctor sees on nodes without any plan: locks, what was left over, foreign engines, disks, clocks, Docker. Pure. PRIVATE."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence

from ..common._problem import Problem
from ..node import _lock
from ..node._types import Lock, WholeWorld
from ._types import Api

MEND = "ansible-playbook doctor.yml -e mend=true"
# Problems of these codes are mended by it.
MENDS = ("orphan", "stale-file", "stale-lock")
GIB = 2**30
# Status files, logs of 150 MiB a container and a plan's records; weights and images ask for their own room when they travel.
ROOM_GIB = 1
# Log lines of two nodes still tell what came first; how exactly a clock is seen depends on how long the look took.
CLOCK_SECONDS = 30


@dataclasses.dataclass(frozen=True)
class Seen:
    """`worlds`: of the nodes that answered, in rank order; `half`: those that did not tell of images and weights, and
    why; `silent`: why the others said nothing; `head`: the node of rank 0, which has the
    lock; `ended`: nodes whose lock is a run's that this machine knows to have ended; `now`: the control node's clock after the look;
    `fanout_port`: what a distribution listens on; `api`: what the head's API said, None where it was not asked.
    """

    worlds: Mapping[str, WholeWorld]
    half: Mapping[str, str]
    silent: Mapping[str, str]
    head: str
    state_dir: str
    fanout_port: int
    now: float
    ended: Collection[str] = ()
    api: Api | None = None


def problems(seen: Seen) -> list[Problem]:
    """Of all nodes."""
    found = [_silent(name, why) for name, why in seen.silent.items()]
    hint = "Run it again with -v; it says what failed there."
    found += [Problem(name, "images and weights", why, "an answer", hint, code="no-answer") for name, why in seen.half.items()]
    working = bool(busy(seen))
    for name, world in seen.worlds.items():
        found += _lock_of(seen, name)
        found += [] if working else _left(seen, name, world)
        found += _foreign(seen, name, world, working) + _disks(seen, name, world)
    return found + _clocks(seen) + _docker_versions(seen)


def busy(seen: Seen) -> list[str]:
    """Runs that change the cluster now."""
    return [_lock.who(lock["holder"]) for name, lock in _locks(seen) if not lock["error"] and not stale(seen, name, lock)]


def stale(seen: Seen, name: str, lock: Lock) -> bool:
    """Is a lock a dead run's? One that lives renews it every quarter of its lease."""
    return not lock["error"] and (name in seen.ended or lock["age"] > lock["holder"]["lease"])


def _locks(seen: Seen) -> Iterator[tuple[str, Lock]]:
    for name, world in seen.worlds.items():
        lock = world["left"]["lock"]
        if lock is not None:
            yield name, lock


def _silent(name: str, why: str) -> Problem:
    return Problem(
        name, "node", why or "no answer, or left out by --limit", "an answer", f"ssh {name}; is it powered on?", code="no-answer"
    )


def _lock_of(seen: Seen, name: str) -> list[Problem]:
    lock, path = seen.worlds[name]["left"]["lock"], f"{seen.state_dir}/{_lock.NAME}"
    if lock is None:
        return []
    if lock["error"]:
        hint = f"If no run changes the group, on {name}: rm {path}"
        return [Problem(name, path, lock["error"], "a lock of this release, or none", hint, code="wrong-form")]
    if not stale(seen, name, lock):
        return []
    why = "that process has ended" if name in seen.ended else f"not renewed for {lock['age']:.0f} s of its {lock['holder']['lease']} s"
    return [Problem(name, path, f"the lock of {_lock.who(lock['holder'])}: {why}", "none, or a living run's", MEND, code="stale-lock")]


def _left(seen: Seen, name: str, world: WholeWorld) -> list[Problem]:
    left, found = world["left"], []
    if left["files"]:
        paths = few([item["path"] for item in left["files"]])
        age = min(item["age"] for item in left["files"])
        found.append(Problem(name, paths, f"written {age} s ago or before, and never renamed", "nothing", MEND, code="stale-file"))
    for path in left["works"]:
        found.append(Problem(name, path, "the folder of a program that does not run", "nothing", MEND, code="stale-file"))
    for model in left["stages"]:
        hint = f"ansible-playbook stage.yml -e model={model} goes on with them; remove_weights.yml takes all of it."
        found.append(Problem(name, f"weights {model}", "pieces of a distribution that was interrupted", "none", hint, code="interrupted"))
    return found


def _foreign(seen: Seen, name: str, world: WholeWorld, working: bool) -> list[Problem]:
    """Engines that are none of ours hold memory, and may hold ports; nobody ends them but their owner."""
    engine = world.get("engine")
    if engine is None:
        return []
    ours = [item["id"] for item in engine["containers"]]
    others = [item for item in engine["processes"] if item["container"] not in ours]
    found = []
    if others:
        told = few([f"pid {item['pid']} ({item['command'][:80]})" for item in others])
        where = sorted({item["container"][:12] for item in others if item["container"]})
        hint = f"On {name}: docker stop {' '.join(where)}" if where else f"On {name}: ps -p {others[0]['pid']} -f; end it"
        found.append(
            Problem(name, "engine processes", told, "those of our containers alone", f"{hint}, if nobody needs it.", code="foreign")
        )
    for listener in engine["listeners"] if not working else ():
        if listener["port"] == seen.fanout_port:
            told = f"pid {listener['pid']} ({listener['command'][:80] or 'unknown'})"
            hint = f"On {name}: kill {listener['pid']}, or change gx10_fanout_port."
            found.append(Problem(name, f"port {listener['port']}", told, "free between distributions", hint, code="port-taken"))
    return found


def _disks(seen: Seen, name: str, world: WholeWorld) -> list[Problem]:
    """Each file system once, by the first folder on it."""
    found: dict[int, Problem] = {}
    for path, disk in world["host"]["disk"].items():
        if disk["free"] < ROOM_GIB * GIB and disk["device"] not in found:
            hint = f"On {name}: df -h {path}; docker system df; ansible-playbook weights.yml shows the weights."
            told, wanted = f"{disk['free'] / GIB:.2f} GiB free", f"at least {ROOM_GIB} GiB, for logs and records"
            found[disk["device"]] = Problem(name, path, told, wanted, hint, code="too-little-room")
    state = world["host"]["disk"].get(seen.state_dir)
    read_only = state is not None and not state["writable"]
    hint = f"On {name}: findmnt -T {seen.state_dir}; dmesg says why a file system is read-only."
    beside = [Problem(name, seen.state_dir, "a folder that cannot be written", "a writable one", hint, code="not-writable")]
    return [*found.values(), *(beside if read_only else [])]


def offset(seen: Seen, world: WholeWorld) -> tuple[float, float]:
    """Seconds that a node's clock is ahead of the control node's: at least, at most. It was looked at between asking and now."""
    clock = world["left"]["clock"]
    return clock["here"] - seen.now, clock["here"] - clock["asked"]


def _clocks(seen: Seen) -> list[Problem]:
    off: dict[str, float] = {}
    for name, world in seen.worlds.items():
        least, most = offset(seen, world)
        if least > CLOCK_SECONDS or most < -CLOCK_SECONDS:
            off[name] = least if least > 0 else most
    hint = "timedatectl status there; systemctl restart systemd-timesyncd, or whatever sets it."
    wanted = f"within {CLOCK_SECONDS} s"
    if len(off) > 1 and len(off) == len(seen.worlds) and max(off.values()) - min(off.values()) < CLOCK_SECONDS:
        # All are wrong alike: they are not.
        told = f"{_way(-off[next(iter(off))])} all nodes"
        return [Problem("control node", "clock", told, f"{wanted} of them", hint, code="clock")]
    return [
        Problem(name, "clock", f"{_way(value)} the control node's", f"{wanted} of it", hint, code="clock") for name, value in off.items()
    ]


def _way(seconds: float) -> str:
    return f"{abs(seconds):.0f} s {'ahead of' if seconds > 0 else 'behind'}"


def _docker_versions(seen: Seen) -> list[Problem]:
    versions = {name: world["host"]["docker"].get("version") for name, world in seen.worlds.items()}
    known = [(name, version) for name, version in versions.items() if version]
    other = next(((name, version) for name, version in known if version != known[0][1]), None)
    if other is None:
        return []
    wanted = f"{known[0][1]}, as on {known[0][0]}"
    return [Problem(other[0], "Docker engine", str(other[1]), wanted, "Install the same one on all nodes.", code="nodes-differ")]


def few(texts: Sequence[str]) -> str:
    """The first three of them."""
    return ", ".join(texts[:3]) + (f" and {len(texts) - 3} more" if len(texts) > 3 else "")
