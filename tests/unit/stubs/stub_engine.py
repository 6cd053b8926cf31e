"""Stub of an engine for the supervisor's unit tests; the cluster scenario runs the real one.

usage: stub_engine.py PORT [FILE]

Serves /health, /metrics and /v1/completions. FILE holds JSON that changes how it answers, read at each request:
{"running": 0, "waiting": 0, "tokens": 1, "hang": false, "metrics": 200, "completions": 200, "slow": 0}; metrics and completions are
statuses, slow is the seconds that /health takes.
"""

import contextlib
import json
import sys
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

STATE = Path(sys.argv[2]) if len(sys.argv) > 2 else None


DEFAULTS = {"running": 0, "waiting": 0, "tokens": 1, "hang": False, "metrics": 200, "completions": 200, "slow": 0}


def state() -> dict:
    return {**DEFAULTS, **(json.loads(STATE.read_text()) if STATE else {})}


class Handler(BaseHTTPRequestHandler):
    def answer(self, text: str, status: int = 200) -> None:
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self) -> None:
        now = state()
        if self.path == "/metrics" and now["metrics"] != 200:
            self.answer("", now["metrics"])
        elif self.path == "/metrics":
            self.answer(
                f'vllm:num_requests_running{{engine="0"}} {now["running"]}\nvllm:num_requests_waiting{{engine="0"}} {now["waiting"]}\n'
                f'vllm:generation_tokens_total{{engine="0"}} {now["tokens"]}\n'
            )
        else:
            time.sleep(now["slow"])
            with contextlib.suppress(BrokenPipeError):
                self.answer("{}")

    def do_POST(self) -> None:
        while state()["hang"]:
            time.sleep(0.05)
        self.answer('{"choices": [{"text": "x"}]}', state()["completions"])

    def log_message(self, *_arguments: object) -> None:
        pass


if __name__ == "__main__":
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
