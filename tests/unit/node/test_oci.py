"""An image as files: Docker's own layers byte for byte, both forms of docker save, and what may be removed."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import tarfile
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _oci, _paths


def sha(data: bytes) -> str:
    return "sha256:" + hashlib.sha256(data).hexdigest()


def layer_tar(names: dict[str, bytes]) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        for name, content in names.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


LAYERS = [layer_tar({"a": b"x" * 2**20, "b/c": b""}), layer_tar({"a.wh": b"", "d": b"y" * 5000})]
CONFIG = json.dumps({"architecture": "arm64", "rootfs": {"diff_ids": [sha(data) for data in LAYERS]}}).encode()
DIFFS = [sha(data) for data in LAYERS]


def docker_root(root: Path) -> Path:
    """What Docker's overlay2 store keeps of the two layers: the files, and tar-split's record of everything around them."""
    for number, (data, chain) in enumerate(zip(LAYERS, _oci.chain_ids(DIFFS), strict=True)):
        about = root / "image/overlay2/layerdb" / chain.replace(":", "/")
        content = root / f"overlay2/cache{number}/diff"
        about.mkdir(parents=True)
        content.mkdir(parents=True)
        (about / "cache-id").write_text(f"cache{number}")
        entries: list[dict[str, Any]] = []
        position = 0
        with tarfile.open(fileobj=io.BytesIO(data)) as archive:
            for member in archive:
                entries.append({"type": 2, "payload": base64.b64encode(data[position : member.offset_data]).decode()})
                entries.append({"type": 1, "name": member.name, "size": member.size})
                path = content / member.name
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(data[member.offset_data : member.offset_data + member.size])
                position = member.offset_data + member.size
        entries.append({"type": 2, "payload": base64.b64encode(data[position:]).decode()})
        (about / "tar-split.json.gz").write_bytes(gzip.compress("\n".join(json.dumps(entry) for entry in entries).encode()))
    image = root / "image/overlay2/imagedb/content" / sha(CONFIG).replace(":", "/")
    image.parent.mkdir(parents=True)
    image.write_bytes(CONFIG)
    return root


def saved(form: str) -> io.BytesIO:
    """The stream of docker save: "old" to Docker 24, "oci" from 25. A layer that occurs twice is a link in the old form."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:

        def add(name: str, data: bytes) -> str:
            member = tarfile.TarInfo(name)
            member.size = len(data)
            archive.addfile(member, io.BytesIO(data))
            return name

        if form == "old":
            config = add(f"{sha(CONFIG)[7:]}.json", CONFIG)
            names = [add(f"id{number}/layer.tar", data) for number, data in enumerate(LAYERS)]
            link = tarfile.TarInfo("id9/layer.tar")
            link.type, link.linkname = tarfile.SYMTYPE, "../id0/layer.tar"
            archive.addfile(link)
            names[0] = "id9/layer.tar"
        else:
            config = add(f"blobs/sha256/{sha(CONFIG)[7:]}", CONFIG)
            names = [add(f"blobs/sha256/{sha(data)[7:]}", data) for data in LAYERS]
        add("manifest.json", json.dumps([{"Config": config, "Layers": names}]).encode())
    buffer.seek(0)
    return buffer


def test_all_ways_in_give_the_same_image(tmp_path: Path) -> None:
    root = docker_root(tmp_path / "docker")
    digests = {_oci.ingest(str(tmp_path / "one"), str(root), sha(CONFIG), DIFFS)}
    digests |= {_oci.ingest_saved(str(tmp_path / form), saved(form), DIFFS) for form in ("old", "oci")}
    (digest,) = digests
    manifest, size = _oci.read_manifest(str(tmp_path / "one"), digest)
    assert manifest["config"]["digest"] == sha(CONFIG)
    assert [item["digest"] for item in manifest["layers"]] == DIFFS
    for item in _oci.files(manifest, digest, size):
        data = (tmp_path / "one" / item["path"]).read_bytes()
        assert (len(data), hashlib.sha256(data).hexdigest()) == (item["size"], item["sha256"])
    assert _oci.complete(str(tmp_path / "one"), digest)


def test_a_layer_that_is_here_is_not_read_again(tmp_path: Path) -> None:
    root = docker_root(tmp_path / "docker")
    store = str(tmp_path / "store")
    digest = _oci.ingest(store, str(root), sha(CONFIG), DIFFS)
    (root / "overlay2/cache0/diff/a").unlink()
    assert _oci.ingest(store, str(root), sha(CONFIG), DIFFS) == digest


def test_a_layer_that_changed_on_the_disk_is_refused(tmp_path: Path) -> None:
    root = docker_root(tmp_path / "docker")
    (root / "overlay2/cache1/diff/d").write_bytes(b"z" * 5000)
    with pytest.raises(ValueError, match="found content sha256"):
        _oci.ingest(str(tmp_path / "store"), str(root), sha(CONFIG), DIFFS)


def wide_layer(root: Path, count: int) -> str:
    """A layer of Docker's with so many files in one folder; returns its chain ID."""
    about, content = root / "image/overlay2/layerdb/sha256/wide", root / "overlay2/wide/diff/usr/lib"
    about.mkdir(parents=True)
    content.mkdir(parents=True)
    (about / "cache-id").write_text("wide")
    entries = [{"type": 1, "name": f"usr/lib/{number}", "size": 1} for number in range(count)]
    for number in range(count):
        (content / str(number)).write_bytes(b"x")
    (about / "tar-split.json.gz").write_bytes(gzip.compress("\n".join(json.dumps(entry) for entry in entries).encode()))
    return "sha256:wide"


def test_a_folders_links_are_looked_for_once_not_for_each_of_its_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    chain = wide_layer(tmp_path, 50)
    asked: list[str] = []

    def must(root: str, path: str) -> str:
        asked.append(path)
        return _paths.must(root, path)

    monkeypatch.setattr(_oci, "must", must)
    assert b"".join(_oci.layer(str(tmp_path), chain)) == b"x" * 50
    assert asked.count("usr/lib") == 1 and len(asked) == 4, asked


def test_a_folder_that_became_a_link_out_of_its_layer_is_not_read(tmp_path: Path) -> None:
    chain, outer = wide_layer(tmp_path / "docker", 2), tmp_path / "outer"
    (tmp_path / "docker/overlay2/wide/diff/usr/lib").rename(outer)
    (tmp_path / "docker/overlay2/wide/diff/usr/lib").symlink_to(outer)
    with pytest.raises(OSError, match="found a link out of"):
        list(_oci.layer(str(tmp_path / "docker"), chain))


def test_another_store_is_an_error_that_the_caller_can_pass_by(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="No such file"):
        _oci.ingest(str(tmp_path / "store"), str(tmp_path), sha(CONFIG), DIFFS)


@pytest.mark.parametrize("keep", [0, 1])
def test_what_no_kept_image_needs_is_removed(tmp_path: Path, keep: int) -> None:
    store = str(tmp_path)
    digest = _oci.ingest_saved(store, saved("oci"), DIFFS)
    other, _size = _oci.put(store, [b"an old layer"])
    assert _oci.prune(store, [digest][:keep]) >= len(b"an old layer")
    assert not (tmp_path / _oci.blob(other)).exists()
    assert _oci.complete(store, digest) is bool(keep)


def test_the_newest_images_are_remembered_and_the_rest_is_removed(tmp_path: Path) -> None:
    store = str(tmp_path)
    first = _oci.ingest_saved(store, saved("oci"), DIFFS)
    assert _oci.known(store) == []
    assert _oci.remember(store, "name", "sha256:one", first, 2) == 0
    other, _size = _oci.put(store, [b"not an image that can be read"])
    _oci.remember(store, "name", "sha256:one", first, 2)
    assert [item["digest"] for item in _oci.known(store)] == [first]
    assert not (tmp_path / _oci.blob(other)).exists()


def test_the_newest_of_each_name_are_kept(tmp_path: Path) -> None:
    store = str(tmp_path)
    first = _oci.ingest_saved(store, saved("oci"), DIFFS)
    _oci.remember(store, "other", "sha256:zero", "sha256:" + "f" * 64, 1)
    for number in range(3):
        _oci.remember(store, "name", f"sha256:{number}", f"sha256:{number}" + "0" * 63, 2)
    assert [(item["name"], item["image"]) for item in _oci.known(store)] == [
        ("name", "sha256:2"),
        ("name", "sha256:1"),
        ("other", "sha256:zero"),
    ]
    assert not _oci.complete(store, first)


def test_one_that_is_forgotten_takes_what_only_it_needs(tmp_path: Path) -> None:
    store = str(tmp_path)
    digest = _oci.ingest_saved(store, saved("oci"), DIFFS)
    _oci.remember(store, "name", "sha256:one", digest, 2)
    other = "sha256:" + "f" * 64
    _oci.remember(store, "name", "sha256:two", other, 2)
    assert _oci.forget(store, other) == 0
    assert [item["image"] for item in _oci.known(store)] == ["sha256:one"]
    assert _oci.complete(store, digest)
    assert _oci.forget(store, digest) > 0
    assert (_oci.known(store), _oci.blobs(store)) == ([], {})


def test_an_image_says_what_is_kept_of_it(tmp_path: Path) -> None:
    store = str(tmp_path)
    digest = _oci.ingest_saved(store, saved("oci"), DIFFS)
    _oci.remember(store, "name", "sha256:one", digest, 1)
    (item,) = _oci.kept(store)
    assert (item["name"], item["image"], item["complete"], item["layers"]) == ("name", "sha256:one", True, DIFFS)
    assert item["architecture"] == "arm64"
    assert _oci.damage(store, digest) == []


def test_a_flipped_byte_and_a_missing_file_are_named(tmp_path: Path) -> None:
    store = str(tmp_path)
    digest = _oci.ingest_saved(store, saved("oci"), DIFFS)
    path = tmp_path / _oci.blob(DIFFS[0])
    good = path.read_bytes()
    path.write_bytes(good[:10] + bytes([good[10] ^ 1]) + good[11:])
    assert _oci.complete(store, digest)
    (text,) = _oci.damage(store, digest)
    assert text.startswith(f"{path}: found SHA-256 {sha(path.read_bytes()).split(':')[1]}")
    path.unlink()
    (text,) = _oci.damage(store, digest)
    assert "No such file" in text


def test_a_missing_blob_is_lacking(tmp_path: Path) -> None:
    store = str(tmp_path)
    digest = _oci.ingest_saved(store, saved("oci"), DIFFS)
    manifest, size = _oci.read_manifest(store, digest)
    (tmp_path / _oci.blob(DIFFS[0])).write_bytes(b"short")
    assert _oci.lacking(store, _oci.files(manifest, digest, size)) == [_oci.blob(DIFFS[0])]
    assert not _oci.complete(store, digest)


def test_a_registry_finds_manifest_config_and_layers(tmp_path: Path) -> None:
    digest = _oci.ingest_saved(str(tmp_path), saved("oci"), DIFFS)
    manifest, _size = _oci.read_manifest(str(tmp_path), digest)
    base = "docker/registry/v2/repositories/name"
    wanted = {f"{base}/_layers/{item.replace(':', '/')}/link": item for item in [sha(CONFIG), *DIFFS]}
    assert _oci.links("name", manifest, digest) == {f"{base}/_manifests/revisions/{digest.replace(':', '/')}/link": digest, **wanted}


@pytest.mark.parametrize("which", ["config", "manifest", "index"])
def test_a_small_file_of_zeros_is_not_complete_and_is_brought_again(tmp_path: Path, which: str) -> None:
    """Right size, wrong content, as after a power loss: the look itself must survive it."""
    store = str(tmp_path)
    digest = _oci.ingest_saved(store, saved("oci"), DIFFS)
    manifest, size = _oci.read_manifest(store, digest)
    if which == "index":
        digest, _size = _oci.put(store, [b'{"manifests": []}'])
    _oci.remember(store, "name", "sha256:one", digest, 1)
    if which != "index":
        path = tmp_path / _oci.blob(digest if which == "manifest" else sha(CONFIG))
        path.write_bytes(bytes(path.stat().st_size))
        assert _oci.lacking(store, _oci.files(manifest, digest, size)) == [_oci.blob(digest if which == "manifest" else sha(CONFIG))]
    (item,) = _oci.kept(store)
    assert (item["digest"], item["complete"], item["layers"]) == (digest, False, [])
    assert _oci.damage(store, digest) != []
    digest = _oci.ingest_saved(store, saved("oci"), DIFFS)
    assert _oci.complete(store, digest)


@pytest.mark.parametrize(
    "text", ["", "\0" * 40, "null", "{}", "[1, null]", '[{"digest": 5, "image": "a"}]', '[{"digest": "x", "image": "a"}]']
)
def test_a_record_of_garbage_knows_no_image(tmp_path: Path, text: str) -> None:
    (tmp_path / "images.json").write_text(text)
    assert _oci.kept(str(tmp_path)) == []


def test_without_a_folder_nothing_is_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An archive that is turned off is not the folder where somebody stands."""
    _oci.remember(str(tmp_path), "name", "sha256:one", _oci.ingest_saved(str(tmp_path), saved("oci"), DIFFS), 1)
    monkeypatch.chdir(tmp_path)
    assert _oci.kept("") == []
    assert len(_oci.kept(".")) == 1
