"""What a problem says, and how several are told."""

from __future__ import annotations

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.common._problem import Problem, beyond, nearest, report, show, told


def test_a_problem_says_where_which_what_and_what_next() -> None:
    assert str(Problem("w", "k", "f", "x", "Do it.")) == "w: k: found f; wanted x. Do it."
    assert str(Problem("w", "", "f", "x")) == "w: found f; wanted x"
    assert str(Problem("w", "k", "f", "x", code="c")) == "w: k: found f; wanted x [c]"
    assert Problem("w", "k", "f", "x").as_dict() == {"where": "w", "key": "k", "found": "f", "wanted": "x", "hint": "", "code": ""}


@pytest.mark.parametrize(("value", "text"), [("a", "'a'"), (1, "1"), ("x" * 78, f"'{'x' * 78}'"), ("x" * 79, f"'{'x' * 78}…")])
def test_a_value_is_shown_in_eighty_characters(value: object, text: str) -> None:
    assert show(value) == text
    assert len(text) <= 80


def test_the_nearest_word_is_one() -> None:
    assert nearest("modle", ["model", "medal", "image"]) == "Did you mean 'model'?"
    # As near as three of five letters, and no farther.
    assert [nearest(word, ["abcde"]) for word in ("abcxy", "abxyz")] == ["Did you mean 'abcde'?", ""]


def test_a_report_counts_each_problem_once() -> None:
    one, two = Problem("b", "", "f", "x"), Problem("a", "", "f", "x")
    assert report("No", [one, one]) == "No: 1 problem. No host was touched.\n  - b: found f; wanted x"
    assert report("No", [one, two, one]).splitlines() == [
        "No: 2 problems. No host was touched.",
        "  - b: found f; wanted x",
        "  - a: found f; wanted x",
    ]


def test_no_message_is_longer_than_somebody_reads() -> None:
    long = Problem("/a/" + "d" * 5000 + "/p.yml", "k" * 5000, "f", "w" * 5000, "Do it.", "code")
    text = str(long)
    assert len(text) == 500
    assert text.startswith("…") and "/p.yml: kkk" in text and text.endswith("… Do it. [code]".replace("…", "….")[1:])
    assert "found f; wanted w" in text
    exact = Problem("w", "k", "f", "x" * (500 - len("w: k: found f; wanted . Do it. [code]")), "Do it.", "code")
    assert len(str(exact)) == 500 and "…" not in str(exact)


def test_what_no_terminal_takes_is_written_out() -> None:
    assert str(Problem("w", "a\x1b[2Jb\n", "\u202e", "\ud800")) == "w: a\\x1b[2Jb\\n: found \\u202e; wanted \\ud800"


def test_no_more_of_a_value_is_looked_at_than_is_shown() -> None:
    endless: list[object] = []
    endless.append(endless)
    assert show(endless) == "[" * 79 + "…"
    assert show({"a": range(10**12)}) == "{'a': a value of type range}"
    assert show(10**5000) == "an integer of 16610 bits"
    assert show([10**70, ("x", None), {}]) == f"[{10**70}, ('x', None), {{}}]"[:79] + "…"
    assert show(["x" * 10**7] * 10**6) == "['" + "x" * 77 + "…"


def test_no_more_problems_are_told_than_somebody_reads() -> None:
    many = [Problem("w", str(number), "f", "x") for number in range(52)]
    assert len(told(many[:50])) == 50
    assert told(many[:51])[49:] == ["and 2 more"]
    assert told(many)[48:] == ["w: 48: found f; wanted x", "and 3 more"]
    assert report("No", many).splitlines()[0] == "No: 52 problems. No host was touched."
    assert report("No", many).splitlines()[-1] == "  - and 3 more"


def test_what_follows_from_a_problem_is_not_told() -> None:
    said = [Problem("w", "env", "f", "x"), Problem("w", "", "f", "x"), Problem("w", "a[0]", "f", "x")]
    more = [
        Problem(where, key, "f", "y")
        for where, key in [("w", "env"), ("w", "env.A"), ("w", "environment"), ("v", "env"), ("w", "a"), ("w", "a[0].b")]
    ]
    assert [(one.where, one.key) for one in beyond(said, more)] == [("w", "environment"), ("v", "env"), ("w", "a")]
