"""Every task gives the collection's modules what they need, and nothing that they do not know; ansible-lint does not see it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

FILES = sorted([*ROOT.glob("playbooks/*.yml"), *ROOT.glob("roles/*/tasks/*.yml"), *ROOT.glob("molecule/**/*.yml")])


def options(module: Path) -> dict[str, Any]:
    """The options that a module documents; ansible-test holds them to what it takes."""
    for node in ast.parse(module.read_text()).body:
        if isinstance(node, ast.Assign) and getattr(node.targets[0], "id", "") == "DOCUMENTATION":
            found: dict[str, Any] = yaml.safe_load(ast.literal_eval(node.value))["options"]
            return found
    raise AssertionError(f"{module} has no DOCUMENTATION")


MODULES = {f"gx10.serving.{path.stem}": options(path) for path in ROOT.glob("plugins/modules/*.py")}


def tasks(document: Any) -> Iterator[dict[str, Any]]:
    """Everything in a file that calls one of the modules."""
    if isinstance(document, list):
        for item in document:
            yield from tasks(item)
    elif isinstance(document, dict):
        if MODULES.keys() & document.keys():
            yield document
        for value in document.values():
            yield from tasks(value)


def test_there_are_tasks() -> None:
    found = {module for path in FILES for task in tasks(yaml.safe_load(path.read_text())) for module in MODULES.keys() & task.keys()}
    assert found | {"gx10.serving.background_info"} == set(MODULES), "a module that nobody calls"


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_task_gives_its_module_what_it_needs(path: Path) -> None:
    for task in tasks(yaml.safe_load(path.read_text())):
        (module,) = MODULES.keys() & task.keys()
        required = {name for name, option in MODULES[module].items() if option.get("required")}
        assert required <= set(task[module]) <= set(MODULES[module]), f"{task.get('name')}: {module}"


ROLES = [path.name for path in (ROOT / "roles").iterdir() if path.is_dir()]


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_keeps_to_itself_nobody_else_reads(role: str) -> None:
    for path in [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("roles/*/**/*.yml"), *ROOT.glob("plugins/**/*.py")]:
        if f"roles/{role}/" not in str(path):
            assert f"__{role}_" not in path.read_text(), f"{path}: reads what role {role} keeps to itself"
