"""What runs that ended early leave: found by its name, its age and its owner, and never while somebody writes it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _left, _lock

OURS = (
    "current.json.new", "hashes.json.123", "run/name/status.json.new", "manifests/a--b.json.new", "registry/images.json.new",
    "registry/docker/registry/v2/.incoming.7", "registry/docker/registry/v2/repositories/n/_manifests/tags/t/link.new",
    "fanout/run/state.json.new", "sbom/x.json.new",
)  # fmt: skip
# Of a mod, of a build's context, of the program itself, and what has its name already.
OTHERS = ("supervisor/mods/m/patch.new", "build/image/x.new", "fanout/program/local.new", "current.json", "hashes.json", "run/n/ray_token")


@pytest.fixture
def state(tmp_path: Path) -> Path:
    for name in (*OURS, *OTHERS):
        lay(tmp_path / "state" / name)
    return tmp_path / "state"


def lay(path: Path, age: float = 3600) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("x")
    os.utime(path, (time.time() - age,) * 2)


def names(state: Path) -> list[str]:
    return [str(Path(item["path"]).relative_to(state)) for item in _left.files(str(state))]


def keys(state: Path) -> list[dict[str, str]]:
    """As a look names them."""
    return [{"path": item["path"], "which": item["which"]} for item in _left.files(str(state))]


def test_files_that_never_got_their_name_are_found_and_no_others(state: Path) -> None:
    assert names(state) == sorted(OURS)
    assert _left.files(str(state / "nowhere")) == []


def test_a_file_that_is_open_counts_where_its_process_closes_another(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A descriptor that is gone between two looks says nothing of the others."""
    path, real = state / "current.json.new", os.listdir
    with path.open() as file:

        def listing(folder: Any) -> Any:
            found = real(folder)
            # The first of them is no descriptor any more.
            return ["999999", *found] if folder == f"/proc/{os.getpid()}/fd" else found

        monkeypatch.setattr(os, "listdir", listing)
        assert not file.closed
        assert "current.json.new" not in names(state)
    assert "current.json.new" in names(state)


def test_what_is_young_a_link_or_another_user_s_is_left(state: Path) -> None:
    lay(state / "current.json.new", age=_left.OLD_SECONDS - 60)
    (state / "sbom/x.json.new").unlink()
    (state / "sbom/x.json.new").symlink_to("/etc/passwd")
    os.utime(state / "sbom/x.json.new", (0, 0), follow_symlinks=False)
    lay(state.parent / "outside/x.new")
    (state / "run/link").symlink_to(state.parent / "outside")
    (state / "manifests/folder.new").mkdir()
    os.utime(state / "manifests/folder.new", (0, 0))
    wanted = set(OURS) - {"current.json.new", "sbom/x.json.new"}
    if os.geteuid() == 0:
        os.chown(state / "hashes.json.123", 12345, 12345)
        wanted -= {"hashes.json.123"}
    assert set(names(state)) == wanted


def test_what_a_process_has_open_is_left(state: Path) -> None:
    """In another process, by another path, as in a container."""
    path = state / "run/name/status.json.new"
    seen = [item for item in keys(state) if item["path"] == str(path)]
    assert seen
    os.link(path, state.parent / "elsewhere")
    program = "import sys; file = open(sys.argv[1]); print(flush=True); sys.stdin.read()"
    argv = [sys.executable, "-c", program, str(state.parent / "elsewhere")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout and child.stdout.readline()
        assert "run/name/status.json.new" not in names(state)
        assert _left.remove(str(state), seen, check=False) == []
        assert path.exists()
        child.communicate(b"")
    assert "run/name/status.json.new" in names(state)


def test_only_what_was_named_and_still_is_left_over_is_removed(state: Path) -> None:
    one, other = str(state / "current.json.new"), str(state / "sbom/x.json.new")
    seen = [item for item in keys(state) if item["path"] in (one, other)]
    seen += [{"path": str(state / name), "which": "1:1"} for name in ("current.json", "supervisor/mods/m/patch.new", "gone.new")]
    # Another one got its name meanwhile, and a clock that jumped made it old.
    lay(Path(other), age=7200)
    assert _left.remove(str(state), seen, check=True) == [one]
    assert Path(one).exists()
    assert _left.remove(str(state), seen, check=False) == [one]
    assert _left.remove(str(state), seen, check=False) == []
    assert set(names(state)) == set(OURS) - {"current.json.new"}
    assert all((state / name).exists() for name in OTHERS)


def test_a_program_that_runs_keeps_its_folder(state: Path) -> None:
    work = state / "fanout/run"
    assert _left.works(str(state)) == [str(work)]
    argv = [sys.executable, "-c", "import sys; print(flush=True); sys.stdin.read()", str(work / "job.json")]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout and child.stdout.readline()
        (work / "state.json").write_text(json.dumps({"pid": child.pid}))
        assert _left.works(str(state)) == []
        child.communicate(b"")
    assert _left.works(str(state)) == [str(work)]


def test_the_rest_of_the_look(state: Path, tmp_path: Path) -> None:
    (tmp_path / "models/org/name/.gx10").mkdir(parents=True)
    (tmp_path / "models/org/other").mkdir()
    found = _left.look(str(state), str(tmp_path / "models"), 7.0)
    assert (found["stages"], found["lock"], found["clock"]["asked"]) == (["org/name"], None, 7.0)
    assert abs(found["clock"]["here"] - time.time()) < 60


def test_the_lock_is_told_without_what_renews_it(tmp_path: Path) -> None:
    holder: dict[str, Any] = {"run": "r", "token": "t", "control": "c", "pid": 7, "started": "1", "purpose": "serve", "lease": 60}
    (tmp_path / "lock.json").write_text(json.dumps({**holder, **_lock.stamp()}))
    found = _left.lock(str(tmp_path / "lock.json"))
    assert found and found["error"] == ""
    assert found["age"] < 60
    assert found["holder"] == {key: value for key, value in holder.items() if key != "token"}
    # One of an earlier release says only when it was renewed; what is no time counts as none.
    for since, seconds in ((None, 0.0), ("x", 0.0), (_lock.stamp()["renewed"] - 300, 300.0)):
        (tmp_path / "lock.json").write_text(json.dumps({**holder, **_lock.stamp(), "since": since}))
        again = _left.lock(str(tmp_path / "lock.json"))
        assert again and again["holder"] == found["holder"]
        assert seconds <= again["held"] < seconds + 60
    (tmp_path / "lock.json").write_text("{}")
    assert _left.lock(str(tmp_path / "lock.json")) == {"error": "'{}'"}
