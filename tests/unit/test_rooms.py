"""The rooms of module_utils: who may import whom, what may run on a node, and the picture of it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from conftest import ROOT

sys.path.insert(0, str(ROOT / "tools"))
import architecture
from architecture import ROOMS

FILES = [path for path in architecture.files() if path.parts[0] == "module_utils"]


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_room_imports_only_those_before_it(path: Path) -> None:
    room = architecture.part(path)
    before = ROOMS[: ROOMS.index(room) + 1]
    for name in architecture.imported(path):
        top, *rest = name.split(".")
        assert not top.startswith("ansible"), f"{path}: {name}: the decisions know nothing of Ansible"
        if top == "module_utils":
            assert rest[0] in before, f"{path}: {name}"
        elif room == "node":
            assert top in sys.stdlib_module_names, f"{path}: {name} is not on a node"


def test_modules_bring_only_what_runs_on_nodes() -> None:
    for path in architecture.files():
        if architecture.part(path) == "modules":
            for name in architecture.imported(path):
                assert not name.startswith("module_utils.") or name.split(".")[1] == "node", f"{path}: {name}"


def test_the_rooms_are_not_empty() -> None:
    assert {architecture.part(path) for path in FILES} == set(ROOMS)
    assert len(FILES) > 40


def test_the_picture_is_of_these_imports() -> None:
    committed = (ROOT / "docs/architecture.svg").read_text(encoding="utf-8")
    assert committed == architecture.draw(), "run tools/architecture.py > docs/architecture.svg"
