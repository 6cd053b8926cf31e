"""The fan-out's program on one node: what a job, a planted link or a lying peer cannot make it read or write."""

from __future__ import annotations

import contextlib
import hashlib
import http.server
import importlib
import os
import random
import shutil
import socket
import sys
import threading
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from conftest import ROOT

DATA = random.Random(0).randbytes(2048)
PIECE = 1024
MODULES = ("_paths", "local", "peers", "pull")


def sha(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    """As the role installs it: beside its files, what it shares with the modules."""
    folder = tmp_path_factory.mktemp("fanout") / "program"
    shutil.copytree(ROOT / "roles/fanout/files/fanout", folder)
    shutil.copy(ROOT / "plugins/module_utils/node/_paths.py", folder)
    sys.path.insert(0, str(folder))
    yield SimpleNamespace(**{name: importlib.import_module(name) for name in MODULES})
    sys.path.remove(str(folder))
    for name in MODULES:
        del sys.modules[name]


def job(folder: Path, files: list[dict[str, Any]], fetch: list[str], parents: list[list[str]] | None = None) -> dict[str, Any]:
    (folder / "root").mkdir(exist_ok=True)
    (folder / "work").mkdir(exist_ok=True)
    return {
        "work": str(folder / "work"), "root": str(folder / "root"), "files": files, "fetch": fetch,
        "piece": PIECE, "lanes": 2, "stall_seconds": 2, "parents": parents or [],
    }  # fmt: skip


def entry(path: str, data: bytes = DATA, **change: Any) -> dict[str, Any]:
    return {"path": path, "size": len(data), "sha256": sha(data), **change}


BAD = {
    "../../x": "..", "/etc/x": "an absolute path", "": "no path", "a/./b": "empty, . or ..", "a//b": "empty, . or ..",
    "a\0b": "a control character", "a\nb": "a control character", "a\x85b": "a control character", "x" * 256: "more than 255 bytes",
    "\udcff": "not UTF-8", ".gx10/" + "0" * 64: "which is ours", "sub/.gx10-manifest.json": "which is ours",
    "/".join(["d" * 200] * 25): "more than 4095",
}  # fmt: skip


@pytest.mark.parametrize(("path", "why"), BAD.items())
def test_finding_5_names_are_refused_by_form(program: Any, tmp_path: Path, path: str, why: str) -> None:
    with pytest.raises(OSError, match="wanted a path below the folder") as refused:
        program.local.Store(job(tmp_path, [entry(path)], [path]))
    assert why in str(refused.value)
    assert sorted(os.listdir(tmp_path)) == ["root", "work"]


@pytest.mark.parametrize("change", [{"sha256": "../../x"}, {"sha256": None}, {"size": -1}, {"size": "9"}, {"size": True}])
def test_finding_5_hashes_and_sizes_too(program: Any, tmp_path: Path, change: dict[str, Any]) -> None:
    with pytest.raises(OSError, match=r"a: found (SHA-256|size)"):
        program.local.Store(job(tmp_path, [entry("a", **change), entry("b", size=-2)], ["a"]))


def test_finding_5_all_come_at_once(program: Any, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="no file of that name in the job") as refused:
        program.local.Store(job(tmp_path, [entry("../x"), entry("a"), entry("a")], ["b"]))
    assert len(str(refused.value).splitlines()) == 3


@pytest.mark.parametrize("what", ["folder", "part", "hard", "record", "target", "final"])
def test_finding_5_a_planted_link_is_not_written_through(program: Any, tmp_path: Path, what: str) -> None:
    outer, root, stage = tmp_path / "outer", tmp_path / "root", tmp_path / "root/.gx10"
    outer.mkdir()
    (outer / "canary").write_bytes(DATA[::-1])
    files, digest = [entry("sub/a")], sha(DATA)
    given = job(tmp_path, files, ["sub/a"])
    (root if what == "folder" else stage).mkdir(exist_ok=True)
    if what == "final":
        (root / "sub").mkdir()
    link = {"folder": stage, "part": stage / digest, "hard": stage / digest, "record": stage / f"{digest}.pieces"}
    link |= {"target": root / "sub", "final": root / "sub/a"}
    if what == "hard":
        os.link(outer / "canary", link[what])
    else:
        link[what].symlink_to(outer if what in ("folder", "target") else outer / "canary")
    if what == "hard":  # as if an earlier run had brought it all
        (stage / f"{digest}.pieces").write_text(f"0 {len(DATA)}\n")
    if what in ("folder", "target"):
        with pytest.raises(OSError, match="found a link"):
            program.local.Store(given)
    else:
        store = program.local.Store(given)
        part = store.part(digest)
        assert not part.covers(0, len(DATA))
        with open(part.write(), "wb") as file:
            file.write(DATA)
        part.add(0, len(DATA))
        store.finish(digest)
        assert (root / "sub/a").read_bytes() == DATA
        assert not (root / "sub/a").is_symlink()
    assert {path.name: path.read_bytes() for path in outer.iterdir()} == {"canary": DATA[::-1]}


def test_finding_4_what_a_link_leads_out_to_is_not_served(program: Any, tmp_path: Path) -> None:
    given = job(tmp_path, [entry("a")], [])
    (tmp_path / "canary").write_bytes(DATA)
    (tmp_path / "root/a").symlink_to(tmp_path / "canary")
    with pytest.raises(OSError, match="a: found a link out of"):
        program.local.Store(given)


def test_a_folder_that_is_exchanged_for_a_link_is_not_offered(program: Any, tmp_path: Path) -> None:
    """13.16: after the job was looked at, before it is read."""
    given = job(tmp_path, [entry("sub/a")], [])
    (tmp_path / "root/sub").mkdir()
    (tmp_path / "root/sub/a").write_bytes(DATA)
    store = program.local.Store(given)
    store.link(sha(DATA), store.have[sha(DATA)])
    assert program.local.crc(store.have[sha(DATA)], 0, len(DATA), store) == zlib.crc32(DATA)
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer/a").write_bytes(b"a secret")
    (tmp_path / "root/sub").rename(tmp_path / "old")
    (tmp_path / "root/sub").symlink_to(tmp_path / "outer")
    for read, more in ((program.local.crc, (0, 4)), (lambda path: store.link(sha(DATA), path), ())):
        with pytest.raises(OSError, match="outer/a in its place while it was read; wanted that file"):
            read(store.have[sha(DATA)], *more)
    # What was offered before is what nginx still opens.
    assert (tmp_path / "work/files" / sha(DATA)).read_bytes() == DATA


def test_a_file_is_served_from_its_first_piece_on_and_under_its_name_without_a_gap(program: Any, tmp_path: Path) -> None:
    """As nginx does: each request opens what lies under the hash."""
    digest = sha(DATA)
    store, served = program.local.Store(job(tmp_path, [entry("sub/a")], ["sub/a"])), tmp_path / "work/files" / digest
    part = store.part(digest)
    way = os.readlink(served)
    with open(part.write(), "wb") as file:
        file.write(DATA[::-1])
    assert served.read_bytes() == DATA[::-1]
    # Wrong as a whole, and brought again: another file, by the same way.
    part.drop()
    store.parts.pop(digest)
    part = store.part(digest)
    with open(part.write(), "wb") as file:
        file.write(DATA)
    part.add(0, len(DATA))
    assert (served.read_bytes(), os.readlink(served)) == (DATA, way)
    store.finish(digest)
    assert served.read_bytes() == (tmp_path / "root/sub/a").read_bytes() == DATA
    assert not os.listdir(tmp_path / "root/.gx10")
    # Whatever is put in its place: it is not what was verified.
    (tmp_path / "outer").mkdir()
    (tmp_path / "outer/a").write_bytes(b"a secret")
    (tmp_path / "root/sub").rename(tmp_path / "old")
    (tmp_path / "root/sub").symlink_to(tmp_path / "outer")
    assert served.read_bytes() == DATA


def test_finding_4_the_hubs_cache_serves_its_own_blobs(program: Any, tmp_path: Path) -> None:
    blobs, snapshot = tmp_path / "models--org--name/blobs", tmp_path / "models--org--name/snapshots/main"
    for folder in (blobs, snapshot):
        folder.mkdir(parents=True)
    (blobs / "f00d").write_bytes(DATA)
    (snapshot / "a").symlink_to("../../blobs/f00d")
    given = {**job(tmp_path, [entry("a")], []), "root": str(tmp_path / "link")}
    (tmp_path / "link").symlink_to(snapshot)
    assert program.local.Store(given).have == {sha(DATA): str(blobs / "f00d")}


class Peer(http.server.BaseHTTPRequestHandler):
    """A predecessor whose journal is right; what it sends is DATA[start:end] changed by `lie`."""

    lie: Any = staticmethod(lambda data: data)

    def do_GET(self) -> None:
        if self.path == "/ready":
            journal = self.server.journal  # type: ignore[attr-defined]
            start = int(self.headers["Range"][6:-1])
            self._answer(416 if start >= len(journal) else 206, journal[start:])
            return
        start, end = map(int, self.headers["Range"][6:].split("-"))
        self._answer(206, self.server.lie(DATA[start : end + 1]))  # type: ignore[attr-defined]

    def _answer(self, status: int, body: bytes) -> None:
        self.send_response(status)
        # No length: only so can a reply be longer than what was asked for without curl's knowing.
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_args: Any) -> None:
        pass


def pull(program: Any, folder: Path, lies: list[Any]) -> tuple[Any, Any]:
    """Fetch one file from peers that change what they send; their own order is the puller's."""
    servers: list[Any] = []
    digest = sha(DATA)
    for lie in lies:
        server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Peer)
        server.lie = lie
        lines = [f"{digest} {at} {at + PIECE} {program.local.zlib.crc32(DATA[at : at + PIECE])}" for at in range(0, len(DATA), PIECE)]
        server.journal = "".join(f"{line}\n" for line in [*lines, "end"]).encode()
        threading.Thread(target=server.serve_forever, daemon=True).start()
        servers.append(server)
    parents = [[f"http://127.0.0.1:{server.server_port}"] for server in servers]
    given = job(folder, [entry("a")], ["a"], parents)
    store = program.local.Store(given)
    puller = program.pull.Puller(given, store, program.peers.Peers(parents, 2))
    puller.start()
    deadline = time.monotonic() + 30
    while puller.state()["phase"] == "pulling" and time.monotonic() < deadline:
        time.sleep(0.02)
    puller.stop()
    for server in servers:
        server.shutdown()
        server.server_close()
    return puller.state(), store


def more(data: bytes) -> bytes:
    """Of the last piece: bytes beyond the file's end."""
    return data + b"trailing" if DATA.endswith(data) else data


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_finding_12_trailing_bytes_are_never_renamed(program: Any, tmp_path: Path) -> None:
    once = iter([more])
    state, _store = pull(program, tmp_path, [lambda data: next(once, lambda data: data)(data) if DATA.endswith(data) else data])
    assert (state["phase"], state["failed"]) == ("done", [])
    assert (tmp_path / "root/a").read_bytes() == DATA


@pytest.mark.skipif(not shutil.which("curl"), reason="needs curl")
def test_finding_12_a_peer_that_always_sends_more_is_named(program: Any, tmp_path: Path) -> None:
    state, _store = pull(program, tmp_path, [more])
    assert state["phase"] == "failed"
    assert "127.0.0.1" in state["failed"][0]["why"]
    assert not (tmp_path / "root/a").exists()
    assert (tmp_path / "root/.gx10" / sha(DATA)).stat().st_size == len(DATA)


def test_finding_12_the_size_counts_before_the_hash(program: Any, tmp_path: Path) -> None:
    """Whoever made the file longer: what is hashed is only what was asked for."""
    store = program.local.Store(job(tmp_path, [entry("a")], ["a"]))
    part = store.part(sha(DATA))
    with open(part.write(), "wb") as file:
        file.write(DATA + b"trailing")
    part.add(0, len(DATA))
    assert part.wrong(sha(DATA)) == f"found {len(DATA) + 8} bytes; wanted {len(DATA)}"
    part.cut()
    assert part.wrong(sha(DATA)) == ""


def test_finding_12_an_empty_file_has_a_hash_too(program: Any, tmp_path: Path) -> None:
    given = job(tmp_path, [entry("a", b"", sha256="0" * 64)], ["a"])
    puller = program.pull.Puller(given, program.local.Store(given), program.peers.Peers([], 1))
    puller._works()
    assert puller.state()["failed"] == [{"path": "a", "why": f"found SHA-256 {sha(b'')}; wanted {'0' * 64}"}]
    assert not (tmp_path / "root/a").exists()


def test_a_journal_is_read_over_one_connection(program: Any) -> None:
    """With an interpreter, too, that leaves open what read1 has read to its end (before 3.11.8 and 3.12.2)."""
    seen = set()

    class Keeps(Peer):
        protocol_version = "HTTP/1.1"

        def _answer(self, status: int, body: bytes) -> None:
            seen.add(self.client_address)
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

    server: Any = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Keeps)
    server.journal = b""
    threading.Thread(target=server.serve_forever, daemon=True).start()
    peer = program.peers.Peer([f"http://127.0.0.1:{server.server_port}"])
    for number in range(5):
        server.journal += f"{sha(DATA)} {number} 10 1\n".encode()
        assert [peer.poll(), peer.poll()] == [True, False]
    server.shutdown()
    server.server_close()
    assert (len(seen), len(peer.ready)) == (1, 5)


def test_a_journal_that_trickles_holds_up_no_other(program: Any) -> None:
    """One byte each 0.3 s, each within any time-out of a read; the origin has everything."""
    piece = ("f" * 64, 0, 10)
    line = f"{piece[0]} 0 10 1\nend\n".encode()

    def serve(server: socket.socket, trickles: bool) -> None:
        with contextlib.suppress(OSError):
            while True:
                connection, _address = server.accept()
                with connection, contextlib.suppress(OSError):
                    connection.recv(4096)
                    length = 100_000 if trickles else len(line)
                    connection.sendall(b"HTTP/1.1 206 Partial Content\r\nContent-Length: %d\r\n\r\n" % length)
                    while trickles:
                        connection.sendall(b"=")
                        time.sleep(0.3)
                    connection.sendall(line)

    with contextlib.ExitStack() as stack:
        parents = []
        for trickles in (True, False):
            server = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
            threading.Thread(target=serve, args=(server, trickles), daemon=True).start()
            parents.append([f"http://127.0.0.1:{server.getsockname()[1]}"])
        peers = program.peers.Peers(parents, 1.0)
        peers.start()
        deadline = time.monotonic() + 60
        found = None
        while found is None and time.monotonic() < deadline:
            with peers.changed:
                peers.changed.wait(1)
                found = peers.source(piece, set())
        peers.stop()
    assert found is not None and [found.urls] == [parents[1]]
    assert peers.passed == {parents[0][0]: "no progress for 1 s"}
