"""A stranger's layers and image folders: what is made to lead out of them is refused by name, and nothing outside is read or written."""

from __future__ import annotations

import base64
import gzip
import json
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _oci
from outer import CANARY, SEEDS, Watched, fifo, outside, snapshot, tells
from test_oci import CONFIG, DIFFS, docker_root, saved, sha


def retell(root: Path, change: Callable[[list[dict[str, Any]]], None]) -> None:
    """Change what tar-split recorded of the first layer."""
    path = root / "image/overlay2/layerdb" / _oci.chain_ids(DIFFS)[0].replace(":", "/") / "tar-split.json.gz"
    entries = [json.loads(line) for line in gzip.decompress(path.read_bytes()).splitlines()]
    change(entries)
    path.write_bytes(gzip.compress("\n".join(json.dumps(entry) for entry in entries).encode()))


@pytest.mark.parametrize("seed", SEEDS)
def test_a_strangers_layer(tmp_path: Path, seed: int) -> None:
    choose, outer, root, store = random.Random(seed), outside(tmp_path), docker_root(tmp_path / "docker"), tmp_path / "store"
    about = root / "image/overlay2/layerdb" / _oci.chain_ids(DIFFS)[0].replace(":", "/")
    content = root / "overlay2/cache0/diff/a"
    size = len(CANARY)

    def link() -> None:
        content.unlink()
        content.symlink_to(outer / "secret")

    def pipe() -> None:
        content.unlink()
        fifo(content)

    def named(name: str) -> Callable[[], None]:
        return lambda: retell(root, lambda entries: entries[1].update(name=name, size=size))

    raw = base64.b64encode(b"../../../../outer/secret").decode()
    changes: list[Callable[[], Any]] = [
        link,
        pipe,
        lambda: content.write_bytes(b"z" * 2**20),
        lambda: content.write_bytes(b"x" * (2**20 + 1)),
        named("../../../../outer/secret"),
        named(str(outer / "secret")),
        lambda: retell(root, lambda entries: entries[1].update(name_raw=raw)),
        lambda: retell(root, lambda entries: entries[1].update(size="9")),
        lambda: retell(root, lambda entries: entries.insert(0, {"type": 2, "payload": 7})),
        lambda: (about / "cache-id").write_text("../../outer"),
        lambda: (about / "tar-split.json.gz").write_bytes(b"\x1f\x8b" + b"\0" * 9),
    ]
    choose.choice(changes)()
    before, eyes = snapshot(outer), Watched(outer)
    with pytest.raises((OSError, ValueError), match=r"found |No such file|gzip"):
        _oci.ingest(str(store), str(root), sha(CONFIG), DIFFS)
    assert _oci.blobs(str(store)) == {}, "a blob had its name before its hash was known"
    assert not [path for path in store.rglob("*") if path.is_file()], "left behind"
    assert eyes.events() == []
    assert snapshot(outer) == before


@pytest.mark.parametrize("seed", SEEDS)
def test_a_strangers_image_folder(tmp_path: Path, seed: int) -> None:
    choose, outer, store = random.Random(seed), outside(tmp_path), tmp_path / "store"
    digest = _oci.ingest_saved(str(store), saved("oci"), DIFFS)
    _oci.remember(str(store), "name", "sha256:one", digest, 2)
    assert _oci.kept(str(store))[0]["complete"]
    victim = choose.choice([digest, sha(CONFIG), *DIFFS])
    path = store / _oci.blob(victim)
    twin = outer / "twin"
    shutil.copy(path, twin)
    manifest = json.loads((store / _oci.blob(digest)).read_text())
    hostile: dict[str, Any] = {
        "digest": {"config": {**manifest["config"], "digest": "sha256:../../../outer/secret"}},
        "size": {"layers": [{**manifest["layers"][0], "size": choose.choice([-1, 2**200, "9", None])}]},
        "kind": {"layers": choose.choice([7, "x", [7], [[]], {"a": 1}])},
        "config": {"config": {**manifest["config"], "size": 2**60}},
    }
    what = choose.choice(["file", "folder", "pipe", "record", *hostile])
    if what == "file":
        path.unlink()
        path.symlink_to(twin)
    elif what == "folder":
        shutil.rmtree(path.parent)
        (outer / "data").write_bytes(twin.read_bytes())
        path.parent.symlink_to(outer)
    elif what == "pipe":
        path.unlink()
        fifo(path)
    elif what == "record":
        (store / _oci.RECORD).unlink()
        (store / _oci.RECORD).symlink_to(outer / "secret")
    else:
        digest, _size = _oci.put(str(store), [json.dumps({**manifest, **hostile[what]}).encode()])
        (store / _oci.RECORD).write_text(json.dumps([{"name": "name", "image": "sha256:one", "digest": digest}]))
    before, eyes = snapshot(outer), Watched(outer)
    assert [item for item in _oci.kept(str(store)) if item["complete"]] == []
    if what != "record":
        problems = _oci.damage(str(store), digest)
        # A manifest that cannot be one is named itself; one whose sizes are not so, by its layer.
        blamed = [digest, DIFFS[0]] if what in hostile else [victim]
        assert any(name[7:] in problem for name in blamed for problem in problems), problems
        assert not any(tells(problem) for problem in problems)
    _oci.blobs(str(store))
    _oci.remember(str(store), "name", "sha256:two", sha(b"none"), 1)
    _oci.put(str(store), [b"more"], {sha(b"more")})
    assert eyes.events() == []
    assert snapshot(outer) == before


def test_finding_10_a_blobs_folder_that_leads_out_is_not_emptied(tmp_path: Path) -> None:
    outer, store = outside(tmp_path), tmp_path / "store"
    (store / _oci.ROOT).mkdir(parents=True)
    (store / _oci.ROOT / "blobs").symlink_to(outer)
    before = snapshot(outer)
    for act in (lambda: _oci.prune(str(store), []), lambda: _oci.blobs(str(store)), lambda: _oci.put(str(store), [b"x"])):
        with pytest.raises(OSError, match="found a link out of"):
            act()
    assert snapshot(outer) == before


@pytest.mark.parametrize("link", [True, False])
def test_finding_10_a_layer_is_hashed_before_it_has_its_name(tmp_path: Path, link: bool) -> None:
    content = docker_root(tmp_path / "docker") / "overlay2/cache0/diff/a"
    content.rename(tmp_path / "elsewhere")
    if link:  # of the right content, even
        content.symlink_to(tmp_path / "elsewhere")
    else:
        content.write_bytes(b"z" * 2**20)
    with pytest.raises((OSError, ValueError), match="found a link out of" if link else "found content sha256:"):
        _oci.ingest(str(tmp_path / "store"), str(tmp_path / "docker"), sha(CONFIG), DIFFS)
    assert _oci.blobs(str(tmp_path / "store")) == {}


def test_finding_10_nothing_is_stored_that_is_not_what_docker_says(tmp_path: Path) -> None:
    """To Docker 24 a layer's name in the stream says nothing of its content: the image's own diff IDs do."""
    with pytest.raises(ValueError, match=r"found content sha256:\w+ in \d+ bytes; wanted sha256:"):
        _oci.ingest_saved(str(tmp_path), saved("old"), [sha(b"another")])
    assert not {_oci.blob(digest) for digest in DIFFS} & _oci.blobs(str(tmp_path)).keys()
