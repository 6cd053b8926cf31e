"""Stub of an engine that lives through a script of scenes, for the supervisor's tests against hours of an engine's life.

usage: stub_timeline_engine.py PORT SCRIPT

SCRIPT is JSON: {"engine": "vllm-0.22.1" | "vllm-0.30.0" | "sglang-0.5.13", "factor": how much faster than life, "scenes": [SCENE, …]}.
SCENE is {"seconds": of its life, "log": a line at its start, "running", "waiting": requests, "prefill", "decode": tokens per second,
"chunk": tokens of a prefill step, "completion": seconds that one of one token takes (null: it does not return in this scene),
"cpu": share of one core, "freeze": "stop" (SIGSTOP) or "deadlock" of the engine's core, "metrics": status of /metrics}. "gauge": false
leaves out what moves chunk by chunk (the KV cache's usage, SGLang's realtime_tokens_total). The last scene lasts for ever.

The time of the first scene's start (Unix seconds) is left in the file `began` of the current directory.

Like the real ones it has an API process, which always answers /health, and a core process below it, which spends the CPU time.
What moves when is from the sources: vLLM v1/engine/async_llm.py, v1/core/sched/scheduler.py, v1/metrics/loggers.py; SGLang
srt/observability/metrics_collector.py, srt/managers/scheduler_components/metrics_reporter.py, srt/entrypoints/http_server.py.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

SCRIPT = json.loads(Path(sys.argv[2]).read_text())
STARTED = float(sys.argv[3]) if len(sys.argv) > 3 else time.time()
VLLM = SCRIPT["engine"].startswith("vllm")
LABELS = {"vllm": 'engine="0",model_name="m"', "sglang": 'engine_type="unified",model_name="m",pp_rank="0",tp_rank="0"'}[
    "vllm" if VLLM else "sglang"
]
SCENE = {"running": 0, "waiting": 0, "prefill": 0, "decode": 0, "chunk": 8192, "completion": 0, "cpu": 0, "freeze": None, "metrics": 200}
answered = 0


def now():
    """Seconds of the engine's life."""
    return (time.time() - STARTED) * SCRIPT["factor"]


def lived():
    """(scene, seconds in it) for each scene so far; the last one is the present one."""
    left, found = now(), []
    for index, scene in enumerate(SCRIPT["scenes"]):
        last = index == len(SCRIPT["scenes"]) - 1
        found.append(({**SCENE, **scene}, left if last else min(left, scene["seconds"])))
        left -= scene["seconds"] if not last else 0
        if left <= 0 or last:
            break
    return found


def exposition():
    """Prometheus text, as the engine's version writes it."""
    scenes = lived()
    scene, inside = scenes[-1]
    steps = sum(int(seconds * one["prefill"] / one["chunk"]) for one, seconds in scenes)
    decoded = sum(int(seconds * one["decode"]) for one, seconds in scenes) + answered
    # Tokens in are counted with a request's first token out: after its last chunk.
    prompts = sum(int(one["seconds"] * one["prefill"]) for one, _seconds in scenes[:-1]) + answered
    if VLLM:
        rows = [
            ("num_requests_running", "gauge", scene["running"]),
            ("num_requests_waiting", "gauge", scene["waiting"]),
            ("prompt_tokens_total", "counter", prompts),
            ("generation_tokens_total", "counter", decoded),
            ("iteration_tokens_total_count", "histogram", decoded),
        ]
        if scene.get("gauge", True):
            used = int(inside * scene["prefill"] / scene["chunk"]) * scene["chunk"] / 551076
            rows.append(("kv_cache_usage_perc", "gauge", used))
        names = [(f"vllm:{name}", kind, LABELS, value) for name, kind, value in rows]
    else:
        names = [
            # Of decoding requests: 0 in a lone prefill.
            ("sglang:num_running_reqs", "gauge", LABELS, scene["running"] if scene["decode"] else 0),
            ("sglang:num_queue_reqs", "gauge", LABELS, scene["waiting"]),
            ("sglang:prompt_tokens_total", "counter", LABELS, prompts),
            ("sglang:generation_tokens_total", "counter", LABELS, decoded),
        ]
        if scene.get("gauge", True):
            names.append(("sglang:realtime_tokens_total", "counter", f'{LABELS},mode="prefill_compute"', steps * 8192))
    lines = [f"# TYPE {name} {kind}\n{name}{{{labels}}} {float(value)}" for name, kind, labels, value in names]
    # It moves whatever the engine does, so no watch may count it.
    return "\n".join([*lines, f"# TYPE process_cpu_seconds_total counter\nprocess_cpu_seconds_total {time.process_time()}"]) + "\n"


class Handler(BaseHTTPRequestHandler):
    def answer(self, status, text):
        self.send_response(status)
        self.end_headers()
        self.wfile.write(text.encode())

    def do_GET(self):
        status = lived()[-1][0]["metrics"] if self.path == "/metrics" else 200
        self.answer(status, exposition() if self.path == "/metrics" and status == 200 else "")

    def do_POST(self):
        global answered
        asked = now()
        while True:
            takes = lived()[-1][0]["completion"]
            if takes is not None and now() - asked >= takes:
                break
            time.sleep(0.01)
        answered += 1
        self.answer(200, '{"choices": [{"text": "x"}]}')

    def log_message(self, *_arguments):
        pass


def core():
    """The engine's core: spends each scene's share of CPU time in slices of 50 ms, says its lines, stops when told."""
    said = 0
    while True:
        scenes = lived()
        for scene, _seconds in scenes[said:]:
            print(scene.get("log", ""), flush=True)
        said = len(scenes)
        scene = scenes[-1][0]
        if scene["freeze"] == "stop":
            os.kill(os.getpid(), signal.SIGSTOP)
        elif scene["freeze"] == "deadlock":
            threading.Event().wait()  # nobody will set it
        until = time.process_time() + 0.05 * scene["cpu"]
        begun = time.monotonic()
        while time.process_time() < until:
            pass
        time.sleep(max(0.0, 0.05 - (time.monotonic() - begun)))


if __name__ == "__main__":
    if len(sys.argv) > 3:
        core()
    Path("began").write_text(str(STARTED))
    threading.Thread(target=subprocess.run, args=([sys.executable, __file__, sys.argv[1], sys.argv[2], str(STARTED)],), daemon=True).start()
    # vLLM listens once its engine is up; SGLang listens while it starts, and says 503.
    time.sleep(SCRIPT["scenes"][0]["seconds"] / SCRIPT["factor"])
    ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Handler).serve_forever()
