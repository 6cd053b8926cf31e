# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""How many drafted tokens a run's requests got accepted, from what an engine's /metrics said before and after. PRIVATE to the collection.

vLLM 0.22.0 to 0.30.0, v1/spec_decode/metrics.py: counters since the start, of each drafted position, too. SGLang 0.5.13,
observability/metrics_collector.py: its accept length and rate are gauges of the last 40 decode steps, which say nothing of a run; a
request's verifications and tokens are counted when it has ended, and managers/tokenizer_manager.py divides them in the same way.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from ._rows import Acceptance

# Name, and the value of the label `position` or an empty text: the sum over all other labels.
Samples = dict[tuple[str, str], float]
POSITION = re.compile(r'[{,]position="([0-9]+)"')
DRAFTS, DRAFTED, ACCEPTED = (f"vllm:spec_decode_num_{name}_total" for name in ("drafts", "draft_tokens", "accepted_tokens"))
AT = "vllm:spec_decode_num_accepted_tokens_per_pos_total"
VERIFIED, GENERATED = "sglang:spec_verify_calls_total", "sglang:generation_tokens_total"
# A gauge: how many tokens one verification takes, the target's own included.
WIDTH = "sglang:spec_num_draft_tokens"


def samples(text: str) -> Samples:
    """What a /metrics says of the engine."""
    found: Samples = {}
    for line in text.splitlines():
        if line.startswith(("vllm:", "sglang:")):
            head, _space, number = line.rpartition(" ")
            name, _brace, labels = head.partition("{")
            position = POSITION.search(f"{{{labels}")
            try:
                value = float(number)
            except ValueError:  # of a line that is cut
                continue
            key = name.strip(), position[1] if position else ""
            found[key] = found.get(key, 0.0) + value
    return found


def acceptance(engine: str, before: str, after: str) -> Acceptance:
    """Of what was drafted between two answers of /metrics."""
    old, new = samples(before), samples(after)
    if not old or not new:
        return _unknown(f"no metrics of the engine {'before' if not old else 'after'} the run")
    if any(new.get(key, 0.0) < value for key, value in old.items() if key[0].endswith("_total")):
        return _unknown("a counter went back: the engine was started again")
    # SGLang has a counter from the first time on that it counts.
    grown = {key: value - old.get(key, 0.0) for key, value in new.items()}
    return READERS.get(engine, _no_reader)(grown, new)


def _vllm(grown: Mapping[tuple[str, str], float], _new: Samples) -> Acceptance:
    drafts, drafted, accepted = (grown.get((name, "")) for name in (DRAFTS, DRAFTED, ACCEPTED))
    if drafts is None or drafted is None or accepted is None:
        return _unknown("/metrics has no counter of drafts, as without speculation")
    if not drafts or not drafted:
        return _unknown("nothing was drafted in the run")
    positions = sorted((int(position), value) for (name, position), value in grown.items() if name == AT)
    return {
        "rate": accepted / drafted,
        "mean_length": 1 + accepted / drafts,
        "per_position": [value / drafts for _position, value in positions] or None,
        "why": "" if positions else "/metrics has no counter of positions",
    }


def _sglang(grown: Mapping[tuple[str, str], float], new: Samples) -> Acceptance:
    verified, generated, width = grown.get((VERIFIED, "")), grown.get((GENERATED, "")), new.get((WIDTH, ""))
    if not verified or generated is None:
        return _unknown("/metrics has no verifications of the run, as without speculation")
    length = generated / verified
    proposed = (width or 0) - 1
    return {
        "rate": (length - 1) / proposed if proposed > 0 else None,
        "mean_length": length,
        "per_position": None,
        "why": "SGLang has no counter of positions" + ("" if proposed > 0 else ", and no width of a draft"),
    }


def _no_reader(_grown: Mapping[tuple[str, str], float], _new: Samples) -> Acceptance:
    return _unknown("no names of this engine's counters are known")


def _unknown(why: str) -> Acceptance:
    return {"rate": None, "mean_length": None, "per_position": None, "why": why}


READERS: dict[str, Callable[[Mapping[tuple[str, str], float], Samples], Acceptance]] = {"vllm": _vllm, "sglang": _sglang}
