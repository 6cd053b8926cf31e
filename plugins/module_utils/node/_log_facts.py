# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Facts in an engine's log. Lines differ by engine and version. Runs on the nodes too (Python >= 3.9).

PRIVATE to the collection.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from ._types import Facts

# Of a line, in characters: no fact stands further in, and the patterns' time grows with it.
LONGEST_LINE = 4096
NUMBER = r"(\d{1,9}(?:\.\d{1,9})?)(?![\d.]*\d)"
COUNT = r"(\d{1,15})(?!\d)"
# What a client sent is no fact: vLLM's RequestLogger ("Received request ID: prompt: …", where the ID may be the client's too, "Generated
# response ID") and SGLang's ("Receive: obj=…", "Finish: obj=…", "request.received"); else what a client said is in quotes.
_CLIENT = re.compile(r"\brequests?\b|\bReceive: |\bFinish: |\bGenerated response\b", re.IGNORECASE)
_QUOTE = re.compile(r"['\"`]")
# 0.11 to 0.33: "GPU KV cache size: 1,234 tokens", with ", Maximum concurrency …" from 0.33; the device word varies.
_FACTS = (
    ("kv_cache_tokens", r"\b[A-Za-z]+(?: \+ [a-z]+)? KV cache size: (\d[\d,]{0,18}) tokens", int),
    # SGLang 0.5.13, in source.
    ("kv_cache_tokens", r"KV Cache is allocated\..{0,200}#tokens: " + COUNT, int),
    ("kv_cache_tokens", r"\bmax_total_num_tokens=" + COUNT, int),
    ("acceptance_rate", r"accept len: [\d.]{1,20}, accept rate: " + NUMBER, float),
    ("weights_seconds", rf"Loading weights took {NUMBER} seconds", float),
    ("init_seconds", rf"init engine \([^()]{{0,200}}\) took {NUMBER} s", float),
    # SGLang 0.5.12 to 0.5.23, in source; the second line is only rank 0's.
    ("mamba_slots", r"Mamba Cache is allocated\. max_mamba_cache_size: " + COUNT, int),
    ("max_running_requests", r"max_total_num_tokens=\d+, .{0,200}max_running_requests=" + COUNT, int),
    ("engine_version", r"Initializing a V1 LLM engine \(v([^)\s]{1,100})\)", str),
)
# One rank's memory for its KV cache, in GiB, which the rank logs once: vLLM on a GPU, with kv-cache-memory-bytes, on a CPU; SGLang.
_RANK = re.compile(
    rf"Available KV cache memory: (-?){NUMBER} GiB"
    rf"|reserved {NUMBER} GiB memory for KV Cache"
    rf"|(?:Explicitly|Auto) set \({NUMBER}/[\d.]{{1,20}}\) GiB for KV cache"
    rf"|KV Cache is allocated\..{{0,200}} KV size: {NUMBER} GB"
    rf"|KV Cache is allocated\..{{0,200}} K size: {NUMBER} GB, V size: {NUMBER} GB"
)
# Ray prints the first of alike lines (numbers do not tell them apart) and then the last, unless RAY_DEDUP_LOGS=0.
_REPEATED = re.compile(r"\[repeated (\d{1,4})x across cluster\]")
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
    for whole in _lines(text):
        line = _said(whole)
        rank = _RANK.search(line)
        if rank:
            repeated = _REPEATED.search(whole)
            sign, *sizes = rank.groups()
            value = round(sum(float(part) for part in sizes if part) * (-1 if sign else 1), 2)
            found.setdefault("kv_cache_gib", []).extend([value] * (int(repeated.group(1)) if repeated else 1))
        for key, pattern, kind in _FACTS:
            match = re.search(pattern, line)
            if match:
                if key == "engine_version":
                    found.pop("kv_cache_gib", None)
                found[key] = kind(match.group(1).replace(",", "") if kind is int else match.group(1))
    known: Facts = found
    return known


def _lines(text: str) -> Iterator[str]:
    return (line[:LONGEST_LINE] for line in _COLOUR.sub("", text).splitlines())


def _said(line: str) -> str:
    """What the engine itself says in a line. A site's formatter may write JSON, with all in quotes."""
    ends = [found.start() for found in (_CLIENT.search(line), None if line.startswith("{") else _QUOTE.search(line)) if found]
    return line[: min(ends)] if ends else line


def signs(text: str) -> list[str]:
    """Known causes of a failed start, each with the line that shows it (cut to 300 characters)."""
    found = []
    lines = list(_lines(text))
    for name, pattern in _SIGNS:
        for line in lines:
            if re.search(pattern, line):
                found.append(f"{name}: {line.strip()[:300]}")
                break
    return found


def tail(text: str, lines: int = 30) -> list[str]:
    """The last lines, without colours."""
    return _COLOUR.sub("", text).splitlines()[-lines:]
