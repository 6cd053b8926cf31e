"""Links of a node's checkpoint: what an engine's container does not follow, and what is exchanged between a look and a read."""

from __future__ import annotations

import json
import shutil
import struct
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest, _paths

SHARD = "model-00001-of-00001.safetensors"


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A small checkpoint that is whole."""
    folder = tmp_path / "copy"
    folder.mkdir()
    (folder / "config.json").write_text("{}")
    (folder / SHARD).write_bytes(struct.pack("<Q", 2) + b"{}")
    (folder / _manifest.INDEX).write_text(json.dumps({"weight_map": {"a": SHARD}}))
    return folder


def models(top: Path, whole: Path) -> tuple[Path, Path]:
    """A models root with one checkpoint in it, and a hub's cache with a snapshot of the same files."""
    root, hub = top / "srv/models", top / "home/me/hub/models--org--name"
    shutil.copytree(whole, root / "org/name")
    (hub / "blobs").mkdir(parents=True)
    (hub / "snapshots/main").mkdir(parents=True)
    for number, item in enumerate(sorted(whole.iterdir())):
        blob = hub / "blobs" / f"{number:064x}"
        blob.write_bytes(item.read_bytes())
        (hub / "snapshots/main" / item.name).symlink_to(f"../../blobs/{blob.name}")
    return root, hub


def elsewhere(root: Path) -> Path:
    """The same folder as a container has it: at another path, and nothing else of the node."""
    (root.parents[1] / "root/.cache").mkdir(parents=True)
    return root.rename(root.parents[1] / "root/.cache/huggingface")


@pytest.mark.parametrize("kind", ["blobs of a home", "a snapshot of a home", "absolute within", "up and back", "the organization"])
def test_a_link_that_no_container_follows_is_no_file_of_a_node(copy: Path, tmp_path: Path, kind: str) -> None:
    """13.21: on a node they are there, in the engine's container they dangle."""
    root, hub = models(tmp_path, copy)
    folder, moved = root / "org/name", tmp_path / "moved"
    if kind == "blobs of a home":
        for item in (hub / "snapshots/main").iterdir():
            (folder / item.name).unlink()
            (folder / item.name).symlink_to(item.resolve())
    elif kind == "absolute within":
        (folder / SHARD).rename(folder / "shard")
        (folder / SHARD).symlink_to(folder / "shard")
    elif kind == "up and back":
        (folder / SHARD).rename(folder / "shard")
        (folder / SHARD).symlink_to("../../../models/org/name/shard")
    else:
        linked = {"a snapshot of a home": folder, "the organization": root / "org"}[kind]
        linked.rename(moved)
        linked.symlink_to(hub / "snapshots/main" if kind == "a snapshot of a home" else moved)
    assert _manifest.scan(str(folder))["problems"] == [], "without a container they are files"
    found = _manifest.scan(str(folder), mounted=str(root))
    about = [text for text in found["problems"] if "which an engine's container does not see: it has" in text]
    assert about and all("itself, or relative links within" in text and "Put a copy there (cp -rL)" in text for text in about)
    wanted = _manifest.scan(str(copy))
    listed = {item["path"] for item in found["files"]}
    if about[0].startswith(SHARD):
        (lacking,) = _manifest.compare(wanted, found)
        assert (lacking["path"], lacking["why"]) == (SHARD, "a link that no engine sees")
    # The proof: what is not listed cannot be opened from the container's place, what is listed can.
    seen = elsewhere(root) / "org/name"
    hub.rename(tmp_path / "not-mounted")
    if moved.exists():
        moved.rename(tmp_path / "away")
    assert {item["path"] for item in wanted["files"] if (seen / item["path"]).exists()} == listed - {"shard"}


def test_relative_links_within_the_models_root_are_seen_by_a_container(copy: Path, tmp_path: Path) -> None:
    """Healthy: a cache within the root, a folder that is a link to its snapshot, links of files to its blobs, a root that is a link."""
    root, hub = models(tmp_path, copy)
    (root / "hub").mkdir()
    inner = hub.rename(root / "hub/models--org--name")
    (root / "org/linked").symlink_to("../hub/models--org--name/snapshots/main")
    (root / "org/blobs").mkdir()
    for item in (inner / "snapshots/main").iterdir():
        (root / "org/blobs" / item.name).symlink_to(f"../../hub/models--org--name/blobs/{item.resolve().name}")
    (root / "org/neighbour").mkdir()
    for item in copy.iterdir():
        shutil.copy(item, root / "org/neighbour")
    (root / "org/neighbour/sub").mkdir()
    (root / "org/neighbour/original").symlink_to("sub")
    (tmp_path / "root-link").symlink_to(root)
    wanted = _manifest.scan(str(copy))
    for top in (root, tmp_path / "root-link"):
        for name in ("name", "linked", "blobs", "neighbour"):
            assert _manifest.scan(str(top / "org" / name), mounted=str(top)) == wanted, (top, name)


@pytest.mark.parametrize("when", ["before the hashes", "before the header", "before the index"])
def test_a_folder_that_is_exchanged_for_a_link_after_the_look_is_not_read(
    copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """13.16: whoever owns a folder of the checkpoint, and is not root, exchanges it at the worst moment."""
    parts = copy / "sub"
    parts.mkdir()
    shutil.copy(copy / SHARD, parts / "more.safetensors")
    outer = tmp_path / "outer"
    outer.mkdir()
    (outer / "more.safetensors").write_text("a secret")
    name = "check_file" if when == "before the header" else "check_complete"
    if when == "before the index":
        parts = copy
        shutil.copytree(copy, outer, dirs_exist_ok=True)
    original = getattr(_manifest, name)

    def exchanged(*given: Any) -> Any:
        if not parts.is_symlink() and (name != "check_file" or "sub/" in given[1]):
            parts.rename(tmp_path / "old")
            parts.symlink_to(outer)
        return original(*given)

    monkeypatch.setattr(_manifest, name, exchanged)
    with pytest.raises(_paths.Refusal, match=f"{parts}/.*: found {outer}/.* in its place while it was read; wanted that file"):
        _manifest.scan(str(copy))
