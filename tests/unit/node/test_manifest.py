"""Checkpoints: what makes one whole, what a change looks like, and that a repeat reads nothing."""

from __future__ import annotations

import json
import os
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _look, _manifest
from conftest import ROOT


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The real tiny checkpoint, as tools/make-tiny-checkpoint writes it."""
    folder = tmp_path_factory.mktemp("tiny")
    subprocess.run([sys.executable, str(ROOT / "tools/make-tiny-checkpoint"), str(folder)], check=True)
    return folder


@pytest.fixture
def copy(tiny: Path, tmp_path: Path) -> Path:
    subprocess.run(["cp", "-a", f"{tiny}/.", str(tmp_path / "copy")], check=True)
    return tmp_path / "copy"


SHARD = "model-00004-of-00010.safetensors"


def safetensors(path: Path, header: bytes, tensors: int) -> Path:
    path.write_bytes(struct.pack("<Q", len(header)) + header)
    os.truncate(path, 8 + len(header) + tensors)
    return path


def test_a_large_header_is_read_without_the_memory_that_objects_take(tmp_path: Path) -> None:
    """13.23: no engine's memory floor is met by a look. The largest real ones, of one file for 60 layers of 512 experts, are understood."""
    lists = b'{"__metadata__":[' + b"[]," * (5 << 20) + b"[]]}"
    hostile = safetensors(tmp_path / "hostile.safetensors", lists, 0)
    entry = '"model.layers.%d.mlp.experts.%d.down_proj.weight":{"dtype":"F8_E4M3","shape":[4096,1024],"data_offsets":[%d,%d]}'
    names = [entry % (n // 512, n % 512, n * 10, n * 10 + 10) for n in range(60 * 512)]
    quoted = json.dumps({"note": '"data_offsets":[0,99999999]'})
    header = f'{{"__metadata__":{quoted},{",".join(names)}}}'.encode()
    assert len(header) < _manifest.PARSED_HEADER
    tracemalloc.start()
    try:
        assert _manifest.check_file(str(hostile), "hostile.safetensors") == []
        assert tracemalloc.get_traced_memory()[1] < 3 * len(lists)
    finally:
        tracemalloc.stop()
    for text in (header, header + b" " * _manifest.PARSED_HEADER):
        good = safetensors(tmp_path / "good.safetensors", text, 60 * 512 * 10)
        assert _manifest.check_file(str(good), "good.safetensors") == []
        os.truncate(good, os.path.getsize(good) - 1)
        assert "as its header says" in _manifest.check_file(str(good), "good.safetensors")[0]


def test_the_tiny_checkpoint_is_whole_and_always_the_same(tiny: Path, tmp_path: Path) -> None:
    found = _manifest.scan(str(tiny))
    assert found["problems"] == []
    assert len([item for item in found["files"] if item["path"].endswith(".safetensors")]) == 10
    subprocess.run([sys.executable, str(ROOT / "tools/make-tiny-checkpoint"), str(tmp_path)], check=True)
    assert _manifest.digest(_manifest.scan(str(tmp_path))["files"]) == _manifest.digest(found["files"])


def test_hashes_are_those_of_sha256sum(tiny: Path) -> None:
    found = _manifest.scan(str(tiny))
    names = [item["path"] for item in found["files"]]
    out = subprocess.run(["sha256sum", *names], cwd=tiny, capture_output=True, text=True, check=True).stdout
    assert [f"{item['sha256']}  {item['path']}" for item in found["files"]] == out.splitlines()


def cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1])


def lengthen(path: Path) -> None:
    path.write_bytes(path.read_bytes() + b"x")


def huge_header(path: Path) -> None:
    path.write_bytes(b"\xff" * 7 + b"\x00" + path.read_bytes()[8:])


def no_header(path: Path) -> None:
    path.write_bytes(b"\x02\x00\x00\x00\x00\x00\x00\x00[]")


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (cut, "as its header says"),
        (lengthen, "as its header says"),
        (huge_header, "wanted a safetensors header"),
        (no_header, "found a header that is not safetensors"),
        (lambda path: path.write_bytes(b""), "found 0 bytes; wanted a safetensors file"),
        (lambda path: path.write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"), "found a Git LFS pointer"),
        (Path.unlink, "wanted the shard that model.safetensors.index.json names"),
    ],
)
def test_damage_is_named_with_its_file(copy: Path, damage: Callable[[Path], Any], message: str) -> None:
    damage(copy / SHARD)
    (problem,) = _manifest.scan(str(copy))["problems"]
    assert problem.startswith(SHARD)
    assert message in problem


def test_a_dangling_link_is_two_findings(copy: Path) -> None:
    (copy / SHARD).unlink()
    (copy / SHARD).symlink_to("../blobs/nothing")
    problems = _manifest.scan(str(copy))["problems"]
    assert problems[0] == f"{SHARD}: found a dangling link to ../blobs/nothing; wanted the file"
    assert len(problems) == 2


def test_all_problems_come_together(copy: Path) -> None:
    (copy / "config.json").unlink()
    cut(copy / SHARD)
    (copy / "model-00001-of-00010.safetensors").unlink()
    assert len(_manifest.scan(str(copy))["problems"]) == 3


@pytest.mark.parametrize("index", ["", "[]", "{}", '{"weight_map": 1}', "nonsense"])
def test_a_broken_index(copy: Path, index: str) -> None:
    (copy / _manifest.INDEX).write_text(index)
    assert any("found no weight_map" in problem for problem in _manifest.scan(str(copy))["problems"])


def test_a_flipped_byte_with_size_and_mtime_kept(copy: Path, tmp_path: Path) -> None:
    cache = str(tmp_path / "cache.json")
    before = _manifest.scan(str(copy), _manifest.HashCache(cache))
    path = copy / SHARD
    stat = path.stat()
    raw = bytearray(path.read_bytes())
    raw[-10] ^= 1
    path.write_bytes(raw)
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert (path.stat().st_size, path.stat().st_mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    # The header is whole, so only the hash tells; ctime has changed, so the cache does not answer.
    after = _manifest.scan(str(copy), _manifest.HashCache(cache))
    assert after["problems"] == []
    (differing,) = _manifest.compare(before, after)
    assert (differing["path"], differing["why"]) == (SHARD, "other content of the same size")


def test_a_repeat_reads_no_file(copy: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cache = str(tmp_path / "cache.json")
    before = _manifest.scan(str(copy), _manifest.HashCache(cache))

    def fail(path: str) -> str:
        raise AssertionError(f"{path} was read again")

    monkeypatch.setattr(_manifest, "sha256", fail)
    assert _manifest.scan(str(copy), _manifest.HashCache(cache)) == before
    with pytest.raises(AssertionError, match="was read again"):
        _manifest.scan(str(copy), _manifest.HashCache(cache), reread=True)


def test_a_broken_cache_is_no_cache(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "cache.json").write_text("{")
    assert _manifest.scan(str(copy), _manifest.HashCache(str(tmp_path / "cache.json")))["problems"] == []


def test_compare_names_missing_and_size(copy: Path) -> None:
    before = _manifest.scan(str(copy))
    (copy / "config.json").unlink()
    lengthen(copy / SHARD)
    reasons = {item["path"]: item["why"] for item in _manifest.compare(before, _manifest.scan(str(copy)))}
    assert set(reasons) == {"config.json", SHARD}
    assert reasons["config.json"] == "missing"
    assert "instead of" in reasons[SHARD]


def test_what_tools_leave_behind_does_not_count(copy: Path) -> None:
    before = _manifest.scan(str(copy))
    for name in (".cache/huggingface/x", ".git/HEAD", ".gx10/part", ".gx10-manifest.json"):
        (copy / name).parent.mkdir(parents=True, exist_ok=True)
        (copy / name).write_text("x")
    assert _manifest.scan(str(copy)) == before


def test_a_small_tree_with_dotfiles_and_spaces(tmp_path: Path) -> None:
    (tmp_path / "a b").write_text("1")
    (tmp_path / ".hidden").write_text("2")
    (tmp_path / "run.sh").write_text("3")
    (tmp_path / "run.sh").chmod(0o755)
    found = {item["path"]: item["mode"] for item in _manifest.tree(str(tmp_path))}
    assert found == {"a b": "0644", ".hidden": "0644", "run.sh": "0755"}
    json.dumps(found)


def outside(folder: Path) -> Path:
    (folder / "outer").mkdir()
    (folder / "outer/id_ed25519").write_text("a secret")
    return folder / "outer/id_ed25519"


@pytest.mark.parametrize("relative", [True, False])
def test_finding_4_a_link_that_leaves_the_folder_is_refused_and_not_read(copy: Path, tmp_path: Path, relative: bool) -> None:
    secret = outside(tmp_path)
    before = _manifest.scan(str(copy))["files"]
    (copy / "vocab.txt").symlink_to("../outer/id_ed25519" if relative else secret)
    (copy / "more").symlink_to(secret.parent)
    found = _manifest.scan(str(copy))
    assert found["files"] == before
    more, vocab = found["problems"]
    assert more.startswith(f"more: found a link to {secret.parent}, out of the folder; wanted the file itself. Put a copy of it there")
    assert vocab.startswith(f"vocab.txt: found a link to {secret}, out of the folder; wanted the file itself.")


def test_finding_4_a_file_on_another_disk_has_its_next_step(copy: Path, tmp_path: Path) -> None:
    (tmp_path / "disk").mkdir()
    (copy / SHARD).rename(tmp_path / "disk" / SHARD)
    (copy / SHARD).symlink_to(tmp_path / "disk" / SHARD)
    assert "Put a copy of it there, or name the folder that holds all files" in _manifest.scan(str(copy))["problems"][0]


@pytest.mark.parametrize("links", [{"around": "."}, {"a/up": ".."}, {"a/there": "../b", "b/back": "../a"}])
def test_links_in_a_circle_are_refused_since_a_copy_of_them_would_not_end(copy: Path, links: dict[str, str]) -> None:
    (copy / "a").mkdir()
    (copy / "b").mkdir()
    for name, target in links.items():
        (copy / name).symlink_to(target)
    problems = _manifest.scan(str(copy))["problems"]
    assert [text.split(":")[0] for text in problems] == sorted(links)
    assert all("which leads back to it; wanted none whose copy would hold itself. Remove the link" in text for text in problems)
    # In one direction it is a neighbour.
    for name in sorted(links)[1:] or links:
        (copy / name).unlink()
    (copy / "a/fine").symlink_to("../b")
    assert [text for text in _manifest.scan(str(copy))["problems"] if "a/fine" in text] == []


def test_finding_4_links_that_stay_are_as_good_as_files(copy: Path, tmp_path: Path) -> None:
    """A link inside the folder, a folder that is a link, a models root that is one, and the hub's cache."""
    before = _manifest.scan(str(copy))
    cache = tmp_path / "hub/models--org--name"
    (cache / "blobs").mkdir(parents=True)
    (cache / "snapshots/main").mkdir(parents=True)
    for number, item in enumerate(before["files"]):
        (cache / f"blobs/{number}").write_bytes((copy / item["path"]).read_bytes())
        (cache / "snapshots/main" / item["path"]).symlink_to(f"../../blobs/{number}")
    (copy / SHARD).rename(copy / "shard")
    (copy / SHARD).symlink_to("shard")
    for name, target in {"folder": copy, "snapshot": cache / "snapshots/main", "root": tmp_path / "hub"}.items():
        (tmp_path / name).symlink_to(target)
    assert _manifest.scan(str(cache / "snapshots/main")) == before
    assert _manifest.scan(str(tmp_path / "snapshot")) == before
    assert _manifest.scan(str(tmp_path / "root/models--org--name/snapshots/main")) == before
    found = _manifest.scan(str(tmp_path / "folder"))
    assert (found["problems"], len(found["files"])) == ([], len(before["files"]) + 1)
    # The cache's neighbours are not its own.
    (tmp_path / "hub/token").write_text("a secret")
    (cache / "snapshots/main/vocab.txt").symlink_to("../../../token")
    assert "vocab.txt: found a link to" in _manifest.scan(str(cache / "snapshots/main"))["problems"][0]


def test_finding_5_a_shipped_manifest_is_not_the_truth(copy: Path, tmp_path: Path) -> None:
    """What lies beside the weights, whoever made them could have put there."""
    forged: list[Any] = [{"path": "config.json", "size": 1, "sha256": "0" * 64}]
    text = json.dumps({"files": forged, "hash": _manifest.digest(forged), "revision": None})
    (copy / ".gx10-manifest.json").write_text(text)
    notes = tmp_path / "manifests"
    notes.mkdir()
    model = {"repo": "org/name", "path": str(copy)}
    assert _look.weights([model], str(tmp_path / "none.json"), str(notes))["org/name"]["recorded"] is None
    (notes / "org--name.json").write_text(text)
    look = _look.weights([model], str(tmp_path / "none.json"), str(notes))["org/name"]
    assert look["recorded"] == json.loads(text), "our own record is"
    assert ".gx10-manifest.json" not in [item["path"] for item in look["files"]]


@pytest.mark.parametrize("path", ["../../x", "/etc/x", "a/../b", "", "a\0b", "a\nb", "x" * 256, "\udcff", ".gx10/x"])
def test_finding_5_a_manifest_that_names_such_a_path_is_none(tmp_path: Path, path: str) -> None:
    good: list[Any] = [{"path": "good", "size": 1, "sha256": "0" * 64}]
    for files, read in ((good, True), ([*good, {**good[0], "path": path}], False)):
        digest = _manifest.digest(files) if path.isprintable() or read else "sha256:any"
        (tmp_path / "m.json").write_text(json.dumps({"files": files, "hash": digest}))
        assert (_manifest.load(str(tmp_path / "m.json")) is not None) is read


def test_a_link_to_a_blob_of_the_hubs_cache_is_a_file(tmp_path: Path) -> None:
    """As `hf download --local-dir` once made them."""
    blob = tmp_path / "hub/models--o--m/blobs" / ("a" * 64)
    blob.parent.mkdir(parents=True)
    blob.write_bytes(b"x")
    (tmp_path / "m").mkdir()
    (tmp_path / "m/model.bin").symlink_to(blob)
    look = _manifest.scan(str(tmp_path / "m"))
    assert ([item["path"] for item in look["files"]], [text for text in look["problems"] if "link" in text]) == (["model.bin"], [])


def test_blobs_may_lie_on_another_disk(tmp_path: Path) -> None:
    (tmp_path / "disk2").mkdir()
    (tmp_path / "disk2" / ("b" * 64)).write_bytes(b"x")
    repo = tmp_path / "hub/models--o--m"
    (repo / "snapshots/r").mkdir(parents=True)
    (repo / "blobs").symlink_to(tmp_path / "disk2")
    (repo / "snapshots/r/model.bin").symlink_to("../../blobs/" + "b" * 64)
    look = _manifest.scan(str(repo / "snapshots/r"))
    assert ([item["path"] for item in look["files"]], [text for text in look["problems"] if "link" in text]) == (["model.bin"], [])


def test_a_link_to_a_folder_within_is_passed_by(tmp_path: Path) -> None:
    (tmp_path / "original").mkdir()
    (tmp_path / "original/a").write_bytes(b"x")
    (tmp_path / "consolidated").symlink_to("original")
    look = _manifest.scan(str(tmp_path))
    assert ([item["path"] for item in look["files"]], [text for text in look["problems"] if "link" in text]) == (["original/a"], [])


def test_a_link_out_of_the_folder_is_not_missing(tmp_path: Path) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "other").write_bytes(b"x")
    (tmp_path / "m/shard").symlink_to(tmp_path / "other")
    look = _manifest.scan(str(tmp_path / "m"))
    assert look["files"] == []
    (lacking,) = _manifest.compare({"files": [{"path": "shard", "size": 1, "sha256": "c" * 64}]}, look)
    assert lacking["why"] == "a link out of the folder"
