"""A group that starts again by itself is waited for, and whoever asks is told how far it is."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _engine, _engine_actions, _gate
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from conftest import hostvars
from worlds import IMAGE, as_planned, decide, done, engine

CULPRIT = "gx10-2: raylet (process 77) was ended by SIGKILL"
AT = 1790817185.0  # 2026-10-01 01:13:05 UTC
HEALS: dict[str, Any] = {"generation": 2, "restarts": "1 of 3 within an hour", "evidence": {"ended": CULPRIT, "ended_at": AT}}
SINCE = "restarting since 2026-10-01 01:13:05 UTC: "
COUNT = f"generation 2, restart 1 of 3 within an hour; {CULPRIT}"


@pytest.fixture
def plan(resolve: Any) -> Plan:
    found: Plan = resolve("sim-tiny-tp2", variables=hostvars(3))["plan"]
    return found


@pytest.fixture
def seen(plan: Plan) -> dict[str, Any]:
    return as_planned(plan)


def says(seen: Any, **status: Any) -> None:
    for name in ("gx10-1", "gx10-2"):
        engine(name, lambda look: look["containers"][0]["status"].update(status))(seen)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        ({"phase": "engine", "reason": ""}, f"{SINCE}engine, {COUNT}"),
        ({"phase": "ray", "reason": ""}, f"{SINCE}ray, {COUNT}"),
        ({"phase": "waiting", "reason": f"for gx10-2 (closing); {CULPRIT}"}, f"{SINCE}waiting for gx10-2 (closing), {COUNT}"),
        ({"phase": "waiting", "reason": f"for the others to end; {CULPRIT}"}, f"{SINCE}waiting for the others to end, {COUNT}"),
        (
            # What was before is still in its evidence while it ends.
            {"phase": "failing", "reason": CULPRIT, "phases": [{"name": "failing", "at": AT}], "evidence": {"ended": "x", "ended_at": 1.0}},
            f"{SINCE}failing, {COUNT}",
        ),
    ],
)
def test_a_group_that_heals_is_waited_for_and_not_replaced(plan: Plan, seen: Any, status: Any, words: str) -> None:
    says(seen, **{**HEALS, **status})
    decision = decide(plan, seen)
    assert [(item["do"], item["text"]) for item in decision["actions"]] == [("wait", f"wait for the group: {words}")]
    assert _engine_actions.waits(decision["actions"])
    assert not _engine_actions.replaces(decision["actions"])
    # What it serves has passed: nothing is recorded anew, and nothing will have changed.
    assert decision["proven"] is True


def test_a_group_that_serves_again_needs_nothing(plan: Plan, seen: Any) -> None:
    says(seen, **HEALS)
    assert done(decide(plan, seen)) == []


@pytest.mark.parametrize("phase", ["starting", "mods", "waiting", "ray", "members", "engine"])
@pytest.mark.parametrize("restarts", ["never", "0 of 3 within an hour"])
def test_a_first_start_that_nobody_waits_for_any_more_is_waited_for(plan: Plan, seen: Any, phase: str, restarts: str) -> None:
    """Of a serve.yml that was broken off."""
    engine("gx10-2", lambda look: look["containers"][0]["status"].update(phase=phase, restarts=restarts, generation=1))(seen)
    assert [item["text"] for item in decide(plan, seen)["actions"]] == [f"wait for the group: gx10-2 is in phase {phase}"]


@pytest.mark.parametrize(
    ("status", "why"),
    [
        ({"phase": "failing", "restarts": "never"}, "gx10-2 is failing"),
        ({"phase": "failed", **HEALS}, "gx10-2 is failed"),
        ({"phase": "stopping", **HEALS}, "gx10-2 is stopping"),
    ],
)
def test_one_that_does_not_come_by_itself_is_replaced(plan: Plan, seen: Any, status: Any, why: str) -> None:
    engine("gx10-2", lambda look: look["containers"][0]["status"].update(status))(seen)
    (action,) = decide(plan, seen)["actions"]
    assert action["do"] == "replace"
    assert why in action["text"]


def test_one_that_heals_beside_one_that_has_ended_is_replaced(plan: Plan, seen: Any) -> None:
    says(seen, **HEALS, phase="waiting", reason=f"for gx10-2; {CULPRIT}")
    engine("gx10-2", lambda look: look["containers"][0].update(running=False, exit_code=137))(seen)
    assert done(decide(plan, seen)) == [("engine", "", "replace")]


def test_one_that_heals_another_plan_is_replaced(plan: Plan, seen: Any) -> None:
    says(seen, **HEALS, phase="engine")
    for name in ("gx10-1", "gx10-2"):
        engine(name, lambda look: look["containers"][0]["labels"].update({"gx10.serving.hash": "sha256:other"}))(seen)
    assert done(decide(plan, seen)) == [("engine", "", "replace")]


def test_only_one_that_may_still_come_is_left_to_heal(plan: Plan, seen: Any, resolve: Any) -> None:
    says(seen, **HEALS, phase="waiting")
    infos: Any = {name: world["engine"] for name, world in seen["worlds"].items()}
    assert _engine.heals(plan, infos) is True
    assert _engine.heals(resolve("sim-tiny-tp2", variables=hostvars(3, gx10_restarts_per_hour=0))["plan"], infos) is False
    gone: Any = {**infos["gx10-2"], "containers": []}
    down: Any = {**gone, "containers": [{**infos["gx10-2"]["containers"][0], "status": {"phase": "failed"}}]}
    for one in (gone, down):
        assert _engine.heals(plan, {**infos, "gx10-2": one}) is False


def test_status_says_how_far_it_is(plan: Plan, seen: Any) -> None:
    says(seen, **HEALS, phase="engine", reason="")
    infos: Any = {name: world["engine"] for name, world in seen["worlds"].items()}
    record: Any = {"plan": plan, "image_id": IMAGE, "parts": infos["gx10-1"]["record"]["parts"]}
    checks = _gate.container_checks(record, infos)
    result = _gate.document(record, checks, infos, None)
    assert result["restarting"] == f"{SINCE}engine, {COUNT}"
    text = _gate.text(result)
    assert text.startswith(f"sim-tiny-tp2: NOT serving, {SINCE}engine, {COUNT}, at http://")
    assert f"failed: gx10-1: phase: found {SINCE}engine, {COUNT}; wanted serving. ansible-playbook serve.yml waits for it." in text
    # The head's word counts; where it has none, another's does.
    infos["gx10-1"] = {**infos["gx10-1"], "containers": []}
    assert _gate.document(record, checks, infos, None)["restarting"] == f"{SINCE}engine, {COUNT}"
    says(seen, phase="serving")
    infos = {name: world["engine"] for name, world in seen["worlds"].items()}
    result = _gate.document(record, [], infos, None)
    assert (result["restarting"], result["restarted"]) == ("", f"generation 2 since 2026-10-01 01:13:05 UTC; {CULPRIT}")
    assert f"  healed  {result['restarted']}" in _gate.text(result).splitlines()
    # One that has never ended has not healed.
    says(seen, evidence={})
    infos = {name: world["engine"] for name, world in seen["worlds"].items()}
    result = _gate.document(record, [], infos, None)
    assert result["restarted"] == ""
    assert "healed" not in _gate.text(result)


def test_a_start_that_is_late_because_it_started_again_is_told_as_that(plan: Plan, seen: Any) -> None:
    says(seen, **HEALS, phase="engine", reason="")
    infos: Any = {name: world["engine"] for name, world in seen["worlds"].items()}
    first, *_others = _engine.start_problems(plan, infos)
    assert first.startswith(f"gx10-1 (rank 0): found phase engine; wanted serving. {SINCE}engine, {COUNT}")


def test_who_could_not_be_stopped_is_named_with_what_it_will_do(plan: Plan, seen: Any) -> None:
    looks = [seen["worlds"][name]["engine"] for name in ("gx10-1", "gx10-3")]
    group, other = _engine.unstopped(["gx10-2", "gx10-3"], looks)
    assert group == (
        "gx10-2: node: found no answer; wanted one on which nothing of ours is left. When it returns, its rank of sim-tiny-tp2 waits for "
        "ranks that are gone, and starts nothing. Then run stop.yml again. [no-answer]"
    )
    assert "what it serves alone may serve again (gx10_restarts_per_hour). Then run stop.yml again." in other
    # One node's own launch, which no other has a record of, is never said to wait.
    alone: Any = {**looks[0], "record": {**looks[0]["record"], "plan": {**plan, "nodes": plan["nodes"][:1]}}}
    assert "may serve again" in _engine.unstopped(["gx10-1"], [alone])[0]
    assert _engine.unstopped([], looks) == []
