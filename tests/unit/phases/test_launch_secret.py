"""The launch's secret on the control node: made at its first use, and refused where it is none or others may know it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.phases import _engine
from conftest import ROOT

sys.path.insert(0, str(ROOT / "roles/engine/files/supervisor"))
import wire


@pytest.mark.parametrize(
    ("text", "mode", "found"),
    [
        ("", 0o600, "a secret of 0 bytes; wanted at least 32"),
        ("\n", 0o600, "a secret of 0 bytes"),
        ("abc\n", 0o600, "a secret of 3 bytes"),
        ("a" * 64, 0o644, "mode 0644; wanted mode 0600"),
        ("a" * 64, 0o660, "mode 0660; wanted mode 0600"),
    ],
)
def test_a_secret_that_is_none_is_refused(tmp_path: Path, text: str, mode: int, found: str) -> None:
    (tmp_path / "ray_token").write_text(text)
    (tmp_path / "ray_token").chmod(mode)
    problem = _engine.secret_problem(str(tmp_path / "ray_token"))
    assert problem.startswith(f"{tmp_path}/ray_token: found {found}") and "Remove it and serve again" in problem


def test_a_good_one_and_none_yet_are_not(tmp_path: Path) -> None:
    assert _engine.secret_problem(str(tmp_path / "ray_token")) == ""
    (tmp_path / "ray_token").touch(0o600)
    (tmp_path / "ray_token").write_text("aB3" * 21 + "a\n")
    assert _engine.secret_problem(str(tmp_path / "ray_token")) == ""
    assert "found is a directory" in _engine.secret_problem(str(tmp_path))


def test_it_is_judged_before_anything_is_stopped_and_by_the_supervisor_alike() -> None:
    first = yaml.safe_load((ROOT / "roles/engine/tasks/replace.yml").read_text())[0]
    assert "_secret_problem" in first["vars"]["__problem"] and "ansible.builtin.fail" in first
    assert wire.SHORTEST == _engine.SECRET_BYTES
