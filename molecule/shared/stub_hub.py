"""A stub of the hub (it cannot be reached from a test): the requests that `hf download` makes for a pinned revision."""

from __future__ import annotations

import hashlib
import http.server
import json
import threading
from pathlib import Path
from typing import Any


class StubHub:
    """Serves one repository from a folder on one address; notes who asked for what, with which token."""

    def __init__(self, address: str, repo: str, revision: str, folder: Path) -> None:
        self.requests: list[tuple[str, str, str]] = []
        hub = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self, body: bool) -> None:
                path = self.path.split("?")[0]
                if repo in path:
                    hub.requests.append((self.client_address[0], path, self.headers.get("Authorization", "")))
                if path == f"/api/models/{repo}/revision/{revision}":
                    siblings = [{"rfilename": item.name} for item in sorted(folder.iterdir())]
                    self.send(json.dumps({"_id": "1", "id": repo, "sha": revision, "siblings": siblings}).encode(), {}, body)
                elif path == f"/api/models/{repo}/tree/{revision}":
                    tree = [
                        {"type": "file", "path": item.name, "size": item.stat().st_size, "oid": "0" * 40}
                        for item in sorted(folder.iterdir())
                    ]
                    self.send(json.dumps(tree).encode(), {}, body)
                elif path.startswith(f"/{repo}/resolve/{revision}/"):
                    data = (folder / path.rsplit("/", 1)[1]).read_bytes()
                    etag = hashlib.sha256(data).hexdigest() if path.endswith(".safetensors") else hashlib.sha1(data).hexdigest()
                    self.send(data, {"ETag": f'"{etag}"', "X-Repo-Commit": revision, "Accept-Ranges": "bytes"}, body)
                else:
                    self.send_error(404)

            def send(self, data: bytes, headers: dict[str, str], body: bool) -> None:
                self.send_response(200)
                for key, value in {**headers, "Content-Length": str(len(data))}.items():
                    self.send_header(key, value)
                self.end_headers()
                if body:
                    self.wfile.write(data)

            def do_HEAD(self) -> None:
                self.answer(body=False)

            def do_GET(self) -> None:
                self.answer(body=True)

            def log_message(self, *_arguments: Any) -> None:
                pass

        self.server = http.server.ThreadingHTTPServer((address, 0), Handler)
        self.url = f"http://{address}:{self.server.server_address[1]}"
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    def stop(self) -> None:
        self.server.shutdown()
        self.server.server_close()
