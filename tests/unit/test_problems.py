"""Every problem has a code, and docs/problems.md says what it means."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

CODE = ROOT / "plugins/module_utils"
FILES = sorted(str(path.relative_to(CODE)) for room in ("common", "plan", "phases", "bench") for path in (CODE / room).rglob("*.py"))
# Who takes a code, and at which place.
TAKERS = {"Problem": 5, "problem": 4, "Refused": 3, "refuse": 3}


def calls(path: Path) -> Iterator[tuple[ast.Call, str, ast.expr | None]]:
    """Calls that take a code, who takes it, and the code."""
    for call in ast.walk(ast.parse(path.read_text())):
        if isinstance(call, ast.Call):
            name = call.func.id if isinstance(call.func, ast.Name) else getattr(call.func, "attr", "")
            if name in TAKERS:
                named = [keyword.value for keyword in call.keywords if keyword.arg in ("code", None)]
                yield call, name, (call.args[TAKERS[name] :] + named + [None])[0]


def codes() -> set[str]:
    found = set()
    for name in FILES:
        for _call, _taker, code in calls(CODE / name):
            if not isinstance(code, ast.Subscript | None):  # a problem that is passed on
                found |= {part.value for part in ast.walk(code) if isinstance(part, ast.Constant) and isinstance(part.value, str)}
    table = (CODE / "common/_schema.py").read_text().partition("CODES = {")[2].partition("}")[0]
    return found | set(re.findall(r': "([a-z-]+)"', table))


@pytest.mark.parametrize("name", FILES)
def test_every_problem_has_a_code(name: str) -> None:
    without = [call.lineno for call, taker, code in calls(CODE / name) if taker == "Problem" and code is None]
    assert without == [], "give these lines a code"


def test_every_code_is_explained_and_none_else() -> None:
    text = (ROOT / "docs/problems.md").read_text()
    explained = re.findall(r"^\| ([a-z-]+) \| \S.*\|$", text, re.MULTILINE)[1:]
    assert explained == sorted(set(explained))
    sources = "".join((CODE / name).read_text() for name in FILES)
    assert {code for code in codes() if code not in explained} == set()
    assert [code for code in explained if f'"{code}"' not in sources] == []
