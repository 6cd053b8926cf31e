"""Every task gives the collection's modules what they need, and nothing that they do not know; ansible-lint does not see it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.filter import internal
from conftest import ROOT

FILES = sorted([*ROOT.glob("playbooks/**/*.yml"), *ROOT.glob("roles/*/*/*.yml"), *ROOT.glob("molecule/**/*.yml")])


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


def test_every_filter_that_a_file_names_is_there() -> None:
    known = {"resolve", "commands", *internal.FilterModule().filters()}
    named = {name for path in FILES for name in re.findall(r"\|\s*gx10\.serving\.(\w+)", path.read_text())}
    assert named <= known
    assert known - named == set(), "a filter that nobody uses"


ROLES = [path.name for path in (ROOT / "roles").iterdir() if path.is_dir()]


@pytest.mark.parametrize("role", ROLES)
def test_what_a_role_keeps_to_itself_nobody_else_reads(role: str) -> None:
    for path in [*ROOT.glob("playbooks/*.yml"), *ROOT.glob("roles/*/**/*.yml"), *ROOT.glob("plugins/**/*.py")]:
        if f"roles/{role}/" not in str(path):
            assert f"__{role}_" not in path.read_text(), f"{path}: reads what role {role} keeps to itself"


def texts(value: Any) -> Iterator[str]:
    """Every text in a document; of the keys of mappings only what is templated."""
    if isinstance(value, str):
        yield value
    if isinstance(value, dict):
        yield from (key for key in value if "{{" in key)
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from texts(item)


def closure(role: Path, entry: str) -> list[Any]:
    """The documents of an entry point: its tasks, those that they include from the role, and the templates of a role that has some."""
    names, found = [f"{entry}.yml"], []
    for name in names:
        text = (role / "tasks" / name).read_text()
        found.append(yaml.safe_load(text))
        names += [one for one in re.findall(r"(?:include|import)_tasks: (\w+\.yml)", text) if one not in names]
        if "ansible.builtin.template:" in text:
            found += [path.read_text() for path in role.glob("templates/*")]
    return found


def inputs(role: Path, entry: str) -> set[str]:
    """The role's variables that an entry point reads, by way of its private ones too, and does not set itself."""
    path = role / "vars/main.yml"
    given = yaml.safe_load(path.read_text()) if path.exists() else {}
    tasks_ = closure(role, entry)
    made = {
        name
        for document in tasks_
        for task in walk(document)
        for name in [task.get("register"), *(task.get("ansible.builtin.set_fact") or {}), *(task.get("vars") or {})]
    }
    ours = re.compile(rf"(?<![\w.'])(?:__)?{role.name}_\w+(?!\w|=[^=])")
    seen: set[str] = set()
    ahead = {name for document in tasks_ for text in texts(document) for name in ours.findall(text)}
    while ahead - seen:
        name = (ahead - seen).pop()
        seen.add(name)
        if name not in made:
            ahead |= {found for text in texts(given.get(name)) for found in ours.findall(text)}
    return {name for name in seen - made if not name.startswith("__")}


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every mapping in a document."""
    if isinstance(value, dict):
        yield value
    for item in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from walk(item)


ENTRIES = [
    (path.parents[1].name, entry)
    for path in sorted(ROOT.glob("roles/*/meta/argument_specs.yml"))
    for entry in yaml.safe_load(path.read_text())["argument_specs"]
]


@pytest.mark.parametrize(("role", "entry"), ENTRIES)
def test_an_entry_point_names_all_its_inputs_and_no_other(role: str, entry: str) -> None:
    folder = ROOT / "roles" / role
    specs = yaml.safe_load((folder / "meta/argument_specs.yml").read_text())["argument_specs"]
    assert set(specs[entry].get("options", {})) == inputs(folder, entry)


@pytest.mark.parametrize("path", [path for path in FILES if "molecule" not in path.parts], ids=lambda path: str(path.relative_to(ROOT)))
def test_a_line_break_is_one(path: Path) -> None:
    """In a folded text Ansible leaves a backslash as it is, and the user reads it: only between double quotes it is a line break."""
    assert [text for text in texts(yaml.safe_load(path.read_text())) if "'\\n" in text] == []
