"""SECURITY.md's table: every rule has a test that exists, or says why it is absent; and what is accepted is written down."""

from __future__ import annotations

import importlib.machinery
import importlib.util
import re
import sys
from pathlib import Path
from typing import Any

from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources
from conftest import ROOT, hostvars

TEXT = (ROOT / "SECURITY.md").read_text()
CELLS = [[cell.strip() for cell in line.strip("| ").split("|")] for line in TEXT.splitlines()]
ROWS = {cells[0]: cells[1:] for cells in CELLS if re.fullmatch(r"[SLF]\d+", cells[0])}
# Refused by its own limits.
UNPLANNED = "qwen397-mtp5"


def test_every_rule_has_its_test_or_says_why_not() -> None:
    assert list(ROWS) == [*(f"S{number}" for number in range(1, 22)), "L1", "L2", "L3", "F1"]
    for rule, (_what, where, tests) in ROWS.items():
        named = re.findall(r"`([\w./]+)::(\w+)`", tests)
        if not named:
            assert re.match(r"absent, because \w", tests), rule
        assert where
        for path, name in named:
            assert re.search(rf"^def {name}\(", (ROOT / path).read_text(), re.MULTILINE), f"{rule}: {path}::{name}"
        # Nothing else in the cell looks like a test and is none.
        assert tests.count("::") == len(named), rule


def mutants() -> Any:
    loader = importlib.machinery.SourceFileLoader("security_mutants", str(ROOT / "tools/security-mutants"))
    spec = importlib.util.spec_from_loader("security_mutants", loader)
    assert spec
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    loader.exec_module(module)
    return module


def test_every_default_has_a_damage_that_was_noticed() -> None:
    """The whole run takes minutes: here is that nothing is left out, that each default is still there, and what the last run wrote."""
    tool = mutants()
    wanted = {rule for rule, tests in tool.rows().items() if tests}
    assert {mutant.rule for mutant in tool.MUTANTS} == wanted == ROWS.keys()
    page = (ROOT / "docs/security.md").read_text()
    for mutant in tool.MUTANTS:
        assert mutant.old in (ROOT / mutant.path).read_text(), mutant
        assert mutant.old != mutant.new
    assert len(re.findall(r"^\| [SLF]\d+ \| .* \| yes \|$", page, re.MULTILINE)) == len(tool.MUTANTS)
    assert "**no**" not in page and re.search(r"Written by `tools/security-mutants --write` on \d{4}-\d\d-\d\d\.", page)


def test_a_damage_is_noticed_in_a_copy_and_nowhere_else(tmp_path: Path) -> None:
    tool = mutants()
    tree = tool.copy(tmp_path)
    (mutant,) = [one for one in tool.MUTANTS if one.rule == "S20"]
    tests = tool.rows()["S20"]
    before = (ROOT / mutant.path).read_text()
    assert tool.passes(tree, tests)
    assert tool.tried(tree, mutant, tests)
    # One that changes nothing is not noticed.
    assert not tool.tried(tree, tool.Mutant("S20", mutant.path, mutant.old, mutant.old), tests)
    assert (ROOT / mutant.path).read_text() == before == (tree / mutant.path).read_text()


def test_what_the_profiles_deviate_from_is_written_down() -> None:
    """Docker's CIS benchmark: each deviation of a plan with its number and reason."""
    accepted = set(re.findall(r"^\| CIS (5\.\d+) \| .{10,} \| .{20,} \|$", TEXT, re.MULTILINE))
    needed = {"5.11", "5.13"}
    for name in sorted(path.stem for path in (ROOT / "model_profiles").glob("*.yml") if path.stem != UNPLANNED):
        variables = hostvars(gx10_container_options={"runtime": "nvidia", "devices": ["/dev/infiniband"]})
        plan = _resolve.resolve(_sources.read(name), variables, list(variables), None, True)["plan"]
        assert plan
        options = plan["nodes"][0]["container"]["options"]
        needed |= {"5.10"} if options.get("network") == "host" else set()
        needed |= {"5.17"} if options["ipc"] == "host" else set()
        needed |= {"5.18"} if options.get("devices") else set()
    assert accepted == needed
