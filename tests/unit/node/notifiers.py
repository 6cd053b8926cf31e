"""A head's folders with role notify's program on them, and an HTTP receiver that answers as it is told; for the tests of the program."""

from __future__ import annotations

import http.server
import importlib
import json
import os
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from conftest import ROOT

PROGRAM = ROOT / "roles/notify/files/notifier"
MODULES = ("command", "outbox", "sender", "spool", "webhook")
SECRET = "T0K3N-of-the-webhook-4f9a"
# A status for each request, the last for all that follow; or what else it does with one.
HANG, DRIP = "hang", "drip"


class Receiver:
    """An HTTP server that answers as it is told, and notes what came."""

    def __init__(self, answers: list[Any], port: int = 0, context: ssl.SSLContext | None = None) -> None:
        self.answers, self.over = answers, threading.Event()
        self.requests: list[dict[str, Any]] = []
        self.headers: dict[str, str] = {}
        receiver = self

        class Handler(http.server.BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                answer = receiver.answers.pop(0) if len(receiver.answers) > 1 else receiver.answers[0]
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                receiver.requests.append({"path": self.path, "headers": dict(self.headers), "body": body, "answer": answer})
                if answer == HANG:
                    receiver.over.wait(60)
                    return
                if answer == DRIP:
                    self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                    while not receiver.over.wait(0.2):
                        self.wfile.write(b"X: y\r\n")
                    return
                self.send_response(answer)
                for name, value in receiver.headers.items():
                    self.send_header(name, value)
                self.end_headers()

            def do_GET(self) -> None:
                receiver.requests.append({"path": self.path, "headers": dict(self.headers), "body": None, "answer": None})
                self.send_error(404)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", port), Handler)
        if context:
            self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def told(self) -> list[int]:
        """Numbers of the notices that were accepted."""
        return [item["body"]["sequence"] for item in self.requests if item["answer"] == 200]

    def stop(self) -> None:
        self.over.set()
        self.server.shutdown()
        self.server.server_close()


class Site:
    """A head's folders, and the program on them."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.spool, self.queue = folder, folder / "spool", folder / "queue"
        self.spool.mkdir()
        self.process: subprocess.Popen[str] | None = None

    def note(self, sequence: int, event: str = "serving", **more: Any) -> None:
        """As the supervisor does."""
        found = {
            "sequence": sequence, "time": 1764500000.5, "event": event, "profile": "tiny", "node": "n0", "launch": "sha256:1",
            "generation": 1, "restarts": 0, "limit": 3, "reason": "", "text": f"tiny: {event}", **more,
        }  # fmt: skip
        (self.folder / "new").write_text(json.dumps(found))
        (self.folder / "new").rename(self.spool / f"{sequence:012d}.json")

    def start(self, env: dict[str, str] | None = None, **config: Any) -> None:
        given = {"spool": str(self.spool), "queue": str(self.queue), "linger_seconds": 1.0, "pause_seconds": 0.05, **config}
        (self.folder / "config.json").write_text(json.dumps(given))
        argv = [sys.executable, "-B", str(PROGRAM), str(self.folder / "config.json")]
        pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True}
        self.process = subprocess.Popen(argv, **pipes, env={**os.environ, **(env or {})})

    def ends(self, seconds: float = 20) -> str:
        """Its words, when nothing waits any more."""
        assert self.process
        output, _none = self.process.communicate(timeout=seconds)
        assert self.process.returncode == 0, output
        return output

    def kill(self) -> None:
        if self.process and self.process.poll() is None:
            self.process.kill()
            self.process.communicate()


def receiving() -> Iterator[Callable[..., Receiver]]:
    """Starts receivers, and ends all of them: for a fixture."""
    receivers: list[Receiver] = []

    def start(*answers: Any, **more: Any) -> Receiver:
        receivers.append(Receiver(list(answers), **more))
        return receivers[-1]

    yield start
    for one in receivers:
        one.stop()


def importing() -> Iterator[Any]:
    """The program's modules, imported as they import each other: for a fixture."""
    sys.path.insert(0, str(PROGRAM))
    yield {name: importlib.import_module(name) for name in MODULES}
    sys.path.remove(str(PROGRAM))
    for name in MODULES:
        del sys.modules[name]
