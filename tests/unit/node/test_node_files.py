"""A folder's small files: exactly these, or these beside others; in the order given, with their modes, and no change the second time."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.gx10.serving.plugins.modules import node_files
from conftest import ROOT


def run(capsys: pytest.CaptureFixture[str], path: Path, files: dict[str, str], **options: Any) -> dict[str, Any]:
    """What the module answers."""
    listed = [{"path": name, "content": base64.b64encode(text.encode()).decode(), "mode": "0600"} for name, text in files.items()]
    with patch_module_args({"path": str(path), "files": listed, **options}), pytest.raises(SystemExit):
        node_files.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_it_makes_the_folder_exactly_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "old").write_text("")
    assert run(capsys, tmp_path, {"b/c": "new", "a": "text"})["actions"] == [
        f"write {tmp_path}/b/c", f"write {tmp_path}/a", f"remove {tmp_path}/old",
    ]  # fmt: skip
    assert (tmp_path / "b" / "c").read_text() == "new"
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600
    assert not run(capsys, tmp_path, {"a": "text", "b/c": "new"})["changed"]


def test_beside_others_it_leaves_them(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "other").write_text("kept")
    answer = run(capsys, tmp_path, {"a": "text"}, exclusive=False)
    assert (answer["changed"], (tmp_path / "other").read_text(), (tmp_path / "a").read_text()) == (True, "kept", "text")
    assert not run(capsys, tmp_path, {"a": "text"}, exclusive=False)["changed"]


def test_without_a_file_the_folder_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    before = os.umask(0o077)
    try:
        assert run(capsys, tmp_path / "run" / "x", {}, exclusive=False)["changed"]
    finally:
        os.umask(before)
    assert (tmp_path / "run" / "x").stat().st_mode & 0o777 == 0o755
    assert not run(capsys, tmp_path / "run" / "x", {}, exclusive=False)["changed"]


def test_what_shall_not_be_there_goes_with_the_rest_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("gone", "other"):
        (tmp_path / name).write_text("")
    options = {"exclusive": False, "absent": ["gone", "never"]}
    assert run(capsys, tmp_path, {}, _ansible_check_mode=True, **options)["actions"] == [f"remove {tmp_path}/gone"]
    assert run(capsys, tmp_path, {}, **options)["changed"]
    assert [path.name for path in tmp_path.iterdir()] == ["other"]
    assert not run(capsys, tmp_path, {}, **options)["changed"]


def test_in_check_mode_nothing_is_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, tmp_path / "x", {"a": "text"}, _ansible_check_mode=True)["actions"] == [
        f"make {tmp_path}/x",
        f"write {tmp_path}/x/a",
    ]
    assert not (tmp_path / "x").exists()


def test_a_path_outside_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(capsys, tmp_path, {"../a": "text"})["failed"]
    assert not (tmp_path.parent / "a").exists()


def test_a_private_folder_and_its_parent_are_their_owners(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A container that is root in the folder can change the folder's own mode, not that of the one around it."""
    root = tmp_path / "run" / "x"

    def modes() -> list[int]:
        return [path.stat().st_mode & 0o7777 for path in (root.parent, root)]

    assert run(capsys, root, {"a": "text"}, exclusive=False, private=True)["changed"]
    assert modes() == [0o700, 0o700]
    assert not run(capsys, root, {"a": "text"}, exclusive=False, private=True)["changed"]
    # As an older release made it.
    root.parent.chmod(0o755)
    assert run(capsys, root, {"a": "text"}, exclusive=False, private=True, _ansible_check_mode=True)["changed"] and modes()[0] == 0o755
    assert run(capsys, root, {"a": "text"}, exclusive=False, private=True)["actions"] == [f"close {root.parent} to others"]
    assert modes() == [0o700, 0o700]


@pytest.mark.parametrize("name", ["a", "a.new"])
def test_what_a_container_left_in_a_files_place_is_replaced(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    outer, root = tmp_path / "outer", tmp_path / "run"
    outer.write_text("text")
    root.mkdir()
    for leave in (Path.mkdir, os.mkfifo, lambda path: path.symlink_to(outer), lambda path: (path / "b").mkdir(parents=True)):
        leave(root / name)
        answer = run(capsys, root, {"a": "text"}, exclusive=False)
        assert answer["changed"] and "text" not in answer["diff"][0]["before"]
        assert (root / "a").read_text() == "text" and not (root / "a").is_symlink() and not (root / "a.new").exists()
        (root / "a").unlink()
    assert outer.read_text() == "text"


def test_the_run_folder_of_an_engine_is_private() -> None:
    tasks = yaml.safe_load((ROOT / "roles/engine/tasks/replace.yml").read_text())
    (task,) = [one["gx10.serving.node_files"] for one in tasks if "Make the run folder" in one["name"]]
    assert task["private"] is True
