# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Show a plan to a person: the commands that an expert would have typed, and what we add to them. PRIVATE to the collection."""

from __future__ import annotations

import shlex
from typing import Any

from . import _code, _compiled, _options, _probes, _watch
from ._types import HardwareOptions, Memory, Node, Plan

# Of the inventory's options, those that the field reports' commands have, too.
REPORTED = ("--runtime", "--gpus")
# Of Docker's own set: mods change files of the image, whoever owns them; pip and apt do it as other users, whom the supervisor must be
# able to end; gx10_api_port may be one below 1024. What RDMA needs (IPC_LOCK) comes from the inventory.
CAPABILITIES = ("CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID")
# Threads count. Ray and the engine's compilers start thousands; a fork bomb stays in its container.
PIDS = 16384
# What every engine container gets beyond the profile, as (docker option, reason). The engine role sets exactly these.
ADDED = (
    ("--init", "PID 1 reaps; the supervisor is its child"),
    ("--security-opt no-new-privileges", "no set-uid program can gain more"),
    ("--cap-drop ALL", "no raw sockets, no device nodes, no audit log"),
    *((f"--cap-add {name}", "what mods and the supervisor need of root") for name in CAPABILITIES),
    (f"--pids-limit {PIDS}", "the node stays usable, whatever the engine starts"),
    ("--log-opt max-size=50m --log-opt max-file=3", "the log cannot fill the disk"),
    ("--stop-timeout 90", "time to drain and stop"),
    ("--label gx10.serving.*", "which plan this container runs; it is recreated only if that changes"),
    ("-v STATE/supervisor:/opt/gx10:ro", "the supervisor: it ends what is dead, says why, and starts the group again"),
    ("-v STATE/run/NAME:/run/gx10", "node.json, status.json, Ray's token"),
    ("-v STATE/notices:/run/gx10/notices", "on the head: what gx10_notify_command and gx10_notify_url are told"),
    ("-v /run/systemd/journal/socket:…:ro", "the supervisor's words in the node's journal: journalctl -t gx10"),
    ("readonly on the weights' mount", "the engine cannot change weights"),
)


def parameters(options: HardwareOptions) -> dict[str, Any]:
    """The node's options and what `ADDED` says of rights, as parameters of the module community.docker.docker_container."""
    found = _options.parameters(options)
    capabilities = list(dict.fromkeys([*CAPABILITIES, *found.get("capabilities", [])]))
    return {**found, "cap_drop": ["ALL"], "capabilities": capabilities, "security_opts": ["no-new-privileges"], "pids_limit": PIDS}


def docker_options(node: Node) -> list[str]:
    """The profile's docker options of a node, as argv."""
    container = node["container"]
    options = container["options"]
    argv = ["--name", container["name"]]
    argv += [word for pair in _options.flags(options) if pair[0] in REPORTED for word in pair]
    # Docker's default needs no option.
    ipc = None if options["ipc"] == "private" else options["ipc"]
    for flag, value in (("--network", options.get("network")), ("--ipc", ipc), ("--shm-size", options.get("shm_size"))):
        argv += [flag, value] if value else []
    for port in options.get("publish", []):
        argv += ["-p", port]
    for key, value in node["env"].items():
        argv += ["-e", f"{key}={value}"]
    for mount in container["mounts"]:
        argv += ["-v", f"{mount['source']}:{mount['target']}"]
    return argv


def additions(node: Node) -> list[tuple[str, str]]:
    """(option, reason) of everything that `docker_options` leaves out."""
    hardware = [
        (f"{flag} {value}", "from the inventory: what the fabric needs without --privileged")
        for flag, value in _options.flags(node["container"]["options"])
        if flag not in REPORTED
    ]
    env = [(f"-e {key}={value}", "set by the plan, the same wherever it must agree") for key, value in node["runtime_env"].items()]
    return [*ADDED, *hardware, *env]


def restart(plan: Plan) -> tuple[str, str]:
    """Docker's restart policy, and its reason."""
    if plan["group"]["restarts_per_hour"]:
        return "--restart unless-stopped", "after a reboot; the supervisor asks the group's head before it starts anything"
    return "--restart no", "half a group never starts by itself"


def compiled(plan: Plan) -> list[tuple[str, str]]:
    """The mount of what the engine compiles, and its reason; none where nothing is kept."""
    mount = f"-v STATE/compiled/KEY/files:{_compiled.TARGET}"
    return [(mount, "what the engine compiles, for the next start of the same image and ranks")] if plan.get("compiled_gib") else []


def _gib(value: float | None) -> str:
    return "unknown" if value is None else f"{value:.2f} GiB"


def _memory(memory: Memory) -> list[str]:
    """The estimate of one rank's memory, with the report's numbers beside it, and what happens when a node runs short."""
    reported = memory["reported"]
    states = f" + states {_gib(memory['states_gib'])}" if memory["states_gib"] else ""
    lines = [
        f"# Memory per rank (estimate): budget {_gib(memory['budget_gib'])} = weights {_gib(memory['weights_gib'])} + drafter"
        f" {_gib(memory['drafter_gib'])} + reserve {_gib(memory['reserve_gib'])}{states} + KV cache {_gib(memory['kv_cache_gib'])}"
    ]
    # Of a plan in an older record, nobody knows.
    if memory.get("host_gib"):
        lines.append(f"#   beside the budget, of the host's memory: {_gib(memory['host_gib'])}")
    if memory["kv_cache_tokens"] is not None:
        lines.append(f"#   KV cache of the group: {memory['kv_cache_tokens']} tokens at {memory['kv_bytes_per_token']:.0f} bytes per rank")
    if memory["requests"] is not None:
        bound = "by the slots of states" if states else "of the longest context"
        lines.append(f"#   holds {memory['requests']:g} requests {bound} at once")
    lines.append(f"#   needs {memory['needs_gib']:g} GiB available on each node before a start")
    lines.append(f"#   the supervisor ends a rank under {memory['floor_gib']:g} GiB available: {memory['floor_because']}")
    if any(value is not None for value in reported.values()):
        lines.append(f"#   reported: {reported['kv_cache_gib'] or '?'} GiB, {reported['kv_cache_tokens'] or '?'} tokens")
    return lines


def _lines(words: list[str], width: int = 96) -> str:
    """Join argv to a shell command of several lines, a flag with its values on one."""
    groups: list[str] = []
    for word in words:
        if word.startswith("-") or not groups:
            groups.append(shlex.quote(word))
        else:
            groups[-1] += f" {shlex.quote(word)}"
    lines = [groups[0]]
    for group in groups[1:]:
        if len(lines[-1]) + len(group) < width and not lines[-1].startswith("vllm"):
            lines[-1] += f" {group}"
        else:
            lines.append(group)
    return " \\\n    ".join(lines)


def commands(plan: Plan) -> str:
    """The whole plan as text for a terminal: per node the commands, then what is added to them, then warnings."""
    out = [f"{plan['profile']}: {plan['summary']}", f"plan {plan['hash']}", ""]
    reference = plan["image"]["reference"]
    for node in plan["nodes"]:
        out.append(f"# {node['name']}  rank {node['rank']} ({node['role']})  {node['address']}")
        name = node["container"]["name"]
        run = ["docker", "run", "-d", *docker_options(node)]
        first = node["ray"] or node["engine"]
        out.append(f"{_lines(run)} \\\n    {reference} \\\n    {_lines(first['argv'] if first else [])}")
        if node["ray"] and node["engine"]:
            out.append(f"docker exec {name} \\\n    {_lines(node['engine']['argv'])}")
        out.append("")
    out.append("# Added on each node by the supervisor and the security defaults (values of the head):")
    rows = [restart(plan), *compiled(plan), *additions(plan["nodes"][0])]
    width = max(len(option) for option, _reason in rows)
    out += [f"#   {option:<{width}}  {reason}" for option, reason in rows]
    out += ["", *_memory(plan["memory"]), *_watch.lines(plan["watch"])]
    reasons: dict[str, list[str]] = {}
    for check, _colon, reason in (text.partition(": ") for text in plan["skipped"]):
        reasons.setdefault(reason, []).append(check)
    out += [f"# Not checked ({reason}): {', '.join(checks)}" for reason, checks in reasons.items()]
    out.append(f"# The gate asks {_probes.words(plan)}")
    out += _code.lines(plan.get("remote_code", []))
    if plan["idle"]:
        out += ["", f"# Not used by this profile; engine containers there are stopped: {', '.join(plan['idle'])}"]
    out += [f"# Differs from the profile: {item['key']}: {item['launch']!r} instead of {item['profile']!r}" for item in plan["deviations"]]
    out += [f"# Warning: {text}" for text in plan["warnings"]]
    return "\n".join(out)
