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


@pytest.mark.parametrize("end", ["", "\n", "\r\n"])
def test_the_notifiers_secret_is_any_line_or_a_vault(tmp_path: Path, end: str) -> None:
    path = tmp_path / "hook"
    for text in ("T00/B00/abc", "x" * 4096, "$ANSIBLE_VAULT;1.1;AES256\n6162\n6364"):
        path.write_bytes((text + end).encode())
        path.chmod(0o600)
        assert _secret.of_notifier(str(path)) == []
        # A manager of secrets may have it elsewhere.
        (tmp_path / "link").unlink(missing_ok=True)
        (tmp_path / "link").symlink_to(path)
        assert _secret.of_notifier(str(tmp_path / "link")) == []


@pytest.mark.parametrize(
    ("text", "mode", "found", "code"),
    [
        ("", 0o600, "another text of 0 bytes", "wrong-secret"),
        ("two words", 0o600, "another text of 9 bytes", "wrong-secret"),
        ("one\ntwo", 0o600, "another text of 7 bytes", "wrong-secret"),
        ("é" * 5, 0o600, "another text of 10 bytes", "wrong-secret"),
        ("x" * 4097, 0o600, "another text of 4097 bytes", "wrong-secret"),
        ("x" * 70_000, 0o600, "70000 bytes", "too-large"),
        ("abc", 0o640, "mode 0640", "open-secret"),
        ("abc", 0o604, "mode 0604", "open-secret"),
        (None, 0, "nothing", "not-a-file"),
    ],
)
def test_a_notifiers_secret_that_would_fail_on_the_head_is_told_and_not_shown(
    tmp_path: Path, text: str | None, mode: int, found: str, code: str
) -> None:
    path = tmp_path / "hook"
    if text is not None:
        path.write_text(text, encoding="utf-8", newline="")
        path.chmod(mode)
    (problem,) = _secret.of_notifier(str(path))
    assert (problem.where, problem.key, problem.found, problem.code) == (str(path), "gx10_notify_secret_file", found, code)
    assert not text or text not in str(problem)


@pytest.mark.parametrize(("name", "needed"), [("sim-tiny-tp2", True), ("nemotron3-super-sglang", True), ("sim-tiny-solo", False)])
def test_a_launch_of_one_node_without_ray_needs_none(name: str, needed: bool) -> None:
    assert _secret.needed(launch(name)) is needed


def test_what_is_no_file_is_a_problem(tmp_path: Path) -> None:
    (tmp_path / _secret.NAME).mkdir()
    assert [problem.found for problem in _secret.problems(str(tmp_path))] == ["a folder"]
