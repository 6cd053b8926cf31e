"""Replies that are no HTTP, or are cut in their middle: no answer to who asks, and no end of the engine's watch."""

from __future__ import annotations

import contextlib
import os
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import ROOT
from test_supervisor import WATCH, eventually

sys.path.insert(0, str(ROOT / "roles/engine/files/supervisor"))
import probe
import watch

REPLIES = {
    "another protocol": b"SSH-2.0-OpenSSH_9.6\r\n",
    "cut within its body": b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nvllm:num_requests_running 1\n",
    "cut within an error": b"HTTP/1.1 500 No\r\nContent-Length: 1000\r\n\r\nx",
    "a bad chunk": b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
    "a long header": b"HTTP/1.1 200 OK\r\nA: " + b"x" * 70000 + b"\r\n\r\n",
    "many headers": b"HTTP/1.1 200 OK\r\n" + b"A: b\r\n" * 200 + b"\r\n",
}


@pytest.fixture
def serve() -> Iterator[Callable[[bytes], str]]:
    servers: list[socket.socket] = []

    def start(reply: bytes) -> str:
        server = socket.create_server(("127.0.0.1", 0))
        servers.append(server)

        def go() -> None:
            with contextlib.suppress(OSError):
                while True:
                    client, _address = server.accept()
                    client.recv(4096)
                    client.sendall(reply)
                    client.close()

        threading.Thread(target=go, daemon=True).start()
        return f"http://127.0.0.1:{server.getsockname()[1]}"

    yield start
    for one in servers:
        one.close()


@pytest.mark.parametrize("kind", REPLIES)
def test_a_reply_that_is_none_is_no_answer(serve: Callable[[bytes], str], kind: str) -> None:
    url, code = serve(REPLIES[kind]), 500 if "error" in kind else 0
    for status, text in (probe.get(f"{url}/health", 5), probe.post(f"{url}/v1/completions", {}, 5)):
        assert status == code and (text or code)


@pytest.mark.parametrize("kind", REPLIES)
def test_the_watch_lives_on(serve: Callable[[bytes], str], kind: str) -> None:
    one = watch.Watch(serve(REPLIES[kind]), "m", WATCH, os.getpid())
    one.start()
    time.sleep(0.5)
    assert (one.is_alive(), one.verdict) == (True, None)
    one.stopping.set()
    one.join(10)


def test_a_look_that_fails_is_not_the_last(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    looked: list[int] = []

    def fails(*_args: Any, **_more: Any) -> Any:
        looked.append(1)
        raise RuntimeError("out of luck")

    monkeypatch.setattr(probe, "get", fails)
    one = watch.Watch("http://127.0.0.1:1", "m", WATCH, os.getpid())
    one.start()
    assert eventually(lambda: len(looked) >= 3, 10)
    one.stopping.set()
    one.join(10)
    assert one.verdict is None and "a look at the engine failed: RuntimeError: out of luck" in capfd.readouterr().err


def test_a_line_that_is_no_sample_is_none() -> None:
    assert probe.samples("a 1.2.3\nb 2\n", "a") is None and probe.samples("a 1.2.3\nb 2\n", "b") == 2.0
