"""What lies around a stranger's folder and must stay as it is, unread: files with a canary, and the kernel's word on who opened one."""

from __future__ import annotations

import ctypes
import hashlib
import json
import os
import socket
import struct
from pathlib import Path
from typing import Any

# What lies outside: no output may hold it, its hash, or a part of it.
CANARY = "the-canary-" + "c0ffee" * 8
# inotify(7): a file was read, written, opened; an entry was moved, made, deleted.
READ, WRITTEN, ATTRIBUTES, OPENED = 0x1, 0x2, 0x4, 0x20
ENTRIES = 0x40 | 0x80 | 0x100 | 0x200
KINDS = {0x40: "moved", 0x80: "moved", 0x100: "made", 0x200: "deleted"}
NAMES = {READ: "read", WRITTEN: "written", ATTRIBUTES: "changed", OPENED: "opened", **KINDS}
# Of seven kinds: those of test_hostile_plans.py, too.
COUNT = -(-int(os.environ.get("GX10_HOSTILE", "0")) // 7)
SEEDS = range(COUNT or 12)


def outside(folder: Path) -> Path:
    """What must stay as it is: a secret, a folder of secrets, and a checkpoint's parts that are not ours."""
    outer = folder / "outer"
    (outer / "ssh").mkdir(parents=True)
    (outer / "secret").write_text(CANARY)
    (outer / "ssh/id_ed25519").write_text(CANARY)
    (outer / "config.json").write_text(json.dumps({"secret": CANARY}))
    (outer / "note.metadata").write_text(f"{CANARY}\n{'c' * 64}\n")
    # Of every kind that a plan or an image is read from.
    for name in ("model.safetensors", "model.safetensors.index.json", "image.yml", "mod.yml", "run.sh", "own.yml", "template.jinja"):
        (outer / name).write_text(CANARY)
    return outer


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


def snapshot(folder: Path) -> dict[str, Any]:
    """Everything below a folder: kinds, modes, content, links, and how many names each file has."""
    found: dict[str, Any] = {}
    for path in sorted(folder.rglob("*")):
        about = path.lstat()
        content: Any = os.readlink(path) if path.is_symlink() else path.read_bytes() if path.is_file() else None
        found[str(path.relative_to(folder))] = (about.st_mode, about.st_nlink, about.st_mtime_ns, content)
    return found


def tells(output: object) -> bool:
    """Does an output hold the canary, or what only its reader can know?"""
    text = output if isinstance(output, str) else json.dumps(output)
    secrets = [CANARY, hashlib.sha256(CANARY.encode()).hexdigest(), "c" * 64, hashlib.sha256(CANARY[:-1].encode()).hexdigest()]
    return any(secret in text for secret in secrets)


class Watched:
    """A folder and all below it, from now on. Opening is seen, too: who reads nothing of what he opened has still been led out."""

    def __init__(self, folder: Path) -> None:
        self.libc = ctypes.CDLL(None, use_errno=True)
        self.number = self.libc.inotify_init1(os.O_NONBLOCK | os.O_CLOEXEC)
        assert self.number >= 0, os.strerror(ctypes.get_errno())
        self.folders: dict[int, Path] = {}
        mask = READ | WRITTEN | ATTRIBUTES | OPENED | ENTRIES
        for one in [folder, *(path for path in folder.rglob("*") if path.is_dir() and not path.is_symlink())]:
            watch = self.libc.inotify_add_watch(self.number, os.fsencode(one), mask)
            assert watch >= 0, os.strerror(ctypes.get_errno())
            self.folders[watch] = one

    def events(self) -> list[str]:
        """What happened since; ends the watch."""
        found: list[str] = []
        try:
            while True:
                try:
                    raw = os.read(self.number, 65536)
                except BlockingIOError:
                    return sorted(set(found))
                while raw:
                    watch, mask, _cookie, length = struct.unpack_from("iIII", raw)
                    name = raw[16 : 16 + length].rstrip(b"\0")
                    raw = raw[16 + length :]
                    what = ", ".join(sorted({word for bit, word in NAMES.items() if mask & bit}))
                    if what:
                        found.append(f"{self.folders[watch] / os.fsdecode(name)}: {what}")
        finally:
            os.close(self.number)
