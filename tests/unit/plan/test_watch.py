"""When is an engine wedged? The profiles' bounds, the judgement in virtual time, the supervisor through hours of a stub engine's life."""

from __future__ import annotations

import concurrent.futures
import json
import os
import platform
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _engine
from ansible_collections.gx10.serving.plugins.module_utils.plan import _commands, _resolve, _sources, _watch
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan, Watch, WatchSettings
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _engines
from conftest import ROOT, edited, hostvars
from test_supervisor import HOME, eventually, free_port

sys.path.append(str(HOME))
import activity
import probe
import processes
import watch

VLLM = _engines.load("vllm").METRICS
PROFILES = sorted(path.stem for path in (ROOT / "model_profiles").glob("*.yml"))


def plan(name: str, **own: Any) -> Plan:
    found = _resolve.resolve(edited(_sources.read(name), **own), hostvars(), list(hostvars()), None, True)
    assert found["plan"], found["message"]
    return found["plan"]


def settings(name: str) -> dict[str, Any]:
    return {**plan(name)["watch"]["settings"]}


def bounds(profile: Any, checkpoint: Any = None) -> Watch:
    """Of the parts that count."""
    return _watch.bounds(profile, checkpoint, VLLM)


# -- bounds -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "tps", "margin", "frozen", "silent"),
    [
        ("qwen397-mtp2", 1584, 1.5, 70, 370),
        ("nex-n2-pro-mtp2", 1227, 1.5, 80, 450),
        ("nemotron3-ultra", 1224, 1.5, 80, 450),
        # Measured with short prompts only; not measured at all.
        ("nex-n2-mini", 1974, 2, 70, 390),
        ("qwen397-mtp3", 1000, 2, 80, 650),
        ("nemotron3-super-sglang", 1000, 2, 100, 1170),
    ],
)
def test_bounds_of_the_reports_profiles(name: str, tps: float, margin: float, frozen: int, silent: int) -> None:
    found = plan(name)["watch"]
    assert (found["prefill"]["tps"], found["prefill"]["margin"]) == (tps, margin)
    assert (found["settings"]["frozen_seconds"], found["settings"]["silent_seconds"]) == (frozen, silent)


@pytest.mark.parametrize("name", [name for name in PROFILES if name != "qwen397-mtp5"])
def test_no_profile_ends_what_it_has_measured(name: str) -> None:
    document = plan(name)
    bench = document["expect"].get("bench", {})
    measured = [row["ttft_s"] for row in [bench.get("needle", {}), *bench.get("concurrency", [])] if "ttft_s" in row]
    assert all(document["watch"]["settings"]["silent_seconds"] > 1.5 * seconds for seconds in measured)


def test_a_longer_context_than_measured_is_taken_as_quadratic() -> None:
    bench = {"needle": {"input_tokens": 200_000, "prefill_tps": 1000}}
    profile = {"args": {"max-model-len": 1048576}, "expect": {"bench": bench}}
    prefill = bounds(profile)["prefill"]
    assert (prefill["tokens"], prefill["margin"]) == (1048576, 5.24)


def test_without_chunks_a_step_is_the_whole_prompt() -> None:
    profile = {"args": {"max-model-len": 100_000, "enable-chunked-prefill": False}}
    found = bounds(profile)
    assert found["prefill"]["step"] == 100_000
    assert found["settings"]["frozen_seconds"] == 260


def test_the_context_comes_from_the_checkpoint_where_no_flag_says() -> None:
    checkpoint = {"config": {"text_config": {"max_position_embeddings": 40960}}}
    assert bounds({}, checkpoint)["prefill"]["tokens"] == 40960
    assert bounds({})["prefill"]["tokens"] == 262144


@pytest.mark.parametrize(
    "bench", [{"needle": "lost"}, {"prefill_tps": "fast"}, {"concurrency": {"requests": 1}}, {"prefill_tps": {"pp1": 0}}]
)
def test_a_bench_of_another_form_is_not_measured(bench: Any) -> None:
    assert bounds({"expect": {"bench": bench}})["prefill"]["tps_from"] == "not measured"


MEASURED = {"needle": {"input_tokens": 50_000, "prefill_tps": 1000}}


def test_bounds_follow_from_prefill_margin_and_what_a_look_may_take() -> None:
    found = bounds({"args": {"max-model-len": 100_000, "max-num-batched-tokens": 2048}, "expect": {"bench": MEASURED}})
    # 60 s and a step of 2048 tokens, 120 s and all of them; twice as deep as measured.
    assert (found["settings"]["frozen_seconds"], found["settings"]["silent_seconds"]) == (70, 320)
    assert [found["settings"][key] for key in ("look_seconds", "idle_seconds", "answer_seconds")] == [5, 60, 10]
    assert found["prefill"] == {
        "tokens": 100_000, "tokens_from": "max-model-len", "tps": 1000.0, "tps_from": "measured at 50000 tokens", "margin": 2.0,
        "step": 2048,
    }  # fmt: skip
    assert found["within"] == {"frozen": 160, "silent": 410}


@pytest.mark.parametrize(
    ("args", "step"),
    [
        ({}, 16384),
        ({"max-num-batched-tokens": 4096, "chunked-prefill-size": 2048}, 4096),
        ({"chunked-prefill-size": 2048}, 2048),
        *[({"chunked-prefill-size": -1}, 40_000), ({"enable-chunked-prefill": False}, 40_000), ({"enable-chunked-prefill": True}, 16384)],
        ({"max-num-batched-tokens": 50_000}, 40_000),
    ],
)
def test_a_step_is_what_the_flags_say_and_never_more_than_a_prompt(args: Any, step: int) -> None:
    assert bounds({"args": {"context-length": 40_000, **args}})["prefill"]["step"] == step


@pytest.mark.parametrize(
    ("value", "tokens"),
    [
        *[(1, 1), (3_000_000, 3_000_000)],
        # A text is read as its engine reads it before it comes here.
        *[(value, None) for value in (0, -1, True, 1.5, "1g", "0", "-1", None, [1])],
    ],
)
def test_a_count_of_tokens(value: Any, tokens: int | None) -> None:
    assert bounds({"args": {"context-length": value}})["prefill"]["tokens"] == (tokens or _watch.CONTEXT)
    checkpoint: Any = {"config": {"max_position_embeddings": value}}
    assert bounds({}, checkpoint)["prefill"]["tokens_from"] == (
        "max_position_embeddings" if tokens else "assumed: no flag and no config.json says"
    )


@pytest.mark.parametrize(
    ("bench", "rate", "margin"),
    [
        (MEASURED, 1000, 2.0),
        ({"needle": {"input_tokens": 99_000, "prefill_tps": 1500.5}}, 1500.5, 1.5),
        *[({"needle": {**MEASURED["needle"], key: value}}, 1000.0, 2.0) for key in ("input_tokens",) for value in (0, None, True, "9")],
        *[({"needle": {**MEASURED["needle"], "prefill_tps": value}, "prefill_tps": 700}, 700, 2.0) for value in (0, None, True, -1)],
        # Of short prompts the slowest; several requests at once are a sum.
        (
            {"prefill_tps": {"a": 900, "b": 800}, "concurrency": [{"requests": 2, "prefill_tps": 1}, {"requests": 1, "prefill_tps": 750}]},
            750,
            2,
        ),
        ({"prefill_tps": 1, "concurrency": ["x"]}, 1, 2.0),
        ({"prefill_tps": 0.5, "concurrency": None}, 0.5, 2.0),
    ],
)
def test_the_rate_is_the_deepest_measured_or_the_slowest(bench: Any, rate: float, margin: float) -> None:
    prefill = bounds({"args": {"max-model-len": 100_000}, "expect": {"bench": bench}})["prefill"]
    assert (prefill["tps"], prefill["margin"]) == (rate, margin)


def test_plan_part_and_terminal_have_the_bounds() -> None:
    document = plan("qwen397-mtp2")
    part = _engine.part(document, "gx10-1", "sha256:i", "sha256:w")
    assert part is not None
    assert part["watch"] == document["watch"]["settings"]
    text = _commands.commands(document)
    assert "# Watch: a frozen engine (no CPU time, no progress) is ended within 160 s, one that computes in silence within 460 s" in text
    assert "longest prefill 262144 tokens (max-model-len) at 1584 t/s (measured at 199402 tokens) x 1.5 + 120 s" in text


def test_the_launch_hash_covers_the_bounds() -> None:
    slower = {"expect": {"bench": {"needle": {"input_tokens": 199402, "prefill_tps": 1000}}}}
    assert plan("qwen397-mtp2")["hash"] != plan("qwen397-mtp2", **slower)["hash"]


# -- judgement, in virtual time -----------------------------------------------------------------------------------------


class Life:
    """A judge, and an engine that is looked at every five seconds."""

    def __init__(self, name: str) -> None:
        self.settings = settings(name)
        self.at, self.tokens = 1000.0, 0.0
        self.judge = watch.Judge(self.settings, self.at)

    def live(self, seconds: float, **seen: Any) -> tuple[float, str] | None:
        """(seconds until the verdict, the verdict), or None."""
        decode = seen.pop("decode", 0)
        began, every = self.at, seen.pop("every", self.settings["look_seconds"])
        while self.at < began + seconds:
            self.at += every
            self.tokens += decode
            look = {"answers": True, "busy": 0, "progress": (self.tokens,), "life": activity.Life(True), "completion": "none", **seen}
            verdict = self.judge.see(watch.Look(self.at, **look))
            if verdict:
                return self.at - began, verdict
        return None


# Of the reports: (profile, seconds in which not one counter moves although all is well).
SILENT = [("qwen397-mtp2", 125.9), ("nex-n2-pro-mtp2", 162.5), ("nex-n2-pro", 131.3), ("nemotron3-ultra", 163.0), ("nemotron3-ultra", 99)]


@pytest.mark.parametrize(("name", "seconds"), SILENT)
@pytest.mark.parametrize("completion", ["none", "waits"])
def test_a_lone_prefill_that_moves_nothing_is_no_wedge(name: str, seconds: float, completion: str) -> None:
    assert Life(name).live(seconds, busy=1, completion=completion) is None


@pytest.mark.parametrize("name", [name for name in PROFILES if name != "qwen397-mtp5"])
def test_each_kind_of_wedge_is_ended_at_its_bound_and_not_before(name: str) -> None:
    for life, completion, bound in (
        (False, "waits", "frozen_seconds"),
        (False, "none", "frozen_seconds"),
        (True, "waits", "silent_seconds"),
    ):
        one = Life(name)
        assert one.live(1800) is None
        assert one.live(600, busy=4, decode=30) is None
        ended = one.live(10_000, busy=1, completion=completion, life=activity.Life(life))
        assert ended is not None
        assert 0 <= ended[0] - one.settings[bound] <= 2 * one.settings["look_seconds"]
        assert ended[1].startswith(bound.partition("_")[0])


def test_idle_for_hours_is_no_wedge() -> None:
    assert Life("qwen397-mtp2").live(36_000, life=activity.Life(False)) is None


def test_saturation_with_hours_of_queueing_is_no_wedge() -> None:
    assert Life("nemotron3-ultra").live(7200, busy=200, decode=50, completion="waits") is None


def test_no_cpu_time_while_metrics_move_is_no_wedge() -> None:
    assert Life("qwen397-mtp2").live(7200, busy=1, decode=1, life=activity.Life(False)) is None


@pytest.mark.parametrize("seen", [{"progress": None, "busy": None}, {"life": activity.Life(None), "completion": "refused"}])
def test_a_missing_sign_is_never_a_dead_engine(seen: dict[str, Any]) -> None:
    """/metrics answers 404; /proc is unreadable and completions are refused."""
    for completion in ("none", "waits", "refused", "failed"):
        assert Life("nemotron3-super-sglang").live(36_000, **{"completion": completion, **seen}) is None


def test_without_metrics_a_frozen_engine_is_still_ended() -> None:
    one = Life("nemotron3-super-sglang")
    ended = one.live(3600, progress=None, busy=None, completion="waits", life=activity.Life(False))
    assert ended is not None
    assert ended[0] == pytest.approx(one.settings["frozen_seconds"], abs=10)


def test_metrics_that_time_out_alone_are_no_wedge() -> None:
    assert Life("qwen397-mtp2").live(36_000, answers=False, progress=None, busy=None) is None


def test_a_server_that_answers_nothing_at_all_is_ended() -> None:
    one = Life("qwen397-mtp2")
    assert one.live(60) is None
    ended = one.live(3600, answers=False, progress=None, busy=None, completion="waits")
    assert ended is not None
    assert "/metrics did not answer" in ended[1]


def test_a_time_that_nobody_saw_proves_nothing() -> None:
    """`docker pause` for an hour, in the middle of a prefill."""
    one = Life("qwen397-mtp2")
    assert one.live(60, busy=1, completion="waits", life=activity.Life(False)) is None
    assert one.live(3600, every=3600, busy=1, completion="waits", life=activity.Life(False)) is None
    assert one.live(60, busy=1, completion="waits") is None


def test_an_error_that_was_always_there_is_no_wedge() -> None:
    """A server whose /v1/completions has never worked may serve chats well."""
    assert Life("qwen397-mtp2").live(36_000, completion="failed") is None


def test_vllm_has_the_metrics_that_the_watch_reads() -> None:
    """In a recording of the real engine, in the middle of a lone prefill."""
    text = (ROOT / "tests/unit/data/metrics-vllm-0.30.0.txt").read_text()
    found = {name: probe.samples(text, name) for name in (*VLLM.busy, *VLLM.progress)}
    assert None not in found.values(), found
    assert found["vllm:num_requests_running"] == 1
    # Not one token of the prompt is counted yet; of all, only this gauge grew with each step (119 of 128 looks).
    assert found["vllm:prompt_tokens_total"] == 3
    assert (found["vllm:kv_cache_usage_perc"] or 0) > 0


# -- processes ----------------------------------------------------------------------------------------------------------


def process(cpu: float, api: bool = False, state: str = "S") -> activity.Process:
    return activity.Process("VLLM::EngineCor", api, state, cpu)


@pytest.mark.parametrize(
    ("now", "computes"),
    [
        ({1: process(9, api=True), 2: process(5)}, False),
        # The API process answers looks and scrapes while its core is dead.
        ({1: process(9.4, api=True), 2: process(5)}, False),
        ({1: process(9, api=True), 2: process(5.01)}, True),
        ({1: process(10, api=True), 2: process(5)}, True),
        ({1: process(9, api=True), 2: process(5), 3: process(0.1)}, True),
        ({1: process(9, api=True), 2: process(5, state="T"), 3: process(5)}, False),
        ({}, None),
    ],
)
def test_life_is_cpu_time_of_the_engine(now: dict[int, activity.Process], computes: bool | None) -> None:
    assert activity.life({1: process(9, api=True), 2: process(5)}, now, 5).computes is computes


def test_children_of_a_dying_process_are_not_lost() -> None:
    """Its first thread has ended, another lives on: a zombie with children, as a killed engine is for some milliseconds."""
    end = {"x86_64": 60, "aarch64": 93}[platform.machine()]  # exit(2) of one thread
    script = (
        "import ctypes, subprocess, threading, time; subprocess.Popen(['sleep', '97']);"
        f"threading.Thread(target=time.sleep, args=(97,)).start(); ctypes.CDLL(None).syscall({end}, 0)"
    )
    parent = subprocess.Popen([sys.executable, "-c", script])
    try:
        assert eventually(lambda: processes.stats()[parent.pid][1] == "Z")
        (sleep,) = processes.descendants(parent.pid)
        assert sleep[1] == "sleep"
        assert parent.pid not in [pid for pid, _name in processes.descendants(os.getpid())]
    finally:
        for pid, _name in processes.descendants(parent.pid):
            os.kill(pid, 9)
        parent.kill()
        parent.wait()


# -- the supervisor over a stub engine's life ---------------------------------------------------------------------------

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
    port, bounds = free_port(), plan(PROFILE[engine])["watch"]
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
