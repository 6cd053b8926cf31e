# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts in an engine's log. Lines differ by engine and version. Runs on the nodes too (Python >= 3.9).

PRIVATE to the collection.
"""

from __future__ import annotations

import re
from typing import Any

# 0.11 to 0.33: "GPU KV cache size: 1,234 tokens", with ", Maximum concurrency …" from 0.33; the device word varies.
_FACTS = (
    ("kv_cache_tokens", r"\b[A-Za-z]+(?: \+ [a-z]+)? KV cache size: ([\d,]+) tokens", int),
    # SGLang 0.5.13, in source.
    ("kv_cache_tokens", r"KV Cache is allocated\..*#tokens: (\d+)", int),
    ("acceptance_rate", r"accept len: [\d.]+, accept rate: ([\d.]+)", float),
    ("kv_cache_gib", r"Available KV cache memory: (-?[\d.]+) GiB", float),
    ("weights_seconds", r"Loading weights took ([\d.]+) seconds", float),
    ("init_seconds", r"init engine \(.*?\) took ([\d.]+) s", float),
    ("engine_version", r"Initializing a V1 LLM engine \(v([^)\s]+)\)", str),
)
_SIGNS = (
    ("engine core died", r"EngineDeadError|EngineCore encountered a fatal error|EngineCore failed to start"),
    ("a rank died", r"(?:RayWorkerProc rank=\[\d+\]|Worker proc \S+) died unexpectedly"),
    ("no memory for the KV cache", r"No available memory for the cache blocks|larger than the available KV cache memory"),
    ("too little free memory", r"Free memory on device.*is less than desired"),
    ("CPU build of torch", r"libtorch_cuda\.so: cannot open shared object file"),
    ("Ray killed workers for memory", r"killed due to the node running low on memory"),
    ("wrong flag", r"^\S*(?:vllm|usage).*error: .*$|unrecognized arguments: .*"),
)
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


def facts(text: str) -> dict[str, Any]:
    """What the log says; a fact that is missing is unknown, and its key is absent. The last line of a kind counts."""
    found: dict[str, Any] = {}
    for line in _COLOUR.sub("", text).splitlines():
        for key, pattern, kind in _FACTS:
            match = re.search(pattern, line)
            if match:
                found[key] = kind(match.group(1).replace(",", "") if kind is int else match.group(1))
    return found


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
