"""What a served model is asked, as requests; what its answers prove is in phases/test_probes.py."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _probes

TOOL: Any = {"ask": "Go?", "function": "go_to_town", "arguments": {"town": "x", "by": "y"}}
STATED: Any = {
    "questions": [{"about": "sum", "ask": "1 + 1?", "answer": "2"}],
    "min_right": 1, "recall": {"lines": 2}, "tool": TOOL, "decode": {"min_chars": 7}, "max_tokens": 9, "temperature": 0.1,
}  # fmt: skip
CALLS = {"tool-call-parser": "p", "enable-auto-tool-choice": True}


def document(engine: str = "vllm", args: Any = CALLS, stated: Any = STATED) -> Any:
    return {"engine": engine, "ready": {"served_name": "m", "probes": _probes.planned(engine, args, stated)}}


def test_what_is_stated_counts_and_the_rest_is_the_default_set() -> None:
    decode = {**_probes.DEFAULT["decode"], "min_chars": 7}
    assert _probes.planned("vllm", CALLS, STATED) == {**STATED, "decode": decode, "rendered": True}
    assert _probes.planned("sglang", {}, {}) == {**_probes.DEFAULT, "tool": None, "rendered": False}
    assert _probes.of({"engine": "vllm", "ready": {}}) == _probes.planned("vllm", {}, {})  # type: ignore[typeddict-item]


def test_every_request_as_it_is_posted() -> None:
    told = (
        "The code words of the harbour are tulip, anchor, silver, falcon.\n"
        "Note 1: the weather was fine and nothing happened.\nNote 2: the weather was fine and nothing happened."
    )
    ask = "What are the four code words of the harbour, in their order? Answer with the words only."

    def chat(text: str, **more: Any) -> Any:
        return {"model": "m", "messages": [{"role": "user", "content": text}], "max_tokens": 9, "temperature": 0.1, **more}

    def plain(text: str) -> Any:
        return {"model": "m", "prompt": text, "max_tokens": 24, "temperature": 0}

    parameters = {"type": "object", "properties": {"town": {"type": "string"}, "by": {"type": "string"}}, "required": ["town", "by"]}
    function = {"name": "go_to_town", "description": "Go to town", "parameters": parameters}
    tool = chat("Go?", tools=[{"type": "function", "function": function}], tool_choice="auto")
    rendered = {"model": "m", "messages": chat("1 + 1?")["messages"], "add_generation_prompt": True, "return_token_strs": True}
    assert [(item["name"], item["path"], item["body"]) for item in _probes.requests(document())] == [
        ("chat sum", "/v1/chat/completions", chat("1 + 1?")),
        ("plain sum", "/v1/completions", plain("Question: 1 + 1?\nAnswer:")),
        ("chat recall", "/v1/chat/completions", chat(f"{told}\n{ask}")),
        ("chat recall again", "/v1/chat/completions", chat(f"{told}\n{ask}")),
        ("plain recall", "/v1/completions", plain(f"{told}\nQuestion: {ask}\nAnswer:")),
        ("decode", "/v1/chat/completions", chat(_probes.DEFAULT["decode"]["ask"])),
        ("tool", "/v1/chat/completions", tool),
        ("tool again", "/v1/chat/completions", tool),
        ("rendered", "/tokenize", rendered),
    ]
    names = [item["name"] for item in _probes.requests(document("sglang", {}))]
    assert names == ["chat sum", "plain sum", "chat recall", "chat recall again", "plain recall", "decode"]


def test_a_terminal_is_told_what_will_be_asked() -> None:
    asked = "1 questions (1 must be right), recall over 2 lines, a long decode{}; at most 9 tokens each"
    assert _probes.words(document()) == asked.format(", a tool call")
    assert _probes.words(document(args={})) == asked.format("")


@pytest.mark.parametrize(
    ("engine", "args", "calls"),
    [
        *[("vllm", CALLS, True), ("vllm", {"tool-call-parser": "p"}, False), ("vllm", {"enable-auto-tool-choice": True}, False)],
        *[("sglang", {"tool-call-parser": "p"}, True), ("sglang", {}, False), ("vllm", ["x"], False), (None, None, False)],
    ],
)
def test_a_tool_is_asked_for_where_calls_are_parsed(engine: Any, args: Any, calls: bool) -> None:
    assert (_probes.planned(engine, args, {})["tool"] is not None) is calls
    found = _probes.problems({"engine": engine, "args": args, "probes": {"tool": TOOL}}, "p")
    assert [problem.key for problem in found] == ["probes.tool"] * (not calls)


@pytest.mark.parametrize(
    ("stated", "keys"),
    [
        *[(None, []), (["x"], []), ({}, []), ({"questions": "x", "min_right": 9}, []), ({"min_right": "9"}, [])],
        *[({"min_right": 4}, []), ({"min_right": 5}, ["probes.min_right"])],
        *[({"questions": [{"about": "a"}, "x"], "min_right": count}, ["probes.min_right"] * (count > 2)) for count in (2, 3)],
        ({"questions": [{"about": "a"}, {"about": "recall"}, {}]}, ["probes.questions"]),
    ],
)
def test_probes_that_cannot_pass(stated: Any, keys: list[str]) -> None:
    assert [problem.key for problem in _probes.problems({"probes": stated}, "p")] == keys
