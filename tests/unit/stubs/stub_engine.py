"""Stub of an engine for the supervisor's unit tests; the cluster scenario runs the real one.

usage: stub_engine.py PORT [FILE]

Serves /health, /metrics and /v1/completions. FILE holds JSON that changes how it answers, read at each request:
{"running": 0, "waiting": 0, "tokens": 1, "hang": false}.
"""

import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STATE = Path(sys.argv[2]) if len(sys.argv) > 2 else None


def state() -> dict:
    return {"running": 0, "waiting": 0, "tokens": 1, "hang": False, **(json.loads(STATE.read_text()) if STATE else {})}


class Handler(BaseHTTPRequestHandler):
    def answer(self, text: str) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self) -> None:
        now = state()
        if self.path == "/metrics":
            self.answer(
                f'vllm:num_requests_running{{engine="0"}} {now["running"]}\nvllm:num_requests_waiting{{engine="0"}} {now["waiting"]}\n'
                f'vllm:generation_tokens_total{{engine="0"}} {now["tokens"]}\n'
            )
        else:
            self.answer("{}")

    def do_POST(self) -> None:
        while state()["hang"]:
            time.sleep(0.05)
        self.answer('{"choices": [{"text": "x"}]}')

    def log_message(self, *_arguments: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
