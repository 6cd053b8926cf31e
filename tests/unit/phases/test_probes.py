"""The gate's probes: garbage fails with the cause that its evidence shows, healthy models of all kinds pass, no evidence is no pass."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _garble, _probe_checks
from ansible_collections.gx10.serving.plugins.module_utils.phases._types import Answer, Check
from ansible_collections.gx10.serving.plugins.module_utils.plan import _commands, _probes
from conftest import ROOT

PROSE = (
    "The harbour wakes before the town does. Grey light lies on the water, ropes creak against the quay, and the first boats come home "
    "with wet nets. Gulls quarrel over what falls from the crates, a crane turns slowly above the roofs, and somebody is already selling "
    "coffee from the window of a van."
)
RECALLED = ", ".join(_probes.RECALLED)


@pytest.fixture
def plan(resolve: Any) -> dict[str, Any]:
    found: dict[str, Any] = resolve("qwen397-mtp2")["plan"]
    return found


def chat(content: str | None, reasoning: str = "", finish: str = "stop", **more: Any) -> Answer:
    message = {"content": content, "reasoning": reasoning, **more}
    return {"status": 200, "error": "", "answer": {"choices": [{"message": message, "finish_reason": finish}]}}


def text(content: str) -> Answer:
    return {"status": 200, "error": "", "answer": {"choices": [{"text": content, "finish_reason": "length"}]}}


@pytest.fixture
def answers(plan: dict[str, Any]) -> dict[str, Any]:
    """What a healthy model with a reasoning parser says; in plain text it goes on after the answer."""
    found = {"chat recall": chat(RECALLED, "They asked for four words."), "plain recall": text(f" {RECALLED}\nQuestion: What")}
    for question in plan["ready"]["probes"]["questions"]:
        found[f"chat {question['about']}"] = chat(f"{question['answer']}.", "An easy one.")
        found[f"plain {question['about']}"] = text(f" {question['answer']}\nQuestion: and")
    call = {"function": {"name": "get_weather", "arguments": '{"city": "Paris"}'}}
    found["tool"] = chat(None, "I should call it.", "tool_calls", tool_calls=[call])
    found["decode"] = chat(PROSE, "A harbour, in the morning.")
    strings = ["<|im_start|>", "user", "Ċ", "What", "Ġis"]
    found["rendered"] = {"status": 200, "error": "", "answer": {"tokens": [1, 2], "token_strs": strings}}
    return found


def spoil(answers: dict[str, Any], way: str, garbage: str = "lantern lantern of of the", only: str = "") -> None:
    """Every answer of one way, or one of them, becomes garbage."""
    for name in answers:
        if name.startswith(f"{way} {only}"):
            answers[name] = chat(garbage) if way == "chat" else text(garbage)


def failed(checks: list[Check]) -> dict[str, Check]:
    return {item["name"]: item for item in checks if item["ok"] is not True}


def test_a_healthy_reasoning_model_passes(plan: Any, answers: Any) -> None:
    checks = _probe_checks.checks(plan, answers)
    assert failed(checks) == {}
    assert [item["name"] for item in checks] == ["probe: questions", "probe: recall", "probe: tool call", "probe: long decode"]


@pytest.mark.parametrize(
    "answer",
    [
        chat("42", ""),
        chat("<think>17 + 25 = 42</think>The answer is **42**."),
        chat(None, "17 + 25: 17 + 20 is 37, and 5 makes 42. Now the format of the answer", "length"),
        chat("<think>17 + 25: 17 + 20 is 37, and 5 makes 42. Now", "", "length"),
    ],
    ids=["bare", "inline reasoning", "cut off after the result", "inline and cut off"],
)
def test_what_counts_as_right(answer: Any) -> None:
    assert _probe_checks.right(answer, "42") is True


@pytest.mark.parametrize(
    ("answer", "verdict"),
    [
        (chat("142"), False),
        (chat("41", "It might be 42."), False),
        (chat(""), False),
        (chat("the the the", finish="length"), False),
        (chat(None, "Let me see what the user wants from me here.", "length"), None),
        (chat(None, "!" * 400, "length"), False),
        ({"status": 0, "error": "timed out", "answer": {}}, None),
    ],
    ids=["another number", "wrong after right reasoning", "empty", "no reasoning", "cut off in reasoning", "NaN reasons", "no answer"],
)
def test_what_is_wrong_and_what_is_unknown(answer: Any, verdict: bool | None) -> None:
    assert _probe_checks.right(answer, "42") is verdict


@pytest.mark.parametrize(
    ("said", "right"),
    [
        ("tulip, anchor, silver, falcon", True),
        ("1. Tulip\n2. Anchor\n3. Silver\n4. Falcon", True),
        ("They are tulip, anchor, silver, and falcon.", True),
        ("first tulip, then anchor, then silver, and last falcon", True),
        ("tulip, silver, anchor, falcon", False),
        ("tulip, anchor, falcon", False),
    ],
)
def test_the_order_of_what_was_told_counts(said: str, right: bool) -> None:
    assert _probe_checks.right(chat(said), " ".join(_probes.RECALLED)) is right


@pytest.mark.parametrize(
    ("said", "wanted", "right"),
    [
        ("It is _42_.", "42", True),
        ("**G**", "G", True),
        ("e.g. this", "G", False),
        ("g is not a capital", "G", False),
        ("PARIS", "Paris", True),
        ("1.Paris", "Paris", True),
        ("1.tulip\n2.anchor\n3.silver\n4.falcon", RECALLED.replace(",", ""), True),
        ("F.G", "G", True),
        ("U.S.G", "G", True),
        ("\u2013 42", "42", True),
        ("\u201342", "42", False),
        ("42/2", "42", False),
        ("всегда", "да", False),
        ("Париж.", "Париж", True),
        ("Парижский", "Париж", False),
        ("two  blanks", " ", False),
        ("Parisian", "Paris", False),
        ("-42", "42", False),
        ("42.5", "42", False),
        ("17+25=42.", "42", True),
        ("法国的首都是巴黎。", "巴黎", True),
        ([{"type": "text", "text": "It is 42."}], "42", True),
    ],
)
def test_words_are_found_in_what_surrounds_them(said: Any, wanted: str, right: bool) -> None:
    assert _probe_checks.right(chat(said), wanted) is right


def test_what_is_asked_once_more_counts_if_it_is_right(plan: Any, answers: Any) -> None:
    for name in ("chat recall", "tool"):
        answers[f"{name} again"] = answers[name]
        answers[name] = chat("tulip")
    assert failed(_probe_checks.checks(plan, answers)) == {}
    for name in ("chat recall", "tool"):
        answers[f"{name} again"] = chat("tulip")
    assert {"probe: recall", "probe: tool call"} <= set(failed(_probe_checks.checks(plan, answers)))


@pytest.mark.parametrize(
    "choices",
    [[None], ["x"], {}, [{"message": "x"}], [{"message": {"content": 5, "reasoning": ["x"], "tool_calls": {}}}],
     [{"message": {"tool_calls": [None, "x"]}}], [{"message": {"tool_calls": [{"function": "x"}]}}],
     [{"message": {"tool_calls": [{"function": {"name": "get_weather", "arguments": "[" * 100_000}}]}}]],
    ids=map(str, range(8)),
)  # fmt: skip
def test_a_server_that_answers_garbage_fails_in_words(plan: Any, answers: Any, choices: Any) -> None:
    for name in answers:
        answers[name] = {"status": 200, "error": "", "answer": {"choices": choices}}
    assert {"probe: questions", "probe: recall", "probe: tool call", "likely cause"} <= set(failed(_probe_checks.checks(plan, answers)))


def test_a_server_that_refuses_everything_refuses_no_tool(plan: Any, answers: Any) -> None:
    for name in answers:
        answers[name] = {"status": 400, "error": "max_tokens is too large", "answer": {}}
    checks = failed(_probe_checks.checks(plan, answers))
    assert checks["probe: tool call"]["ok"] is None
    assert "more probes.max_tokens" not in checks["probe: recall"]["hint"]


def test_no_tool_is_asked_for_where_the_server_would_refuse_it() -> None:
    args = {"tool-call-parser": "hermes"}
    assert _probes.planned("vllm", args, {})["tool"] is None
    assert _probes.planned("vllm", {**args, "enable-auto-tool-choice": True}, {})["tool"]
    assert _probes.planned("sglang", args, {})["tool"]
    (problem,) = _probes.problems({"engine": "vllm", "args": args, "probes": {"tool": {}}}, "p.yml")
    assert "enable-auto-tool-choice" in str(problem)


def test_one_miss_is_luck_and_two_are_not(plan: Any, answers: Any) -> None:
    spoil(answers, "chat", "41", "arithmetic")
    assert failed(_probe_checks.checks(plan, answers)) == {}
    spoil(answers, "chat", "Lyon", "fact")
    questions = failed(_probe_checks.checks(plan, answers))["probe: questions"]
    assert questions["found"] == "2 of 4 right; arithmetic '41', not '42'; fact 'Lyon', not 'Paris'"
    assert questions["wanted"] == "at least 3 of 4 right"


def test_reasoning_that_was_cut_off_is_unknown_and_says_what_to_raise(plan: Any, answers: Any) -> None:
    for name in ("chat arithmetic", "chat fact"):
        answers[name] = chat(None, "The user asks something, and I wonder why.", "length")
    questions = failed(_probe_checks.checks(plan, answers))["probe: questions"]
    assert questions["ok"] is None
    assert "probes.max_tokens" in questions["hint"]


CAUSES = {
    "weights": (("chat", ""), ("plain", "")),
    "positions": (("chat", "recall"), ("plain", "recall")),
    "template": (("chat", ""),),
}
POINTS = {
    "weights": "damaged weights on a rank",
    "positions": "points to the positions: rope_theta",
    "template": "points to the chat template",
}


@pytest.mark.parametrize("cause", CAUSES)
def test_each_pattern_points_to_its_own_cause(plan: Any, answers: Any, cause: str) -> None:
    for way, only in CAUSES[cause]:
        spoil(answers, way, only=only)
    likely = failed(_probe_checks.checks(plan, answers))["likely cause"]
    assert {name for name, words in POINTS.items() if words in likely["hint"]} == {cause}
    assert "verify_weights.yml -e profile=qwen397-mtp2 -e verify=full" in likely["hint"]
    assert "'<|im_start|>user\\nWhat is'" in likely["found"], "what the server's template made of the question"


def test_wrong_positions_spoil_chats_too_and_are_told_from_a_wrong_template(plan: Any, answers: Any) -> None:
    """Short chats are longer than short plain texts: the first to break."""
    spoil(answers, "chat")
    spoil(answers, "plain", only="recall")
    assert POINTS["positions"] in failed(_probe_checks.checks(plan, answers))["likely cause"]["hint"]


def test_what_fits_no_cause_claims_none(plan: Any, answers: Any) -> None:
    spoil(answers, "chat")
    answers["plain recall"] = {"status": 500, "error": "boom", "answer": {}}
    assert "fit no single cause" in failed(_probe_checks.checks(plan, answers))["likely cause"]["hint"]


@pytest.mark.parametrize(
    ("answer", "ok", "found"),
    [
        (chat('<tool_call>{"name": "get_weather"}</tool_call>'), False, "no call, but '<tool_call>"),
        (chat("It is sunny."), False, "no call, but 'It is sunny.'"),
        (chat(None, tool_calls=[{"function": {"name": "get_weather", "arguments": '{"city": "Lyon"}'}}]), False, "Lyon"),
        (chat(None, tool_calls=[{"function": {"name": "get_weather", "arguments": "{city"}}]), False, "{city"),
        (chat(None, "Which tool would", "length"), None, "cut off"),
        ({"status": 400, "error": "no parser", "answer": {}}, False, "status 400: no parser"),
        ({"status": 500, "error": "died", "answer": {}}, None, "status 500: died"),
    ],
)
def test_a_tool_call_must_arrive_as_one(plan: Any, answers: Any, answer: Any, ok: bool | None, found: str) -> None:
    answers["tool"] = answer
    checks = failed(_probe_checks.checks(plan, answers))
    assert checks["probe: tool call"]["ok"] is ok
    assert found in checks["probe: tool call"]["found"]
    assert ("tool-call-parser" in checks["likely cause"]["hint"]) is (ok is False and answer["status"] == 200)


@pytest.mark.parametrize(
    "said",
    ["The sea is calm and " * 40, "!" * 600, PROSE[:90] + "港口清晨的光线落在水面上船只归来" * 6, PROSE[:60] + "\ufffd" * 80, PROSE[:60]],
    ids=["loop", "NaN", "mixed scripts", "bytes", "ends early"],
)
def test_a_long_decode_that_degenerates_fails(plan: Any, answers: Any, said: str) -> None:
    answers["decode"] = chat(said)
    checks = failed(_probe_checks.checks(plan, answers))
    assert checks["probe: long decode"]["ok"] is False
    assert "only decoding uses" in checks["likely cause"]["hint"]


def test_real_prose_is_neither_a_loop_nor_a_mixture() -> None:
    """Everything that this project documents, in pieces of the size of an answer."""
    pages = {*(ROOT / "docs").glob("*.md")} - {ROOT / "docs/faults.md"}  # a list of names, by a tool
    for path in [ROOT / "README.md", ROOT / "SECURITY.md", *sorted(pages)]:
        words = path.read_text(encoding="utf-8")
        for start in range(0, len(words) - 1000, 1000):
            piece = words[start : start + 1000]
            if "|--" in piece or piece.count("|") > 10:
                continue
            assert _garble.repetition(piece) < 0.4, piece
            assert _garble.foreign(piece) < 0.02, piece


@pytest.mark.parametrize(
    ("said", "share"), [("", 0.0), ("Ελλάδα naïve Übung", 0.0), ("42 + 1 = 43", 1.0), ("abc где", 0.5), ("!!!", 1.0), ("\ufffd\x00ab", 0.5)]
)
def test_foreign_is_a_share_of_letters(said: str, share: float) -> None:
    assert _garble.foreign(said) == share


@pytest.mark.parametrize(
    ("said", "size", "share"),
    [("", 2, 0.0), ("a", 2, 0.0), ("ab", 2, 0.0), ("aaa", 2, 0.5), ("aaaaa", 2, 0.75), ("abcab", 2, 0.25), ("!" * 13, 12, 0.5)],
)
def test_repetition_is_a_share_of_n_grams(said: str, size: int, share: float) -> None:
    assert _garble.repetition(said, size) == share
    assert _garble.repetition("!" * 13) == 0.5


def test_no_answer_is_unknown_and_never_a_pass(plan: Any) -> None:
    checks = _probe_checks.checks(plan, {})
    assert checks
    assert not any(item["ok"] for item in checks)
    assert "not asked" in checks[0]["found"]


def test_the_engine_is_asked_only_what_is_planned(resolve: Any) -> None:
    def names(profile: str) -> set[str]:
        return {item["name"] for item in _probes.requests(resolve(profile)["plan"])}

    assert {"tool", "rendered"} <= names("qwen397-mtp2")
    assert "tool" not in names("nex-n2-mini"), "no parser is planned"
    assert "tool" in names("nemotron3-super-sglang")
    assert "rendered" not in names("nemotron3-super-sglang"), "SGLang's /tokenize takes no messages"


def test_probes_restart_nobody_and_an_old_record_has_the_default_set(resolve: Any) -> None:
    text = (ROOT / "model_profiles/sim-tiny-tp2.yml").read_text()
    assert "max_tokens: 128" in text
    plan, other = (resolve(text=version)["plan"] for version in (text, text.replace("max_tokens: 128", "max_tokens: 99")))
    assert plan["ready"]["probes"]["max_tokens"] != other["ready"]["probes"]["max_tokens"] == 99
    assert plan["hash"] == other["hash"]
    old = copy.deepcopy(plan)
    del old["ready"]["probes"]
    assert {item["name"] for item in _probes.requests(old)} >= {"chat arithmetic", "plain recall", "decode"}
    assert "4 questions (3 must be right), recall over 6 lines" in _commands.commands(plan)


@pytest.mark.parametrize(
    ("probes", "message"),
    [
        ("{min_right: 5}", "probes.min_right: found 5; wanted at most 4"),
        ("{tool: {ask: Why, function: f, arguments: {a: b}}}", "probes.tool: found a tool call; wanted args.tool-call-parser"),
        ("{temprature: 0}", "probes.temprature: found an unknown key"),
    ],
)
def test_a_probe_that_cannot_pass_is_refused(resolve: Any, probes: str, message: str) -> None:
    text = (ROOT / "model_profiles/nex-n2-mini.yml").read_text()
    assert message in resolve(text=f"{text}probes: {probes}\n")["message"]
