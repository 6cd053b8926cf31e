"""docs/protections.md: every fault of its list has a test that exists, or is handed to the fault matrix by name."""

from __future__ import annotations

import re

from conftest import ROOT

FAULTS = ["F2", "F6", "F7", "F13", "F22", "F23", "F25", "F26", "F27", "F28", "F31", "F34", "F35", "F38", "F40"]
TEXT = (ROOT / "docs/protections.md").read_text()
CELLS = [[cell.strip() for cell in line.strip("| ").split("|")] for line in TEXT.splitlines()]
ROWS = {cells[0]: cells[1:] for cells in CELLS if re.fullmatch(r"F\d+", cells[0])}


def test_every_fault_has_its_test_or_is_the_matrixs() -> None:
    assert list(ROWS) == FAULTS
    for fault, (what, protection, shown) in ROWS.items():
        assert what and protection, fault
        tests, handed, matrix = shown.partition("matrix: ")
        named = re.findall(r"`([\w./]+)::(\w+)`", tests)
        assert named or matrix, fault
        assert not handed or re.fullmatch(r"\w[\w\s.,±%]{3,}", matrix), f"{fault}: {matrix}"
        for path, name in named:
            assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE), f"{fault}: {path}::{name}"
        # Nothing else in the cell looks like a test and is none.
        assert shown.count("::") == len(named), fault


def test_a_test_of_a_fault_is_in_the_list() -> None:
    """By its name: what is shown is told."""
    for path in (ROOT / "tests/unit").rglob("test_*.py"):
        for number, name in re.findall(r"^def (?:test_f(\d+)_(\w+))\(", path.read_text(), re.MULTILINE):
            assert f"::test_f{number}_{name}`" in ROWS[f"F{number}"][2], name
