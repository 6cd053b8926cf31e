"""What a problem says, and how several are told."""

from __future__ import annotations

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.common._problem import Problem, nearest, report, show


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
