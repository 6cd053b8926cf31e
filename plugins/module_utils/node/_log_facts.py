# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts in an engine's log. Lines differ by engine and version. Runs on the nodes too (Python >= 3.9).

PRIVATE to the collection.
"""

from __future__ import annotations

import re
from typing import Any

from ._types import Facts

# 0.11 to 0.33: "GPU KV cache size: 1,234 tokens", with ", Maximum concurrency …" from 0.33; the device word varies.
_FACTS = (
    ("kv_cache_tokens", r"\b[A-Za-z]+(?: \+ [a-z]+)? KV cache size: ([\d,]+) tokens", int),
    # SGLang 0.5.13, in source.
    ("kv_cache_tokens", r"KV Cache is allocated\..*#tokens: (\d+)", int),
    ("kv_cache_tokens", r"\bmax_total_num_tokens=(\d+)", int),
    ("acceptance_rate", r"accept len: [\d.]+, accept rate: ([\d.]+)", float),
    ("weights_seconds", r"Loading weights took ([\d.]+) seconds", float),
    ("init_seconds", r"init engine \(.*?\) took ([\d.]+) s", float),
    # SGLang 0.5.12 to 0.5.23, in source; the second line is only rank 0's.
    ("mamba_slots", r"Mamba Cache is allocated\. max_mamba_cache_size: (\d+)", int),
    ("max_running_requests", r"max_total_num_tokens=\d+, .*max_running_requests=(\d+)", int),
    ("engine_version", r"Initializing a V1 LLM engine \(v([^)\s]+)\)", str),
)
# One rank's memory for its KV cache, in GiB, which the rank logs once: vLLM on a GPU, with kv-cache-memory-bytes, on a CPU; SGLang.
_RANK = re.compile(
    r"Available KV cache memory: (-?[\d.]+) GiB"
    r"|reserved ([\d.]+) GiB memory for KV Cache"
    r"|(?:Explicitly|Auto) set \(([\d.]+)/[\d.]+\) GiB for KV cache"
    r"|KV Cache is allocated\..* KV size: ([\d.]+) GB"
    r"|KV Cache is allocated\..* K size: ([\d.]+) GB, V size: ([\d.]+) GB"
)
# Ray prints the first of alike lines (numbers do not tell them apart) and then the last, unless RAY_DEDUP_LOGS=0.
_REPEATED = re.compile(r"\[repeated (\d+)x across cluster\]")
_SIGNS = (
    ("engine core died", r"EngineDeadError|EngineCore encountered a fatal error|EngineCore failed to start"),
    ("a rank died", r"(?:RayWorkerProc rank=\[\d+\]|Worker proc \S+) died unexpectedly"),
    ("no memory for the KV cache", r"No available memory for the cache blocks|larger than the available KV cache memory"),
    ("too little free memory", r"Free memory on device.*is less than desired"),
    ("CPU build of torch", r"libtorch_cuda\.so: cannot open shared object file"),
    ("Ray killed workers for memory", r"killed due to the node running low on memory"),
    ("wrong flag", r"^\S*(?:vllm|usage).*error: .*$|unrecognized arguments: .*"),
)
# What the supervisor says when a generation starts (status.py): a container's log holds all of them.
_GENERATION = re.compile(r"^supervisor \| .* \| generation \d+$", re.MULTILINE)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def last_generation(text: str) -> tuple[str, bool]:
    """The log from the start of its last generation on, and whether that start is in it: Docker rotates a log away."""
    starts = [match.start() for match in _GENERATION.finditer(text)]
    return (text[starts[-1] :], True) if starts else (text, False)


def facts(text: str) -> Facts:
    """What the log says; a fact that is missing is unknown, and its key is absent. The last line of a kind counts.

    `kv_cache_gib` is a list, one value for each rank whose line is there, of the last start of the engine.
    """
    found: Any = {}  # keys and kinds are those of _FACTS
    for line in _COLOUR.sub("", text).splitlines():
        rank = _RANK.search(line)
        if rank:
            repeated = _REPEATED.search(line)
            value = round(sum(float(part) for part in rank.groups() if part), 2)
            found.setdefault("kv_cache_gib", []).extend([value] * (int(repeated.group(1)) if repeated else 1))
        for key, pattern, kind in _FACTS:
            match = re.search(pattern, line)
            if match:
                if key == "engine_version":
                    found.pop("kv_cache_gib", None)
                found[key] = kind(match.group(1).replace(",", "") if kind is int else match.group(1))
    known: Facts = found
    return known


def signs(text: str) -> list[str]:
    """Known causes of a failed start, each with the line that shows it (cut to 300 characters)."""
    found = []
    clean = _COLOUR.sub("", text)
    for name, pattern in _SIGNS:
        for line in clean.splitlines():
            if re.search(pattern, line):
                found.append(f"{name}: {line.strip()[:300]}")
                break
    return found


def tail(text: str, lines: int = 30) -> list[str]:
    """The last lines, without colours."""
    return _COLOUR.sub("", text).splitlines()[-lines:]
