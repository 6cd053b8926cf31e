"""The rooms of module_utils: who may import whom, and what may run on a node."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import ROOT

ROOMS = ("common", "node", "plan", "phases")
BASE = ROOT / "plugins/module_utils"
FILES = sorted(path.relative_to(BASE) for path in BASE.rglob("*.py"))
COLLECTION = "ansible_collections.gx10.serving.plugins.module_utils."


def imported(path: Path) -> Iterator[str]:
    """Dotted names of what a file of module_utils imports: ROOM.… for our own."""
    here = path.parent.parts
    for node in ast.walk(ast.parse((BASE / path).read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = here[: len(here) - node.level + 1] if node.level else ()
            for alias in node.names:
                yield ".".join([*up, *([node.module] if node.module else []), alias.name])


@pytest.mark.parametrize("path", FILES, ids=str)
def test_a_room_imports_only_those_before_it(path: Path) -> None:
    assert path.parts[0] in ROOMS
    before = ROOMS[: ROOMS.index(path.parts[0]) + 1]
    for name in imported(path):
        assert not name.startswith("ansible"), f"{path}: {name}: the decisions know nothing of Ansible"
        if name.split(".")[0] in ROOMS:
            assert name.split(".")[0] in before, f"{path}: {name}"
        elif path.parts[0] == "node":
            assert name.split(".")[0] in sys.stdlib_module_names, f"{path}: {name} is not on a node"


def test_modules_bring_only_what_runs_on_nodes() -> None:
    for path in (ROOT / "plugins/modules").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(COLLECTION):
                assert (node.module or "").removeprefix(COLLECTION).split(".")[0] == "node", f"{path.name}: {node.module}"


def test_the_rooms_are_not_empty() -> None:
    assert {path.parts[0] for path in FILES} == set(ROOMS)
    assert len(FILES) > 40
