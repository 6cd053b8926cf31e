# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Do the engine's processes compute? CPU time and state from /proc/PID/stat (proc(5))."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Mapping

from processes import below, stats

# Of one core: any tick of 10 ms between two looks. A healthy engine spends more even while it waits for the GPU: a waiting rank spins
# (vLLM 0.22.1: torch.Event), or sleeps (0.30.0: torch.cuda.Event(blocking=True) in gpu_model_runner.py) between its steps, each of which
# costs tens of milliseconds to launch; the plan's bound covers the longest step.
CORE_SHARE = 0.001
# Answering /metrics and /health is no life of the engine behind it.
API_SHARE = 0.2
# Under Ray this node's rank is no child of the engine. Its title is the actor's class: RayWorkerWrapper, RayWorkerProc.
RAY_RANK = "ray::RayWorker"
_TICKS = os.sysconf("SC_CLK_TCK")


@dataclasses.dataclass(frozen=True)
class Process:
    """One process of the engine: `cpu` is user and system time in seconds, `state` a letter of proc(5)."""

    name: str
    api: bool
    state: str
    cpu: float


@dataclasses.dataclass(frozen=True)
class Life:
    """`computes`: None where nobody knows. `stopped`: names of processes that a signal has stopped."""

    computes: bool | None
    stopped: tuple[str, ...] = ()


def read(root: int, engine: int) -> dict[int, Process]:
    """By pid: the engine (its first process serves the API), all below it, and this node's Ray rank; `root` is the supervisor."""
    table = stats()
    ours = {engine, *below(table, engine)}
    found = {}
    for pid in below(table, root):
        if pid in ours or _title(pid).startswith(RAY_RANK):
            fields = table[pid]
            found[pid] = Process(fields[0], pid == engine, fields[1], (int(fields[12]) + int(fields[13])) / _TICKS)
    return found


def _title(pid: int) -> str:
    try:
        with open(f"/proc/{pid}/cmdline", encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""


def life(before: Mapping[int, Process], now: Mapping[int, Process], seconds: float) -> Life:
    """What `seconds` between two readings say. A stopped process stops the whole engine, however busily the others wait for it."""
    stopped = tuple(sorted(item.name for item in now.values() if item.state == "T"))
    if stopped:
        return Life(False, stopped)
    if not now or seconds <= 0:
        return Life(None)
    spent = {True: 0.0, False: 0.0}
    for pid, item in now.items():
        spent[item.api] += item.cpu - (before[pid].cpu if pid in before else 0.0)
    return Life(spent[False] >= CORE_SHARE * seconds or spent[True] >= API_SHARE * seconds)
