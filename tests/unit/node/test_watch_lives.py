"""When is an engine wedged? The supervisor through hours of a stub engine's life, then a wedge."""

from __future__ import annotations

import concurrent.futures
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import WatchSettings
from conftest import ROOT, launch
from test_supervisor import HOME, free_port

STUB = ROOT / "tests/unit/stubs/stub_timeline_engine.py"
FACTOR = 40
# Every second is a measured one of the reports, or the half hour of nothing.
BOOT = {"seconds": 14 * 60, "cpu": 0.3, "log": "Encoder cache will be initialized with a budget of 16384 tokens"}
IDLE = {"seconds": 30 * 60}
SATURATED = {"seconds": 170, "running": 6, "waiting": 2, "decode": 50, "completion": 99, "cpu": 0.2}
LONE = {"seconds": 163, "running": 1, "prefill": 1224, "completion": None, "cpu": 0.2, "gauge": False}
AFTER = {"seconds": 120}
WEDGES = {
    "frozen": {"seconds": 0, "running": 1, "completion": None, "freeze": "stop"},
    "deadlocked": {"seconds": 0, "completion": None, "freeze": "deadlock"},
    "spinning": {"seconds": 0, "running": 1, "completion": None, "cpu": 0.3},
}
PROFILE = {"vllm-0.22.1": "nemotron3-ultra", "vllm-0.30.0": "qwen397-mtp2", "sglang-0.5.13": "nemotron3-super-sglang"}
LIVES: list[tuple[str, str, Any]] = [
    *((engine, "frozen", [BOOT, IDLE, SATURATED, LONE, AFTER, SATURATED, AFTER]) for engine in PROFILE),
    *((engine, wedge, [{**BOOT, "seconds": 60}, LONE, AFTER]) for engine in PROFILE for wedge in ("deadlocked", "spinning")),
]


def scaled(found: WatchSettings) -> dict[str, Any]:
    """All of the watch's times are in its settings, so dividing them makes its clock run faster."""
    return {key: value / FACTOR if isinstance(value, int) else value for key, value in found.items()}


def lived(folder: Path, engine: str, wedge: str, scenes: list[dict[str, Any]]) -> dict[str, Any]:
    """Run the supervisor to the end: {"status", "before": scaled-up seconds from the wedge to the end, "watch"}."""
    folder.mkdir()
    port, bounds = free_port(), launch(PROFILE[engine])["watch"]
    script = folder / "script.json"
    script.write_text(json.dumps({"engine": engine, "factor": FACTOR, "scenes": [*scenes, WEDGES[wedge]]}))
    part = {
        "node": "n1", "rank": 0, "role": "head", "hash": "sha256:x", "profile": "p", "address": None, "mods": [], "ray": None,
        "status_file": str(folder / "status.json"), "mods_dir": str(folder), "model_dir": "/models/x", "memory_floor_gib": 0,
        "engine": {"argv": [sys.executable, str(STUB), str(port), str(script)], "health": f"http://127.0.0.1:{port}", "served_name": "m"},
        "deadlines": {"engine": 120}, "watch": scaled(bounds["settings"]),
    }  # fmt: skip
    (folder / "node.json").write_text(json.dumps(part))
    with (folder / "log").open("w") as log:
        run = subprocess.Popen([sys.executable, str(HOME), str(folder / "node.json")], cwd=folder, stdout=log, stderr=log)
        try:
            code = run.wait(300)
        finally:
            run.terminate()
            run.wait()
    status = json.loads((folder / "status.json").read_text())
    wedged = float((folder / "began").read_text()) + sum(scene["seconds"] for scene in scenes) / FACTOR
    ended = next(phase["at"] for phase in status["phases"] if phase["name"] == "failing")
    return {"code": code, "status": status, "seconds": (ended - wedged) * FACTOR, "watch": bounds}


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[tuple[str, str], Any]]:
    """All lives at once, by (engine, wedge): they mostly sleep."""
    folder = tmp_path_factory.mktemp("lives")
    with concurrent.futures.ThreadPoolExecutor(len(LIVES)) as pool:
        runs = {(engine, wedge): pool.submit(lived, folder / f"{engine}-{wedge}", engine, wedge, scenes) for engine, wedge, scenes in LIVES}
        yield {key: run.result() for key, run in runs.items()}


@pytest.mark.parametrize(("engine", "wedge"), [life[:2] for life in LIVES])
def test_hours_of_a_healthy_life_then_a_wedge(lives: dict[tuple[str, str], Any], engine: str, wedge: str) -> None:
    life = lives[(engine, wedge)]
    print(f"ended {life['seconds']:.0f} s after the wedge; bounds {life['watch']['within']}")
    kind = "silent" if wedge == "spinning" else "frozen"
    assert life["code"] == 1
    assert f"the engine is wedged: {kind}: " in life["status"]["reason"]
    assert ("stopped by a signal" in life["status"]["reason"]) == (wedge == "frozen")
    # Nothing healthy was ended before the bound after the wedge; the last progress that was seen may be one look older than it, and on a
    # busy machine a look is late by this machine's delay times the factor: another look. Exact in virtual time above.
    settings = life["watch"]["settings"]
    assert life["seconds"] >= settings[f"{kind}_seconds"] - 2 * settings["look_seconds"]
    # How long after it is a matter of this machine's load times the factor: only printed here, and exact in virtual time above.
    print(f"{engine} {wedge}: ended after {life['seconds']:.0f} s, bound {life['watch']['within'][kind]} s")


def test_the_stub_is_older_than_this_minute(lives: dict[tuple[str, str], Any]) -> None:
    """The lives were as long as they say."""
    phases = {phase["name"]: phase["at"] for phase in lives[("vllm-0.30.0", "frozen")]["status"]["phases"]}
    assert (phases["serving"] - phases["engine"]) * FACTOR > 14 * 60
    assert (phases["failing"] - phases["serving"]) * FACTOR > 30 * 60
