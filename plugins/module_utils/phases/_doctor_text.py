# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a doctor saw of each node, and the diagnosis for a terminal. Pure. PRIVATE to the collection."""

from __future__ import annotations

from typing import Any

from ..common._problem import Problem, printable
from ..node import _lock
from ..plan._types import Plan
from ._doctor_checks import GIB, Seen, offset, stale
from ._types import Diagnosis


def facts(plan: Plan | None, seen: Seen, name: str) -> dict[str, Any]:
    """What was seen of a node, as plain data; sizes in GiB. What nobody could see is None."""
    world = seen.worlds[name]
    host, engine, left = world["host"], world.get("engine"), world["left"]
    node = next((node for node in plan["nodes"] if node["name"] == name), None) if plan else None
    lock, (least, most) = left["lock"], offset(seen, world)
    record = engine["record"] if engine else {}
    fabric = host.get("fabric")
    links = [{key: link[key] for key in ("interface", "speed_mbps", "mtu")} for link in host["hardware"]["links"]]
    return {
        "rank": node["rank"] if node else None,
        "served": record["plan"].get("profile") if record else None,
        "containers": [
            {
                "name": item["name"],
                "image": item["image"],
                "running": item["running"],
                "labels": item["labels"],
                # Where it has ended, the file is of before.
                **{key: item["status"].get(key) if item["running"] else None for key in ("phase", "generation", "restarts")},
                "mods": item["status"].get("evidence", {}).get("mods", []),
            }
            for item in (engine["containers"] if engine else [])
        ],
        "ports": [{"port": item["port"], "command": item["command"][:80]} for item in engine["listeners"]] if engine else None,
        "memory_gib": {key: round(host["memory"][key] / GIB, 1) for key in ("available", "total")},
        "disk_free_gib": {path: round(disk["free"] / GIB, 1) for path, disk in host["disk"].items()},
        "gpus": host["hardware"]["gpus"],
        "kernel": host["hardware"]["kernel"],
        "driver": host["hardware"]["driver"],
        "docker": host["docker"].get("version"),
        "fabric": {"interface": fabric["interface"], "state": fabric["state"], "reached": fabric["reached"]} if fabric else None,
        "links": links,
        "clock_ahead_seconds": {"least": round(least, 1), "most": round(most, 1)},
        "lock": _lock.who(lock["holder"]) if lock and not lock["error"] and not stale(seen, name, lock) else None,
    }


def text(found: Diagnosis, mending: bool) -> str:
    """The diagnosis: the verdict, what differs and what mends it, then a line a node. `mending`: doctor.yml mends what it may."""
    count = len(found["findings"])
    told = f"{count} {'finding' if count == 1 else 'findings'}" if count else "nothing differs"
    where = {True: f"; serves at {found['url']}", False: "; does NOT serve", None: "; nothing is planned or served"}[found["serving"]]
    lines = [f"{found['profile'] or 'no profile'}: {found['verdict']} ({told}){where}"]
    for one in found["findings"]:
        problem = Problem(one["node"], one["what"], one["found"], one["wanted"], one["mend"], one["code"])
        lines.append(f"  {problem}{' (mending it)' if mending and one['mends'] else ''}")
    lines += [f"  mended: {one['node']}: {printable(one['what'])}: {printable(one['found'])}" for one in found["mended"]]
    lines += [f"  not mended: {one['node']}: {one['code']}: {printable(one['why'])}" for one in found["unmended"]]
    lines += [f"  {printable(note)}" for note in found["notes"]]
    return "\n".join([*lines, *(f"  {name}  {printable(_row(seen))}" for name, seen in found["nodes"].items())])


def _row(seen: dict[str, Any]) -> str:
    """One line: what runs, and what is free."""
    runs = [
        f"{item['name']} {item['phase'] or 'unknown'}" + (f", generation {item['generation']}" if item["generation"] else "")
        for item in seen["containers"]
        if item["running"]
    ]
    rank = "idle" if seen["rank"] is None else f"rank {seen['rank']}"
    parts = [f"{rank}: {'; '.join(runs) or 'nothing runs'}"]
    parts.append(f"memory {seen['memory_gib']['available']:g} of {seen['memory_gib']['total']:g} GiB free")
    parts.append("disk " + ", ".join(f"{path} {free:g} GiB free" for path, free in seen["disk_free_gib"].items()))
    if seen["ports"] is not None:
        parts.append(f"ports taken: {', '.join(str(item['port']) for item in seen['ports']) or 'none'}")
    parts.append(f"kernel {seen['kernel']}, driver {seen['driver'] or 'unknown'}, Docker {seen['docker'] or 'unknown'}")
    if seen["lock"]:
        parts.append(f"locked by {seen['lock']}")
    return "; ".join(parts)
