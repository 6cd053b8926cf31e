# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A registry's folder as a set of files named by their SHA-256, and an image as a list of such files.

Runs on the nodes too (Python >= 3.9, standard library). Layout: distribution's v2 file system storage. PRIVATE to the collection.
"""

from __future__ import annotations

import base64
import contextlib
import functools
import gzip
import hashlib
import json
import os
import re
import tarfile
import zlib
from collections.abc import Container, Iterable, Iterator
from typing import IO, Any, TypedDict

from ._manifest import sha256
from ._paths import Refusal, fresh, must, opened
from ._types import File, Kept, Noted

ROOT = "docker/registry/v2"
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
CONFIG = "application/vnd.docker.container.image.v1+json"
# Not compressed: so a layer's digest is its diff ID, the same on every node, and nothing is spent on gzip.
LAYER = "application/vnd.docker.image.rootfs.diff.tar"
RECORD = "images.json"
DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# What docker save names by its hash: a config to Docker 24, everything from 25.
HEX = re.compile(r"(?:^|/sha256/)([0-9a-f]{64})(?:\.json)?$")
CHUNK = 4 * 1024**2
# Bytes of a manifest or a config, as distribution bounds them.
LONGEST = 4 * 1024**2
# A file of less bytes is read where others are known by their size: manifests and configs, which a look reads in any case.
SMALL = 1024**2


class Blob(TypedDict):
    """A blob as a manifest names it."""

    mediaType: str
    size: int
    digest: str


class Manifest(TypedDict):
    """An image manifest, version 2, schema 2."""

    schemaVersion: int
    mediaType: str
    config: Blob
    layers: list[Blob]


def blob(digest: str) -> str:
    """Path of a blob below the registry's folder; raises ValueError where `digest` is not "sha256:HEX"."""
    if not DIGEST.fullmatch(digest):
        raise ValueError(f"{ascii(digest)[:80]}: found no digest; wanted sha256:HEX")
    text = digest.split(":")[1]
    return f"{ROOT}/blobs/sha256/{text[:2]}/{text}/data"


def links(name: str, manifest: Manifest, digest: str) -> dict[str, str]:
    """The small files that make a manifest and its blobs part of repository `name`: path to content."""
    base = f"{ROOT}/repositories/{name}"
    wanted = {f"{base}/_manifests/revisions/{digest.replace(':', '/')}/link": digest}
    for item in [manifest["config"], *manifest["layers"]]:
        wanted[f"{base}/_layers/{item['digest'].replace(':', '/')}/link"] = item["digest"]
    return wanted


def files(manifest: Manifest, digest: str, size: int) -> list[File]:
    """An image as the fan-out wants it, each file once. `size` is the manifest's own."""
    found = {digest: size}
    for item in [manifest["config"], *manifest["layers"]]:
        found[item["digest"]] = item["size"]
    return [{"path": blob(key), "size": length, "sha256": key.split(":")[1]} for key, length in sorted(found.items())]


def read_manifest(store: str, digest: str) -> tuple[Manifest, int]:
    """A manifest and its size in bytes; raises OSError or ValueError where it is not there, not what its name says, or no manifest."""
    data = _content(store, digest)
    if "sha256:" + hashlib.sha256(data).hexdigest() != digest:
        raise ValueError(f"{digest}: found other content under that name")
    try:
        found = json.loads(data)
        good = all(_is_blob(item) for item in [found["config"], *found["layers"]]) and found["config"]["size"] <= LONGEST
    except (ValueError, TypeError, KeyError, RecursionError):
        good = False
    if not good:
        raise ValueError(f"{digest}: found no image's manifest under that name")
    manifest: Manifest = {**found}  # type: ignore[typeddict-item]
    return manifest, len(data)


def _is_blob(item: Any) -> bool:
    size = item["size"]
    return isinstance(size, int) and not isinstance(size, bool) and size >= 0 and bool(DIGEST.fullmatch(item["digest"]))


def _content(store: str, digest: str) -> bytes:
    """A manifest or a config."""
    with open(opened(must(store, blob(digest))), "rb") as file:
        data = file.read(LONGEST + 1)
    if len(data) > LONGEST:
        raise ValueError(f"{digest}: found more than {LONGEST} bytes; wanted a manifest or a config")
    return data


def complete(store: str, digest: str) -> bool:
    """Is everything of an image here, as `lacking` looks at it?"""
    try:
        manifest, size = read_manifest(store, digest)
    except (OSError, ValueError):
        return False
    return not lacking(store, files(manifest, digest, size))


def lacking(store: str, wanted: list[File]) -> list[str]:
    """Paths of `wanted` that are not here with their size; of a small one its content counts, which a power loss turns into zeros."""

    def there(item: File) -> bool:
        try:
            path = must(store, item["path"])
            with open(opened(path), "rb") as file:
                size = os.fstat(file.fileno()).st_size
            return size == item["size"] and (size >= SMALL or sha256(path) == item["sha256"])
        except OSError:
            return False

    return [item["path"] for item in wanted if not there(item)]


def blobs(store: str) -> dict[str, int]:
    """Every blob that is here: its path below the folder and its size in bytes."""
    found = {}
    home = must(store, "")
    for folder, _folders, names in os.walk(must(store, f"{ROOT}/blobs")):
        for name in names:
            full = os.path.join(folder, name)
            found[os.path.relpath(full, home)] = os.lstat(full).st_size
    return found


def put(store: str, chunks: Iterable[bytes], wanted: Container[str] | None = None) -> tuple[str, int]:
    """Write a stream as a blob; returns its digest and size. One that is there already may be damaged: this one takes its place.

    Nothing has a blob's name before it was hashed. Raises ValueError where its digest is none of `wanted` (None: whatever it is).
    """
    folder = must(store, ROOT)
    os.makedirs(folder, exist_ok=True)
    temporary = os.path.join(folder, f".incoming.{os.getpid()}")
    digest, size = hashlib.sha256(), 0
    try:
        with open(fresh(temporary), "wb") as file:
            for chunk in chunks:
                digest.update(chunk)
                size += len(chunk)
                file.write(chunk)
        name = "sha256:" + digest.hexdigest()
        if wanted is not None and name not in wanted:
            raise ValueError(f"found content {name} in {size} bytes; wanted {_few(wanted)}")
        final = os.path.join(must(store, os.path.dirname(blob(name))), "data")
        os.makedirs(os.path.dirname(final), exist_ok=True)
        os.replace(temporary, final)
    finally:
        if os.path.lexists(temporary):
            os.remove(temporary)
    return name, size


def _few(wanted: Container[str]) -> str:
    return " or ".join(sorted(wanted)[:3]) if isinstance(wanted, (set, list, tuple)) else "another"


def read(source: IO[bytes], most: int | None = None) -> Iterator[bytes]:
    """A file in chunks; raises ValueError where it is longer than `most`."""
    count = 0
    while True:
        chunk = source.read(CHUNK)
        count += len(chunk)
        if most is not None and count > most:
            raise ValueError(f"found more than {most} bytes; wanted no more")
        if not chunk:
            return
        yield chunk


def chain_ids(diff_ids: list[str]) -> list[str]:
    """What Docker calls each layer together with those below it (OCI image specification)."""
    found: list[str] = []
    for diff in diff_ids:
        text = f"{found[-1]} {diff}" if found else ""
        found.append("sha256:" + hashlib.sha256(text.encode()).hexdigest() if text else diff)
    return found


@contextlib.contextmanager
def _readable(what: str) -> Iterator[None]:
    """What cannot be read as an image is one kind of error, however it is broken."""
    try:
        yield
    except (
        EOFError,
        gzip.BadGzipFile,
        zlib.error,
        tarfile.TarError,
        TypeError,
        AttributeError,
        KeyError,
        IndexError,
        RecursionError,
    ) as error:
        raise ValueError(f"{what}: found {type(error).__name__} {error}; wanted an image that can be read") from error


def layer(docker_root: str, chain: str) -> Iterator[bytes]:
    """The tar of a layer in Docker's overlay2 store, byte for byte as it was: its files, put together as tar-split recorded.

    So nothing of the other layers is read and no tar is written, as `docker save` would. Raises OSError or ValueError where
    the store is another one, or a name in the record leads out of the layer.
    """
    about = must(docker_root, f"image/overlay2/layerdb/{chain.replace(':', '/')}")
    with open(os.path.join(about, "cache-id"), encoding="ascii") as file:
        folders = os.path.join(docker_root, "overlay2")
        content = must(must(folders, file.read().strip()), "diff")
    # A link is looked for in each folder once, not in each file's whole path; `opened` follows none in the name itself.
    within = functools.lru_cache(maxsize=4096)(functools.partial(must, content))
    with _readable(f"layer {chain}"), gzip.open(os.path.join(about, "tar-split.json.gz"), "rt", encoding="utf-8") as record:
        for line in record:
            entry = json.loads(line)
            if entry["type"] == 2:
                yield base64.b64decode(entry.get("payload") or "")
            elif entry.get("size"):
                name = base64.b64decode(entry["name_raw"]) if "name_raw" in entry else os.fsencode(entry["name"])
                folder, _slash, last = os.fsdecode(name.lstrip(b"/")).rpartition("/")
                try:
                    descriptor = opened(os.path.join(within(folder), last))
                except Refusal:
                    must(content, os.path.join(folder, last))  # says of a link where it leads
                    raise
                with open(descriptor, "rb") as file:
                    yield from read(file, entry["size"])


def ingest(store: str, docker_root: str, image: str, diff_ids: list[str]) -> str:
    """An image of Docker's overlay2 store as blobs and a manifest; returns the manifest's digest. Layers that are here are not read.

    Raises OSError or ValueError where the image is not in such a store, or a layer is not what it was.
    """
    layers: list[Blob] = []
    for diff, chain in zip(diff_ids, chain_ids(diff_ids)):
        path = must(store, blob(diff))
        if not os.path.exists(path):
            put(store, layer(docker_root, chain), {diff})
        layers.append({"mediaType": LAYER, "size": os.path.getsize(path), "digest": diff})
    with open(opened(must(docker_root, f"image/overlay2/imagedb/content/{image.replace(':', '/')}")), "rb") as file:
        config, size = put(store, read(file, LONGEST), {image})
    return _finish(store, {"mediaType": CONFIG, "size": size, "digest": config}, layers)


def ingest_saved(store: str, stream: IO[bytes], diff_ids: list[str]) -> str:
    """The same from the stream of `docker save`, for any other store; returns the manifest's digest.

    Both forms are read: ID/layer.tar (to Docker 24) and blobs/sha256/HEX (from 25). Raises ValueError on anything else, and on what is
    not what its name, or the image's diff IDs, say.
    """
    found: dict[str, tuple[str, int]] = {}
    aliases: dict[str, str] = {}
    listing: list[dict[str, Any]] = []
    with _readable("docker save"), tarfile.open(fileobj=stream, mode="r|") as archive:
        for member in archive:
            if member.issym() or member.islnk():
                aliases[member.name] = os.path.normpath(os.path.join(os.path.dirname(member.name), member.linkname))
                continue
            content = archive.extractfile(member) if member.isfile() else None
            if content is None:
                continue
            named = HEX.search(member.name)
            if member.name == "manifest.json":
                listing = json.loads(content.read(LONGEST))
            elif named or member.name.endswith("layer.tar"):
                found[member.name] = put(store, read(content), {f"sha256:{named[1]}"} if named else diff_ids)
    if len(listing) != 1:
        raise ValueError(f"docker save: found {len(listing)} images in its manifest.json; wanted one")

    def item(name: Any, kind: str) -> Blob:
        key = aliases.get(name, name)
        if key not in found:
            raise ValueError(f"docker save: found no {str(name)[:200]}; wanted it, as manifest.json names it")
        return {"mediaType": kind, "size": found[key][1], "digest": found[key][0]}

    with _readable("docker save: manifest.json"):
        return _finish(store, item(listing[0]["Config"], CONFIG), [item(name, LAYER) for name in listing[0]["Layers"]])


def _finish(store: str, config: Blob, layers: list[Blob]) -> str:
    manifest: Manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": layers}
    return put(store, [json.dumps(manifest, separators=(",", ":")).encode()])[0]


def known(store: str) -> list[Noted]:
    """The images that the folder keeps, newest first; what a record says that is none of ours is passed by. `store` "": no folder."""
    try:
        with open(opened(must(store, RECORD) if store else os.devnull), encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError, RecursionError):
        return []
    items = [item for item in found if isinstance(item, dict)] if isinstance(found, list) else []
    return [
        {"name": str(item.get("name", "")), "image": item["image"], "digest": item["digest"]}
        for item in items
        if isinstance(item.get("image"), str) and DIGEST.fullmatch(str(item.get("digest")))
    ]


def kept(store: str) -> list[Kept]:
    """`known`, each with what its own files say: is it complete, its layers' diff IDs, its architecture."""
    found = []
    for item in known(store):
        about: Kept = {**item, "complete": complete(store, item["digest"]), "files": [], "layers": [], "labels": {}, "architecture": ""}
        if about["complete"]:
            manifest, size = read_manifest(store, item["digest"])
            try:
                config = json.loads(_content(store, manifest["config"]["digest"]))
                about["layers"] = config["rootfs"]["diff_ids"]
                about["labels"] = (config.get("config") or {}).get("Labels") or {}
                about["architecture"] = config.get("architecture", "")
                about["files"] = files(manifest, item["digest"], size)
            except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
                about["complete"] = False  # its blobs are whole, and no image
        found.append(about)
    return found


def remember(store: str, name: str, image: str, digest: str, keep: int) -> int:
    """Note an image as the newest of `keep` with its name, and remove what only forgotten ones need; returns the bytes."""
    noted: list[Noted] = [{"name": name, "image": image, "digest": digest}, *(item for item in known(store) if item["digest"] != digest)]
    return _note(store, [item for item in noted if [other for other in noted if other["name"] == item["name"]].index(item) < keep])


def forget(store: str, digest: str) -> int:
    """Note an image no more, and remove what only it needs; returns the bytes."""
    return _note(store, [item for item in known(store) if item["digest"] != digest])


def _note(store: str, noted: list[Noted]) -> int:
    path = os.path.join(must(store, ""), RECORD)
    with open(fresh(path + ".new"), "w", encoding="utf-8") as file:
        json.dump(noted, file)
    os.replace(path + ".new", path)
    return prune(store, [item["digest"] for item in noted])


def damage(store: str, digest: str) -> list[str]:
    """Read every file of an image again; one text for each that is not there or not what its name says."""
    try:
        manifest, size = read_manifest(store, digest)
    except (OSError, ValueError) as error:
        return [f"{blob(digest)}: found {error}; wanted the image's manifest"]
    problems = []
    for item in files(manifest, digest, size):
        path = os.path.join(store, item["path"])
        try:
            found = sha256(must(store, item["path"]))
        except Refusal as error:
            problems.append(str(error))
            continue
        except OSError as error:
            problems.append(f"{path}: found {error.strerror}; wanted {item['size']} bytes")
            continue
        length = os.path.getsize(path)
        if (found, length) != (item["sha256"], item["size"]):
            problems.append(f"{path}: found SHA-256 {found} in {length} bytes; wanted {item['sha256']} in {item['size']}")
    return problems


def prune(store: str, keep: list[str]) -> int:
    """Remove every blob that none of the images `keep` needs; returns the bytes."""
    needed = set()
    for digest in keep:
        try:
            manifest, size = read_manifest(store, digest)
        except (OSError, ValueError):
            continue
        needed |= {item["path"] for item in files(manifest, digest, size)}
    freed = 0
    home = must(store, "")
    for folder, _folders, names in os.walk(must(store, f"{ROOT}/blobs")):
        for name in names:
            path = os.path.join(folder, name)
            if os.path.relpath(path, home) not in needed:
                freed += os.lstat(path).st_size
                os.remove(path)
                os.rmdir(folder)
    return freed
