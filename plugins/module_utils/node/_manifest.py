# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Checkpoints: what a folder of weights holds, whether it is whole, and how two of them differ.

Runs on the nodes too (Python >= 3.9, standard library). PRIVATE to the collection.
"""

from __future__ import annotations

import concurrent.futures
import hashlib
import json
import os
import struct
from collections.abc import Iterable, Iterator, Sequence

from ._types import Checkpoint, Differing, File, Hub, Listing, Manifest, Scan, TreeFile

INDEX = "model.safetensors.index.json"
# Folders that tools leave inside a checkpoint and no engine reads.
IGNORED = frozenset({".cache", ".git", ".gx10"})
MANIFEST = ".gx10-manifest.json"
LFS = b"version https://git-lfs"
CHUNK = 4 * 1024**2


def sha256(path: str) -> str:
    """SHA-256 of a file, as hex digits. Its pages are given back: on a GB10 the page cache is the engine's memory."""
    digest = hashlib.sha256()
    with open(path, "rb", buffering=0) as file:
        buffer = memoryview(bytearray(CHUNK))
        while True:
            count = file.readinto(buffer)
            if not count:
                break
            digest.update(buffer[:count])
        if hasattr(os, "posix_fadvise"):
            os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)
    return digest.hexdigest()


class HashCache:
    """Hashes by (device, inode, size, mtime, ctime): a repeat costs a stat per file. Kept in one JSON file."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.known: dict[str, str] = {}
        try:
            with open(path, encoding="utf-8") as file:
                self.known = json.load(file)
        except (OSError, ValueError):
            pass  # no cache yet, or a broken one: every file is read
        self.used: dict[str, str] = {}
        self.fresh = False

    def get(self, path: str) -> str:
        """The file's SHA-256, from the cache if nothing about the file changed."""
        key = self._key(path)
        value = self.known.get(key) or sha256(path)
        self.used[key] = value
        return value

    def peek(self, path: str) -> str | None:
        """The file's SHA-256 if it is known and nothing about the file changed; nothing is read."""
        return self.known.get(self._key(path))

    def put(self, path: str) -> str:
        """The file's SHA-256, read again, whatever the cache says."""
        value = sha256(path)
        self.used[self._key(path)] = value
        return value

    def note(self, root: str, files: Iterable[File]) -> None:
        """Files whose content was hashed as it was written, a moment ago."""
        for item in files:
            path = os.path.join(root, item["path"])
            if item["sha256"] and os.path.exists(path) and os.path.getsize(path) == item["size"]:
                self.known[self._key(path)] = item["sha256"]
                self.fresh = True

    @staticmethod
    def _key(path: str) -> str:
        stat = os.stat(path)
        return f"{stat.st_dev}:{stat.st_ino}:{stat.st_size}:{stat.st_mtime_ns}:{stat.st_ctime_ns}"

    def save(self) -> None:
        """Write the cache, if anything is new."""
        if not self.fresh and self.used.items() <= self.known.items():
            return
        os.makedirs(os.path.dirname(self.path), mode=0o755, exist_ok=True)
        temporary = f"{self.path}.{os.getpid()}"
        with open(temporary, "w", encoding="utf-8") as file:
            json.dump({**self.known, **self.used}, file)
        os.replace(temporary, self.path)


def walk(root: str) -> Iterator[str]:
    """Relative paths of all files below `root`, sorted; links are listed, not followed into folders."""
    for folder, folders, files in os.walk(root):
        folders[:] = sorted(name for name in folders if name not in IGNORED)
        for name in sorted(set(files) - {MANIFEST}):
            yield os.path.relpath(os.path.join(folder, name), root)


def scan(root: str, cache: HashCache | None = None, reread: bool = False, glance: bool = False) -> Scan:
    """Read a checkpoint folder.

    `reread` ignores the cache; with `glance` nothing is hashed, and a hash that the cache does not know is None.
    Hashes with one thread per core: hashlib releases the interpreter lock.
    """
    problems: list[str] = []
    if not os.path.isdir(root):
        return {"files": [], "size": 0, "problems": [f"{root}: found nothing; wanted a checkpoint folder"]}
    good = []
    for path in walk(root):
        full = os.path.join(root, path)
        if not os.path.exists(full):
            problems.append(f"{path}: found a dangling link to {os.readlink(full)}; wanted the file")
        elif not os.access(full, os.R_OK):
            problems.append(f"{path}: found mode {os.stat(full).st_mode & 0o7777:04o}; wanted a readable file")
        else:
            good.append(path)
            problems += check_file(full, path)
    problems += check_complete(root, set(good))
    if cache and glance:
        hashes: list[str | None] = [cache.peek(os.path.join(root, path)) for path in good]
    else:
        read = sha256 if cache is None else cache.put if reread else cache.get
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            hashes = list(pool.map(lambda path: read(os.path.join(root, path)), good))
        if cache:
            cache.save()
    files: list[File] = [
        {"path": path, "size": os.path.getsize(os.path.join(root, path)), "sha256": value} for path, value in zip(good, hashes)
    ]
    return {"files": files, "size": sum(item["size"] for item in files), "problems": problems}


def read(root: str, cache: HashCache | None = None, reread: bool = False) -> Checkpoint:
    """`scan`, with a hash over all files and what a download noted."""
    found = scan(root, cache, reread)
    return {**found, "hash": digest(found["files"]), "hub": hub_notes(root)}


def check_file(full: str, path: str) -> list[str]:
    """Why one file cannot be what its name says: an LFS pointer, or a safetensors file that is cut or too long."""
    size = os.path.getsize(full)
    with open(full, "rb") as file:
        start = file.read(max(8, len(LFS)))
        if start.startswith(LFS):
            return [f"{path}: found a Git LFS pointer of {size} bytes; wanted the file itself (git lfs pull, or hf download)"]
        if not path.endswith(".safetensors"):
            return []
        if size < 8:
            return [f"{path}: found {size} bytes; wanted a safetensors file"]
        length = struct.unpack("<Q", start[:8])[0]
        if length > size - 8:
            return [f"{path}: found {size} bytes; wanted a safetensors header of {length} bytes and the tensors after it"]
        file.seek(8)
        try:
            header = json.loads(file.read(length))
            end = max((entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"), default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError):
            return [f"{path}: found a header that is not safetensors; wanted JSON with data_offsets"]
    wanted = 8 + length + end
    return [] if wanted == size else [f"{path}: found {size} bytes; wanted {wanted} as its header says"]


def check_complete(root: str, present: set[str]) -> list[str]:
    """What the checkpoint needs and lacks: config.json, and every shard that the index names."""
    problems = []
    if "config.json" not in present:
        problems.append("config.json: found nothing; wanted the model's configuration")
    if INDEX in present:
        try:
            with open(os.path.join(root, INDEX), encoding="utf-8") as file:
                shards = set(json.load(file)["weight_map"].values())
        except (ValueError, KeyError, AttributeError, TypeError):
            return [*problems, f"{INDEX}: found no weight_map; wanted the index of the shards"]
        problems += [f"{shard}: found nothing; wanted the shard that {INDEX} names" for shard in sorted(shards - present)]
    elif not any(path.endswith((".safetensors", ".gguf", ".bin")) for path in present):
        problems.append(f"{INDEX}: found neither an index nor a file of weights; wanted one")
    return problems


def compare(wanted: Listing, found: Listing) -> list[Differing]:
    """Files of manifest `wanted` that `found` lacks or holds otherwise, each with the reason."""
    have = {item["path"]: item for item in found["files"]}
    differing: list[Differing] = []
    for item in wanted["files"]:
        other = have.get(item["path"])
        if other is None:
            differing.append({**item, "why": "missing"})
        elif other["size"] != item["size"]:
            differing.append({**item, "why": f"{other['size']} bytes instead of {item['size']}"})
        elif other["sha256"] != item["sha256"]:
            differing.append({**item, "why": "other content of the same size"})
    return differing


def unknown(wanted: Listing, found: Listing) -> list[str]:
    """Paths that `found` has and manifest `wanted` does not know."""
    return sorted({item["path"] for item in found["files"]} - {item["path"] for item in wanted["files"]})


def load(path: str) -> Manifest | None:
    """A manifest from a file, or None if there is none that can be read."""
    try:
        with open(path, encoding="utf-8") as file:
            found: Manifest = json.load(file)
        return found if digest(found["files"]) == found["hash"] else None
    except (OSError, ValueError, KeyError, TypeError):
        return None


def hub_notes(root: str) -> Hub:
    """What `hf download --local-dir` noted of its files: hashes where the hub has one.

    A note is three lines: the commit, the ETag (the SHA-256 of a file in LFS, a git hash of another), a time.
    """
    notes = os.path.join(root, ".cache", "huggingface", "download")
    revisions: set[str] = set()
    hashes: dict[str, str] = {}
    for folder, _folders, names in os.walk(notes):
        for name in names:
            if name.endswith(".metadata"):
                full = os.path.join(folder, name)
                with open(full, encoding="utf-8", errors="replace") as file:
                    lines = file.read().split("\n")
                revisions.add(lines[0])
                if len(lines) > 1 and len(lines[1]) == 64:
                    hashes[os.path.relpath(full, notes)[: -len(".metadata")]] = lines[1]
    return {"revision": revisions.pop() if len(revisions) == 1 else None, "sha256": hashes}


def digest(files: Sequence[File]) -> str:
    """One hash for a manifest's files: paths, sizes and hashes, as "sha256:HEX"."""
    lines = sorted(f"{item['sha256']} {item['size']} {item['path']}" for item in files)
    return "sha256:" + hashlib.sha256("\n".join(lines).encode()).hexdigest()


def kept(root: str) -> Iterator[str]:
    """Relative paths of every file of a small folder, dotfiles too, without build leftovers and an editor's locks and backups."""
    for path in walk(root):
        name = os.path.basename(path)
        if "__pycache__" not in path.split(os.sep) and not name.startswith(".#") and not name.endswith(("~", ".swp")):
            yield path


def tree(root: str) -> list[TreeFile]:
    """The files that are kept of a small folder."""
    found: list[TreeFile] = []
    for path in kept(root):
        full = os.path.join(root, path)
        stat = os.stat(full)
        found.append({"path": path, "size": stat.st_size, "sha256": sha256(full), "mode": f"{stat.st_mode & 0o755:04o}"})
    return found
