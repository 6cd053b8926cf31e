"""When is an engine wedged? The judgement, in virtual time, and the processes that it looks at."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan.engines import _engines
from conftest import ROOT, launch
from test_supervisor import HOME, eventually

sys.path.append(str(HOME))
import activity
import probe
import processes
import watch

VLLM = _engines.load("vllm").METRICS
PROFILES = sorted(path.stem for path in (ROOT / "model_profiles").glob("*.yml"))


class Life:
    """A judge, and an engine that is looked at every five seconds."""

    def __init__(self, name: str) -> None:
        self.settings: dict[str, Any] = {**launch(name)["watch"]["settings"]}
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
