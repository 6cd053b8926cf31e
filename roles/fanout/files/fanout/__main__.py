# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Serve what this node has and pull what it lacks: one distribution on one node. Python >= 3.9, standard library, nginx, curl.

usage: python3 fanout JOB.json

The job, made by `_fanout.plan`: work (folder of this distribution), root (folder of the files), files ([path, size in bytes,
sha256]), fetch (paths that this node lacks), listen, port, allow, parents (lists of base URLs, one per rail; nearest first,
the origin last), lanes (transfers in flight), piece (bytes), stall_seconds, lease_seconds.

Each node publishes a journal, `ready`: a line "SHA256 OFFSET END CRC32" per piece that it has and has checked, a line
"= BYTES" as a sign of life, a line "end" when no more will come. Successors read it with HTTP Range and fetch those pieces
with curl, resumable by byte. A file gets its name only when its whole SHA-256 matched.
"""

from __future__ import annotations

import json
import os
import resource
import signal
import sys
import threading
import time
from typing import Any

from local import Store
from peers import Peers
from pull import Puller
from server import Server


def write(path: str, state: dict[str, Any]) -> None:
    """Replace the status file in one step."""
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump(state, file)
    os.replace(path + ".new", path)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    work = job["work"]
    # Each file that is served stays open.
    most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    asked = threading.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda _number, _frame: asked.set())
    server = Server(job)
    started = time.time()
    state: dict[str, Any] = {"pid": os.getpid(), "started": started, "phase": "starting"}
    store = None
    try:
        store = Store(job)
        puller = Puller(job, store, Peers(job["parents"], job["stall_seconds"]))
        server.start()
        puller.start()
        threading.Thread(target=store.sync, daemon=True).start()
        while True:
            puller.beat()
            state = {**state, **puller.state(), "now": time.time()}
            write(os.path.join(work, "state.json"), state)
            if not server.alive():
                raise RuntimeError(f"nginx ended: {server.log()}")
            # The control node touches the job while it watches: without it nobody would ever stop this server.
            if time.time() - os.path.getmtime(sys.argv[1]) > job["lease_seconds"]:
                break
            if asked.wait(0.5):
                break
        puller.stop()
    except (OSError, RuntimeError) as error:
        write(os.path.join(work, "state.json"), {**state, "phase": "failed", "failed": [{"path": job["root"], "why": str(error)}]})
    finally:
        server.stop()
        if store:
            store.release()


if __name__ == "__main__":
    main()
