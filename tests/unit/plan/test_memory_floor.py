"""The memory floor against the budgets of the field reports: none of the nine profiles may be ended by its own default."""

from __future__ import annotations

import sys
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _preflight
from ansible_collections.gx10.serving.plugins.module_utils.plan import _memory, _resolve, _sources
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from conftest import ROOT, UNKNOWN, hostvars
from test_memory import estimate

sys.path.insert(0, str(ROOT / "roles/engine/files/supervisor"))
import memory as supervisor_memory

REPORTED = sorted(path.stem for path in (ROOT / "model_profiles").glob("*.yml") if not path.stem.startswith(("sim-", "qwen397-mtp5")))


def planned(name: str, **site: Any) -> Plan:
    variables = hostvars(**site)
    found = _resolve.resolve(_sources.read(name), variables, list(variables), None, True)
    assert found["plan"], found["message"]
    return found["plan"]


def watch(readings: list[float], floor: float, step: float = 0.5) -> str | None:
    """Feed the supervisor's floor one reading every half second, as it looks."""
    now = [0.0]
    rest = iter(readings)
    guard = supervisor_memory.Floor(floor, read=lambda: next(rest), clock=lambda: now[0])
    for _reading in readings:
        verdict = guard.crossed()
        if verdict:
            return verdict
        now[0] += step
    return None


@pytest.mark.parametrize("name", REPORTED)
def test_a_healthy_engine_at_its_own_budget_is_left_alone(name: str) -> None:
    """The tightest node of the reports: 111.27 GiB seen, the whole budget taken, and 1 GiB more, as the reports' ranks differ."""
    plan = planned(name)
    budget = plan["memory"]["budget_gib"]
    assert budget
    # With 121.69 GiB, the largest total of the field, a share takes more, and the same is free.
    largest = plan["memory"]["share"] * 121.69 if plan["memory"]["share"] else budget
    free = _memory.VISIBLE_GIB - min(largest, 110.0) - 0.3
    assert free > plan["nodes"][0]["memory_floor_gib"]
    assert watch([free] * 600, plan["nodes"][0]["memory_floor_gib"]) is None


def test_the_old_floor_would_have_ended_the_reports_largest_budget() -> None:
    budget = planned("nemotron3-ultra")["memory"]["budget_gib"]
    assert budget
    free = _memory.VISIBLE_GIB - budget
    assert watch([free] * 10, 8.0) is not None


def test_a_dip_is_no_collapse_and_a_collapse_is_ended_in_two_seconds() -> None:
    assert watch([4.0, 0.1, 0.1, 0.1, 4.0] * 20, 0.8) is None
    verdict = watch([4.0, 0.1, 0.1, 0.1, 0.1, 0.1], 0.8)
    assert verdict is not None
    assert "less than 0.8 GiB of memory available for 2 s (0.1 now)" in verdict


@pytest.mark.parametrize(("name", "floor"), [("nemotron3-ultra", 0.8), ("qwen397-mtp2", 0.8), ("nex-n2-mini", 0.8), ("sim-tiny-tp4", 2.0)])
def test_the_floor_follows_the_budget(name: str, floor: float) -> None:
    assert planned(name)["memory"]["floor_gib"] == floor


@pytest.mark.parametrize(
    ("budget", "most", "said"),
    # Half of what the budget leaves, never under the least; rounded down for people.
    [(108, 1.635, "at most 1.6 GiB"), (110.27, 0.5, "at most 0.5 GiB"), (111, 0.5, "at most 0.5 GiB")],
)
def test_the_sites_floor_leaves_half_to_a_healthy_engine(budget: float, most: float, said: str) -> None:
    found = estimate(gpu_memory_utilization_gb=budget)
    assert _memory.problems(found, None, "p") == _memory.problems(found, most, "p") == []
    (problem,) = _memory.problems(found, most + 0.001, "p")
    assert (problem.key, problem.wanted.split(" with")[0]) == ("gx10_memory_floor_gib", said)
    assert _memory.problems(estimate(None), 100.0, "p") == []


@pytest.mark.parametrize(("leaves", "gib"), [(100.0, 8.0), (32.0, 8.0), (20.0, 5.0), (3.27, 0.8), (2.0, 0.5), (0.1, 0.5)])
def test_the_floor_is_a_quarter_within_bounds(leaves: float, gib: float) -> None:
    found = estimate(gpu_memory_utilization_gb=round(111.27 - leaves, 2))
    floor = _memory.floor(found, None)
    assert (floor["floor_gib"], floor["needs_gib"]) == (gib, round(111.27 - leaves + gib, 2))


def test_a_start_needs_the_budget_or_the_weights_and_the_floor() -> None:
    cpus = _memory.floor(estimate(None), None)
    assert (cpus["floor_gib"], cpus["needs_gib"]) == (2.0, 29.5)
    site = _memory.floor(estimate(gpu_memory_utilization_gb=100), 3.0)
    assert (site["floor_gib"], site["floor_because"], site["needs_gib"]) == (3.0, "gx10_memory_floor_gib", 103.0)
    unknown = estimate(None)
    unknown["weights_gib"] = None
    assert _memory.floor(unknown, 1.0)["needs_gib"] == 8.5


def test_a_floor_that_the_budget_crosses_is_refused_with_numbers(resolve: Any) -> None:
    (problem,) = resolve("nemotron3-ultra", variables=hostvars(gx10_memory_floor_gib=8))["problems"]
    assert "gx10_memory_floor_gib: found 8 GiB; wanted at most 1.6 GiB with" in problem
    assert "The budget of 108 GiB leaves 3.27 of the 111.27 GiB" in problem
    assert planned("nemotron3-ultra", gx10_memory_floor_gib=1.5)["memory"]["floor_gib"] == 1.5


@pytest.mark.parametrize("value", ["8 GiB", -1, True, [8], "nan", ""])
def test_a_floor_that_is_no_number(resolve: Any, value: Any) -> None:
    (problem,) = resolve("sim-tiny-tp2", variables=hostvars(gx10_memory_floor_gib=value))["problems"]
    assert "gx10_memory_floor_gib" in problem
    assert "GiB as a number" in problem


def test_the_plan_says_what_a_start_needs_and_when_a_rank_is_ended(resolve: Any) -> None:
    from ansible_collections.gx10.serving.plugins.module_utils.plan import _commands

    text = _commands.commands(planned("nemotron3-ultra"))
    assert "#   needs 108.8 GiB available on each node before a start" in text
    assert "#   the supervisor ends a rank under 0.8 GiB available: a quarter of the 3.27 GiB that the budget leaves of 111.27" in text


def info(available: float) -> Any:
    return {
        "addresses": [f"192.168.177.1{number}" for number in range(1, 5)], "missing_tools": [], "docker": {"error": ""}, "disk": {},
        "journal": True, "hardware": UNKNOWN,
        "memory": {"total": 119 * 1024**3, "available": int(available * 1024**3)},
    }  # fmt: skip


def refusals(plan: Plan, available: float, engine: Any = None) -> list[str]:
    names = [node["name"] for node in plan["nodes"]]
    infos = {name: info(available if name == "gx10-2" else 115.0) for name in names}
    return _preflight.node_problems(plan, infos, {name: engine for name in names if engine}, names)


def test_preflight_compares_what_is_available_with_what_the_plan_needs() -> None:
    plan = planned("nemotron3-ultra")
    assert refusals(plan, 111.27) == []
    (problem,) = refusals(plan, 40.0)
    assert problem.startswith("gx10-2: memory: found 40.0 GiB available; wanted at least 108.8 GiB")
    assert "budget of 108 GiB" in problem


def test_as_much_as_a_start_needs_is_enough() -> None:
    plan = planned("nemotron3-ultra")
    assert [len(refusals(plan, available)) for available in (108.8001, 108.79)] == [0, 1]
    # A share is one of the node's own total of 119 GiB: 107.1, and the floor of 0.8.
    share = planned("qwen397-mtp2")
    assert [len(refusals(share, available)) for available in (107.9001, 107.89)] == [0, 1]
    (problem,) = refusals(planned("sim-tiny-tp4"), 1.0)
    assert "at least 9.5 GiB: weights and reserve and a floor of 2 GiB" in problem


@pytest.mark.parametrize(
    ("memory", "enough"),
    # Two GiB beside its budget come back: of a share of 119 GiB, or in GiB. A record of an older release says nothing of use.
    [({"budget_gib": 50, "share": 0.5}, 47.3001), ({"budget_gib": 50, "share": None}, 56.8001), ({"budget_gib": 50}, None), ({}, None)],
)
def test_what_an_engine_gives_back_is_what_its_record_says(memory: Any, enough: float | None) -> None:
    plan = planned("nemotron3-ultra")
    runs = {
        "containers": [{"running": False, "status": {}}, {"running": True, "status": {}}],
        "listeners": [],
        "record": {"plan": {"memory": memory}},
    }
    assert refusals(plan, 0.0 if enough is None else enough, runs) == []
    assert len(refusals(plan, 0.0 if enough is None else enough - 0.01, runs)) == (enough is not None)


def test_what_our_own_engine_holds_comes_back() -> None:
    plan = planned("nemotron3-ultra")
    runs = {
        "containers": [{"running": True, "status": {"phase": "serving"}}],
        "listeners": [],
        "record": {"plan": {"memory": {"budget_gib": 107.73, "share": 0.9}}},
    }
    assert refusals(plan, 3.6, runs) == []
    (problem,) = refusals(plan, -2.0, runs)
    assert "found -2.0 GiB available and 109.1 GiB that the running engine gives back" in problem
    # Nobody knows what it holds: an unknown refuses nobody.
    assert refusals(plan, 3.0, {"containers": [{"running": True, "status": {"phase": "serving"}}], "listeners": [], "record": {}}) == []
    # One that has ended, or waits for its group, holds nothing.
    for phase in ("waiting", "failed"):
        waits = {"containers": [{"running": True, "status": {"phase": phase}}], "listeners": [], "record": runs["record"]}
        assert len(refusals(plan, 3.6, waits)) == 1
    assert len(refusals(plan, 3.0, {"containers": [{"running": False, "status": {}}], "listeners": [], "record": runs["record"]})) == 1
