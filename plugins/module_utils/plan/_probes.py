# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the gate asks a model: a server that answers nonsense does not serve. PRIVATE to the collection.

Each question is asked twice: as a chat message, and as plain text that no chat template touches. Right in plain text and wrong
in the chat is another fault than wrong in both; right at once and wrong over a distance is a third.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from ..common._problem import Problem
from ._profile_types import Decode, StatedProbes, Tool
from ._types import Plan, Probes, ProbeSet

# What every profile is asked where it says nothing else. Facts that any instruct model knows, reasoning or not, in one word.
DEFAULT: ProbeSet = {
    "questions": [
        {"about": "arithmetic", "ask": "What is 17 + 25? Answer with the number only.", "answer": "42"},
        {"about": "copy", "ask": "Repeat this word exactly: lantern", "answer": "lantern"},
        {"about": "fact", "ask": "What is the capital of France? Answer with one word.", "answer": "Paris"},
        {"about": "order", "ask": "Which letter follows F in the alphabet? Answer with the letter only.", "answer": "G"},
    ],
    # One miss is luck (engines are not deterministic, sampling is on), two are not.
    "min_right": 3,
    # About 12 tokens a line: far beyond what a wrong rotary base still gets right, and a second of prefill.
    "recall": {"lines": 120},
    "tool": {"ask": "What is the weather in Paris? Use the tool.", "function": "get_weather", "arguments": {"city": "Paris"}},
    # Prose of healthy models repeats 0.02 to 0.15 of its 12-grams, a loop more than 0.6; a foreign name or formula is no mixture.
    "decode": {
        "ask": "Describe a harbour in the morning in about 150 words. Plain prose, no list.",
        "min_chars": 200, "max_repetition": 0.4, "max_foreign": 0.2,
    },
    # Reasoning comes first and counts. Not greedy: makers of reasoning models warn that greedy decoding loops.
    "max_tokens": 2048,
    "temperature": 0.6,
}  # fmt: skip
# An answer in plain text needs no reasoning.
PLAIN_TOKENS = 24
# Their order is asked for: what was told is found again by its content, the order only by positions.
RECALLED = ("tulip", "anchor", "silver", "falcon")
FILLER = "Note {number}: the weather was fine and nothing happened."
# Asked twice where one miss would fail: one is luck there, too.
AGAIN = " again"


class Request(TypedDict):
    """`path`: below the server's URL; `body`: OpenAI's JSON."""

    name: str
    path: str
    body: dict[str, Any]


def planned(engine: str, args: Mapping[str, Any], stated: StatedProbes) -> Probes:
    """The probes of a valid profile: the default set with what the profile states instead."""
    decode: Decode = {**DEFAULT["decode"], **stated.get("decode", {})}
    return {
        "questions": stated.get("questions", DEFAULT["questions"]),
        "min_right": stated.get("min_right", DEFAULT["min_right"]),
        "recall": stated.get("recall", DEFAULT["recall"]),
        "tool": stated.get("tool", DEFAULT["tool"]) if _calls_tools(engine, args) else None,
        "decode": decode,
        "max_tokens": stated.get("max_tokens", DEFAULT["max_tokens"]),
        "temperature": stated.get("temperature", DEFAULT["temperature"]),
        "rendered": engine == "vllm",
    }


def _calls_tools(engine: object, args: object) -> bool:
    """Does the server parse calls that the model makes of its own accord? vLLM wants a word of its own for it."""
    flags = args if isinstance(args, Mapping) else {}
    return bool(flags.get("tool-call-parser") and (engine != "vllm" or flags.get("enable-auto-tool-choice")))


def problems(profile: Mapping[str, Any], where: str) -> list[Problem]:
    """What is wrong with a profile's probes beyond the schema."""
    stated = profile.get("probes")
    if not isinstance(stated, Mapping):
        return []
    found = []
    questions, floor = stated.get("questions", DEFAULT["questions"]), stated.get("min_right", DEFAULT["min_right"])
    if isinstance(questions, list) and isinstance(floor, int) and floor > len(questions):
        found.append(
            Problem(where, "probes.min_right", str(floor), f"at most {len(questions)}, the number of questions", code="out-of-range")
        )
    if isinstance(questions, list) and any(isinstance(one, Mapping) and one.get("about") == "recall" for one in questions):
        wanted = "another word: the recall is a probe of its own"
        found.append(Problem(where, "probes.questions", "a question about 'recall'", wanted, code="reserved"))
    if "tool" in stated and not _calls_tools(profile.get("engine"), profile.get("args")):
        needed = "args.tool-call-parser (with vLLM args.enable-auto-tool-choice, too)"
        found.append(Problem(where, "probes.tool", "a tool call", f"{needed}, or no tool call: nothing would parse it", code="needs"))
    return found


def recall_text(lines: int, recalled: Sequence[str] = RECALLED) -> tuple[str, str]:
    """(what is told, what is asked): words in an order, and `lines` lines of filler before they are asked for."""
    told = [f"The code words of the harbour are {', '.join(recalled)}.", *(FILLER.format(number=number + 1) for number in range(lines))]
    return "\n".join(told), "What are the four code words of the harbour, in their order? Answer with the words only."


def plain(ask: str, told: str = "") -> str:
    """A question as plain text, as a model without any chat template would continue it."""
    return f"{told}\nQuestion: {ask}\nAnswer:" if told else f"Question: {ask}\nAnswer:"


def tool_definition(tool: Tool) -> dict[str, Any]:
    """The function that the model is offered, in OpenAI's format; each argument is text."""
    arguments = {name: {"type": "string"} for name in tool["arguments"]}
    parameters = {"type": "object", "properties": arguments, "required": list(arguments)}
    words = tool["function"].replace("_", " ").capitalize()
    return {"type": "function", "function": {"name": tool["function"], "description": words, "parameters": parameters}}


def of(plan: Plan) -> Probes:
    """The probes of a plan; a record of a release that had none is asked the default set."""
    return plan["ready"].get("probes") or planned(plan["engine"], {}, {})


def words(plan: Plan) -> str:
    """What the gate asks, for a terminal."""
    probes = of(plan)
    more = ["a long decode", *(["a tool call"] if probes["tool"] else [])]
    return (
        f"{len(probes['questions'])} questions ({probes['min_right']} must be right), recall over {probes['recall']['lines']} lines, "
        f"{', '.join(more)}; at most {probes['max_tokens']} tokens each"
    )


def requests(plan: Plan) -> list[Request]:
    """What the module api_info posts. Plain texts are short and greedy."""
    probes, served_name = of(plan), plan["ready"]["served_name"]

    def chat(name: str, ask: str, **more: Any) -> Request:
        body = {"model": served_name, "messages": [{"role": "user", "content": ask}], **more}
        body |= {"max_tokens": probes["max_tokens"], "temperature": probes["temperature"]}
        return {"name": name, "path": "/v1/chat/completions", "body": body}

    def text(name: str, prompt: str) -> Request:
        body = {"model": served_name, "prompt": prompt, "max_tokens": PLAIN_TOKENS, "temperature": 0}
        return {"name": name, "path": "/v1/completions", "body": body}

    asked: list[Request] = []
    for question in probes["questions"]:
        asked += [chat(f"chat {question['about']}", question["ask"]), text(f"plain {question['about']}", plain(question["ask"]))]
    told, ask = recall_text(probes["recall"]["lines"])
    asked += [chat(f"chat recall{again}", f"{told}\n{ask}") for again in ("", AGAIN)]
    asked.append(text("plain recall", plain(ask, told)))
    asked.append(chat("decode", probes["decode"]["ask"]))
    if probes["tool"]:
        # "auto": a required call is forced by guided decoding, and proves neither the model nor the parser.
        offer = {"tools": [tool_definition(probes["tool"])], "tool_choice": "auto"}
        asked += [chat(f"tool{again}", probes["tool"]["ask"], **offer) for again in ("", AGAIN)]
    if probes["rendered"]:
        messages = [{"role": "user", "content": probes["questions"][0]["ask"]}]
        body = {"model": served_name, "messages": messages, "add_generation_prompt": True, "return_token_strs": True}
        asked.append({"name": "rendered", "path": "/tokenize", "body": body})
    return asked
