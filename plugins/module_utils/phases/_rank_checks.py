# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The gate: what every rank's log says against the plan. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from ._gate import Check, check

# What an engine says once, when it boots; the rest of its log changes while it serves.
BOOT = ("kv_cache_gib", "kv_cache_tokens", "mamba_slots", "max_running_requests", "engine_version", "weights_seconds", "init_seconds")


def boot_facts(plan: Mapping[str, Any], infos: Mapping[str, Any]) -> dict[str, Any]:
    """By node {"started_at", "facts"}: from the log, or, where Docker has rotated that away, from the record of the same start.

    `infos` is module engine_info by node, whose `record` holds the result of the gate before as `boots`.
    """
    container, found = plan["nodes"][0]["container"]["name"], {}
    for name, info in infos.items():
        started = next((item["started_at"] for item in info.get("containers", []) if item["name"] == container), None)
        before = ((info.get("record") or {}).get("boots") or {}).get(name) or {}
        kept = before["facts"] if started and before.get("started_at") == started else {}
        logged = {key: value for key, value in _facts(info.get("log") or {}).items() if key in BOOT}
        facts = {**kept, **logged}
        if len(kept.get("kv_cache_gib", [])) > len(logged.get("kv_cache_gib", [])):
            facts["kv_cache_gib"] = kept["kv_cache_gib"]
        found[name] = {"started_at": started, "facts": facts}
    return found


def rank_checks(plan: Mapping[str, Any], logs: Mapping[str, Any]) -> list[Check]:
    """`logs`: by node, a mapping with the `facts` of its log, as `boot_facts` returns; a node whose log is missing is unknown."""
    checks = [_kv_cache(plan, logs)]
    if plan["expect"].get("mamba_pool"):
        checks.append(_mamba_pool(plan, logs))
    return checks


def _facts(log: Mapping[str, Any]) -> Mapping[str, Any]:
    facts: Mapping[str, Any] = log.get("facts", {})
    return facts


def _kv_cache(plan: Mapping[str, Any], logs: Mapping[str, Any]) -> Check:
    """Each node's first rank logs the memory that it has for its KV cache; the least of them bounds the group's."""
    head, nodes = plan["nodes"][0], plan["nodes"]
    if head["ray"]:
        # Ray brings all ranks' lines to the head.
        values = list(_facts(logs.get(head["name"], {})).get("kv_cache_gib", []))
        missing = "" if len(values) >= len(nodes) else f"{len(values)} of {len(nodes)} lines in the log of {head['name']}"
    else:
        found = {node["name"]: _facts(logs.get(node["name"], {})).get("kv_cache_gib", []) for node in nodes}
        # A drafter has a small cache of its own.
        values = [max(rows) for rows in found.values() if rows]
        missing = ", ".join(f"no line in the log of {name}" for name, rows in found.items() if not rows)
    ok = False if any(value <= 0 for value in values) else None if missing else True
    text = f"{min(values):.2f} to {max(values):.2f} GiB" if values else "no value"
    hint = f"docker logs {head['container']['name']} on each node, lines with 'KV cache'."
    wanted = f"a line of each of {len(nodes)} nodes, above 0 GiB"
    return check("KV cache of every rank", head["name"], ok, f"{text}; {missing}" if missing else text, wanted, hint)


def _mamba_pool(plan: Mapping[str, Any], logs: Mapping[str, Any]) -> Check:
    """SGLang bounds its concurrency by the pool of Mamba states: slots // slots of one request (3, or 5 with a drafter)."""
    head, expected = plan["nodes"][0]["name"], plan["expect"]["mamba_pool"]
    facts = _facts(logs.get(head, {}))
    slots, requests = facts.get("mamba_slots"), facts.get("max_running_requests")
    ok = None if requests is None else requests >= expected["min_requests"]
    found = "unknown: no max_running_requests in the log" if requests is None else f"{requests} requests at once from {slots or '?'} slots"
    wanted = f"at least {expected['min_requests']} (reported: {expected['requests']} from {expected['slots']} slots)"
    return check("Mamba pool", head, ok, found, wanted, "Raise args.max-mamba-cache-size or args.mamba-full-memory-ratio.")
