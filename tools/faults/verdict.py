"""The invariants of recovery, over what was seen of every node (look.py). Pure."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

from ansible_collections.gx10.serving.plugins.module_utils.node._processes import ENGINE

Look = Mapping[str, Any]
Looks = Mapping[str, Look]
# Phases of a status in which nothing of an engine runs, and which must say why.
DOWN = ("failed", "waiting", "stopped")
# Seconds: between a generation's first word and its first process, which Ray's own helpers may leave behind for a moment.
SLACK = 2.0
# What of an engine may run only once on a node, by the beginning of its title or the name of its program.
ONCE = ("VLLM::EngineCore", "raylet", "gcs_server", "ray::RayWorkerProc", "vllm serve")


@dataclasses.dataclass(frozen=True)
class Group:
    """What is served: the nodes in the order of their ranks, and the ports that are ours."""

    profile: str
    nodes: tuple[str, ...]
    ports: tuple[int, ...] = (8000, 6379, 8733)

    @property
    def head(self) -> str:
        return self.nodes[0]


@dataclasses.dataclass(frozen=True)
class Heard:
    """What the supervisors said after a moment. Seconds after it; None: never. `culprit`: the group's reason, as the head has it."""

    first: float | None
    everywhere: float | None
    serving: float | None
    culprit: str


def status(look: Look, group: Group) -> Mapping[str, Any]:
    found: Mapping[str, Any] = look["statuses"].get(group.profile, {})
    return found


def ours(look: Look) -> list[Mapping[str, Any]]:
    return [item for item in look["containers"] or [] if item["profile"]]


def engine(look: Look) -> list[Mapping[str, Any]]:
    """The processes of an engine or of Ray, ours or not."""
    return [item for item in look["processes"] if ENGINE.search(item["command"])]


def serves(looks: Looks, group: Group) -> bool:
    """Do all ranks say that they are up in the same generation?"""
    found = [status(looks[name], group) for name in group.nodes if name in looks]
    phases = [item.get("phase") for item in found]
    wanted = ["serving"] + ["joined"] * (len(group.nodes) - 1)
    return phases == wanted and len({item.get("generation") for item in found}) == 1 and all(_runs(looks[name]) for name in group.nodes)


def is_down(looks: Looks, group: Group) -> list[str]:
    """What contradicts that the group is down with a reason. A node that is not seen runs nothing, and where a container was ended from
    outside its supervisor could say nothing more: then the others must."""
    found = []
    why = False
    for name in group.nodes:
        if name not in looks:
            continue
        left = engine(looks[name])
        if left:
            found.append(f"{name}: half down: found {_few(left)}; wanted no engine")
        said = status(looks[name], group)
        says = said.get("phase") in DOWN and bool(said.get("reason"))
        why = why or says
        if any(item["running"] for item in ours(looks[name])) and not says:
            found.append(f"{name}: phase {said.get('phase')!r}, reason {said.get('reason', '')!r}; wanted down with a reason")
    if not why and any(ours(looks[name]) for name in group.nodes if name in looks):
        found.append("down, and nobody says why")
    return found


def broken(looks: Looks, before: Looks, group: Group, answers: bool) -> list[str]:
    """Every invariant that does not hold, in words; empty is good. `answers`: whether a completion was answered just now."""
    found = []
    if serves(looks, group):
        if not answers:
            found.append("all ranks say that they serve, and the API does not answer")
        for name in group.nodes:
            found += _one_generation(name, looks[name], group)
    else:
        down = is_down(looks, group)
        phases = ", ".join(f"{name}: {status(looks[name], group).get('phase')}" for name in group.nodes if name in looks)
        found += [f"neither serving on all ranks nor down on all with a reason ({phases}): {text}" for text in down]
        if answers:
            found.append("the API answers, and not all ranks serve")
    for name, look in looks.items():
        found += _nothing_else(name, look, before.get(name, {}), group)
        if name in before:
            found += _strangers(name, look, before[name])
    return found


def heard(journals: Mapping[str, Sequence[Mapping[str, Any]]], group: Group, since: float) -> Heard:
    """When a rank said first that the group ends or waits, when the last one did, and when the head served (again)."""
    firsts: dict[str, float] = {}
    culprit, serving = "", None
    for name, journal in journals.items():
        for item in journal:
            phase, _colon, reason = _said(item["text"], group)
            if item["at"] < since:
                continue
            if phase in ("failing", "failed", "waiting", "stopping", "stopped") and name not in firsts:
                firsts[name] = item["at"] - since
    for item in journals.get(group.head, []):
        phase, _colon, reason = _said(item["text"], group)
        if item["at"] >= since and phase in ("failing", "failed", "waiting", "stopping") and reason and not culprit:
            culprit = reason.partition("; ")[2] or culprit if phase == "waiting" else reason
        if item["at"] >= since and phase == "serving" and firsts:
            serving = item["at"] - since
    everywhere = max(firsts.values()) if set(firsts) == set(group.nodes) else None
    return Heard(min(firsts.values(), default=None), everywhere, serving, culprit)


def _said(text: str, group: Group) -> tuple[str, str, str]:
    """(phase, separator, reason) of a line of the journal; a phase of another profile is none."""
    profile, _colon, rest = text.partition(": ")
    return rest.partition(": ") if profile == group.profile else ("", "", "")


def _runs(look: Look) -> bool:
    return [item["running"] for item in ours(look)] == [True]


def _one_generation(name: str, look: Look, group: Group) -> list[str]:
    """Of a node that serves: nothing that an older generation has left."""
    found = []
    (container,) = ours(look)
    since = min((phase["at"] for phase in status(look, group).get("phases", [])), default=0.0)
    running = engine(look)
    old = [item for item in running if item["started"] < since - SLACK]
    if old:
        found.append(f"{name}: of an old generation: found {_few(old)}; wanted none started before this one")
    outside = [item for item in running if item["container"] != container["id"]]
    if outside:
        found.append(f"{name}: outside of our container: found {_few(outside)}")
    for what in ONCE:
        many = [item for item in running if _is(item["command"], what)]
        if len(many) > 1:
            found.append(f"{name}: {what}: found {_few(many)}; wanted one")
    pids = {item["pid"]: item["container"] for item in look["processes"]}
    strange = [item for item in look["listeners"] if item["port"] in group.ports and pids.get(item["pid"]) != container["id"]]
    if strange:
        found.append(f"{name}: on our ports: found {strange}; wanted only our container")
    return found


def _is(command: str, what: str) -> bool:
    program = command.split(" ", 1)[0].rsplit("/", 1)[-1]
    # A server's title is its command line, with its interpreter before it.
    return command.startswith(what) or program == what or (what == "vllm serve" and "/vllm serve " in command)


def _nothing_else(name: str, look: Look, before: Look, group: Group) -> list[str]:
    found = []
    if look["containers"] is None:
        found.append(f"{name}: Docker does not answer")
    if name not in group.nodes and (ours(look) or engine(look)):
        found.append(f"{name}: found {_few(engine(look)) or ours(look)}; wanted nothing of ours on a node without a rank")
    if name in group.nodes and len(ours(look)) > 1:
        found.append(f"{name}: found containers {[item['name'] for item in ours(look)]}; wanted one")
    if look["lock"]:
        found.append(f"{name}: the lock is held: {look['lock'].get('purpose')}, process {look['lock'].get('pid')}")
    left = [path for path in look["temporary"] if path not in before.get("temporary", [])]
    if left:
        found.append(f"{name}: temporary files: {', '.join(left[:4])}")
    return found


def _strangers(name: str, look: Look, before: Look) -> list[str]:
    """What is not ours must be as it was; a process of before a reboot is not looked for."""
    found = []
    foreign = {item["id"]: item for item in look["containers"] or [] if not item["profile"]}
    for item in before["containers"] or []:
        if item["profile"] or look["containers"] is None:
            continue
        now = foreign.get(item["id"])
        if now is None or (item["running"] and not now["running"]):
            found.append(f"{name}: the foreign container {item['name']}: found {'ended' if now else 'removed'}; wanted it as it was")
    if before["bystander"] and before["boot"] == look["boot"] and look["bystander"] != before["bystander"]:
        found.append(f"{name}: a foreign process, {before['bystander']}, is gone")
    return found


def _few(items: Sequence[Mapping[str, Any]]) -> str:
    return "; ".join(f"{item['pid']} {item['command'][:60]}" for item in items[:4])
