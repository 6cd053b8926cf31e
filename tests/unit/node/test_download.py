"""The download program over stubs of hf and docker: what it starts, and that it leaves neither container nor token, however it ends."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

PROGRAM = ROOT / "roles/weights/files/download.py"
SECRET = "hf_canary_of_the_test"
# A stub that says how it was started, and runs until it is killed.
STUB = """\
#!/bin/sh
echo "$0 $*" >>{log}
env >>{log}
case "$1" in rm) kill -9 "$(cat {log}.pid)" 2>/dev/null;; *) echo $$ >{log}.pid; trap '' TERM; while :; do sleep 0.1; done;; esac
"""


class Run:
    """The program, as the module background starts it."""

    def __init__(self, folder: Path, tool: str, lease: float) -> None:
        self.work, self.token, self.log = folder / "work", folder / "work/token", folder / "log"
        self.work.mkdir()
        (folder / "model").mkdir()
        (folder / "bin").mkdir()
        stub = folder / "bin" / tool
        stub.write_text(STUB.format(log=self.log))
        stub.chmod(0o755)
        job = {
            "repo": "a/b", "revision": "r", "path": str(folder / "model"), "program": ["hf"], "image": "i", "endpoint": "", "total": 0,
            "token_file": str(self.token), "work": str(self.work), "lease_seconds": lease,
        }  # fmt: skip
        (self.work / "job.json").write_text(json.dumps(job))
        env = {**os.environ, "PATH": f"{folder / 'bin'}:/usr/bin:/bin"}
        self.process = subprocess.Popen([sys.executable, str(PROGRAM), str(self.work / "job.json")], env=env)

    def state(self) -> dict[str, Any]:
        path = self.work / "state.json"
        found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}
        return found

    def send(self) -> None:
        """What the control node does once it has heard the first word."""
        assert eventually(self.state)
        assert not self.log.exists(), "started without its token"
        self.token.write_text(SECRET)
        self.token.chmod(0o600)
        assert eventually(lambda: Path(f"{self.log}.pid").exists())

    def runs(self) -> bool:
        return Path("/proc", Path(f"{self.log}.pid").read_text().strip()).exists()


def eventually(condition: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + 15
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.05)
    return condition()


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(tool: str, lease: float = 60) -> Run:
        runs.append(Run(tmp_path, tool, lease))
        return runs[-1]

    yield start
    for one in runs:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(15)


@pytest.mark.parametrize("tool", ["hf", "docker"])
def test_finding_8_a_lease_that_is_over_takes_the_token_and_the_container(run: Callable[..., Run], tool: str) -> None:
    """The control node is gone; what was started does not hear SIGTERM."""
    one = run(tool, lease=2)
    one.send()
    assert one.process.wait(15) == 0
    assert not one.token.exists()
    assert not one.runs()
    assert one.state()["phase"] == "failed"
    assert "the control node did not ask for 2 s" in one.state()["failed"][0]["why"]


@pytest.mark.parametrize("tool", ["hf", "docker"])
def test_finding_8_an_end_takes_the_token_and_the_container(run: Callable[..., Run], tool: str) -> None:
    one = run(tool)
    one.send()
    one.process.send_signal(signal.SIGTERM)
    one.process.wait(15)
    assert not one.token.exists()
    assert not one.runs()


def test_finding_8_the_downloaders_container_is_as_closed_as_the_engines(run: Callable[..., Run]) -> None:
    one = run("docker")
    one.send()
    (argv,) = [line for line in one.log.read_text().splitlines() if "/docker run " in line]
    for words in ("--cap-drop ALL", "--security-opt no-new-privileges", "--read-only", "--tmpfs /tmp", "--pids-limit", "--pull never"):
        assert words in argv
    # It would be PID 1 otherwise, which hears no SIGTERM.
    assert "--init" in argv
    assert "--privileged" not in argv and "docker.sock" not in argv
    added = argv.split("--cap-add ")[1:]
    assert [words.split()[0] for words in added] == ["DAC_OVERRIDE"]


@pytest.mark.parametrize("tool", ["hf", "docker"])
def test_finding_8_the_token_is_in_its_file_alone(run: Callable[..., Run], tool: str) -> None:
    """Not in argv, the environment (docker inspect), the job, the state or a log."""
    one = run(tool)
    one.send()
    assert "HF_TOKEN_PATH" in one.log.read_text()
    holders = [path for path in one.work.parent.rglob("*") if path.is_file() and SECRET in path.read_text()]
    assert holders == [one.token]
    for process in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            assert SECRET.encode() not in process.read_bytes()
        except OSError:
            continue
