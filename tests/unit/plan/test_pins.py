"""Trust on first use: what was recorded is held, and a record that cannot be read is never a first use."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _context, _pins

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
