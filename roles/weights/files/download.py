# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Download a pinned revision with `hf download`, and say how far it is. Python >= 3.9, standard library.

usage: python3 download.py JOB.json

The job: repo, revision, path, program (argv of hf on this node), image (or the image that has hf), endpoint, token_file, total
(bytes expected, 0 if unknown), work, lease_seconds. The token goes by file: neither argv nor a log ever shows it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from typing import Any


def command(job: dict[str, Any]) -> tuple[list[str], dict[str, str]]:
    """argv and environment of the download; raises RuntimeError where nothing here can download."""
    words = ["download", job["repo"], "--revision", job["revision"], "--local-dir", job["path"]]
    env = {"HF_HUB_DISABLE_TELEMETRY": "1", "HF_HOME": os.path.join(job["work"], "home")}
    if job["endpoint"]:
        env["HF_ENDPOINT"] = job["endpoint"]
    if job["token_file"]:
        env["HF_TOKEN_PATH"] = job["token_file"]
    if shutil.which(job["program"][0]):
        return [*job["program"], *words], env
    if not job["image"]:
        raise RuntimeError(f"found neither {job['program'][0]} nor an image that has it; wanted one: pip install huggingface_hub")
    name = "gx10-download"
    subprocess.run(["docker", "rm", "--force", name], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)
    mounts = [job["path"], job["work"], *([job["token_file"]] if job["token_file"] else [])]
    argv = ["docker", "run", "--rm", "--name", name, "--network", "host", "--entrypoint", job["program"][0]]
    argv += [word for mount in mounts for word in ("--volume", f"{mount}:{mount}")]
    argv += [word for key, value in env.items() for word in ("--env", f"{key}={value}")]
    return [*argv, job["image"], *job["program"][1:], *words], {}


def here(path: str) -> int:
    """Bytes below a folder, unfinished files included."""
    total = 0
    for folder, _folders, names in os.walk(path):
        for name in names:
            with contextlib.suppress(OSError):  # renamed meanwhile
                total += os.lstat(os.path.join(folder, name)).st_blocks * 512
    return total


def write(job: dict[str, Any], state: dict[str, Any]) -> None:
    path = os.path.join(job["work"], "state.json")
    with open(path + ".new", "w", encoding="utf-8") as file:
        json.dump({"pid": os.getpid(), **state}, file)
    os.replace(path + ".new", path)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)
    started = time.monotonic()
    before = here(job["path"])
    child: subprocess.Popen[bytes] | None = None

    def end(_number: int, _frame: object) -> None:
        if child:
            child.terminate()
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    state: dict[str, Any] = {"phase": "pulling", "total": job["total"], "resumed": before, "failed": []}
    try:
        argv, env = command(job)
        log = os.path.join(job["work"], "download.log")
        with open(log, "wb") as sink:
            child = subprocess.Popen(argv, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
        while True:
            code = child.poll()
            size = here(job["path"])
            state.update(done=size, received=max(0, size - before), seconds=round(time.monotonic() - started, 2))
            if code is not None:
                break
            write(job, state)
            if time.time() - os.path.getmtime(sys.argv[1]) > job["lease_seconds"]:
                child.terminate()
            time.sleep(1)
        if code:
            with open(log, encoding="utf-8", errors="replace") as said:
                words = " ".join(said.read().split())[-500:]
            state["failed"] = [{"path": job["repo"], "why": f"{argv[0]} ended with exit code {code}: {words}"}]
    except (OSError, RuntimeError) as error:
        state["failed"] = [{"path": job["repo"], "why": str(error)}]
    write(job, {**state, "phase": "failed" if state["failed"] else "done", "fetched": [job["repo"]]})


if __name__ == "__main__":
    main()
