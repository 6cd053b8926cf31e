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
import re
import stat
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

from ._paths import OURS, SHA256, Refusal, astray, improper, inside, kind, opened, pinned, printable, unlisted
from ._types import Checkpoint, Differing, File, Hub, Listing, Manifest, Scan, TreeFile

INDEX = "model.safetensors.index.json"
# Folders that tools leave inside a checkpoint and no engine reads.
IGNORED = OURS | {".cache", ".git"}
LFS = b"version https://git-lfs"
CHUNK = 4 * 1024**2
# Bytes of a safetensors header (its own limit), and of an index.
LONGEST_HEADER = 100 * 10**6
# A larger one is not made objects of, 25 bytes for one: a node that serves has no memory for that. Real ones are below.
PARSED_HEADER = 4 * 1024**2
OFFSETS = re.compile(rb'"data_offsets"\s*:\s*\[\s*\d+\s*,\s*(\d{1,18})\s*\]')
# Of a note that a download left.
LONGEST_NOTE = 4096


def sha256(path: str) -> str:
    """SHA-256 of a file at its real path, as hex digits. Its pages are given back: on a GB10 the page cache is the engine's memory."""
    digest = hashlib.sha256()
    with open(pinned(path), "rb", buffering=0) as file:
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
                found = json.load(file)
            self.known = found if isinstance(found, dict) else {}
        except (OSError, ValueError, RecursionError):
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
            path = inside(root, item["path"])
            if path and item["sha256"] and os.path.exists(path) and os.path.getsize(path) == item["size"]:
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
        links = {name for name in folders if os.path.islink(os.path.join(folder, name))}
        folders[:] = sorted(name for name in folders if name not in IGNORED | links)
        for name in sorted({*files, *links} - IGNORED):
            yield os.path.relpath(os.path.join(folder, name), root)


def member(root: str, path: str) -> tuple[str, str]:
    """Where a file that `walk` lists really is, and why it cannot be read as one of the folder; empty if it can."""
    full = os.path.join(root, path)
    why = improper(path)
    if why:
        return "", f"{printable(path)}: found {why}; wanted a file's path below the folder. Rename it, or remove it"
    if not os.path.exists(full):
        return "", f"{path}: found a dangling link to {printable(os.readlink(full))}; wanted the file"
    real = inside(root, path)
    if real is None:
        found = f"found a link to {printable(os.path.realpath(full))}, out of the folder"
        return "", f"{path}: {found}; wanted the file itself. Put a copy of it there, or name the folder that holds all files"
    mode = os.stat(real).st_mode
    if not stat.S_ISREG(mode):
        return "", f"{path}: found a {'link to a ' * os.path.islink(full)}{kind(real)}; wanted a regular file"
    if not os.access(real, os.R_OK):
        return "", f"{path}: found mode {mode & 0o7777:04o}; wanted a readable file"
    return real, ""


def loops(root: str, links: dict[str, str]) -> list[str]:
    """Links to folders, by path with their targets, that lead back to where they lie: a copy that follows them would not end."""
    ends = {path: (os.path.realpath(os.path.dirname(os.path.join(root, path))), target) for path, target in links.items()}
    found = []
    for path, (start, target) in ends.items():
        seen: set[str] = set()
        reached = [target]
        while reached:
            folder = reached.pop()
            if folder not in seen:
                seen.add(folder)
                reached += [beyond for lies, beyond in ends.values() if below(lies, folder)]
        if any(below(start, folder) for folder in seen):
            found.append(path)
    return found


def below(path: str, folder: str) -> bool:
    """Is a real path that folder, or in it?"""
    return path == folder or path.startswith(folder.rstrip("/") + "/")


def unseen(root: str, mounted: str, path: str = "") -> str:
    """Why an engine's container, which has folder `mounted` alone and at another place, does not see a file; empty if it does."""
    full = os.path.join(root, path) if path else root
    link = astray(mounted, full)
    if not link:
        return ""
    found = f"{path or root}: found a link to {printable(os.readlink(link) if os.path.islink(link) else link)}"
    there = f"{found}{'' if link == full else ' at ' + printable(link)}, which an engine's container does not see: it has {mounted} alone"
    return f"{there}; wanted {'the file' if path else 'the folder'} itself, or relative links within {mounted}. Put a copy there (cp -rL)"


def scan(root: str, cache: HashCache | None = None, reread: bool = False, glance: bool = False, mounted: str = "") -> Scan:
    """Read a checkpoint folder. What is not a file of it, by name or by a link that leaves it, is a problem and is not read.

    On a node, `mounted` is the folder that the engine's container will have: a link that it cannot follow is a problem, too.
    `reread` ignores the cache; with `glance` nothing is hashed, and a hash that the cache does not know is None.
    Hashes with one thread per core: hashlib releases the interpreter lock.
    """
    problems: list[str] = []
    if not os.path.isdir(root):
        return {"files": [], "size": 0, "problems": [f"{root}: found nothing; wanted a checkpoint folder"]}
    hidden = unseen(root, mounted) if mounted else ""
    if hidden:
        return {"files": [], "size": 0, "problems": [hidden]}
    good: dict[str, str] = {}
    folders: dict[str, str] = {}
    for path in walk(root):
        real, why = member(root, path)
        target = inside(root, path) if why and os.path.isdir(os.path.join(root, path)) else None
        hidden = unseen(root, mounted, path) if mounted and (not why or target is not None) else ""
        if hidden:
            problems.append(hidden)
        elif target is not None:
            folders[path] = target  # a link to a neighbour, whose files have names of their own
        elif why:
            problems.append(why)
        else:
            good[path] = real
            problems += check_file(real, path)
    wanted = "wanted none whose copy would hold itself. Remove the link"
    problems += [f"{path}: found a link to {printable(folders[path])}, which leads back to it; {wanted}" for path in loops(root, folders)]
    problems += check_complete(good)
    if cache and glance:
        hashes: list[str | None] = [cache.peek(real) for real in good.values()]
    else:
        read = sha256 if cache is None else cache.put if reread else cache.get
        with concurrent.futures.ThreadPoolExecutor(os.cpu_count() or 1) as pool:
            hashes = list(pool.map(read, good.values()))
        if cache:
            cache.save()
    files: list[File] = [
        {"path": path, "size": os.path.getsize(real), "sha256": value} for (path, real), value in zip(good.items(), hashes)
    ]
    return {"files": files, "size": sum(item["size"] for item in files), "problems": problems}


def read(root: str, cache: HashCache | None = None, reread: bool = False, mounted: str = "") -> Checkpoint:
    """`scan`, with a hash over all files and what a download noted."""
    found = scan(root, cache, reread, mounted=mounted)
    return {**found, "hash": digest(found["files"]), "hub": hub_notes(root)}


def check_file(full: str, path: str) -> list[str]:
    """Why one file cannot be what its name says: an LFS pointer, or a safetensors file that is cut or too long."""
    with open(pinned(full), "rb") as file:
        size = os.fstat(file.fileno()).st_size
        start = file.read(max(8, len(LFS)))
        if start.startswith(LFS):
            return [f"{path}: found a Git LFS pointer of {size} bytes; wanted the file itself (git lfs pull, or hf download)"]
        if not path.endswith(".safetensors"):
            return []
        if size < 8:
            return [f"{path}: found {size} bytes; wanted a safetensors file"]
        length = struct.unpack("<Q", start[:8])[0]
        if length > min(size - 8, LONGEST_HEADER):
            return [f"{path}: found {size} bytes; wanted a safetensors header of {length} bytes and the tensors after it"]
        file.seek(8)
        text = file.read(length)
        try:
            if length > PARSED_HEADER:
                ends: Iterable[int] = (int(found[1]) for found in OFFSETS.finditer(text))
            else:
                ends = (entry["data_offsets"][1] for name, entry in json.loads(text).items() if name != "__metadata__")
            wanted = 8 + length + max(ends, default=0)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            return [f"{path}: found a header that is not safetensors; wanted JSON with data_offsets"]
    return [] if wanted == size else [f"{path}: found {size} bytes; wanted {printable(wanted)} as its header says"]


def check_complete(present: Mapping[str, str]) -> list[str]:
    """What the checkpoint needs and lacks: config.json, and every shard that the index names. `present`: where each path really is."""
    problems = []
    if "config.json" not in present:
        problems.append("config.json: found nothing; wanted the model's configuration")
    if INDEX in present:
        try:
            with open(pinned(present[INDEX]), "rb") as file:
                shards = {str(name) for name in json.loads(file.read(LONGEST_HEADER))["weight_map"].values()}
        except (ValueError, KeyError, AttributeError, TypeError, RecursionError):
            return [*problems, f"{INDEX}: found no weight_map; wanted the index of the shards"]
        missing = sorted(shards - set(present))
        problems += [f"{printable(shard)}: found nothing; wanted the shard that {INDEX} names" for shard in missing]
    elif not any(path.endswith((".safetensors", ".gguf", ".bin")) for path in present):
        problems.append(f"{INDEX}: found neither an index nor a file of weights; wanted one")
    return problems


def compare(wanted: Listing, found: Listing) -> list[Differing]:
    """Files of manifest `wanted` that `found` lacks or holds otherwise, each with the reason."""
    have = {item["path"]: item for item in found["files"]}
    # Not read, and there all the same: nobody replaces it unasked.
    problems: Any = found.get("problems", [])
    links = {
        text.split(": found a link to ")[0]: "a link out of the folder" if ", out of the folder;" in text else "a link that no engine sees"
        for text in problems
        if ": found a link to " in text and "; wanted the file itself" in text
    }
    differing: list[Differing] = []
    for item in wanted["files"]:
        other = have.get(item["path"])
        if other is None:
            differing.append({**item, "why": links.get(item["path"], "missing")})
        elif other["size"] != item["size"]:
            differing.append({**item, "why": f"{other['size']} bytes instead of {item['size']}"})
        elif other["sha256"] != item["sha256"]:
            differing.append({**item, "why": "other content of the same size"})
    return differing


def unknown(wanted: Listing, found: Listing) -> list[str]:
    """Paths that `found` has and manifest `wanted` does not know."""
    return sorted({item["path"] for item in found["files"]} - {item["path"] for item in wanted["files"]})


def load(path: str) -> Manifest | None:
    """A manifest from a file, or None if there is none that can be read, or one that names what cannot be below a folder."""
    try:
        with open(opened(path), encoding="utf-8") as file:
            found: Manifest = json.load(file)
        return found if not unlisted(found["files"]) and digest(found["files"]) == found["hash"] else None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None


def recorded(notes: str, repo: str) -> Manifest | None:
    """What a model was when it was staged. Kept in a folder of ours: beside the weights, whoever made them could have put it."""
    return load(os.path.join(notes, repo.replace("/", "--") + ".json"))


def hub_notes(root: str) -> Hub:
    """What `hf download --local-dir` noted of its files: hashes where the hub has one.

    A note is three lines: the commit, the ETag (the SHA-256 of a file in LFS, a git hash of another), a time.
    """
    notes = os.path.join(root, ".cache", "huggingface", "download")
    revisions: set[str] = set()
    hashes: dict[str, str] = {}
    for folder, _folders, names in os.walk(notes if inside(root, notes) else os.devnull):
        for name in names:
            if name.endswith(".metadata"):
                full = os.path.join(folder, name)
                try:
                    with open(opened(full), "rb") as file:
                        lines = file.read(LONGEST_NOTE).decode("utf-8", "replace").split("\n")
                except OSError:
                    continue  # a link, or no file: not what a download notes
                path = os.path.relpath(full, notes)[: -len(".metadata")]
                revisions.add(lines[0])
                if len(lines) > 1 and SHA256.fullmatch(lines[1]) and not improper(path):
                    hashes[path] = lines[1]
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
    """What is kept of a small folder. A link may lead to its neighbours (../_shared); raises Refusal with all that is no file."""
    around, name = os.path.split(os.path.realpath(root))
    members = {path: member(around, os.path.join(name, path)) for path in kept(root)}
    problems = [why for _real, why in members.values() if why]
    if problems:
        raise Refusal("\n".join(os.path.join(around, why) for why in problems))
    found: list[TreeFile] = []
    for path, (real, _why) in members.items():
        about = os.stat(real)
        found.append({"path": path, "size": about.st_size, "sha256": sha256(real), "mode": f"{about.st_mode & 0o755:04o}"})
    return found
