# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Download a pinned revision with `hf download`, and say how far it is. Python >= 3.9, standard library.

usage: python3 download.py JOB.json

The job: repo, revision, path, program (argv of hf on this node), image (or the image that has hf), endpoint, token_file (which will be
there soon; empty: none), total (bytes expected, 0 if unknown), work, lease_seconds. The token goes by file: neither argv nor a log ever
shows it. However this program ends, by itself too when its lease is over, it takes the container and the token with it.
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

NAME = "gx10-download"
# Within which the control node sends the token.
TOKEN_SECONDS = 60


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
    mounts = [f"type=bind,source={folder},target={folder}" for folder in (job["path"], job["work"])]
    # As the engine's container: what it writes is in these two folders. The host's network is the one that reaches the hub.
    argv = ["docker", "run", "--rm", "--init", "--pull", "never", "--name", NAME, "--network", "host", "--read-only"]
    argv += ["--tmpfs", "/tmp:size=256m", "--cap-drop", "ALL", "--cap-add", "DAC_OVERRIDE", "--security-opt", "no-new-privileges"]
    argv += ["--pids-limit", "1024", "--entrypoint", job["program"][0]]
    argv += [word for mount in mounts for word in ("--mount", mount)]
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


def download(job: dict[str, Any], lease: str, state: dict[str, Any]) -> None:
    """Run hf until it ends or the lease, the age of the file `lease`, is over; `state` says how far it is."""
    started, before = time.monotonic(), here(job["path"])
    state.update(resumed=before, done=before, received=0, seconds=0.0)
    argv, env = command(job)
    # The first word: now the control node sends the token.
    write(job, state)
    while job["token_file"] and not os.path.exists(job["token_file"]):
        if time.monotonic() - started > TOKEN_SECONDS:
            raise RuntimeError(f"{job['token_file']}: found no token after {TOKEN_SECONDS} s; wanted the one that the control node sends")
        time.sleep(0.1)
    log = os.path.join(job["work"], "download.log")
    if argv[0] == "docker":
        remove_container()  # of a run that was killed
    with open(log, "wb") as sink:
        child = subprocess.Popen(argv, env={**os.environ, **env}, stdin=subprocess.DEVNULL, stdout=sink, stderr=sink)
    try:
        while True:
            code = child.poll()
            size = here(job["path"])
            state.update(done=size, received=max(0, size - before), seconds=round(time.monotonic() - started, 2))
            if code is not None:
                break
            write(job, state)
            if time.time() - os.path.getmtime(lease) > job["lease_seconds"]:
                raise RuntimeError(f"the control node did not ask for {job['lease_seconds']} s; what has arrived is kept")
            time.sleep(1)
    finally:
        if argv[0] == "docker":
            remove_container()
        child.kill()
        child.wait()
    if code:
        with open(log, encoding="utf-8", errors="replace") as said:
            words = " ".join(said.read().split())[-500:]
        raise RuntimeError(f"{argv[0]} ended with exit code {code}: {words}")


def remove_container() -> None:
    with contextlib.suppress(OSError):
        subprocess.run(["docker", "rm", "--force", NAME], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, check=False)


def main() -> None:
    with open(sys.argv[1], encoding="utf-8") as file:
        job = json.load(file)

    def end(_number: int, _frame: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
        sys.exit(0)

    signal.signal(signal.SIGTERM, end)
    state: dict[str, Any] = {"phase": "pulling", "total": job["total"], "resumed": 0, "failed": []}
    try:
        download(job, sys.argv[1], state)
    except (OSError, RuntimeError) as error:
        state["failed"] = [{"path": job["repo"], "why": str(error)}]
    finally:
        if job["token_file"]:
            with contextlib.suppress(FileNotFoundError):
                os.remove(job["token_file"])
    write(job, {**state, "phase": "failed" if state["failed"] else "done", "fetched": [job["repo"]]})


if __name__ == "__main__":
    main()
