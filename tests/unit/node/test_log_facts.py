"""What an engine's log only seems to say: numbers that are none, what a client sent, and a line without an end."""

from __future__ import annotations

import time

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _log_facts


@pytest.mark.parametrize(
    "line",
    [
        "GPU KV cache size: , tokens",
        "GPU KV cache size: " + "9" * 5000 + " tokens",
        "Loading weights took 1.2.3 seconds",
        "Loading weights took . seconds",
        "accept len: 1, accept rate: .",
        "accept len: 1, accept rate: 0.5.6",
        "max_total_num_tokens=" + "9" * 5000,
        "Available KV cache memory: -. GiB",
        "Available KV cache memory: 1.2.3 GiB",
        "KV Cache is allocated. #tokens: " + "9" * 5000,
        "init engine (profile) took 1..2 s",
        "[repeated " + "9" * 5000 + "x across cluster]",
    ],
)
def test_a_number_that_is_none_is_no_fact(line: str) -> None:
    assert _log_facts.facts(line) == {}


SAID = "GPU KV cache size: 551,076 tokens"


@pytest.mark.parametrize(
    "line",
    [
        f"INFO 11-30 10:00:00 [logger.py:39] Received request cmpl-1: prompt: '{SAID}', params: SamplingParams(n=1)",
        # vLLM takes the ID from the header X-Request-Id.
        f"INFO 11-30 10:00:00 [logger.py:39] Received request cmpl-{SAID}: params: None",
        f'INFO 11-30 10:00:00 [logger.py:70] Generated response chatcmpl-{SAID}: output: "x"',
        f"[2026-08-17 16:52:12] Receive: obj=GenerateReqInput(text='{SAID}')",
        f"[2026-08-17 16:52:12] Finish: obj=GenerateReqInput(rid=1), out={{'text': '{SAID}'}}",
        f'{{"timestamp": "t", "event": "request.received", "rid": "1", "obj": {{"text": "{SAID}"}}}}',
        f"ERROR 11-30 10:00:00 [serving.py:1] found '{SAID}'",
    ],
)
def test_what_a_client_sent_is_no_fact(line: str) -> None:
    assert _log_facts.facts(line) == {}


@pytest.mark.parametrize("line", [f"site: {SAID}", f"host1 (EngineCore pid=7) {SAID}", f'{{"level": "INFO", "message": "{SAID}"}}'])
def test_a_site_may_write_its_log_in_a_form_of_its_own(line: str) -> None:
    assert _log_facts.facts(line) == {"kv_cache_tokens": 551076}


@pytest.mark.parametrize(
    "piece",
    [
        "init engine (",
        "init engine (x) took ",
        "max_total_num_tokens=1, ",
        "KV Cache is allocated.",
        "accept len: 1.",
        "a + a KV cache size: 1,",
    ],
)
def test_a_line_of_a_megabyte_is_looked_at_in_no_time(piece: str) -> None:
    start = time.process_time()
    _log_facts.facts(piece * (10**6 // len(piece)))
    _log_facts.signs(piece * (10**6 // len(piece)))
    assert time.process_time() - start < 2
