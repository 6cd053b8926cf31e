"""The secret of launches: none, a good one, and those with which everybody or somebody else could join a group."""

from __future__ import annotations

from pathlib import Path

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _secret
from conftest import launch

GOOD = "0123456789abcdefABCDEF0123456789" * 2


@pytest.mark.parametrize("mode", [0o600, 0o400])
@pytest.mark.parametrize("end", ["", "\n"])
def test_none_and_a_good_one_are_no_problem(tmp_path: Path, mode: int, end: str) -> None:
    assert _secret.problems(str(tmp_path)) == _secret.problems(str(tmp_path / "not there")) == []
    path = tmp_path / _secret.NAME
    path.write_text(GOOD + end)
    path.chmod(mode)
    assert _secret.problems(str(tmp_path)) == []


@pytest.mark.parametrize(
    ("text", "mode", "found"),
    [
        *[(text, 0o600, f"{len(text)} characters") for text in ("", "abc", GOOD[:-1], GOOD + "0", "g" * 64, GOOD + " salt=x")],
        *[(GOOD, mode, f"mode {mode:04o}") for mode in (0o644, 0o640, 0o602)],
    ],
)
def test_each_fault_is_told_and_the_secret_is_not(tmp_path: Path, text: str, mode: int, found: str) -> None:
    path = tmp_path / _secret.NAME
    path.write_text(text)
    path.chmod(mode)
    (problem,) = _secret.problems(str(tmp_path))
    assert (problem.where, problem.found) == (str(path), found)
    assert not text or text not in str(problem)


@pytest.mark.parametrize(("name", "needed"), [("sim-tiny-tp2", True), ("nemotron3-super-sglang", True), ("sim-tiny-solo", False)])
def test_a_launch_of_one_node_without_ray_needs_none(name: str, needed: bool) -> None:
    assert _secret.needed(launch(name)) is needed


def test_what_is_no_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / _secret.NAME).mkdir()
    assert [problem.found for problem in _secret.problems(str(tmp_path))] == ["a folder"]
