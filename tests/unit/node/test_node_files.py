"""A folder's small files: exactly these, or these beside others; in the order given, with their modes, and no change the second time."""

from __future__ import annotations

import base64
import json
import os
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.gx10.serving.plugins.modules import node_files


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


@pytest.mark.parametrize("exclusive", [True, False])
@pytest.mark.parametrize("kind", ["folder", "link", "FIFO", "large", "folder.new"])
def test_what_a_container_left_in_a_files_place_is_replaced_unread(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str, exclusive: bool
) -> None:
    """A link to a file of the host would be read whole; a FIFO for ever."""
    root, elsewhere = tmp_path / "run", tmp_path / "elsewhere"
    root.mkdir()
    elsewhere.write_text("text")
    place = root / "a"
    if kind == "FIFO":
        os.mkfifo(place)
    elif kind == "link":
        place.symlink_to(elsewhere)
    elif kind == "large":
        place.touch()
        os.truncate(place, node_files.LARGEST + 1)
    else:
        (root / kind.replace("folder", "a")).mkdir()
        (root / kind.replace("folder", "a") / "x").write_text("")
    answer = run(capsys, root, {"a": "text"}, exclusive=exclusive)
    assert answer["changed"] and place.is_file() and not place.is_symlink()
    assert (place.read_text(), elsewhere.read_text()) == ("text", "text")
    assert not run(capsys, root, {"a": "text"}, exclusive=exclusive)["changed"]


def test_a_folders_mode_is_what_was_asked_for(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Also of a folder that an older release made."""
    for root in (tmp_path / "new", tmp_path):
        root.mkdir(exist_ok=True)
        root.chmod(0o755)
        assert run(capsys, root, {}, exclusive=False, mode="0700")["actions"] == [f"give {root} mode 0700"]
        assert root.stat().st_mode & 0o7777 == 0o700
        assert not run(capsys, root, {}, exclusive=False, mode="0700")["changed"]
    assert run(capsys, tmp_path / "x" / "y", {}, mode="0700")["changed"]
    assert (tmp_path / "x" / "y").stat().st_mode & 0o7777 == 0o700


@pytest.mark.parametrize("exclusive", [True, False])
def test_what_shall_go_goes_whatever_it_is(tmp_path: Path, capsys: pytest.CaptureFixture[str], exclusive: bool) -> None:
    """A group's record that is a folder would keep its head from starting, for ever."""
    (tmp_path / "link").symlink_to("nothing")
    os.mkfifo(tmp_path / "fifo")
    (tmp_path / "large").touch()
    os.truncate(tmp_path / "large", 17 * 1024**2)
    if not exclusive:
        (tmp_path / "folder").mkdir()
    names = sorted(path.name for path in tmp_path.iterdir())
    options: dict[str, Any] = {} if exclusive else {"exclusive": False, "absent": names}
    assert run(capsys, tmp_path, {}, **options)["actions"] == [f"remove {tmp_path}/{name}" for name in names]
    assert list(tmp_path.iterdir()) == []
    assert not run(capsys, tmp_path, {}, **options)["changed"]
