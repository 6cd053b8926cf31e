"""An engine that stands still is ended, within the bound that plan.yml prints."""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

from sim import HEAD, Playbook, eventually


def test_a_stopped_engine_core_is_ended_within_the_plans_bound(tmp_path: Path, nodes: dict[str, Any]) -> None:
    """SIGSTOP of a real core; its API answers all the while."""
    plan, head = tmp_path / "plan.json", nodes[HEAD]
    # Down for good, so that its status keeps the phases of its end.
    extra: dict[str, Any] = {"profile": "sim-tiny-solo", "gx10_restarts_per_hour": 0}
    Playbook("serve", **extra).ok()
    Playbook("plan", plan_out=str(plan), **extra).ok()
    bound = json.loads(plan.read_text())["watch"]["within"]["frozen"]
    core = head.run("pgrep -f '^VLLM::EngineCore'").strip()
    head.run(f"kill -STOP {core}")
    stopped = time.time()
    assert head.run(f"ps -o stat= -p {core}").startswith("T")
    assert head.run("curl -s -o /dev/null -w '%{http_code}' http://172.31.240.11:8000/health") == "200"
    assert eventually(lambda: head.containers(running=False), bound + 30), "the container is Up over a stopped engine core"
    status = head.status()
    assert "the engine is wedged: frozen: " in status["reason"]
    assert "stopped by a signal" in status["reason"]
    (ended,) = [phase["at"] for phase in status["phases"] if phase["name"] == "failing"]
    assert ended - stopped <= bound
    Playbook("stop").ok()
