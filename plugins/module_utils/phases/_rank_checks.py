# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: what every rank's log says against the plan. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ..node._types import EngineInfo, Facts
from ..plan._profile_types import MambaPool
from ..plan._types import Plan
from ._gate import check
from ._types import Boot, Check

# What an engine says once, when it boots; the rest of its log changes while it serves.
BOOT = ("kv_cache_gib", "kv_cache_tokens", "mamba_slots", "max_running_requests", "engine_version", "weights_seconds", "init_seconds")


def boot_facts(plan: Plan, infos: Mapping[str, EngineInfo]) -> dict[str, Boot]:
    """By node: from the log, or, where Docker has rotated that away, from the record of the same start.

    The `record` of `infos` holds the result of the gate before as `boots`.
    """
    container = plan["nodes"][0]["container"]["name"]
    found: dict[str, Boot] = {}
    for name, info in infos.items():
        started = next((item["started_at"] for item in info.get("containers", []) if item["name"] == container), None)
        before = ((info.get("record") or {}).get("boots") or {}).get(name) or {}
        said = info.get("log", {})
        # A log that has the whole start needs nobody's word; the record's may be of an earlier generation of this container.
        kept: Facts = before["facts"] if started and before.get("started_at") == started and not said.get("whole") else {}
        log = said.get("facts", {})
        logged: Any = {key: value for key, value in log.items() if key in BOOT}
        facts: Facts = {**kept, **logged}
        if len(kept.get("kv_cache_gib", [])) > len(logged.get("kv_cache_gib", [])):
            facts["kv_cache_gib"] = kept["kv_cache_gib"]
        found[name] = {"started_at": started, "facts": facts}
    return found


def rank_checks(plan: Plan, boots: Mapping[str, Boot]) -> list[Check]:
    """`boots`: as `boot_facts` returns; a node whose log is missing is unknown."""
    logs = {name: boot["facts"] for name, boot in boots.items()}
    checks = [_kv_cache(plan, logs)]
    pool = plan["expect"].get("mamba_pool")
    if pool:
        checks.append(_mamba_pool(plan["nodes"][0]["name"], pool, logs))
    return checks


def _values(logs: Mapping[str, Facts], name: str) -> list[float]:
    return logs[name].get("kv_cache_gib", []) if name in logs else []


def _kv_cache(plan: Plan, logs: Mapping[str, Facts]) -> Check:
    """Each node's first rank logs the memory that it has for its KV cache; the least of them bounds the group's."""
    head, nodes = plan["nodes"][0], plan["nodes"]
    if head["ray"]:
        # Ray brings all ranks' lines to the head.
        values = _values(logs, head["name"])
        missing = "" if len(values) >= len(nodes) else f"{len(values)} of {len(nodes)} lines in the log of {head['name']}"
    else:
        found = {node["name"]: _values(logs, node["name"]) for node in nodes}
        # A drafter has a small cache of its own.
        values = [max(rows) for rows in found.values() if rows]
        missing = ", ".join(f"no line in the log of {name}" for name, rows in found.items() if not rows)
    ok = False if any(value <= 0 for value in values) else None if missing else True
    text = f"{min(values):.2f} to {max(values):.2f} GiB" if values else "no value"
    hint = f"docker logs {head['container']['name']} on each node, lines with 'KV cache'."
    wanted = f"a line of each of {len(nodes)} nodes, above 0 GiB"
    return check("KV cache of every rank", head["name"], ok, f"{text}; {missing}" if missing else text, wanted, hint)


def _mamba_pool(head: str, expected: MambaPool, logs: Mapping[str, Facts]) -> Check:
    """SGLang bounds its concurrency by the pool of Mamba states: slots // slots of one request (3, or 5 with a drafter)."""
    facts = logs[head] if head in logs else Facts()
    slots, requests = facts.get("mamba_slots"), facts.get("max_running_requests")
    ok = None if requests is None else requests >= expected["min_requests"]
    found = "unknown: no max_running_requests in the log" if requests is None else f"{requests} requests at once from {slots or '?'} slots"
    wanted = f"at least {expected['min_requests']} (reported: {expected['requests']} from {expected['slots']} slots)"
    return check("Mamba pool", head, ok, found, wanted, "Raise args.max-mamba-cache-size or args.mamba-full-memory-ratio.")
