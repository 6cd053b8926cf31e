# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Measure a served model as its users meet it: streamed completions, all at once. Python >= 3.9, standard library.

usage: python3 bench JOB.json

The job: work (folder of this run), lease_seconds, url (http://HOST:PORT), api (chat, completions), model, key_file (mode 0600; optional),
sampling (such as temperature), connect_seconds, quiet_seconds (without a byte, so more than the longest prefill), run_seconds, and points:
kind (sweep, needle, repetition, soak), input and output (tokens), concurrency, repeats, warmup (runs), cached (all streams share a prompt
that the server has seen), depths (needle: shares of the text), minutes (soak).

Each run, that is one barrier, becomes WORK/runs/NNNN.json with a row per request, as soon as it is over. What is there is whole, whenever
this program ends; state.json says how far it came and whether it is partial.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
import threading
import time
from typing import Any

from api import Api
from points import Dead, check, measure, problems, rounds

EVERY = 0.5


def write(path: str, document: Any) -> None:
    """Replace a file in one step."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(document, file)
    os.replace(path + ".new", path)


class Bench:
    """All points of a job, until the last, a dead engine, a signal, or a control node that has gone."""

    def __init__(self, path: str) -> None:
        with open(path, encoding="utf-8") as file:
            self.job: dict[str, Any] = json.load(file)
        self.path, self.work = path, self.job["work"]
        self.why = ""  # to end early
        self.state: dict[str, Any] = {
            "pid": os.getpid(), "phase": "starting", "started": time.time(), "point": 0, "points": len(self.job["points"]),
            "runs": 0, "requests": 0, "errors": 0, "partial": True, "failed": [],
        }  # fmt: skip
        self._lock = threading.Lock()

    def watch(self) -> None:
        """A thread of its own, since a disk may take its time: say that we live, and look whether the control node does."""
        while not self.why:
            time.sleep(EVERY)
            try:
                self.say()
                # It touches the job while it watches: what nobody will read must not load the engine.
                if time.time() - os.path.getmtime(self.path) > self.job["lease_seconds"]:
                    self.why = f"nobody looked for {self.job['lease_seconds']} s"
            except OSError as error:
                self.why = f"{self.work} cannot be written: {error.strerror}"

    def stopped(self) -> str:
        return self.why

    def say(self, **change: Any) -> None:
        with self._lock:
            self.state = {**self.state, **change, "now": time.time()}
            write(os.path.join(self.work, "state.json"), self.state)

    def fail(self, path: str, why: str) -> None:
        self.say(failed=[*self.state["failed"], {"path": path, "why": why}])

    def run(self) -> bool:
        """Measure; was all of it measured?"""
        self.say()
        threading.Thread(target=self.watch, daemon=True).start()
        try:
            wrong = problems(self.job["points"])
            if wrong:
                raise ValueError("; ".join(wrong))
            api = Api(self.job, self.stopped)
        except (OSError, ValueError, LookupError) as error:
            self.fail(self.path, str(error) if not isinstance(error, KeyError) else f"{error.args[0]}: found none; wanted one")
            self.say(phase="failed")
            return False
        os.makedirs(os.path.join(self.work, "runs"), mode=0o755, exist_ok=True)
        self.say(phase="running")
        try:
            for number, point in enumerate(self.job["points"]):
                self.say(point=number + 1)
                self._point(api, number, point)
                if self.stopped():
                    raise Dead(f"{self.stopped()}: what was measured is kept")
        except Dead as error:
            self.fail(api.url, str(error))
        failed = bool(self.state["failed"])
        self.say(phase="failed" if failed else "done", partial=failed)
        return not failed

    def _point(self, api: Api, number: int, point: dict[str, Any]) -> None:
        for which in rounds(point):
            try:
                document = {"point": number, **measure(api, point, which, self.stopped)}
            except ValueError as error:
                if not self.stopped():
                    why = api.dead()
                    if why:
                        raise Dead(f"{api.url}/health: found {why}; wanted 200. doctor.yml says what ended the engine") from error
                    self.fail(f"points[{number}]", str(error))
                return
            write(os.path.join(self.work, "runs", f"{self.state['runs']:04}.json"), document)
            errors = sum(bool(item["error"]) for item in document["rows"])
            self.say(
                runs=self.state["runs"] + 1, requests=self.state["requests"] + len(document["rows"]), errors=self.state["errors"] + errors
            )
            if self.stopped():
                return
            check(api, document)


def main() -> int:
    # The kernel's time of a token is lost if the next one comes before this program has read it. nice would count in its own session only.
    with contextlib.suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    bench = Bench(sys.argv[1])
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda got, _frame: setattr(bench, "why", f"ended by {signal.Signals(got).name}"))
    return 0 if bench.run() else 1


if __name__ == "__main__":
    sys.exit(main())
