# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate and the status: evidence against the plan, as checks. Missing evidence is unknown, never a pass.

PRIVATE to the collection.
"""

from __future__ import annotations

import base64
import itertools
import json
from collections.abc import Mapping, Sequence
from typing import Any

from ..common._problem import show
from ..node._types import Engine, EngineInfo, Facts, Log
from ..plan._resolve import other_format
from ..plan._types import Node, Plan
from ._actions import Action, action
from ._engine import LABEL, ending, own, owns, restarted, restarting
from ._types import Api, BootPhase, Check, Rank, Record, Result

PHASE = "gate"


def answered(infos: Mapping[str, Any]) -> dict[str, Any]:
    """Those answers of the modules engine_info and models_info that are answers, by node."""
    return {name: info for name, info in infos.items() if info and ("containers" in info or "models" in info)}


def served_record(infos: Mapping[str, Engine]) -> Record:
    """The record of what is served: of the newest launch that its own head does not deny. Empty if no node has one.

    A launch that others have left (serve without a node that was gone) is recorded on that node alone: whatever the clocks say, it is older
    than one of which a node of its plan has the record.
    """
    held: dict[str, Record] = {name: info["record"] for name, info in infos.items() if info.get("record")}
    launches = {name: record for name, record in held.items() if not _denied(record, held, _ranks(record)[:1])}
    left = [record for record in launches.values() if not _denied(record, launches, _ranks(record))]
    return max(left or launches.values() or held.values(), key=_started, default=Record())


def _ranks(record: Record) -> list[str]:
    """The nodes of a record's plan in rank order, as far as it has any: whoever is root on a node writes there what it wants."""
    nodes: Any = record["plan"].get("nodes")
    found = [node.get("name") for node in nodes if isinstance(node, dict)] if isinstance(nodes, list) else []
    return [name for name in found if isinstance(name, str)]


def _denied(record: Record, held: Mapping[str, Record], names: Sequence[str]) -> bool:
    return any(record_differs(held[name], record) for name in names if name in held)


def _started(record: Record) -> str:
    """When the containers of a record were started, by their nodes' clocks and as Docker writes it; empty if nobody knows."""
    boots: Any = record.get("boots")
    times = [boot.get("started_at") for boot in boots.values() if isinstance(boot, dict)] if isinstance(boots, dict) else []
    return max((time for time in times if isinstance(time, str)), default="")


def record_checks(record: Record, infos: Mapping[str, Engine]) -> list[Check]:
    """Nodes of what is served that have the record of something else."""
    others = [name for name in _ranks(record) if name in infos and record_differs(infos[name]["record"], record)]
    hint = "ansible-playbook serve.yml, with what it was served with, writes the record on all of its nodes."
    return [check("record", name, False, said(infos[name]["record"]), said(record), hint) for name in others]


def other_records(record: Record, infos: Mapping[str, Engine]) -> list[str]:
    """What nodes have a record of that take no part in what is served."""
    others = {name: info["record"] for name, info in infos.items() if name not in _ranks(record)}
    return [
        f"{name}: has the record of {said(one)}, and no part in what is served"
        for name, one in others.items()
        if record_differs(one, record)
    ]


def said(record: Record) -> str:
    """What a record names, for people."""
    plan: Any = record["plan"]
    return f"{show(plan.get('profile'), 60)} by plan {show(plan.get('hash'), 24)} with image {show(record['image_id'], 24)}"


def unasked(record: Record, infos: Mapping[str, Engine]) -> str:
    """Why the model of a record is not asked: its head does not say the same. "" where it does, or gives no answer.

    Whoever is root on one node can write its record; what that says is done on no other node.
    """
    head = record["plan"]["nodes"][0]["name"]
    own = infos[head]["record"] if head in infos else record
    if own and not record_differs(own, record) and own["plan"].get("ready") == record["plan"]["ready"]:
        return ""
    first = next(name for name, info in infos.items() if info["record"] == record)
    return (
        f"{first}: current.json: found a record of what {head} serves, of which {head} itself has none, or another; wanted the same on"
        " both. ansible-playbook serve.yml -e profile=NAME serves anew and writes it on all nodes."
    )


def record_differs(before: Record, now: Record) -> bool:
    """Is `before` a record, and of another plan or image than `now`?"""
    return bool(before) and (before["plan"].get("hash"), before["image_id"]) != (now["plan"].get("hash"), now["image_id"])


def record_files(now: EngineInfo, record: Record, passed: bool) -> list[dict[str, str]]:
    """The records that a node keeps after a gate, as files for the module node_files, in the order in which they may be written.

    What ran good before is safe before it is replaced. One that is there already is left as it is.
    """
    last, files = now["good"]["last"], []
    if passed and record_differs(last, record):
        files.append(("previous-good.json", last))
    if passed and last != record:
        files.append(("last-good.json", record))
    if now["record"] != record:
        files.append(("current.json", record))
    return [
        # The environment of a site stands in it.
        {"path": name, "content": base64.b64encode(f"{json.dumps(one, indent=1, sort_keys=True)}\n".encode()).decode(), "mode": "0600"}
        for name, one in files
    ]


def record_actions(plan: Plan, looks: Mapping[str, Engine], image_id: str) -> list[Action]:
    """What the gate writes about a group that runs as planned: nothing, if it has passed this plan's gate on every node."""
    found: dict[str, list[str]] = {}
    for node in plan["nodes"]:
        found.setdefault(_unproven(plan, node, looks[node["name"]], image_id), []).append(node["name"])
    why = "; ".join(f"{why} ({', '.join(names)})" for why, names in found.items() if why)
    return [action(PHASE, "", "record", f"record what runs: {why}")] if why else []


def _unproven(plan: Plan, node: Node, look: Engine, image_id: str) -> str:
    """Why the gate has to prove what runs on a node; empty if it has."""
    record: Record = look["good"]["last"]
    if look["record"].get("refused"):
        return "its last gate has failed"
    if not record or record != look["record"]:
        return "no record that it has passed"
    if other_format(record) or record_differs(record, {"plan": plan, "image_id": image_id}):
        return "the record is of another plan"
    # The plan's hash covers what runs, not what is expected of it.
    if (record["plan"]["ready"], record["plan"]["expect"]) != (plan["ready"], plan["expect"]):
        return "the gate expects something else now"
    ours = own(node, look)
    booted = record.get("boots", {}).get(node["name"])
    same = ours and ours["running"] and booted and ours["started_at"] == booted["started_at"]
    return "" if same else "it has started again since it passed"


def check(name: str, node: str, ok: bool | None, found: object, wanted: object, hint: str = "") -> Check:
    """One check; the hint is kept only where it is needed."""
    return {"name": name, "node": node, "ok": ok, "found": str(found), "wanted": str(wanted), "hint": "" if ok else hint}


def container_checks(record: Record, infos: Mapping[str, EngineInfo]) -> list[Check]:
    """Do all nodes run what `record` says, and nothing else of ours?

    `infos` is the module engine_info by node; a node that did not answer is missing in it.
    """
    plan = record["plan"]
    checks: list[Check] = []
    planned = {node["name"]: node for node in plan["nodes"]}
    for name in [*planned, *plan["idle"]]:
        info = infos.get(name)
        if info is None:
            checks.append(check("node", name, False, "no answer", "an answer over SSH", f"ssh to {name}; is it powered on?"))
            continue
        node = planned.get(name)
        if node:
            checks += _planned(node, record, info)
        wanted = node["container"]["name"] if node else None
        others = [item["name"] for item in info["containers"] if item["name"] != wanted]
        if others:
            hint = "ansible-playbook stop.yml, then serve again."
            checks.append(check("no other container", name, False, ", ".join(others), "none of another profile", hint))
    return checks


def _planned(node: Node, record: Record, info: EngineInfo) -> list[Check]:
    name = node["name"]
    again = "ansible-playbook serve.yml starts the whole group again."
    ours = own(node, info)
    gone: list[Check] = []
    if info.get("image_gone"):
        hint = f"ansible-playbook restore.yml -e profile={record['plan']['profile']} brings it back."
        gone = [check("image kept", name, False, "gone from Docker", record["image_id"][:19], hint)]
    if ours is None:
        return [*gone, check("container", name, False, "no container", node["container"]["name"], again)]
    if not ours["running"]:
        how, why = ending(ours)
        found = f"{how} ({why})" if why else how
        return [*gone, check("container", name, False, found, "running", f"docker logs {ours['name']} on {name}; {again}")]
    checks = [*gone, check("container", name, True, f"{ours['name']} running", "running")]
    label = ours["labels"].get(f"{LABEL}hash", "none")
    part = record.get("parts", {}).get(name)
    wanted = part["hash"] if part else "none planned"
    checks.append(check("plan hash", name, label == wanted, label[:19], wanted[:19], again))
    same = ours["image"] == record["image_id"]
    checks.append(check("image", name, same, ours["image"][:19], record["image_id"][:19], again))
    status, phase = ours["status"], "serving" if node["role"] == "head" else "joined"
    again = restarting(status)
    hint = "ansible-playbook serve.yml waits for it." if again else status.get("reason", "")
    checks.append(check("phase", name, status.get("phase") == phase, again or status.get("phase", "unknown"), phase, hint))
    return checks


def membership_checks(record: Record, infos: Mapping[str, EngineInfo]) -> list[Check]:
    """Ray nodes = the plan's fabric addresses, as the head's supervisor saw them before it started the engine."""
    head = record["plan"]["nodes"][0]
    if not head["ray"]:
        return []
    wanted = head["ray"]["members"]["addresses"]
    ours = own(head, infos.get(head["name"]))
    found = ours["status"].get("evidence", {}).get("members") if ours else None
    ok = None if found is None else found == wanted
    return [check("Ray nodes", head["name"], ok, ", ".join(found or ["unknown"]), ", ".join(wanted), "docker logs of the head")]


def api_checks(record: Record, infos: Mapping[str, EngineInfo], api: Api | None) -> list[Check]:
    """Does this instance answer? `api` is the module api_info, run on the head; None where it could not run."""
    plan, head = record["plan"], record["plan"]["nodes"][0]
    name, served = head["name"], plan["ready"]["served_name"]
    ours = own(head, infos.get(name))
    if api is None or (not (ours and ours["running"]) and not api["health"]):
        return [check("API", name, False, "no answer", "an answer", "The head's container does not run.")]
    models = api["models"]
    chat = api["chat"]
    logs = f"docker logs {head['container']['name']} on {name}"
    checks = [
        check("health", name, api["health"] == 200, api["health"] or "no answer", 200, logs),
        check("model", name, served in models, ", ".join(map(str, models)) or "none", served, "Does another server own the port?"),
        _listener(plan, infos.get(name), head),
    ]
    found = repr(chat["text"]) if chat["status"] == 200 else f"status {chat['status']}: {chat['error']}"
    ok = chat["status"] == 200 and bool(chat["text"].strip())
    checks.append(check("chat completion", name, ok, found, "text that is not empty", logs))
    return checks


def _listener(plan: Plan, info: EngineInfo | None, head: Node) -> Check:
    """The listener on the API port must be a process of this container: old engines share ports silently (SO_REUSEPORT)."""
    ours = own(head, info)
    port = int(plan["ready"]["url"].rsplit(":", 1)[1])
    owners = [item for item in info["listeners"] if item["port"] == port] if info else []
    foreign = [item for item in owners if not (ours and owns(ours, item))]
    found = "; ".join(f"pid {item['pid']} {item['command'] or '(unknown)'}" for item in foreign or owners) or "nobody"
    ok = bool(owners) and not foreign
    return check(
        f"listener on {port}", head["name"], ok, found, "a process of this container alone", "End the other process." if foreign else ""
    )


def evidence_checks(plan: Plan, log: Log, metrics: Mapping[str, float]) -> list[Check]:
    """Do the engine's log and metrics agree with the plan? KV cache in tokens; speculative decoding on or off as planned."""
    name = plan["nodes"][0]["name"]
    tokens = log.get("facts", {}).get("kv_cache_tokens")
    expected = plan["expect"].get("kv_cache_tokens")
    # 5 %: the size depends on what else the node's memory held when the engine profiled it.
    enough = None if tokens is None else tokens > 0 and (expected is None or tokens >= 0.95 * expected)
    wanted = f"at least 95 % of {expected} tokens" if expected else "more than 0 tokens"
    found = "unknown: no line in the log" if tokens is None else f"{tokens} tokens"
    checks = [check("KV cache", name, enough, found, wanted, "Memory is taken by something else on a node, or the log format is new.")]
    speculative = plan["ready"]["speculative"]
    drafting, rate, seen = _acceptance(plan["engine"], log.get("facts", {}), metrics)
    if speculative is None:
        hint = "The engine drafts unasked."
        return [*checks, check("speculative decoding", name, not drafting, seen if drafting else "off", "off", hint)]
    floor = speculative["min_acceptance"]
    hint = "0 % acceptance means that the drafter's weights are wrong or missing; compare with the profile without speculation."
    ok = None if rate is None else rate >= floor
    return [*checks, check("acceptance rate", name, ok, seen, f"at least {floor:.0%}", hint)]


def _acceptance(engine: str, facts: Facts, metrics: Mapping[str, float]) -> tuple[bool, float | None, str]:
    """Does the engine draft, how much of it is accepted (None: unknown), and both in words."""
    if engine == "sglang":
        # Of the last 40 decode steps, as the log's line is; 0 before the first (0.5.12 to 0.5.23, metrics_reporter.py).
        if metrics.get("sglang:spec_accept_length"):
            rate = metrics.get("sglang:spec_accept_rate")
            return True, rate, "drafts, accepted unknown" if rate is None else f"{rate:.1%} in /metrics"
        rate = facts.get("acceptance_rate")
        return rate is not None, rate, "unknown: no accept rate in the log" if rate is None else f"{rate:.1%} in the log's last line"
    drafted = metrics.get("vllm:spec_decode_num_draft_tokens_total")
    accepted = metrics.get("vllm:spec_decode_num_accepted_tokens_total")
    if not drafted:
        return False, None, "unknown: no draft tokens in /metrics"
    if accepted is None:
        return True, None, f"{drafted:.0f} draft tokens, accepted unknown"
    return True, accepted / drafted, f"{accepted / drafted:.1%} of {drafted:.0f} drafts"


def document(record: Record, checks: list[Check], infos: Mapping[str, EngineInfo], api: Api | None) -> Result:
    """The playbook's result."""
    plan = record["plan"]
    head = plan["nodes"][0]
    ours = own(head, infos.get(head["name"]))
    phases = ours["status"].get("phases", []) if ours else []
    # A phase lasts until the next one begins; the last one (serving) goes on.
    boot: list[BootPhase] = [{"phase": one["name"], "seconds": round(two["at"] - one["at"], 1)} for one, two in itertools.pairwise(phases)]
    nodes: list[Rank] = [
        {"name": node["name"], "rank": node["rank"], "role": node["role"], "address": node["address"]} for node in plan["nodes"]
    ]
    return {
        "ok": all(item["ok"] is True for item in checks),
        "profile": plan["profile"],
        "plan": plan["hash"],
        "url": plan["ready"]["url"],
        "model": plan["ready"]["served_name"],
        "nodes": nodes,
        "restarting": _restarting(plan, infos),
        "restarted": restarted(ours["status"]) if ours and ours["running"] else "",
        "deviations": plan["deviations"],
        "boot": boot,
        "answer": api["chat"]["text"] if api else "",
        "checks": checks,
    }


def _restarting(plan: Plan, infos: Mapping[str, EngineInfo]) -> str:
    """What the first rank that runs says of a group that heals by itself; the head knows of all."""
    found = [own(node, infos.get(node["name"])) for node in plan["nodes"]]
    return next((text for ours in found if ours and ours["running"] and (text := restarting(ours["status"]))), "")


def lines(checks: list[Check]) -> list[str]:
    """Checks for a terminal: what is wrong and what to do, and how many passed."""
    bad = [item for item in checks if item["ok"] is not True]
    out = []
    for item in bad:
        state = "unknown" if item["ok"] is None else "failed"
        out.append(f"  {state}: {item['node']}: {item['name']}: found {item['found']}; wanted {item['wanted']}. {item['hint']}".rstrip())
    return [*out, f"  {len(checks) - len(bad)} of {len(checks)} checks passed"]


def text(result: Result) -> str:
    """A result for a terminal: what serves where, or what is wrong, and what to do."""
    state = "serving" if result["ok"] else f"NOT serving, {result['restarting']}," if result["restarting"] else "NOT serving"
    out = [f"{result['profile']}: {state} at {result['url']}", *lines(result["checks"])]
    if result["ok"]:
        out.append(f"  model   {result['model']}")
        out += [f"  rank {node['rank']}  {node['name']} ({node['role']}, {node['address']})" for node in result["nodes"]]
        out += [f"  differs from its profile: {item['key']}: {item['launch']!r}, not {item['profile']!r}" for item in result["deviations"]]
        if result["boot"]:
            total = sum(item["seconds"] for item in result["boot"])
            parts = ", ".join(f"{item['phase']} {item['seconds']:.0f} s" for item in result["boot"])
            out.append(f"  boot    {total:.0f} s ({parts})")
        if result["restarted"]:
            out.append(f"  healed  {result['restarted']}")
        out.append(f"  answer  {result['answer']!r}")
    return "\n".join(out)
