"""A stranger's folders: what is made to lead out of them is refused by name, and nothing outside is read or written.

A few of each kind here; 500 by command: GX10_HOSTILE=500 .venv/bin/python -m pytest -q tests/unit -k hostile
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import random
import shutil
import socket
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest, _oci, _paths
from ansible_collections.gx10.serving.plugins.module_utils.plan import _sources
from conftest import ROOT
from outer import CANARY, Watched, outside, snapshot, tells
from test_oci import CONFIG, DIFFS, docker_root, saved, sha

# Of seven kinds: those of test_hostile_plans.py, too.
COUNT = -(-int(os.environ.get("GX10_HOSTILE", "0")) // 7)
SEEDS = range(COUNT or 12)


def checkpoint(root: Path) -> Path:
    header = b"{}"
    (root / "sub").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "sub/notes.txt").write_text("ours")
    (root / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return root


def fifo(path: Path) -> None:
    os.mkfifo(path)


def listen(path: Path) -> None:
    # By a relative name: the address of a socket is short.
    before = os.getcwd()
    os.chdir(path.parent)
    try:
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(path.name)
    finally:
        os.chdir(before)


def name_of(choose: random.Random) -> str:
    return choose.choice(["vocab.txt", "sub/x", "a b", "ünïcode", "-rf", "x" * 255, "sub/" + "y" * 200, "$(id)", "%s{{ 7*7 }}"])


def link_out(root: Path, outer: Path, choose: random.Random) -> str:
    """A link, a chain of links, absolute or relative, to a file or a folder outside."""
    name = name_of(choose)
    target: Path | str = choose.choice([outer / "secret", outer / "ssh", outer / "ssh/id_ed25519", outer, Path("/"), Path("/dev/zero")])
    if choose.random() < 0.5:
        target = os.path.relpath(target, (root / name).parent)
    if choose.random() < 0.3:
        (root / "hop").symlink_to(target if Path(target).is_absolute() else os.path.relpath((root / name).parent / target, root))
        target = root / "hop"
    (root / name).symlink_to(target)
    return name


def replaced(root: Path, outer: Path, choose: random.Random) -> str:
    """A file that the reader opens itself leads out."""
    name = choose.choice(["config.json", _manifest.INDEX, "model.safetensors"])
    (root / name).unlink(missing_ok=True)
    (root / name).symlink_to(choose.choice([outer / "config.json", outer / "secret"]))
    return name


def special(root: Path, _outer: Path, choose: random.Random) -> str:
    name = choose.choice(["pipe", "sub/pipe.json", "model-1.safetensors"])
    choose.choice([fifo, listen])(root / name)
    return name


def odd_name(root: Path, _outer: Path, choose: random.Random) -> str:
    raw = choose.choice([b"a\nb", b"\x1b[2Jgone", b"\xff\xfe", b"tab\there", b"\x7f", b"sub/\xc3\x28", b"\xc2\x9b31m"])
    with open(os.path.join(os.fsencode(root), raw), "wb") as file:
        file.write(b"x")
    return ascii(os.fsdecode(raw))[1:-1]


def loop(root: Path, _outer: Path, choose: random.Random) -> str:
    name = choose.choice(["loop", "sub/loop"])
    (root / name).symlink_to("loop")
    return name


def around(root: Path, _outer: Path, choose: random.Random) -> str:
    """A link to a folder that the link is in: a checkpoint's scan passes it by, a mod has none."""
    name = choose.choice(["around", "sub/around"])
    (root / name).symlink_to(choose.choice([".", str(root)]))
    return name


def numbers(root: Path, _outer: Path, choose: random.Random) -> str:
    """Headers and indexes that are huge, deep or of the wrong kind."""
    header = choose.choice(
        [
            b"[" * 100_000,
            b'{"a": {"data_offsets": [0, ' + b"9" * 5000 + b"]}}",
            b'{"a": {"data_offsets": [0, "9"]}}',
            b"[1]",
            b'{"a": 1e999}',
        ]
    )
    length = choose.choice([len(header), 2**63, 2**64 - 1])
    (root / "model.safetensors").write_bytes(struct.pack("<Q", length) + header)
    return "model.safetensors"


def index(root: Path, _outer: Path, choose: random.Random) -> str:
    text = choose.choice(
        ['{"weight_map": {"a": "../outer/secret"}}', "[" * 100_000, '{"weight_map": {"a": [1], "b": 2}}', '{"weight_map": 7}']
    )
    (root / _manifest.INDEX).write_text(text)
    return "outer/secret" if "outer" in text else _manifest.INDEX


CHECKPOINTS: list[Callable[[Path, Path, random.Random], str]] = [link_out, replaced, special, odd_name, loop, numbers, index]


def quiet(root: Path, outer: Path, choose: random.Random) -> None:
    """What is not refused and not read either: behind the names of tools and of ours."""
    name = choose.choice([".cache", ".git", ".gx10", ".gx10-manifest.json", "sub/.cache", "sub/.git"])
    (root / name).symlink_to(outer / "ssh")
    if choose.random() < 0.5 and not (root / ".cache").is_symlink():
        notes = root / ".cache/huggingface/download"
        notes.mkdir(parents=True)
        (notes / "a.metadata").symlink_to(outer / "note.metadata")
        fifo(notes / "b.metadata")


def copied(source: Path, target: Path) -> None:
    """What roles/weights/tasks/stage.yml makes of rsync."""
    tasks = yaml.safe_load((ROOT / "roles/weights/tasks/stage.yml").read_text())
    (task,) = [item["ansible.posix.synchronize"] for item in tasks if "ansible.posix.synchronize" in item]
    argv = ["rsync", "--archive", "--checksum", *(["--copy-links"] if task["copy_links"] else []), *task["rsync_opts"]]
    subprocess.run([*argv, f"{source}/", f"{target}/"], check=True, capture_output=True)


@pytest.mark.parametrize("seed", SEEDS)
def test_a_strangers_checkpoint(tmp_path: Path, seed: int) -> None:
    choose, outer, root = random.Random(seed), outside(tmp_path), checkpoint(tmp_path / "root")
    quiet(root, outer, choose)
    clean = _manifest.read(str(root))
    assert (clean["problems"], clean["hub"]) == ([], {"revision": None, "sha256": {}})
    if shutil.which("rsync"):
        copied(root, tmp_path / "copy")
        there = [str(path.relative_to(tmp_path / "copy")) for path in (tmp_path / "copy").rglob("*") if not path.is_dir()]
        assert sorted(there) == sorted(item["path"] for item in clean["files"]), "what no manifest names travelled"
    name = choose.choice(CHECKPOINTS)(root, outer, choose)
    before, eyes = snapshot(tmp_path), Watched(outer)
    found = _manifest.read(str(root))
    # What the plan reads of it on the control node.
    about = _sources._checkpoint(str(root))
    assert about is not None
    assert "problem" in about or not (root / "config.json").is_symlink()
    assert not tells(about)
    assert any(name in problem for problem in found["problems"]), (name, found["problems"])
    assert not tells(found)
    assert eyes.events() == []
    assert snapshot(tmp_path) == before


@pytest.mark.parametrize("seed", SEEDS)
def test_a_strangers_mod(tmp_path: Path, seed: int) -> None:
    """As a checkpoint, but links to the neighbours are its own."""
    choose, outer = random.Random(seed), outside(tmp_path)
    root, shared = checkpoint(tmp_path / "mods/one"), tmp_path / "mods/_shared"
    shared.mkdir()
    (shared / "engine.py").write_text("ours")
    (root / "engine.py").symlink_to("../_shared/engine.py")
    assert {item["path"] for item in _manifest.tree(str(root))} >= {"engine.py", "sub/notes.txt"}
    name = choose.choice([link_out, replaced, special, odd_name, loop, around])(root, outer, choose)
    eyes = Watched(outer)
    with pytest.raises(OSError, match="; wanted ") as refused:
        _manifest.tree(str(root))
    assert name in str(refused.value)
    (root / "run.sh").touch()
    assert eyes.events() == []
    before, eyes = snapshot(tmp_path), Watched(outer)
    about = _sources._mod(root)
    assert (about["hash"], about["problem"]["code"] != "") == ("", True), "what would be copied to every node is said before"
    assert not tells([str(refused.value), about])
    assert eyes.events() == []
    assert snapshot(tmp_path) == before


def manifest_of(choose: random.Random) -> list[dict[str, Any]]:
    paths = [
        "../../x",
        "/etc/passwd",
        "",
        ".",
        "..",
        "a/../../b",
        "a\0b",
        "a\nb",
        "\x1b",
        "y" * 300,
        ".gx10/x",
        "sub/.gx10-manifest.json",
        7,
    ]
    sizes = [-1, 2.5, "9", None, True, [1]]
    hashes = ["../../x", "", None, "G" * 64, "a" * 63, "a" * 64 + "\n"]
    item: dict[str, Any] = {"path": "good", "size": 2**80, "sha256": "a" * 64}
    values: dict[str, list[Any]] = {"path": paths, "size": sizes, "sha256": hashes}
    key = choose.choice(list(values))
    wrong = {**item, key: choose.choice(values[key])}
    return choose.choice([[wrong], [{**item, "path": "other"}, wrong], [item, item]])


@pytest.mark.parametrize("seed", SEEDS)
def test_a_strangers_manifest(tmp_path: Path, seed: int) -> None:
    choose, path, outer = random.Random(seed), tmp_path / "record.json", outside(tmp_path)
    before, eyes = snapshot(outer), Watched(outer)
    files: Any = manifest_of(choose)
    problems = _paths.unlisted(files)
    assert len(problems) == 1
    assert problems[0].isprintable()
    path.write_text(json.dumps({"files": files, "hash": _manifest.digest(files)}))
    assert _manifest.load(str(path)) is None
    shape = choose.choice(["[" * 100_000, "[]", "{}", '{"files": 1, "hash": ""}', '{"files": [1], "hash": ""}', '{"files": {"a": 1}}', ""])
    path.write_text(shape)
    assert _manifest.load(str(path)) is None
    path.unlink()
    out = choose.choice([outer / "secret", outer / "config.json", Path("/dev/zero")])
    things: list[Callable[[Path], None]] = [fifo, listen, Path.mkdir, lambda path: path.symlink_to(out)]
    choose.choice(things)(path)
    assert _manifest.load(str(path)) is None
    assert eyes.events() == []
    assert snapshot(outer) == before


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


def test_what_is_opened_or_read_outside_is_seen(tmp_path: Path) -> None:
    """By whatever way; and a look at its kind is none."""
    outer = outside(tmp_path)
    (tmp_path / "link").symlink_to(outer / "secret")
    acts: list[tuple[Callable[[], Any], str]] = [
        (lambda: (tmp_path / "link").read_bytes(), "secret: read"),
        (lambda: os.close(os.open(outer / "ssh/id_ed25519", os.O_RDONLY)), "id_ed25519: opened"),
        (lambda: os.listdir(outer / "ssh"), "ssh: opened"),
        (lambda: (outer / "new").symlink_to("x"), "new: made"),
        (lambda: (outer / "secret").write_text("x"), "secret: written"),
        (lambda: os.utime(outer / "config.json"), "config.json: changed"),
    ]
    for act, seen in acts:
        eyes = Watched(outer)
        act()
        assert [text for text in eyes.events() if text.endswith(seen)], seen
    eyes = Watched(outer)
    assert (tmp_path / "link").stat().st_size and os.path.realpath(tmp_path / "link") == str(outer / "secret")
    assert eyes.events() == []


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


def test_what_is_made_and_what_is_read_is_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "canary").write_text(CANARY)
    (tmp_path / "link").symlink_to("canary")
    os.close(_paths.fresh(str(tmp_path / "link")))
    assert (tmp_path / "canary").read_text() == CANARY
    assert stat.S_ISREG((tmp_path / "link").lstat().st_mode)
