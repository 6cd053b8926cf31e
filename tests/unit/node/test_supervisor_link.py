"""The link between supervisors that run: cut, broken, frozen for a while, and what strangers send to its port."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from launches import GENEROUS, Launch, Node, launching
from test_supervisor import STUBS, eventually


@pytest.fixture
def launch(tmp_path: Path) -> Iterator[Callable[..., Launch]]:
    yield from launching(tmp_path)


class Proxy:
    """A TCP proxy that can go silent: no byte, no RST, and new connections are taken and never answered."""

    def __init__(self, target: int) -> None:
        self.target, self.silent = target, threading.Event()
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self.listener.getsockname()[1]
        self.kept: list[socket.socket] = []
        threading.Thread(target=self.accept, daemon=True).start()

    def accept(self) -> None:
        while True:
            client, _address = self.listener.accept()
            self.kept.append(client)
            if self.silent.is_set():
                continue
            try:
                server = socket.create_connection(("127.0.0.1", self.target))
            except OSError:
                client.close()
                continue
            self.kept.append(server)
            for one, other in ((client, server), (server, client)):
                threading.Thread(target=self.pump, args=(one, other), daemon=True).start()

    def pump(self, one: socket.socket, other: socket.socket) -> None:
        try:
            while data := one.recv(65536):
                if self.silent.is_set():
                    return
                other.sendall(data)
        except OSError:
            pass
        if not self.silent.is_set():
            for end in (one, other):
                end.close()


def test_a_cut_link_is_known_on_both_sides_and_heals(launch: Callable[..., Launch]) -> None:
    proxy: list[Proxy] = []

    class Cut(Launch):
        def part(self, rank: int, port: int | None = None) -> dict[str, Any]:
            if rank == 2 and not proxy:
                proxy.append(Proxy(self.link_port))
            return super().part(rank, proxy[0].port if rank == 2 else None)

    one = launch(kind=Cut)
    one.serves()
    proxy[0].silent.set()
    print(f"a cut link was known to all, on both sides of it, after {one.ended(one.nodes, 1):.1f} s")
    assert eventually(lambda: one.head.phase() == "waiting" and "for n2" in one.head.status()["reason"], GENEROUS), one.statuses()
    assert eventually(lambda: "for n0 (does not answer at" in one.nodes[2].status()["reason"], GENEROUS), one.nodes[2].status()
    time.sleep(2)
    assert one.head.status()["restarts"] == "0 of 3 within an hour", "a rank that cannot come has burnt a restart"
    proxy[0].silent.clear()
    one.serves(2)
    assert "n2: no heartbeat for 4 s" in one.head.status()["evidence"]["ended"]
    assert one.head.status()["restarts"] == "1 of 3 within an hour"


def test_a_connection_that_breaks_and_comes_back_ends_nothing(launch: Callable[..., Launch]) -> None:
    proxy: list[Proxy] = []

    class Broken(Launch):
        def part(self, rank: int, port: int | None = None) -> dict[str, Any]:
            if rank == 1 and not proxy:
                proxy.append(Proxy(self.link_port))
            return super().part(rank, proxy[0].port if rank == 1 else None)

    one = launch(kind=Broken, ranks=2)
    one.serves()
    for _break in range(3):
        assert proxy[0].kept
        for end in proxy[0].kept:
            end.close()
        proxy[0].kept.clear()
        assert eventually(lambda: proxy[0].kept, GENEROUS), "no new connection was made"
        time.sleep(1)
    # Silent for less than the bound, too.
    one.nodes[1].process.send_signal(signal.SIGSTOP)
    time.sleep(2)
    one.nodes[1].process.send_signal(signal.SIGCONT)
    time.sleep(5)
    one.serves(1, 1)


@pytest.mark.parametrize("rank", [0, 1])
def test_a_link_whose_thread_has_ended_costs_one_restart(launch: Callable[..., Launch], monkeypatch: pytest.MonkeyPatch, rank: int) -> None:
    monkeypatch.setattr(Node, "program", STUBS / "stub_broken_link.py")
    one = launch(ranks=2)
    one.serves()
    victim = one.nodes[rank]
    (victim.folder / "break").touch()
    assert victim.process.wait(GENEROUS) == 1
    assert "the thread of the group's link has ended" in victim.status()["reason"]
    (victim.folder / "break").unlink()
    victim.start()  # as Docker does
    one.serves(2)
    assert one.head.status()["restarts"] == "1 of 3 within an hour"


@pytest.mark.parametrize("change", ["launch", "secret", "rank"])
def test_who_does_not_belong_to_the_launch_cannot_join(launch: Callable[..., Launch], change: str, tmp_path: Path) -> None:
    one = launch(ranks=2)
    one.serves()
    part = one.part(1)
    part["status_file"] = str(tmp_path / "stranger" / "status.json")
    (tmp_path / "other").write_text("another secret")
    settings: dict[str, dict[str, Any]] = {
        "launch": {"launch": "sha256:yesterday"},
        "secret": {"secret_file": str(tmp_path / "other")},
        "rank": {"names": ["n0", "x1"]},
    }
    part["group"] = {**part["group"], **settings[change]}
    stranger = Node(tmp_path / "stranger", 1, part)
    try:
        words = {"launch": "serves another launch", "secret": "does not know this launch's secret", "rank": "for n0"}[change]
        assert eventually(lambda: words in stranger.status().get("reason", ""), GENEROUS), stranger.status()
        time.sleep(3)
        assert stranger.phase() == "waiting"
        assert "engine_pid" not in stranger.status()["evidence"]
        one.serves(1, 1)
    finally:
        stranger.end()


def test_what_is_sent_to_the_port_by_others_ends_nothing(launch: Callable[..., Launch]) -> None:
    one = launch(ranks=2)
    one.serves()
    at = ("127.0.0.1", one.link_port)
    words = [
        b"\0\xff" * 4000 + b"\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"{}\n",
        b"[" * 15000 + b"\n",
        b'{"rank": 1}\n',
        b"x" * 10**6,
        b'"\\ud800"\n',
    ]
    hello = {"rank": 1, "name": "n1", "launch": "sha256:l", "session": "s", "nonce": "n"}
    words += [json.dumps(hello).encode() + b"\n" + b'{"mac": "00"}\n', json.dumps({**hello, "rank": True}).encode() + b"\n"]
    for word in words:
        with socket.create_connection(at, 5) as sock:
            sock.settimeout(10)
            try:
                sock.sendall(word)
                while sock.recv(4096):
                    pass
            except ConnectionError:
                pass
    # More at a time than it takes, each a byte now and then: none of them keeps a place for long.
    slow = []
    for _one in range(60):
        slow.append(socket.create_connection(at, 5))
    end = time.monotonic() + 6
    while time.monotonic() < end:
        for sock in slow:
            with contextlib.suppress(OSError):
                sock.send(b"{")
        time.sleep(0.2)
    files = len(os.listdir(f"/proc/{one.head.process.pid}/fd"))
    assert files < 40, files
    one.serves(1, 1)
    # And while they wait, a rank that belongs here still comes in.
    slow += [socket.create_connection(at, 5) for _one in range(60)]
    one.nodes[1].kill_rank()
    one.serves(2)
    for sock in slow:
        sock.close()
