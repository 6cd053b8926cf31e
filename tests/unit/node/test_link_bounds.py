"""What a stranger may hold of a real head's port: one line's length, two seconds, sixteen places; each bound alone. Time is a number."""

from __future__ import annotations

import contextlib
import socket
import sys
import time
from collections.abc import Iterator
from typing import Any

import pytest
from conftest import ROOT
from test_supervisor import free_port

sys.path.insert(0, str(ROOT / "roles/engine/files/supervisor"))
import link_head
import wire

KEY = wire.key_of(b"a secret of the launch, of 32 bytes or more")


class Port:
    """A head that runs, whose clock stands still until it is told."""

    def __init__(self) -> None:
        self.at, self.now = ("127.0.0.1", free_port()), 100.0
        names = ["n0", "n1"]
        settings = {"names": names, "launch": "l", "restarts_per_hour": 0, "gather_seconds": 600, "address": f"127.0.0.1:{self.at[1]}"}
        self.head = link_head.Head(settings, KEY, None, lambda: self.now)

    def connect(self) -> socket.socket:
        sock = socket.create_connection(self.at, 10)
        sock.settimeout(10)
        return sock

    def pending(self, count: int) -> None:
        """Wait until the head has taken so many."""
        end = time.monotonic() + 10
        while len(self.head._pending) != count:
            assert time.monotonic() < end, len(self.head._pending)
            time.sleep(0.01)

    def joins(self) -> None:
        """Rank 1 greets, proves itself and is told what to do."""
        with self.connect() as sock, sock.makefile("rb") as lines:
            caller = wire.Caller(KEY, "l", 1, "n1", "s")
            sock.sendall(wire.pack(caller.hello))
            talk, proof, _launch = caller.answer(lines.readline())
            sock.sendall(proof)
            assert talk.hear(lines.readline())["do"]


def closed(sock: socket.socket) -> bool:
    """Has the head ended this connection, at the latest in some seconds?"""
    try:
        return sock.recv(4096) == b""
    except ConnectionError:
        return True
    except TimeoutError:
        return False


@pytest.fixture
def port() -> Iterator[Port]:
    found = Port()
    found.head.start()
    yield found
    found.head.close()


def test_it_listens_on_its_address_alone(port: Port) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.2", port.at[1]), 10)
    port.joins()


def test_a_greeting_has_two_seconds(port: Port) -> None:
    with port.connect() as sock:
        port.pending(1)
        port.now += 1.9
        time.sleep(1)
        sock.setblocking(False)
        with pytest.raises(BlockingIOError):
            sock.recv(1)
        sock.settimeout(10)
        port.now += 0.2
        assert closed(sock)
    assert port.head.refusals == {"a greeting that took too long": 1}
    port.joins()


def test_the_oldest_of_too_many_greetings_goes(port: Port) -> None:
    with contextlib.ExitStack() as stack:
        socks = []
        for number in range(1, 17):
            socks.append(stack.enter_context(port.connect()))
            port.pending(number)
        more = stack.enter_context(port.connect())
        assert closed(socks[0])
        port.pending(16)
        for sock in (socks[1], more):
            sock.setblocking(False)
            with pytest.raises(BlockingIOError):
                sock.recv(1)
        assert port.head.refusals == {"too many greetings at once": 1}
        port.joins()


def test_a_line_has_an_end(port: Port) -> None:
    with port.connect() as sock:
        with contextlib.suppress(ConnectionError):
            sock.sendall(b"x" * 20_000)
        assert closed(sock)
    assert port.head.refusals == {"a line without an end": 1}
    port.joins()


@pytest.mark.parametrize("char", ["x", "\u20ac", "\U0001f600", '"', "\x1b"])
def test_no_report_is_longer_than_a_line(char: str) -> None:
    """Healthy: the longest reason, of whatever it is, in the longest generation."""
    report: dict[str, Any] = {"doing": "engine", "reason": char * 1000, "kind": "engine", "generation": 10**9, "session": "0" * 16}
    assert len(wire.Talk(KEY, [], "worker", "head").say(report)) < wire.LONGEST
