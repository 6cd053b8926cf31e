"""A stub of what owners are paged by (a chat's webhook, Alertmanager): it answers 200 and keeps what came. Runs where there is only Python.

python3 stub_pager.py PORT FILE     one JSON document a line
"""

from __future__ import annotations

import http.server
import sys
from typing import Any


class Handler(http.server.BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        with open(sys.argv[2], "ab") as file:
            file.write(body + b"\n")
        self.send_response(200)
        self.end_headers()

    def log_message(self, *_arguments: Any) -> None:
        pass


if __name__ == "__main__":
    http.server.ThreadingHTTPServer(("", int(sys.argv[1])), Handler).serve_forever()
