# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the answers to the gate's probes prove, and what a wrong one points to. PRIVATE to the collection."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ..plan import _probes
from ..plan._profile_types import Decode, Tool
from ..plan._types import Plan, Probes
from ._garble import foreign, repetition
from ._gate import check
from ._types import Answer, Check

# Share of repeated 12-grams beyond which reasoning goes in circles.
LOOP = 0.6
REFUSED = "The server answers without the tool, and refuses it: its words say what it lacks."
BELOW = "What all answers point to is named below."


def _choice(answer: Answer) -> tuple[dict[str, Any], dict[str, Any]]:
    """(first choice, its message); empty where the server's JSON has none. A server that answers garbage is judged, too."""
    choices = answer["answer"].get("choices")
    choice = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], dict) else {}
    return choice, choice["message"] if isinstance(choice.get("message"), dict) else {}


def _text(value: object) -> str:
    """A message's text; some servers send it in parts."""
    if isinstance(value, list):
        return "".join(str(part.get("text") or "") for part in value if isinstance(part, Mapping))
    return value if isinstance(value, str) else ""


def _said(answer: Answer) -> tuple[str, str, str]:
    """(content, reasoning, finish reason) of a chat completion or a completion."""
    choice, message = _choice(answer)
    content = _text(message.get("content")) or _text(choice.get("text"))
    return content, _text(message.get("reasoning")) or _text(message.get("reasoning_content")), str(choice.get("finish_reason"))


JOINING = "and|then|next|first|second|third|fourth|finally|lastly|last"


# Scripts without spaces between words: nothing bounds a word there.
UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"


def _contains(text: str, wanted: str) -> bool:
    """Are the words of `wanted` there, in this order, with nothing but punctuation, digits or a joining word between them?

    Part of a longer word or number (142, -42, 42.5, Parisian) is another one; a single letter is a capital, and no abbreviation (e.g.).
    """
    words = rf"[^A-Za-z]+(?:(?:{JOINING})[^A-Za-z]+)*".join(map(re.escape, wanted.split()))
    before, after = rf"(?<![^\W_{UNSPACED}])", rf"(?![^\W_{UNSPACED}])"
    if wanted[:1].isdigit():
        before += r"(?<!\d[.,])(?<![-\u2212\u2013])"
    if wanted[-1:].isdigit():
        after += r"(?![.,/]\d)"
    letter = len(wanted) == 1 and wanted.isupper()
    if letter:
        before += r"(?<![a-z]\.)"
    return bool(words) and re.search(before + words + after, text, 0 if letter else re.IGNORECASE) is not None


def right(answer: Answer, wanted: str) -> bool | None:
    """Does the answer hold `wanted`? None where it was cut off while the model reasoned, or where no answer came."""
    if answer["status"] != 200:
        return None
    content, reasoning, finish = _said(answer)
    content, _closed, after = content.rpartition("</think>") if "</think>" in content else ("", "", content)
    reasoning += content
    if _contains(after, wanted):
        return True
    reasons = bool(reasoning) or "<think>" in after
    if after.strip() and "<think>" not in after:
        return False
    if _contains(reasoning, wanted):
        return True
    # Reasoning that was cut off before the answer proves nothing, unless it is no language.
    return None if reasons and finish == "length" and not _garbled(reasoning + after, _probes.DEFAULT["decode"]) else False


def _garbled(text: str, decode: Decode) -> bool:
    return repetition(text) > decode["max_repetition"] or foreign(text) > decode["max_foreign"]


def _show(answer: Answer) -> str:
    if answer["status"] != 200:
        return f"status {answer['status']}: {answer['error'][:200]}"
    content, reasoning, finish = _said(answer)
    text = content or reasoning
    return repr(text if len(text) <= 80 else text[:80] + "…") + (" (cut off)" if finish == "length" else "")


def checks(plan: Plan, answers: Mapping[str, Answer]) -> list[Check]:
    """Judge what the module api_info brought, by the probe's name; a likely cause comes last."""
    probes, node = _probes.of(plan), plan["nodes"][0]["name"]
    none: Answer = {"status": 0, "error": "not asked", "answer": {}}
    said = {item["name"]: answers.get(item["name"], none) for item in _probes.requests(plan)}
    alive = any(item["status"] == 200 for item in said.values())
    cut = "Give it more probes.max_tokens." if alive else "The server answered no probe; its words, or its log, say why."
    wanted = {question["about"]: question["answer"] for question in probes["questions"]}
    results = {way: {about: right(said[f"{way} {about}"], answer) for about, answer in wanted.items()} for way in ("chat", "plain")}
    for name in ("chat recall", "tool"):
        again = said.pop(f"{name}{_probes.AGAIN}", None)
        if again and not _good(name, said[name], probes) and _good(name, again, probes):
            said[name] = again
    recalled = {way: right(said[f"{way} recall"], " ".join(_probes.RECALLED)) for way in ("chat", "plain")}

    known = list(results["chat"].values())
    ok = _floor(known, probes["min_right"])
    misses = [f"{about} {_show(said[f'chat {about}'])}, not {wanted[about]!r}" for about, good in results["chat"].items() if not good]
    found = "; ".join([f"{known.count(True)} of {len(known)} right", *misses])
    asked = f"at least {probes['min_right']} of {len(known)} right"
    found_checks = [check("probe: questions", node, ok, found, asked, cut if ok is None else BELOW)]
    ok = recalled["chat"]
    far = f"{', '.join(_probes.RECALLED)}, told {probes['recall']['lines']} lines before"
    found_checks.append(check("probe: recall", node, ok, _show(said["chat recall"]), far, cut if ok is None else BELOW))
    if probes["tool"]:
        refused = said["tool"]["status"] in (400, 422) and said["chat recall"]["status"] == 200
        found_checks.append(_tool(probes["tool"], said["tool"], node, refused))
    found_checks.append(_decode(probes["decode"], said["decode"], node))
    if all(item["ok"] for item in found_checks):
        return found_checks
    evidence, hint = _cause(plan, results, recalled, found_checks)
    if probes["rendered"]:
        evidence += f"; the chat template makes {_rendered(said['rendered'])}"
    return [*found_checks, check("likely cause", node, False, evidence, "right answers in the chat and in plain text", hint)]


def _good(name: str, answer: Answer, probes: Probes) -> bool:
    """Is the answer to a question that is asked twice right?"""
    if name == "tool" and probes["tool"]:
        return _tool(probes["tool"], answer, "")["ok"] is True
    return right(answer, " ".join(_probes.RECALLED)) is True


def _floor(known: Sequence[bool | None], floor: int) -> bool | None:
    if known.count(True) >= floor:
        return True
    return None if known.count(True) + known.count(None) >= floor else False


def _tool(tool: Tool, answer: Answer, node: str, refused: bool = False) -> Check:
    """Did the model call the function, and did the planned parser understand it? `refused`: this request, and not the others."""
    wanted = f"{tool['function']}({json.dumps(tool['arguments'])})"
    content, reasoning, finish = _said(answer)
    found_calls = _choice(answer)[1].get("tool_calls")
    calls = [call for call in found_calls if isinstance(call, dict)] if isinstance(found_calls, list) else []
    if refused:
        return check("probe: tool call", node, False, _show(answer), wanted, REFUSED)
    if answer["status"] != 200 or (not calls and not content and reasoning and finish == "length"):
        return check("probe: tool call", node, None, _show(answer), wanted, "Give it more probes.max_tokens, or see the engine's log.")
    function = calls[0]["function"] if calls and isinstance(calls[0].get("function"), dict) else {}
    try:
        arguments = json.loads(function.get("arguments") or "{}")
    except (TypeError, ValueError, RecursionError):
        arguments = function["arguments"] if isinstance(function.get("arguments"), dict) else {}
    same = isinstance(arguments, dict) and all(
        str(value).lower() in str(arguments.get(key, "")).lower() for key, value in tool["arguments"].items()
    )
    found = f"{function.get('name')}({function.get('arguments')})" if calls else f"no call, but {_show(answer)}"
    # Garbage is no sign of a wrong parser; a call that arrived as text may be.
    written = not calls and tool["function"] in content
    hint = f"{'If the text is a whole call, tool-call-parser does not fit it. ' if written else ''}{BELOW}"
    return check("probe: tool call", node, bool(calls) and function.get("name") == tool["function"] and same, found, wanted, hint)


def _decode(decode: Decode, answer: Answer, node: str) -> Check:
    """A longer text that neither loops nor changes its script; reasoning is text, too."""
    content, reasoning, _finish = _said(answer)
    text = f"{reasoning}\n{content}".strip()
    wanted = f"at least {decode['min_chars']} characters, repetition <= {decode['max_repetition']}, foreign <= {decode['max_foreign']}"
    if answer["status"] != 200:
        return check("probe: long decode", node, None, _show(answer), wanted, "See the engine's log.")
    # A model that reasons drafts the text and writes it again: only a loop counts there.
    loops = repetition(reasoning) > LOOP or foreign(reasoning) > decode["max_foreign"]
    ok = len(text) >= decode["min_chars"] and not _garbled(content or reasoning, decode) and not loops
    found = f"{len(text)} characters, repetition {repetition(content or reasoning):.2f}, foreign {foreign(text):.2f}: {_show(answer)}"
    return check("probe: long decode", node, ok, found, wanted, f"It loops, mixes scripts, or ends too early. {BELOW}")


def _rendered(answer: Answer) -> str:
    """What the server's own chat template made of the first question (byte-level tokens made readable)."""
    tokens = answer["answer"].get("token_strs")
    if answer["status"] != 200 or not isinstance(tokens, list):
        return f"unknown (/tokenize: status {answer['status']})"
    return repr("".join(map(str, tokens)).replace("Ġ", " ").replace("Ċ", "\n"))


def _cause(
    plan: Plan,
    results: Mapping[str, Mapping[str, bool | None]],
    recalled: Mapping[str, bool | None],
    found: Sequence[Check],
) -> tuple[str, str]:
    """(the evidence in words, what it points to): never more than the answers show."""
    floor = _probes.of(plan)["min_right"]
    chat, text = (_floor(list(results[way].values()), floor) for way in ("chat", "plain"))
    counts = [f"{way} {list(results[way].values()).count(True)} of {len(results[way])}" for way in ("chat", "plain")]
    words = {True: "right", False: "wrong", None: "unknown"}
    evidence = f"short questions right: {', '.join(counts)}; recall: chat {words[recalled['chat']]}, plain {words[recalled['plain']]}"
    files = plan["model"]["path"]
    verify = f"ansible-playbook verify_weights.yml -e profile={plan['profile']} -e verify=full reads every byte."
    if chat is False and text is False:
        return evidence, (
            "Wrong even where no chat template and no distance matters: points to damaged weights on a rank, a wrong quantization, "
            f"or a kernel. {verify} If they are whole: rollback.yml to the image before."
        )
    if (chat or text) and recalled["plain"] is False and recalled["chat"] is not True:
        return evidence, (
            "Right at a short distance, wrong over a long one: points to the positions: rope_theta, rope_scaling or rope_parameters in "
            f"{files}/config.json, or flags that override them (hf-overrides, rope-scaling). {verify}"
        )
    if chat is False and text and recalled["plain"]:
        return evidence, (
            "Right in plain text, near and far, and wrong in the chat: points to the chat template or the special tokens: "
            f"tokenizer_config.json or chat_template.jinja in {files}, or the flag chat-template; weights and positions answered. {verify}"
        )
    failed = [item["name"] for item in found if item["ok"] is False]
    if failed == ["probe: tool call"] and any(item["hint"] == REFUSED for item in found):
        return evidence, "The server refuses the tool call; its words are above."
    if failed == ["probe: tool call"]:
        return evidence, "Only the tool call is wrong: points to tool-call-parser, or to a chat template that does not show the tools."
    if failed == ["probe: long decode"]:
        return evidence, (
            "Short answers are right, a longer one is not: points to what only decoding uses (KV cache type, speculative decoding, "
            "CUDA graphs). Serve once without them (-e override=…) and compare."
        )
    return evidence, f"The answers fit no single cause. {verify}"
