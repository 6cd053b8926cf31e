"""The module that asks the API: one scheme, one host, bounded answers, and a reply that is none is a status, not a traceback."""

from __future__ import annotations

import contextlib
import json
import socket
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible.module_utils.testing import patch_module_args
from ansible_collections.gx10.serving.plugins.modules import api_info


@contextlib.contextmanager
def replies(text: bytes) -> Iterator[str]:
    """A server that says this to everybody, and hangs up; its URL."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _address = server.accept()
                    with connection, contextlib.suppress(OSError):
                        connection.recv(65536)
                        connection.sendall(text)
                        connection.shutdown(socket.SHUT_WR)
                        # What is not read when it closes would reset the connection.
                        while connection.recv(65536):
                            pass

        threading.Thread(target=serve, daemon=True).start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def run(capsys: pytest.CaptureFixture[str], url: str) -> dict[str, Any]:
    """What the module answers."""
    with patch_module_args({"url": url, "served_name": "m", "timeout": 5}), pytest.raises(SystemExit):
        api_info.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


BAD = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\nshort", "IncompleteRead"),
    (b"SSH-2.0-OpenSSH_9.6\r\n", "SSH-2.0"),
    (b"HTTP/1.1 200 OK\r\n" + b"x" * 70_000 + b"\r\n\r\n", "more than"),
    (b"\x00\x00\x12\x04\x00", ""),
    (b"", ""),
]


@pytest.mark.parametrize(("text", "error"), BAD)
def test_a_reply_that_is_none_is_status_0(capsys: pytest.CaptureFixture[str], text: bytes, error: str) -> None:
    with replies(text) as url:
        found = run(capsys, url)
    assert (found["health"], found["chat"]["status"], found["models"], found["metrics"]) == (0, 0, [], {})
    assert error in found["chat"]["error"] and found["chat"]["error"]


@pytest.mark.parametrize(
    "rest", [b"Transfer-Encoding: chunked\r\n\r\n5\r\nab", b"Transfer-Encoding: chunked\r\n\r\nzz", b"Content-Length: 9\r\n\r\nx"]
)
def test_an_error_that_is_cut_within_its_words_is_its_status(capsys: pytest.CaptureFixture[str], rest: bytes) -> None:
    """Of an engine that dies while it says so."""
    with replies(b"HTTP/1.1 500 No\r\n" + rest) as url:
        found = run(capsys, url)
    assert (found["health"], found["chat"]["status"], found["models"]) == (500, 500, [])


def test_a_redirect_is_an_answer_and_is_not_followed(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    with replies(b'HTTP/1.1 200 OK\r\nContent-Length: 16\r\n\r\n{"data": [{}]}\r\n') as elsewhere:
        assert run(capsys, elsewhere)["health"] == 200
        for location in (elsewhere, f"file://{tmp_path}"):
            with replies(f"HTTP/1.1 302 Found\r\nLocation: {location}\r\nContent-Length: 0\r\n\r\n".encode()) as url:
                assert run(capsys, url)["health"] == 302


@pytest.mark.parametrize("text", [b"vllm:a 1.2.3\nvllm:b 2\n", b"vllm:b 2\nvllm:a"])
def test_a_sample_that_is_cut_is_passed_by(capsys: pytest.CaptureFixture[str], text: bytes) -> None:
    with replies(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(text), text)) as url:
        assert run(capsys, url)["metrics"] == {"vllm:b": 2.0}


@pytest.mark.parametrize(
    "url",
    ["http://10.0.0.1:8000", "http://[fd00::1]:8000", "http://[fe80::1%eth0]:8000", "http://gx10-1.local:8000", "http://spark_1:8000"],
)
def test_the_urls_of_plans_are_taken(url: str) -> None:
    assert api_info.NODE_URL.fullmatch(url)


@pytest.mark.parametrize(
    "url",
    [
        *("file:///etc/shadow#:8000", "ftp://10.0.0.1:21", "https://10.0.0.1:443", "http://10.0.0.1", "http://10.0.0.1:8000/x"),
        *("http://user@10.0.0.1:8000", "http://10.0.0.1:8000\n", "HTTP://10.0.0.1:1", "data:,x", ""),
    ],
)
def test_nothing_else_is_asked(capsys: pytest.CaptureFixture[str], url: str) -> None:
    assert "wanted http://HOST:PORT of this node" in run(capsys, url)["msg"]
