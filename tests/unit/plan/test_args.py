"""How flags are read, on a small table: every type, number of values, bound, choice and spelling. The real tables: test_flags.py."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _args, _engines, _flags

FLAGS: Any = {
    "on": {"type": "bool"}, "bare": {"type": "switch"}, "name": {"type": "str"}, "word": {"type": "str", "optional": True},
    "whole": {"type": "int", "ge": 2, "le": 9}, "share": {"type": "float", "gt": 0, "lt": 1}, "length": {"type": "size"},
    "auto": {"type": "size_or_auto"}, "some": {"type": "int", "nargs": "+"}, "any": {"type": "str", "nargs": "*"},
    "two": {"type": "str", "nargs": 2}, "again": {"type": "str", "append": True}, "maybe": {"type": "str", "nargs": "?"},
    "level": {"type": "int", "choices": [1, 2]}, "backend": {"type": "str", "choices": ["TRITON_ATTN", "FLASHINFER"], "folds": "snake"},
    "parser": {"type": "str", "choices": ["hermes", "qwen3", "gemma"], "open": True}, "free": {"type": "json"},
    "twins": {"type": "str", "choices": ["a-b", "a_b"], "folds": "snake"},
    "dozen": {"type": "int", "choices": list(range(12))},
    "many": {"type": "str", "choices": [f"choice{letter}" for letter in "abcdefghijklm"]},
    "either": {"type": "json_or_str"}, "conf": {"type": "json", "of": "Config", "sizes": True}, "plain": {"type": "json", "of": "Config"},
    "old": {"type": "int", "deprecated": "--whole", "also": ["-o", "--older"]}, "gone": {"type": "int", "deprecated": "Say nothing."},
}  # fmt: skip
FIELDS: Any = {
    "Config": {
        "tokens": {"type": "int", "optional": True, "ge": 1}, "ratio": {"type": "float", "le": 2}, "flag": {"type": "bool"},
        "text": {"type": "str", "choices": ["a", "b"]}, "any": {"type": "any"}, "more": {"type": "int|str"}, "names": {"type": "list"},
        "inner": {"type": "dict", "of": "Inner"}, "mapping": {"type": "dict"},
    },
    "Inner": {"depth": {"type": "int"}},
}  # fmt: skip


def table(borrowed: Any = None) -> _flags.Table:
    names = {spelling.lstrip("-"): name for name, spec in FLAGS.items() for spelling in (name, *spec.get("also", []))}
    return _flags.Table("vllm", "0.22.1", FLAGS, FIELDS, {}, names, borrowed)


def read(args: Any, mods: Any = (), engine: str = "vllm", borrowed: Any = None) -> _args.Read:
    return _args.read(_engines.load(engine).DIALECT, table(borrowed), args, mods, "p")


def wrong(args: Any, **more: Any) -> list[tuple[str, str]]:
    return [(problem.key.removeprefix("args."), problem.code) for problem in read(args, **more).problems]


GOOD: list[tuple[str, Any, Any, str | None]] = [
    *[("on", True, True, "--on"), ("on", False, False, "--no-on"), ("bare", True, True, "--bare"), ("name", "x", "x", "--name x")],
    *[("whole", value, int(value), f"--whole {int(value)}") for value in (2, 9, "2", "9")],
    *[("share", value, float(value), f"--share {value}") for value in (0.5, "0.5", 1e-9, 0.999)],
    *[("length", value, number, f"--length {number}") for value, number in ((7, 7), ("7", 7), ("1k", 1000), ("1K", 1024), ("1.5k", 1500))],
    ("length", "123456789012t", 123456789012 * 10**12, "--length 123456789012000000000000"),
    *[("auto", value, "auto", "--auto auto") for value in ("auto", "AUTO", -1, "-1", " auto ")],
    *[("auto", "2M", 2 * 2**20, "--auto 2097152"), ("some", [1, "2"], [1, 2], "--some 1 2"), ("some", 1, 1, "--some 1")],
    *[("any", [], [], "--any"), ("any", ["x"], ["x"], "--any x"), ("two", ["x", "y"], ["x", "y"], "--two x y")],
    *[("again", ["x", "y"], ["x", "y"], "--again x --again y"), ("again", [], [], ""), ("again", "x", "x", "--again x")],
    *[("maybe", True, True, "--maybe"), ("maybe", "x", "x", "--maybe x"), ("word", "none", "none", "--word none")],
    *[("name", 1, 1, "--name 1"), ("twins", "a_b", "a_b", "--twins a_b"), ("twins", "A_B", "a-b", "--twins a-b")],
    *[("level", 1, 1, "--level 1"), ("level", "2", 2, "--level 2"), ("backend", "triton-attn", "TRITON_ATTN", "--backend TRITON_ATTN")],
    *[("backend", "FlashInfer", "FLASHINFER", "--backend FLASHINFER"), ("parser", "hermes", "hermes", "--parser hermes")],
    *[("free", value, {"a": [1]}, '--free {"a":[1]}') for value in ({"a": [1]}, '{"a": [1]}', ' {"a":[1]}\t')],
    *[("free", [1], [1], "--free [1]"), ("either", "x{}", "x{}", "--either x{}")],
    ("either", '\n{"a": "é"} ', {"a": "é"}, '--either {"a":"é"}'),
    *[("conf", f'{{"tokens": {text}}}', {"tokens": number}, None) for text, number in (("2k", 2000), ("2K", 2048), ("1.5k", 1500))],
    ("conf", '{"any": "a\\" 2k", "tokens": 1}', {"any": 'a" 2k', "tokens": 1}, '--conf {"any":"a\\" 2k","tokens":1}'),
    *[("conf", {"tokens": value}, {"tokens": None if value is None else int(value)}, None) for value in (1, "1", 1.0, None)],
    *[("conf", {"ratio": value}, {"ratio": float(value)}, None) for value in (2, 2.0, "2", -1)],
    *[("conf", {"flag": value}, {"flag": True}, None) for value in (True, 1, "Yes", "t", "ON", "y")],
    *[("conf", {"flag": value}, {"flag": False}, None) for value in (False, 0, "off", "n", "F")],
    *[("conf", {"more": value}, {"more": value}, None) for value in (1, "x")],
    *[("conf", {key: value}, {key: value}, None) for key, value in (("any", [None]), ("text", "a"), ("names", [1]), ("mapping", {"x": 1}))],
    ("conf", {"inner": {"depth": "3"}}, {"inner": {"depth": 3}}, '--conf {"inner":{"depth":3}}'),
]  # fmt: skip


@pytest.mark.parametrize(("flag", "value", "taken", "words"), GOOD)
def test_what_a_flag_takes(flag: str, value: Any, taken: Any, words: str | None) -> None:
    found = read({flag: value})
    assert (found.problems, found.warnings) == ([], [])
    assert found.args == {flag: taken}
    assert type(found.args[flag]) is type(taken)
    assert words is None or " ".join(found.words) == words


NO_TYPE, NO_RANGE, NO_CHOICE, NO_KEY = "wrong-type", "out-of-range", "not-a-choice", "unknown-key"
BAD: list[tuple[str, str, tuple[Any, ...]]] = [
    *[("on", NO_TYPE, ("true", 1, None)), ("bare", NO_TYPE, (False, "x")), ("maybe", NO_TYPE, (False, None)), ("word", NO_TYPE, ("None",))],
    ("name", NO_TYPE, ("", "-x", "a\0", None, True, {"a": 1}, ["x"])),
    *[("whole", NO_TYPE, ("None", 2.0, "2.0", True)), ("whole", NO_RANGE, (1, 10, "1", "10"))],
    *[("share", NO_TYPE, ("x", "nan", "inf", True, [0.5])), ("share", NO_RANGE, (0, 1, "0", -1))],
    ("length", NO_TYPE, ("1x", "1.5K", "k", 1.5, "1 k", "auto", "0.1Kk", "1234567890123k")),
    *[("auto", NO_TYPE, ("never",)), ("some", NO_TYPE, ([], ["x"], [[1]])), ("any", NO_TYPE, (["-x"], [None]))],
    ("two", NO_TYPE, (["x"], ["x", "y", "z"])),
    *[("level", NO_CHOICE, (3,)), ("backend", NO_CHOICE, ("FLASH",)), ("parser", NO_CHOICE, ("herme",))],
    *[("free", NO_TYPE, ("x", "-1", "")), ("either", NO_TYPE, ([1], "{a}")), ("free", "key-twice", ('{"a": 1, "a": 2}',))],
    # A size is none in the text of a flag that takes none, or of a unit of two; a quote that nobody closes is no JSON.
    *[("plain", NO_TYPE, ('{"tokens": 2k}',)), ("conf", NO_TYPE, ('{"tokens": 1.5K}', '{"any": "2k}', [1]))],
    ("conf", NO_KEY, ({"tokns": 1},)),
]
FIELD: list[tuple[str, Any, str, tuple[Any, ...]]] = [
    *[("tokens", "", NO_TYPE, (1.5, True, "x", [1])), ("tokens", "", NO_RANGE, (0, "0", -1.0))],
    *[("ratio", "", NO_TYPE, ("x", True, None)), ("ratio", "", NO_RANGE, (2.1, 3, "3"))],
    *[("flag", "", NO_TYPE, ("maybe", 2, None)), ("text", "", NO_TYPE, (1,)), ("text", "", NO_CHOICE, ("c",))],
    *[("names", "", NO_TYPE, ("x",)), ("more", "", NO_TYPE, ([1], True)), ("mapping", "", NO_TYPE, ([],))],
    *[("inner", "", NO_TYPE, (1,)), ("inner", "", NO_KEY, ({"depht": 1},)), ("inner", ".depth", NO_TYPE, ({"depth": "x"},))],
]  # fmt: skip


@pytest.mark.parametrize(("flag", "code", "values"), BAD)
def test_what_a_flag_does_not_take(flag: str, code: str, values: tuple[Any, ...]) -> None:
    assert [wrong({flag: value}) for value in values] == [[(flag, code)]] * len(values)


@pytest.mark.parametrize(("field", "below", "code", "values"), FIELD)
def test_what_a_field_does_not_take(field: str, below: str, code: str, values: tuple[Any, ...]) -> None:
    assert [wrong({"conf": {field: value}}) for value in values] == [[(f"conf.{field}{below}", code)]] * len(values)


def test_a_part_of_a_flag_is_the_flags() -> None:
    found = read({"conf.tokens": "1k", "conf.inner.depth": "4", "conf.any": "x", "free.a.b": "7", "conf.names": "[1]"})
    assert found.problems == []
    assert found.args == {"conf": {"tokens": 1000, "inner": {"depth": 4}, "any": "x", "names": [1]}, "free": {"a": {"b": 7}}}
    assert " ".join(found.words) == "--conf.tokens 1000 --conf.inner.depth 4 --conf.any x --free.a.b 7 --conf.names [1]"
    assert read({"conf.tokens": None}).words == ["--conf.tokens", "null"]
    assert read({"conf.any": "1.5K"}).args == {"conf": {"any": "1.5K"}}
    assert wrong({"conf.tokens": "x"}) == [("conf.tokens", "wrong-type")]
    assert wrong({"conf.nope": 1, "conf.inner.nope": 1}) == [("conf.nope", "unknown-key"), ("conf.inner.nope", "unknown-key")]
    assert wrong({"conf.any": "-1"}) == [("conf.any", "wrong-type")]
    # Of what is no JSON, and with an engine that has no parts.
    assert wrong({"name.x": 1}) == [("name.x", "wrong-type")]
    assert wrong({"conf.tokens": 1}, engine="sglang") == [("conf.tokens", "wrong-type")]
    assert read({"either.a": 1}).args == {"either": {"a": 1}}


@pytest.mark.parametrize(
    ("args", "key", "hint"),
    [
        # Two spellings of one flag: both are one flag, or one is a part of the other.
        ({"old": 1, "older": 2}, "older", ""),
        ({"--old": 1, "-o": 2}, "-o", ""),
        ({"conf": {}, "conf.tokens": 1}, "conf.tokens", "The engine would keep one of them."),
        ({"conf.tokens": 1, "conf": {}}, "conf", "The engine would keep one of them."),
        ({"conf.inner": {}, "conf.inner.depth": 1}, "conf.inner.depth", "The engine would keep one of them."),
        ({"conf.tokens": 1, "conf.inner": {}}, "", ""),
        ({"some": 1, "some_": 1}, "some_", None),
    ],
)
def test_a_flag_is_said_once(args: Any, key: str, hint: str | None) -> None:
    found = read(args)
    if hint is None:
        # A name that begins as another's is no part of it.
        assert [(problem.key, problem.code) for problem in found.problems] == [(f"args.{key}", "flag-unknown")]
    else:
        said = [(problem.key, problem.code, problem.hint) for problem in found.problems]
        assert said == ([(f"args.{key}", "flag-twice", hint)] if key else [])


def test_a_flag_that_is_refused_is_not_twice_beside() -> None:
    """Nor is its value read; one that nobody knows is kept for the rules."""
    found = read({"api-key": "x", "api_key": "y", "model": "m", "nope": "7", "nope2": 1, "no-on": True, "no-bare": False})
    codes = [problem.code for problem in found.problems]
    assert codes == ["refused", "refused", "owned", "flag-unknown", "flag-unknown", "flag-negated", "flag-negated"]
    assert found.args == {"nope": "7", "nope2": 1}
    assert wrong({"no-name": True, "no-nope": True}) == [("no-name", "flag-unknown"), ("no-nope", "flag-unknown")]
    assert [problem.wanted for problem in found.problems if problem.code == "flag-negated"] == ["on: false", "bare: true"]
    assert (found.problems[0].hint.startswith("Reason: "), found.problems[2].wanted) == (True, "the value in model.repo")


def test_what_is_deprecated_and_what_is_of_another_version_are_warnings() -> None:
    found = read({"older": 1, "gone": 2, "whole": 3, "share": 0.5}, borrowed={"share": "0.30.0"})
    assert found.args == {"old": 1, "gone": 2, "whole": 3, "share": 0.5}
    assert found.warnings == [
        "args.older: deprecated in vllm 0.22.1: the new name is whole",
        "args.gone: deprecated in vllm 0.22.1: Say nothing.",
        "args.share: a flag of vllm 0.30.0, which 0.22.1 does not have",
    ]


@pytest.mark.parametrize(
    ("value", "slip"),
    # One letter off is a slip, unless it is a digit; what is short, or further off, is another's own.
    [
        *[("hermess", True), ("herme", True), ("hermse", False), ("hermea", True), ("Hermes", True)],
        *[("qwen4", False), ("qwen33", False), ("qwen", False), ("xqwen3", True), ("xqwen33", False), ("mine", False)],
    ],
)
def test_a_choice_that_a_plugin_brings_is_no_slip(value: str, slip: bool) -> None:
    found = read({"parser": value})
    assert ([problem.code for problem in found.problems], len(found.warnings)) == ((["not-a-choice"], 0) if slip else ([], 1))
    assert slip or f"args.parser: {value!r} is none of vllm 0.22.1's own; a plugin must bring it." in found.warnings[0]
    # A letter less makes another word of a short one.
    assert read({"parser": "gemm"}).problems == []
    # Of a version without a table, nobody knows the choices of any flag.
    found = read({"backend": "ROCM_ATTN", "many": "choicea"}, borrowed={})
    assert found.problems == []
    (warning,) = found.warnings
    assert warning.startswith("args.backend: 'ROCM_ATTN' is none of vllm 0.22.1's own; the image's other version must bring it.")
    assert wrong({"backend": "FLASHINFE"}, borrowed={}) == [("backend", "not-a-choice")]


def test_a_long_choice_takes_no_time() -> None:
    begun = time.process_time()
    assert read({"parser": "x" * 60_000}).warnings
    assert time.process_time() - begun < 0.5


def test_what_is_wanted_is_said() -> None:
    assert [problem.wanted for problem in read({"some": [], "two": ["x"]}).problems] == ["at least one value", "2 values"]
    (problem,) = read({"many": "choiceZZ"}).problems
    assert problem.wanted.endswith("choicel and 1 more (vllm 0.22.1)")
    (problem,) = read({"dozen": 12}).problems
    assert problem.wanted == "one of 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11 (vllm 0.22.1)"


@pytest.mark.parametrize(
    ("value", "taken", "words"),
    [
        *[("7", 7, "--mine 7"), ("1.5", 1.5, "--mine 1.5"), ("x", "x", "--mine x"), (True, True, "--mine"), (False, False, "--no-mine")],
        *[(["a", "b"], ["a", "b"], "--mine a --mine b"), ({"a": True}, {"a": True}, '--mine {"a":true}'), ("nan", "nan", "--mine nan")],
    ],
)
def test_a_mods_flag_is_taken_as_it_is(value: Any, taken: Any, words: str) -> None:
    found = read({"mine": value}, mods=("mine",))
    assert (found.problems, found.args["mine"], " ".join(found.words)) == ([], taken, words)
    for bad in ("", "-x", ["-x"], "a\0"):
        assert wrong({"mine": bad}, mods=("mine",)) == [("mine", "wrong-type")]


def test_words_are_what_json_reads() -> None:
    found = read({"free": {"a": None, "b": True, "é": 1.5}})
    assert json.loads(found.words[1]) == {"a": None, "b": True, "é": 1.5}
