"""A stranger's folders: what is made to lead out of them is refused by name, and nothing outside is read or written.

Images are in test_hostile_images.py, recipes and inventories in test_hostile_plans.py.

A few of each kind here; 500 by command: GX10_HOSTILE=500 .venv/bin/python -m pytest -q tests/unit -k hostile
"""

from __future__ import annotations

import json
import os
import random
import shutil
import stat
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest, _paths
from ansible_collections.gx10.serving.plugins.module_utils.plan import _sources
from conftest import ROOT
from outer import CANARY, SEEDS, Watched, fifo, listen, outside, snapshot, tells


def checkpoint(root: Path) -> Path:
    header = b"{}"
    (root / "sub").mkdir(parents=True)
    (root / "config.json").write_text("{}")
    (root / "sub/notes.txt").write_text("ours")
    (root / "model.safetensors").write_bytes(struct.pack("<Q", len(header)) + header)
    return root


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


def test_what_is_made_and_what_is_read_is_a_regular_file(tmp_path: Path) -> None:
    (tmp_path / "canary").write_text(CANARY)
    (tmp_path / "link").symlink_to("canary")
    os.close(_paths.fresh(str(tmp_path / "link")))
    assert (tmp_path / "canary").read_text() == CANARY
    assert stat.S_ISREG((tmp_path / "link").lstat().st_mode)
