"""The supervisor, run as a program over real child processes. The engine is a stub; the cluster scenario has the real one."""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

HOME = ROOT / "roles/engine/files/supervisor"
STUBS = ROOT / "tests/unit/stubs"
STUB = STUBS / "stub_engine.py"
WATCH: dict[str, Any] = {
    "look_seconds": 0.1, "idle_seconds": 0.2, "answer_seconds": 0.5, "frozen_seconds": 1, "silent_seconds": 4,
    "busy": ["vllm:num_requests_running", "vllm:num_requests_waiting"], "progress": ["vllm:generation_tokens_total"],
}  # fmt: skip


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def eventually(condition: Callable[[], Any], seconds: float = 20) -> Any:
    """Wait for a condition; its last value is returned."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = condition()
        if value:
            return value
        time.sleep(0.05)
    return condition()


class Supervised:
    """What a supervisor wrote into its folder."""

    folder: Path

    def status(self) -> dict[str, Any]:
        try:
            found: dict[str, Any] = json.loads((self.folder / "status.json").read_text())
        except FileNotFoundError:
            return {}
        return found


class Run(Supervised):
    """One supervisor process and what it wrote."""

    def __init__(self, folder: Path, wrap: list[str] | None = None, program: Path = HOME, **changes: Any) -> None:
        self.folder = folder
        self.port = free_port()
        self.state = folder / "engine.json"
        self.state.write_text("{}")
        self.part = {
            "node": "n1", "rank": 0, "role": "head", "hash": "sha256:x", "profile": "p", "address": "127.0.0.1",
            "status_file": str(folder / "status.json"), "mods": [], "mods_dir": str(folder / "mods"), "model_dir": "/models/x", "ray": None,
            "engine": {
                "argv": [*(wrap or []), sys.executable, str(STUB), str(self.port), str(self.state)],
                "health": f"http://127.0.0.1:{self.port}", "served_name": "m",
            },
            "memory_floor_gib": 0, "deadlines": {"engine": 20, "drain": 1, "stop": 5},
            "watch": WATCH,
            **changes,
        }  # fmt: skip
        (folder / "node.json").write_text(json.dumps(self.part))
        self.process = subprocess.Popen([sys.executable, str(program), str(folder / "node.json")], cwd=folder)

    def reaches(self, phase: str) -> dict[str, Any]:
        eventually(lambda: self.status().get("phase") in (phase, "failed"))
        assert self.status()["phase"] == phase, self.status()
        return self.status()

    def ends(self, code: int) -> str:
        """Wait for the end; returns the reason in the status file."""
        assert self.process.wait(30) == code
        reason: str = self.status()["reason"]
        return reason


@pytest.fixture
def run(tmp_path: Path) -> Iterator[Callable[..., Run]]:
    runs: list[Run] = []

    def start(**changes: Any) -> Run:
        runs.append(Run(tmp_path, **changes))
        return runs[-1]

    yield start
    for one in runs:
        if one.process.poll() is None:
            one.process.terminate()
            one.process.wait(30)


def processes(text: str) -> list[str]:
    """Command lines that contain `text`, zombies left out."""
    out = subprocess.run(["ps", "-wweo", "stat=,args="], capture_output=True, text=True, check=True).stdout
    return [line for line in out.splitlines() if text in line and not line.startswith("Z")]


def test_serves_then_stops_as_asked(run: Callable[..., Run]) -> None:
    one = run()
    status = one.reaches("serving")
    assert [phase["name"] for phase in status["phases"]] == ["engine", "serving"]
    assert status["evidence"]["interface"] == "lo"
    assert len(processes(str(one.port))) == 1
    one.process.terminate()
    assert one.ends(0) == "as asked"
    assert processes(str(one.port)) == []


def test_a_dead_engine_ends_the_supervisor_with_the_reason(run: Callable[..., Run]) -> None:
    one = run()
    pid = one.reaches("serving")["evidence"]["engine_pid"]
    subprocess.run(["kill", "-9", str(pid)], check=True)
    assert "the engine was ended by SIGKILL" in one.ends(1)


def test_an_engine_that_exits_at_start_is_named_with_its_code(run: Callable[..., Run]) -> None:
    one = run(engine={"argv": ["/bin/sh", "-c", "exit 3"], "health": "http://127.0.0.1:1", "served_name": "m"})
    assert "the engine exited with code 3" in one.ends(1)


def test_a_program_that_is_not_there(run: Callable[..., Run]) -> None:
    one = run(engine={"argv": ["/no/such/vllm"], "health": "http://127.0.0.1:1", "served_name": "m"})
    assert "/no/such/vllm" in one.ends(1)


def test_an_engine_that_never_gets_ready(run: Callable[..., Run]) -> None:
    one = run(engine={"argv": ["sleep", "77"], "health": "http://127.0.0.1:1", "served_name": "m"}, deadlines={"engine": 1})
    assert "http://127.0.0.1:1/health did not answer 200 within 1 s" in one.ends(1)
    assert processes("sleep 77") == []


def test_orphans_are_adopted_and_ended(run: Callable[..., Run]) -> None:
    # A session of its own and a parent that has ended, as Ray's and vLLM's processes have.
    leave = 'setsid sh -c "sleep 1234 & exit" & exec "$@"'
    one = run(wrap=["/bin/sh", "-c", leave, "sh"])
    one.reaches("serving")
    assert eventually(lambda: processes("sleep 1234"))
    one.process.terminate()
    one.ends(0)
    assert processes("sleep 1234") == []
    assert one.status()["evidence"]["swept"] == ["sleep"]


def test_a_wedge_while_requests_run(run: Callable[..., Run]) -> None:
    one = run()
    one.reaches("serving")
    one.state.write_text('{"running": 1, "hang": true}')
    reason = one.ends(1)
    assert "the engine is wedged: frozen: no progress for " in reason
    assert "with work to do, and its processes spent no CPU time (bound 1 s)" in reason


def test_slow_progress_is_no_wedge(run: Callable[..., Run]) -> None:
    one = run()
    one.reaches("serving")
    for tokens in range(30):
        one.state.write_text(json.dumps({"running": 1, "tokens": tokens}))
        time.sleep(0.1)
    assert one.process.poll() is None
    assert one.status()["phase"] == "serving"


def test_a_wedge_of_an_idle_engine_shows_in_a_completion(run: Callable[..., Run]) -> None:
    one = run()
    one.reaches("serving")
    one.state.write_text('{"hang": true}')
    assert "the engine is wedged: frozen: no progress for " in one.ends(1)


def test_a_frozen_server_is_a_wedge(run: Callable[..., Run]) -> None:
    one = run()
    pid = one.reaches("serving")["evidence"]["engine_pid"]
    subprocess.run(["kill", "-STOP", str(pid)], check=True)
    assert "stopped by a signal (bound 1 s)" in one.ends(1)


def test_metrics_that_are_not_there_end_nothing(run: Callable[..., Run]) -> None:
    """SGLang without --enable-metrics: 404 for ever."""
    one = run()
    one.reaches("serving")
    one.state.write_text('{"metrics": 404}')
    time.sleep(3 * WATCH["frozen_seconds"])
    assert one.process.poll() is None
    assert one.status()["phase"] == "serving"


def test_an_engine_that_answers_only_errors_is_ended(run: Callable[..., Run]) -> None:
    one = run()
    one.reaches("serving")
    time.sleep(1)  # it has answered before
    one.state.write_text('{"completions": 500}')
    assert "failing: every one-token completion was answered 500 for" in one.ends(1)


def test_a_gauge_that_stays_is_no_wedge_while_completions_return(run: Callable[..., Run]) -> None:
    one = run()
    one.reaches("serving")
    one.state.write_text('{"running": 1}')
    time.sleep(3 * WATCH["frozen_seconds"])
    assert one.process.poll() is None


@pytest.mark.parametrize("status", [401, 404, 501, 503])
def test_a_refused_completion_says_nothing(run: Callable[..., Run], status: int) -> None:
    one = run()
    one.reaches("serving")
    one.state.write_text(json.dumps({"completions": status}))
    time.sleep(3 * WATCH["frozen_seconds"])
    assert one.process.poll() is None


def test_drain_waits_for_running_requests(run: Callable[..., Run]) -> None:
    one = run(deadlines={"engine": 20, "drain": 10, "stop": 5}, watch={**WATCH, "frozen_seconds": 60, "silent_seconds": 60})
    one.reaches("serving")
    one.state.write_text('{"running": 1}')
    one.process.terminate()
    one.reaches("stopping")
    time.sleep(1)
    assert processes(str(one.port)), "the engine was ended while a request ran"
    one.state.write_text('{"running": 0}')
    assert one.ends(0) == "as asked"


def test_sigterm_during_start(run: Callable[..., Run]) -> None:
    one = run(engine={"argv": ["sleep", "78"], "health": "http://127.0.0.1:1", "served_name": "m"})
    one.reaches("engine")
    one.process.terminate()
    assert one.ends(0) == "as asked"
    assert processes("sleep 78") == []


def test_a_child_that_ignores_sigterm_is_killed(run: Callable[..., Run]) -> None:
    argv = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]
    one = run(engine={"argv": argv, "health": "http://127.0.0.1:1", "served_name": "m"}, deadlines={"engine": 60, "stop": 1})
    one.reaches("engine")
    time.sleep(0.5)
    one.process.send_signal(signal.SIGTERM)
    assert one.ends(0) == "as asked"


def test_memory_under_the_floor(run: Callable[..., Run]) -> None:
    one = run(memory_floor_gib=10**6)
    reason = one.ends(1)
    assert "less than 1e+06 GiB of memory available for 2 s" in reason
    assert "stopped before it freezes" in reason


STUBBORN = ["/bin/sh", "-c", "trap '' TERM; while :; do sleep 0.1; done"]


@pytest.mark.parametrize("phase", ["mods", "engine", "serving", "joined", "stopping"])
def test_finding_9_memory_that_runs_short_ends_everything_in_3_seconds(run: Callable[..., Run], tmp_path: Path, phase: str) -> None:
    """In every phase, though nothing that runs hears SIGTERM, and the server answers nobody."""
    (tmp_path / "memory").write_text("100")
    mark = str(tmp_path)
    changes: dict[str, Any] = {
        "program": STUBS / "stub_memory.py",
        "memory_floor_gib": 2,
        "deadlines": {"engine": 60, "drain": 60, "stop": 60},
    }
    with socket.create_server(("127.0.0.1", 0)) as head:
        if phase == "mods":
            script = tmp_path / "mods-source/m/run.sh"
            script.parent.mkdir(parents=True)
            script.write_text(f"#!/bin/sh\n{STUBBORN[2]} # \n")
            changes.update(mods=["m"], mods_dir=str(tmp_path / "mods-source"))
        elif phase == "engine":
            # A server that takes connections and never answers.
            silent = {"health": f"http://127.0.0.1:{head.getsockname()[1]}", "served_name": "m"}
            changes.update(engine={"argv": [*STUBBORN, mark], **silent})
        elif phase == "joined":
            changes.update(role="worker", engine=None)
            changes.update(ray={"argv": [*STUBBORN, mark], "head": f"127.0.0.1:{head.getsockname()[1]}"})
        else:
            changes.update(
                wrap=["/bin/sh", "-c", "trap '' TERM; exec \"$@\"", "sh"], watch={**WATCH, "frozen_seconds": 60, "silent_seconds": 60}
            )
        one = run(**changes)
        one.reaches("serving" if phase == "stopping" else phase)
        if phase == "stopping":
            one.state.write_text('{"running": 1}')
            one.process.terminate()
            one.reaches("stopping")

        def left() -> list[str]:
            return [line for line in processes(mark) if "stub_memory" not in line]

        assert eventually(lambda: len(left()) == 1)
        (tmp_path / "memory").write_text("0.5")
        short = time.monotonic()
        while left():
            assert time.monotonic() - short < 3
        assert "less than 2 GiB of memory available for 2 s (0.5 now)" in one.ends(1)
        assert one.status()["phase"] == "failed"


def test_a_fabric_address_that_is_not_here(run: Callable[..., Run]) -> None:
    one = run(address="192.0.2.1")
    assert "no interface holds the fabric address 192.0.2.1" in one.ends(1)


def test_a_worker_whose_head_is_not_there(run: Callable[..., Run]) -> None:
    one = run(role="worker", engine=None, ray={"argv": ["sleep", "79"], "head": "127.0.0.1:1"}, deadlines={"ray": 1})
    assert "nothing listens at 127.0.0.1:1, the head's Ray within 1 s" in one.ends(1)
    assert processes("sleep 79") == []


def test_a_killed_process_of_ray_is_named(run: Callable[..., Run], tmp_path: Path) -> None:
    """Ray itself ends with code 1, when it looks the next time."""
    shutil.copy("/bin/sleep", tmp_path / "raylet")
    lasts = f"{tmp_path}/raylet 4321"
    # A child that ends by itself, and one of another name that is killed, are no news: Ray starts and ends such.
    script = f"""if True:
        import subprocess, time
        others = [subprocess.Popen(argv) for argv in (["/bin/true"], ["sh", "-c", "kill -9 $$"])]
        child = subprocess.Popen({lasts.split()!r})
        while child.poll() is None:
            time.sleep(3)
        raise SystemExit(1)
    """
    with socket.create_server(("127.0.0.1", 0)) as head:
        ray = {"argv": [sys.executable, "-c", script], "head": f"127.0.0.1:{head.getsockname()[1]}"}
        one = run(role="worker", engine=None, ray=ray)
        one.reaches("joined")
        time.sleep(1)
        assert one.status()["phase"] == "joined"
        pid = subprocess.run(["pgrep", "-f", f"^{lasts}"], capture_output=True, text=True, check=True).stdout.strip()
        subprocess.run(["kill", "-9", pid], check=True)
        assert f"raylet (process {pid}) was ended by SIGKILL" in one.ends(1)


@pytest.fixture
def mod(tmp_path: Path) -> Callable[[str], None]:
    def write(script: str) -> None:
        home = tmp_path / "mods-source" / "a mod"
        home.mkdir(parents=True)
        (home / ".hidden file").write_text("here")
        (home / "run.sh").write_text(f"#!/bin/sh\n{script}\n")

    return write


def test_mods_run_with_the_fields_contract(run: Callable[..., Run], mod: Callable[[str], None], tmp_path: Path) -> None:
    mod('set -e; cat ".hidden file" >"$WORKSPACE_DIR/proof"; pwd >>"$WORKSPACE_DIR/proof"; echo "$#" >>"$WORKSPACE_DIR/proof"')
    one = run(mods=["a mod"], mods_dir=str(tmp_path / "mods-source"))
    one.reaches("serving")
    assert (tmp_path / "proof").read_text() == f"here{tmp_path}/mods/a mod\n0\n"


def test_a_mod_is_applied_once_in_a_container(run: Callable[..., Run], mod: Callable[[str], None], tmp_path: Path) -> None:
    mod('echo "$GX10_MODEL_DIR" >>"$WORKSPACE_DIR/proof"')
    for _start in range(2):
        one = run(mods=["a mod"], mods_dir=str(tmp_path / "mods-source"))
        one.reaches("serving")
        one.process.terminate()
        one.ends(0)
    assert (tmp_path / "proof").read_text() == "/models/x\n"


def test_a_mod_that_fails_ends_the_launch(run: Callable[..., Run], mod: Callable[[str], None], tmp_path: Path) -> None:
    mod("exit 7")
    one = run(mods=["a mod"], mods_dir=str(tmp_path / "mods-source"))
    assert "mod a mod: run.sh exited with code 7" in one.ends(1)


def test_an_address_that_is_not_the_first_of_its_device_is_found() -> None:
    """In a network namespace of its own; the supervisor's own function, as the container runs it."""
    program = "from probe import interface_of; print(interface_of('192.0.2.9'), interface_of('198.51.100.9'), interface_of('192.0.2.10'))"
    setup = "ip link set lo up && ip address add 192.0.2.9/32 dev lo label lo:fabric && ip address add 198.51.100.9/32 dev lo && "
    argv = ["unshare", "--net", "sh", "-c", f'{setup} "$0" -c "{program}"', sys.executable]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT / "roles/engine/files/supervisor")
    assert done.stdout.split() == ["lo", "lo", "None"], done.stderr


def test_words_reach_a_journal_in_one_entry_each(tmp_path: Path) -> None:
    program = "import sys, journal; journal.tell(sys.argv[2], journal.ERROR, sys.argv[1], GX10_NODE='n1')"
    path = tmp_path / "socket"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as journald:
        journald.bind(str(path))
        subprocess.run([sys.executable, "-c", program, str(path), "tiny: failed: a\nb"], cwd=HOME, check=True)
        assert journald.recv(4096) == b"MESSAGE=tiny: failed: a b\nPRIORITY=3\nSYSLOG_IDENTIFIER=gx10\nGX10_NODE=n1\n"
    # A journal that is away holds nobody up.
    subprocess.run([sys.executable, "-c", program, str(tmp_path / "none"), "x"], cwd=HOME, check=True)
