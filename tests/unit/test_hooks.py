"""The hooks of a commit are steps of tools/lint, and fetch nothing."""

from __future__ import annotations

import re

import pytest
import yaml
from conftest import ROOT

(REPO,) = yaml.safe_load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
STEPS = re.findall(r"^    ([a-z-]+)\)", (ROOT / "tools/lint").read_text(), re.MULTILINE)


@pytest.mark.parametrize("hook", REPO["hooks"], ids=lambda hook: str(hook["id"]))
def test_a_hook_is_a_step_of_lint(hook: dict[str, str]) -> None:
    assert (REPO["repo"], hook["language"]) == ("local", "system")
    command, step = hook["entry"].split()
    assert (command, step) == ("tools/lint", hook["id"])
    assert step in STEPS


def test_the_steps_are_those_that_run_without_a_name() -> None:
    assert f"set -- {' '.join(STEPS)}\n" in (ROOT / "tools/lint").read_text()
