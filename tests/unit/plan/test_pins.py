"""Trust on first use: what was recorded is held, and a record that cannot be read is never a first use."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _context, _pins, _resolve, _sources, _weights
from conftest import edited, hostvars

ONE, TWO = "a" * 64, "b" * 64


def write(pins: Path, file: dict[str, str]) -> Path:
    """As the module node_files does."""
    path = pins / file["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(file["content"]))
    return path


def definition(tmp_path: Path, **wheels: str | None) -> Any:
    folder = tmp_path / "images/small"
    folder.mkdir(parents=True, exist_ok=True)
    named = {f"{name}-1-py3-none-any.whl": value for name, value in wheels.items()}
    return {"name": "small", "folder": str(folder), "requirements": None, "base": "base:1", "wheels": named, "lineage": []}


def read(tmp_path: Path, about: Any) -> Any:
    return _context.inputs(about, str(tmp_path / "wheels"), _manifest.HashCache(str(tmp_path / "cache.json")), str(tmp_path / "pins"))


def test_a_wheel_without_a_hash_is_recorded_at_its_first_use_and_then_held(tmp_path: Path) -> None:
    wheel = tmp_path / "wheels/small/one-1-py3-none-any.whl"
    wheel.parent.mkdir(parents=True)
    wheel.write_bytes(b"a wheel")
    about = definition(tmp_path, one=None)
    first = read(tmp_path, about)
    assert first["altered"] == [] and first["held"]["wheels"] == {}
    path = write(tmp_path / "pins", _pins.image_file("small", first["held"], first["inputs"], "base:1", "sha256:" + ONE))
    assert "Trust on first use" in path.read_text(), "whoever reads it learns what it is worth"
    again = read(tmp_path, about)
    assert again["altered"] == [] and again["held"]["base"] == {"reference": "base:1", "id": "sha256:" + ONE}
    wheel.write_bytes(b"another wheel of the same name")
    (line,) = read(tmp_path, about)["altered"]
    assert line.startswith(f"{wheel}: found SHA-256 ") and line.endswith(f", as first used ({path})")
    # A hash that somebody wrote into image.yml counts before the record.
    wanted = next(item["sha256"] for item in read(tmp_path, about)["inputs"] if item["path"].endswith(".whl"))
    assert read(tmp_path, definition(tmp_path, one=wanted))["altered"] == []
    wheel.unlink()
    assert read(tmp_path, about)["missing"] == [wheel.name] and read(tmp_path, about)["altered"] == []


def test_a_wheel_of_another_version_is_a_first_use_and_the_older_one_stays_held(tmp_path: Path) -> None:
    held: Any = {"path": "p", "base": {}, "wheels": {"one-1-py3-none-any.whl": ONE}, "problem": ""}
    inputs: Any = [{"path": "wheels/one-2-py3-none-any.whl", "size": 1, "sha256": TWO}, {"path": "Dockerfile", "size": 1, "sha256": ONE}]
    document = json.loads(base64.b64decode(_pins.image_file("small", held, inputs, None, "")["content"]))
    assert document["wheels"] == {"one-1-py3-none-any.whl": ONE, "one-2-py3-none-any.whl": TWO}
    assert "base" not in document, "a definition made it: its inputs are held"


@pytest.mark.parametrize("text", ["", "[]", "{", '{"wheels": {"a": "no hash"}}', '{"wheels": 1}', '{"base": 1}', None])
def test_a_record_that_cannot_be_read_is_no_first_use(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "images/small.json"
    path.parent.mkdir()
    path.symlink_to("nowhere") if text is None else path.write_text(text)
    held = _pins.image(str(tmp_path), "small")
    assert held["problem"].startswith(f"{path}: found ") and held["wheels"] == {}
    assert _pins.image(str(tmp_path), "other")["problem"] == ""


@pytest.mark.parametrize("other", ["one-1-1-py3-none-any.whl", "One-1-py3-none-linux_aarch64.whl", "one-1-py2.py3-none-any.whl"])
def test_another_build_of_a_recorded_wheel_is_refused_beside_it_and_in_its_place(tmp_path: Path, other: str) -> None:
    """pip and uv prefer a build tag to none, and a platform to any."""
    wheels = tmp_path / "wheels/small"
    wheels.mkdir(parents=True)
    (wheels / "one-1-py3-none-any.whl").write_bytes(b"a wheel")
    about = definition(tmp_path)
    first = read(tmp_path, about)
    write(tmp_path / "pins", _pins.image_file("small", first["held"], first["inputs"], None, ""))
    assert read(tmp_path, about)["altered"] == []
    (wheels / other).write_bytes(b"another")
    for _where in ("beside it", "in its place"):
        (line,) = read(tmp_path, about)["altered"]
        assert line.startswith(f"{wheels / other}: found another build of one-1-py3-none-any.whl; wanted that one alone, as first used (")
        (wheels / "one-1-py3-none-any.whl").unlink(missing_ok=True)
    # image.yml names it: somebody has decided so.
    assert read(tmp_path, {**about, "wheels": {other: None}})["altered"] == []


@pytest.mark.parametrize("repo", ["a--b/c", "a/b--c", "a/--b"])
def test_a_repository_whose_record_would_be_anothers_is_refused(repo: str) -> None:
    variables = hostvars()
    sources = edited(_sources.read("sim-tiny-solo"), model={"repo": repo, "served_name": "m"})
    found = _resolve.resolve(sources, variables, list(variables))
    assert any("model.repo" in problem for problem in found["problems"]), found["problems"]
    assert not _weights.REPO.fullmatch(repo)
