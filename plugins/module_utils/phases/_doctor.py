# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""World against plan: everything that differs, with the command that mends it, and one verdict. Pure; it changes nothing.

What a run would do is asked of the functions that a run asks, without its refusal to go on after the first problem. PRIVATE.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence

from ..common._problem import Problem, show
from ..node._types import Container, Engine, Images, Kept
from ..plan._context import Context
from ..plan._resolve import other_format
from ..plan._types import Image, Node, Plan
from . import _actions, _engine_actions, _gate, _hardware_checks, _image_actions, _link_checks, _preflight, _rollback, _weights_actions
from ._doctor_checks import MEND, MENDS, Seen, busy, problems, stale
from ._doctor_text import facts
from ._doctor_verdict import judged
from ._engine import LABEL, ending, holds, own
from ._types import Chosen, Diagnosis, Finding, Mending

# What brings back what an action of this phase is about.
VERBS = {"image": "restore", "weights": "stage"}
# What only a build or a gate makes.
SERVES = ("build", "verify", "forget", "archive", "good")


@dataclasses.dataclass(frozen=True)
class Wanted:
    """The plan, and what of the control node it is compared with. `addresses`: on the fabric, by node, where there is no plan;
    `unread`: why the record of what is served cannot be read."""

    plan: Plan | None
    contexts: Mapping[str, Context]
    archived: Sequence[Kept]
    wish: _image_actions.Wish
    addresses: Mapping[str, str]
    unread: str = ""


def chosen(engines: Mapping[str, Engine]) -> Chosen:
    """What the nodes' records say is served, for a doctor that is asked for no profile."""
    record = _gate.served_record(engines)
    if not record:
        return {"plan": {}, "image_id": "", "problem": ""}
    wrong = [
        f"{key} is {show(value)}"
        for (key, form), value in zip(_rollback.FORMS.items(), _rollback.named(record))
        if not isinstance(value, str) or not re.fullmatch(form, value)
    ]
    problem = "; ".join(wrong) or other_format(record) or _gate.unasked(record, engines)
    return {"plan": {} if problem else record["plan"], "image_id": "" if problem else record["image_id"], "problem": problem}


def diagnose(wanted: Wanted, seen: Seen) -> Diagnosis:
    """All of it."""
    found = problems(seen)
    hosts = {name: world["host"] for name, world in seen.worlds.items()}
    plan, serving, notes = wanted.plan, None, [f"A run changes the cluster now: {text}." for text in busy(seen)]
    if wanted.unread:
        hint = "ansible-playbook serve.yml -e profile=NAME, or stop.yml"
        found.append(Problem(seen.head, "record", wanted.unread, "a record of this release", hint, code="wrong-form"))
    if plan is None:
        found += _link_checks.between({name: address for name, address in wanted.addresses.items() if name in hosts}, hosts)
        found += _unplanned(seen)
    else:
        engines = {name: world["engine"] for name, world in seen.worlds.items() if "engine" in world}
        found += _preflight.unfit(plan, hosts, {name: _planned_ports(engine, seen) for name, engine in engines.items()})
        found += _hardware_checks.noticed(plan, hosts)
        image_id, more, moved = _image(plan, seen, wanted)
        weights_hash, beside = _weights(plan, seen)
        found += more + beside
        group = _group(plan, engines)
        found += group or _as_planned(plan, engines, image_id, weights_hash)
        found += [_left_over(plan, seen, name, item) for name in engines for item in _beside(plan, name, engines)]
        found += [_idle(seen, name, engines[name]) for name in plan["idle"] if name in engines and engines[name]["record"]]
        serving, told, told_api = _serving(plan, seen)
        notes += moved + told
        found += told_api if not group else []
    order = [*seen.worlds, *seen.silent]
    # Whoever mends has the lock.
    may = seen.head in seen.worlds and not busy(seen)
    # Of the whole group first.
    found.sort(key=lambda one: order.index(one.where) if one.where in order else -1)
    findings = [_finding(one) for one in dict.fromkeys(found)]
    return judged(
        {
            "ok": False,
            "verdict": "",
            "exit_code": 0,
            "profile": plan["profile"] if plan else "",
            "plan": plan["hash"] if plan else "",
            "url": plan["ready"]["url"] if plan else "",
            "serving": serving,
            "findings": findings,
            "mended": [],
            "unmended": [],
            "notes": notes,
            "nodes": {name: facts(plan, seen, name) for name in seen.worlds},
            "mend": {name: todo for name in seen.worlds if may and any((todo := _mending(plan, seen, name)).values())},
        }
    )


def _finding(problem: Problem) -> Finding:
    return {
        "node": problem.where,
        "what": problem.key,
        "found": problem.found,
        "wanted": problem.wanted,
        "mend": problem.hint,
        "code": problem.code,
        "mends": problem.code in MENDS,
    }


def _again(plan: Plan, verb: str = "serve") -> str:
    """The command, as it was given for what is served."""
    word = " with the -e override that it was served with" if plan["deviations"] else ""
    return f"ansible-playbook {verb}.yml -e profile={plan['profile']}{word}"


def _planned_ports(engine: Engine, seen: Seen) -> Engine:
    """Without what is no engine's port."""
    return {**engine, "listeners": [item for item in engine["listeners"] if item["port"] != seen.fanout_port]}


def _of(plan: Plan, actions: Sequence[_actions.Action], verbs: Mapping[str, str] | None = None) -> list[Problem]:
    """What a run would do is what differs: its reason is what was found. `verbs`: other than serve that do it, by phase."""
    verbs = VERBS if verbs is None else verbs
    found = []
    for item in actions:
        # What depends on others is not known yet.
        if item["do"] != "depends":
            doing, _colon, why = item["text"].partition(": ")
            verb = "serve" if item["do"] in SERVES else verbs.get(item["phase"], "serve")
            mend, wanted = f"{_again(plan, verb)} ({doing})", "as the plan says"
            where, told = item["node"] or plan["nodes"][0]["name"], why or f"still to do: {doing}"
            found.append(Problem(where, item["phase"], told, wanted, mend, code="differs-from-plan"))
    return found


def _image(plan: Plan, seen: Seen, wanted: Wanted) -> tuple[str, list[Problem], list[str]]:
    """The image's ID, empty where nobody knows it, what differs, and notes."""
    looks: dict[str, Images] = {
        node["name"]: seen.worlds[node["name"]]["images"]
        for node in plan["image"]["nodes"]
        if node["name"] in seen.worlds and "images" in seen.worlds[node["name"]]
    }
    if not looks:
        return wanted.wish.wanted, [], []
    reference, served = plan["image"]["reference"], wanted.wish.wanted
    notes = _moved(plan, looks, served)
    # restore.yml brings what the tag names.
    named = [look["images"][reference]["id"] for look in looks.values() if reference in look["images"]]
    verbs = {} if served and any(identifier != served for identifier in named) else VERBS
    looks = {name: _started(look, reference, served) for name, look in looks.items()}
    builder = plan["image"]["builder"]
    image: Image = {**plan["image"], "builder": builder if builder in looks else next(iter(looks))}
    targets = [node["name"] for node in plan["nodes"] if node["name"] in looks]
    # Where who builds does not answer, nobody else is asked to.
    wish = dataclasses.replace(wanted.wish, targets=targets, build=wanted.wish.build and builder in looks)
    decision = _image_actions.decide(image, looks, wanted.contexts, wanted.archived, wish)
    said = [
        Problem(plan["profile"], "image", text, "as the plan says", _again(plan), code="differs-from-plan") for text in decision["problems"]
    ]
    # What is served by its ID has passed what its definition was then; the tag that says so goes with the next build.
    actions = [item for item in decision["actions"] if not (wish.wanted and item["do"] == "verify")]
    return decision["id"] or wish.wanted, [*said, *_of(plan, [*actions, *decision["good"]], verbs)], notes


def _started(look: Images, reference: str, wanted: str) -> Images:
    """Containers are started by ID: where Docker has what is `wanted`, its tag may name another one, and nothing that is served differs."""
    there = look["images"].get(wanted)
    return {**look, "images": {**look["images"], reference: there}} if there else look


def _moved(plan: Plan, looks: Mapping[str, Images], wanted: str) -> list[str]:
    """A nightly rebuild moves the tag, and touches nothing that runs."""
    reference, found = plan["image"]["reference"], dict[str, list[str]]()
    for node in plan["nodes"]:
        tagged = looks[node["name"]]["images"].get(reference) if node["name"] in looks else None
        if wanted and tagged and tagged["id"] != wanted and wanted in looks[node["name"]]["images"]:
            found.setdefault(tagged["id"], []).append(node["name"])
    return [
        f"Image {wanted[7:19]} is served; {reference} names {image[7:19]} on {', '.join(names)}, as a nightly rebuild that was promoted "
        f"leaves it. {_again(plan)} starts that one."
        for image, names in found.items()
    ]


def _weights(plan: Plan, seen: Seen) -> tuple[str, list[Problem]]:
    """The hash of all manifests, empty where only reading would tell, and what differs."""
    names = [node["name"] for node in plan["weights"]["nodes"]]
    looks = {name: seen.worlds[name]["weights"] for name in names if name in seen.worlds and "weights" in seen.worlds[name]}
    if not looks:
        return "", []
    decision = _weights_actions.decide(plan["weights"], looks, {}, {})
    stage = _again(plan, "stage")
    said = [
        Problem(plan["profile"], "weights", text, "as they were staged", stage, code="differs-from-plan") for text in decision["problems"]
    ]
    return decision["hash"], [*_preflight.unfit_checkpoint(plan, looks), *said, *_of(plan, decision["actions"])]


def _state(node: Node, ours: Container | None) -> tuple[str, str]:
    """In what state a rank is that should be up, and the reason, which names the culprit; empty if it is up."""
    if ours is None:
        return "no container", ""
    if not ours["running"]:
        how, why = ending(ours)
        return f"a container that {how}", why
    phase, reason = ours["status"].get("phase", "unknown"), ours["status"].get("reason", "")
    wanted = "serving" if node["role"] == "head" else "joined"
    return ("", "") if phase == wanted else (f"phase {phase}", reason)


def _group(plan: Plan, engines: Mapping[str, Engine]) -> list[Problem]:
    """Ranks that are not up: each reason once, at its culprit, with the nodes that give it."""
    reasons: dict[str, tuple[str, list[str]]] = {}
    for node in plan["nodes"]:
        if node["name"] in engines:
            state, reason = _state(node, own(node, engines[node["name"]]))
            if state:
                reasons.setdefault(reason or state, (state, []))[1].append(node["name"])
    names = [node["name"] for node in plan["nodes"]]
    found = []
    for why, (state, at) in reasons.items():
        where = _culprit(why, names) or at[0]
        told = state if why == state else f"{state}: {why}"
        told += f"; so on {', '.join(at)}" if at != [where] else ""
        container = plan["nodes"][0]["container"]["name"]
        mend = f"{_again(plan)}; before it, on {where}: docker logs {container}"
        found.append(Problem(where, "group", told, f"{plan['profile']} up on {', '.join(names)}", mend, code="not-serving"))
    return found


def _culprit(why: str, names: Sequence[str]) -> str:
    """Whom a supervisor names first: "gx10-3: raylet was killed", "for gx10-3; …"."""
    # The longest first: one name may begin as another does.
    some = "|".join(re.escape(name) for name in sorted(names, key=len, reverse=True))
    match = re.search(rf"(?:^|; |^for )({some})(?=[:;,]|$)", why)
    return match.group(1) if match else ""


def _as_planned(plan: Plan, engines: Mapping[str, Engine], image_id: str, weights_hash: str) -> list[Problem]:
    """A group that is up: is it this plan's, whole, and proven?"""
    beside = any(item["running"] for node in plan["nodes"] for item in _beside(plan, node["name"], engines))
    decision = _engine_actions.decide(plan, engines, image_id, weights_hash)
    # What runs beside it is told for itself.
    other = [item for item in decision["actions"] if item["do"] in ("replace", "start")] if not beside else []
    if other:
        return _of(plan, other)
    found: list[Problem] = []
    unproven: dict[str, list[str]] = {}
    head = own(plan["nodes"][0], engines.get(plan["nodes"][0]["name"]))
    for node in plan["nodes"]:
        name, ours = node["name"], own(node, engines.get(node["name"]))
        if ours is None:
            continue
        alone: Plan = {**plan, "nodes": [node]}
        for item in _gate.record_actions(alone, engines, image_id):
            unproven.setdefault(item["text"].partition(": ")[2].rpartition(" (")[0], []).append(name)
        found += _generation(plan, name, ours, head) + _mods(plan, node, ours)
    for why, names in unproven.items():
        more = f" ({', '.join(names)})" if len(names) > 1 else ""
        found.append(Problem(names[0], "record", f"{why}{more}", "what has passed the gate", _again(plan), code="no-record"))
    return found


def _beside(plan: Plan, name: str, engines: Mapping[str, Engine]) -> list[Container]:
    return _engine_actions.left_over(plan, name, engines[name]) if name in engines else []


def _generation(plan: Plan, name: str, ours: Container, head: Container | None) -> list[Problem]:
    status, found = ours["status"], []
    first = head["status"].get("generation") if head else None
    if first is not None and status.get("generation") not in (None, first):
        told, wanted = str(status.get("generation")), f"{first}, as on {plan['nodes'][0]['name']}"
        found.append(Problem(name, "generation", told, wanted, _again(plan), code="generation"))
    count, _of_word, limit = status.get("restarts", "never").removesuffix(" within an hour").partition(" of ")
    if ours is head and limit and count == limit:
        told = f"{count} of {limit}, after: {status.get('evidence', {}).get('ended', 'unknown')}"
        mend = f"Mend the cause: the next fault takes the group down. {_again(plan, 'stop')}, then serve.yml counts afresh."
        found.append(Problem(name, "restarts", told, "fewer within an hour", mend, code="restarts"))
    return found


def _mods(plan: Plan, node: Node, ours: Container) -> list[Problem]:
    wanted = [mod["name"] for mod in node["mods"]]
    applied = ours["status"].get("evidence", {}).get("mods", [])
    if applied == wanted:
        return []
    told, needed = ", ".join(map(str, applied)) or "none applied", ", ".join(wanted) or "none"
    return [Problem(node["name"], "mods", told, needed, _again(plan), code="differs-from-plan")]


def _orphan(seen: Seen, item: Container) -> bool:
    """Has a container of ours no engine, is it of no plan that a node has a record of, and alone? Several that wait are a group that may
    start again, which has not passed its gate yet. Where a node is silent, nobody knows."""
    engines = [world["engine"] for world in seen.worlds.values() if "engine" in world]
    served = [engine["record"]["plan"].get("hash") for engine in engines if engine["record"]]
    known = bool(served) and not seen.silent and len(engines) == len(seen.worlds)
    launch = item["labels"].get(f"{LABEL}plan")
    others = [one for engine in engines for one in engine["containers"] if one["id"] != item["id"] and one["running"]]
    return known and not holds(item) and launch not in [*served, *(one["labels"].get(f"{LABEL}plan") for one in others)]


def _left_over(plan: Plan, seen: Seen, name: str, item: Container) -> Problem:
    phase = item["status"].get("phase", "unknown")
    state = f"phase {phase}" if item["running"] else f"exited with code {item['exit_code']}"
    told = f"container {item['name']} of {item['labels'].get(LABEL + 'profile', 'unknown')}, {state}"
    orphan = _orphan(seen, item)
    return Problem(
        name, "container", told, "none beside the plan's", MEND if orphan else _again(plan), code="orphan" if orphan else "left-over"
    )


def _idle(seen: Seen, name: str, engine: Engine) -> Problem:
    """Who reads the records of all nodes would believe it."""
    told, path = str(engine["record"]["plan"].get("profile", "unknown")), f"{seen.state_dir}/current.json"
    return Problem(
        name, path, f"that {told} is served here", "none: the plan does not use this node", f"On {name}: rm {path}", code="left-over"
    )


def _unplanned(seen: Seen) -> list[Problem]:
    """Without a plan nothing of ours should run."""
    found = []
    for name, world in seen.worlds.items():
        error = world["host"]["docker"]["error"]
        if error:
            found.append(Problem(name, "Docker engine", error, "an engine that answers", "systemctl start docker", code="no-answer"))
        for item in world["engine"]["containers"] if "engine" in world else ():
            profile = item["labels"].get(f"{LABEL}profile", "NAME")
            state, reason = f"phase {item['status'].get('phase', 'unknown')}", item["status"].get("reason", "")
            if not item["running"]:
                state, reason = ending(item)
            told = f"container {item['name']} of {profile}, {state}{': ' + reason if reason else ''}"
            mend = f"ansible-playbook serve.yml -e profile={profile} starts it again, stop.yml removes it"
            found.append(Problem(name, "container", told, "none, as nothing is recorded as served", mend, code="left-over"))
    return found


def _serving(plan: Plan, seen: Seen) -> tuple[bool, list[str], list[Problem]]:
    """Does it answer? Notes, and why it does not. A long prefill holds an answer up: who is busy is not dead."""
    api, name, url = seen.api, plan["nodes"][0]["name"], plan["ready"]["url"]
    if api is None:
        # Where the head or its Docker engine is silent, that is told already.
        why = Problem(
            name, f"API {url}", "nobody who could ask it", "an answer", "ansible-playbook status.yml -v asks again.", code="no-answer"
        )
        return False, [], [why] if "engine" in seen.worlds.get(name, {}) else []
    logs = f"On {name}: docker logs {plan['nodes'][0]['container']['name']}; {_again(plan)}"
    if api["health"] != 200:
        found = f"{api['health'] or 'no answer'} from /health"
    elif plan["ready"]["served_name"] not in api["models"]:
        found = f"{', '.join(map(str, api['models'])) or 'no model'} in /v1/models"
    elif api["chat"]["status"] == 200 and api["chat"]["text"].strip():
        return True, [], []
    elif api["chat"]["status"] == 0 and any(api["metrics"].get(key, 0) > 0 for key in plan["watch"]["settings"]["busy"]):
        return True, [f"{url}: requests run, and ours was not answered in time."], []
    elif api["chat"]["status"] == 0:
        # A missing sign is no dead engine, which its supervisor ends.
        bound = max(plan["watch"]["within"]["frozen"], plan["watch"]["within"]["silent"])
        mend = f"If it is wedged, its supervisor ends it within {bound} s; ansible-playbook status.yml asks again."
        told = f"no answer to a question in time ({api['chat']['error']}), and no request counted"
        return True, [], [Problem(name, f"API {url}", told, "an answer", mend, code="no-answer")]
    else:
        chat = api["chat"]
        found = f"no text: status {chat['status']}: {chat['error'] or repr(chat['text'])}"
    return False, [], [Problem(name, f"API {url}", found, "an answer", logs, code="not-serving")]


def _mending(plan: Plan | None, seen: Seen, name: str) -> Mending:
    """What mend=true takes away on a node: nobody can miss it."""
    world = seen.worlds[name]
    left = world["left"]
    lock = left["lock"]
    beside = _beside(plan, name, {name: world["engine"]}) if plan and "engine" in world else []
    return {
        "lock": lock is not None and stale(seen, name, lock),
        "files": [{"path": item["path"], "which": item["which"]} for item in left["files"]],
        "works": left["works"],
        "containers": [item["id"] for item in beside if _orphan(seen, item)],
    }
