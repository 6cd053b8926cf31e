"""Faults of docs/protections.md that no other test shows: each fails when what protects against it is taken away."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import test_supervisor
from ansible_collections.gx10.serving.plugins.module_utils.node import _background, _log_facts
from ansible_collections.gx10.serving.plugins.modules import background
from conftest import ROOT, hostvars, launch
from test_supervisor import HOME, Run, eventually, free_port

sys.path.append(str(HOME))
import membership
import processes as family

# The same fixture, by another name.
supervisor = test_supervisor.run
ADDRESSES = [f"192.168.177.1{number}" for number in range(1, 5)]


def in_ray(*, gpus: float = 1, alive: int = 4, addresses: list[str] = ADDRESSES) -> list[dict[str, Any]]:
    """ray.nodes() of four nodes."""
    return [
        {"Alive": number < alive, "NodeManagerAddress": address, "Resources": {"CPU": 2.0, "GPU": gpus if number else 1.0}}
        for number, address in enumerate(addresses)
    ]


@pytest.mark.parametrize(
    ("nodes", "wrong"),
    [
        (in_ray(), {}),
        (in_ray(alive=3), {"missing": ["192.168.177.14"], "gpus": 3}),
        # All nodes are there; one, or a driver that lost its GPU, offers none.
        (in_ray(gpus=0), {"gpus": 1}),
        (in_ray(addresses=[*ADDRESSES[:3], "192.168.1.14"]), {"missing": ["192.168.177.14"], "unexpected": ["192.168.1.14"]}),
        (in_ray(addresses=[*ADDRESSES, "192.168.177.14"], alive=5), {"twice": ["192.168.177.14"], "gpus": 5}),
        (in_ray(addresses=[*ADDRESSES, "192.168.177.15"], alive=5), {"unexpected": ["192.168.177.15"], "gpus": 5}),
    ],
)
def test_f34_ray_has_exactly_the_planned_nodes_and_gpus(nodes: list[dict[str, Any]], wrong: dict[str, Any]) -> None:
    found = membership.compare(nodes, ADDRESSES, 4)
    assert found == {"ok": not wrong, "missing": [], "unexpected": [], "twice": [], "gpus": 4, **wrong}


def test_f34_no_engine_starts_on_three_gpus_of_four(
    supervisor: Callable[..., Run], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """vLLM itself would wait half an hour for the fourth of four. Ray is a stub here."""
    stub = tmp_path / "stub_ray"
    stub.mkdir()
    (stub / "ray.py").write_text(
        "def init(**_options): pass\n"
        "def nodes():\n"
        "    return [{'Alive': True, 'NodeManagerAddress': a, 'Resources': {'GPU': 1.0}} for a in ('10.0.0.1', '10.0.0.2', '10.0.0.3')]\n"
    )
    monkeypatch.setenv("PYTHONPATH", str(stub))
    monkeypatch.setenv("HOME", str(tmp_path))
    port = free_port()
    listen = f"import socket, time; s = socket.socket(); s.bind(('127.0.0.1', {port})); s.listen(); time.sleep(60)"
    members = {"addresses": ["10.0.0.1", "10.0.0.2", "10.0.0.3", "10.0.0.4"], "gpus": 4}
    ray = {"argv": [sys.executable, "-c", listen], "head": f"127.0.0.1:{port}", "members": members}
    one = supervisor(ray=ray, deadlines={"ray": 20, "members": 1, "engine": 20, "drain": 1, "stop": 5})
    reason = one.ends(1)
    assert "10.0.0.4" in reason
    assert "3 GPUs of 4" in reason
    assert "engine" not in [phase["name"] for phase in one.status()["phases"]]


def test_f13_a_load_that_takes_long_and_no_cpu_is_not_taken_for_dead(supervisor: Callable[..., Run]) -> None:
    """As from a slow disk: nothing answers and nothing computes, for four times as long as a frozen engine may live."""
    one = supervisor(wrap=["sh", "-c", 'sleep 4; exec "$@"', "load"])
    started = time.monotonic()
    assert one.reaches("serving")["reason"] == ""
    assert time.monotonic() - started > 4 > 3 * one.part["watch"]["frozen_seconds"]
    # A verdict of before would end it with the first look.
    time.sleep(1)
    assert one.status()["phase"] == "serving"


def test_f13_a_deadline_names_what_it_waited_for(supervisor: Callable[..., Run]) -> None:
    one = supervisor(wrap=["sh", "-c", 'sleep 60; exec "$@"', "load"], deadlines={"engine": 1, "drain": 1, "stop": 5})
    assert f"http://127.0.0.1:{one.port}/health did not answer 200 within 1 s" in one.ends(1)
    assert [phase["name"] for phase in one.status()["phases"]][-3:] == ["engine", "failing", "failed"]


def test_f31_rays_memory_monitor_is_off_on_every_node_and_stays_off() -> None:
    """It kills workers while weights load into memory that the GPU shares; the supervisor's floor watches instead."""
    plan = launch("qwen397-mtp2")
    for node in plan["nodes"]:
        assert node["runtime_env"]["RAY_memory_monitor_refresh_ms"] == "0", node["name"]
        assert node["memory_floor_gib"] > 0


def test_f31_a_profile_cannot_turn_it_on(resolve: Any) -> None:
    text = (ROOT / "model_profiles/sim-tiny-tp2.yml").read_text()
    found = resolve(text=text.replace("env:\n", 'env:\n  RAY_memory_monitor_refresh_ms: "250"\n'), variables=hostvars(2))
    assert found["plan"] is None
    assert "env.RAY_memory_monitor_refresh_ms: found '250'; wanted no RAY_memory_monitor_refresh_ms" in found["message"]


@pytest.mark.parametrize(
    "line",
    [
        # Ray 2.60: raylet and OutOfMemoryError.
        "(raylet) 1 worker(s) were killed due to the node running low on memory.",
        "ray.exceptions.OutOfMemoryError: Task was killed due to the node running low on memory.",
    ],
)
def test_f31_what_ray_killed_for_memory_is_told_as_that(line: str) -> None:
    assert _log_facts.signs(f"x\n{line}\ny") == [f"Ray killed workers for memory: {line}"]


def test_f38_a_zombie_is_no_process_that_is_left() -> None:
    """A child that its parent never collects, as under a PID 1 that is no init."""
    parent = subprocess.Popen([sys.executable, "-c", "import os, time; os.fork() or os._exit(0); time.sleep(60)"])
    try:
        assert eventually(lambda: [row for row in family.stats().values() if row[2] == str(parent.pid) and row[1] == "Z"])
        assert family.descendants(parent.pid) == []
    finally:
        parent.kill()
        parent.wait()


def test_f38_what_cannot_be_ended_does_not_hold_up_the_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that the kernel does not end (state D): the sweep says its name and goes on."""
    clock = [0.0]

    def sleep(seconds: float) -> None:
        clock[0] += seconds
        assert clock[0] < 60, "it goes on for ever"

    monkeypatch.setattr(family, "descendants", lambda _root: [(0x7FFFFFFF, "stuck")])
    monkeypatch.setattr(time, "monotonic", lambda: clock[0])
    monkeypatch.setattr(time, "sleep", sleep)
    assert family.Family().sweep(grace=5) == ["stuck"]
    assert clock[0] > 5


def test_f40_a_number_that_another_process_has_by_now_is_not_ended(tmp_path: Path) -> None:
    """What ran in the background has ended; its number, which stands in the state file, was given to another process."""
    job = str(tmp_path / _background.JOB)
    own = subprocess.Popen([sys.executable, "-c", "import time; print(flush=True); time.sleep(60)", job], stdout=subprocess.PIPE)
    other = subprocess.Popen(["sleep", "60"], start_new_session=True)
    try:
        assert own.stdout
        own.stdout.readline()
        for pid, running in ((own.pid, own.pid), (other.pid, 0), (0, 0), (2**22 + 1, 0)):
            (tmp_path / "state.json").write_text(json.dumps({"pid": pid}))
            assert _background.running(str(tmp_path)) == running
        (tmp_path / "state.json").write_text(json.dumps({"pid": other.pid}))
        background.stop(str(tmp_path))
        assert not tmp_path.exists()
        assert other.poll() is None, "it was another's"
    finally:
        for one in (own, other):
            one.kill()
            one.wait()


# Steps of a clock that somebody sets would end or start something where these decide. Stamps for people; a doctor, who compares clocks;
# and the age of a file on the machine that both wrote and reads it, whose worst is a transfer that ends with its reason and goes on with
# the next run, and that a file is named as left over. The bench's client asks it how long ago the kernel saw a packet that was just read.
WALL_CLOCK = {
    "plugins/action/doctor.py",
    "plugins/module_utils/node/_left.py",
    "plugins/module_utils/node/_look.py",
    "roles/bench/files/bench/__main__.py",
    "roles/bench/files/bench/exchange.py",
    "roles/bench/files/bench/points.py",
    "roles/engine/files/supervisor/notices.py",
    "roles/engine/files/supervisor/status.py",
    "roles/fanout/files/fanout/__main__.py",
    "roles/weights/files/download.py",
}


def test_f28_nothing_else_reads_a_clock_that_can_be_set() -> None:
    wall = re.compile(r"\btime\.time(?:_ns)?\(|\bdatetime\.(?:now|utcnow|today)\(|\bgetmtime\(|st_mtime\b|\blocaltime\(|\bgmtime\(")
    paths = [path for top in ("plugins", "roles") for path in (ROOT / top).rglob("*.py")]
    assert len(paths) > 80
    found = {str(path.relative_to(ROOT)) for path in paths if wall.search(path.read_text())}
    assert found == WALL_CLOCK
