"""Why a group is replaced, in the words of what changed; and when the gate has to prove it again."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _engine, _engine_actions, _reconcile
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from conftest import edited, hostvars
from worlds import IMAGE, MANIFEST, OTHER, as_planned, decide, done, engine, images, planned, weights


@pytest.fixture
def plan(resolve: Any) -> Plan:
    return planned(resolve)


@pytest.fixture
def seen(plan: Plan) -> dict[str, Any]:
    return as_planned(plan)


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"args": {"max-num-seqs": 16}}, "max-num-seqs 4 → 16"),
        ({"args": {"enforce-eager": None}}, "enforce-eager set → absent"),
        ({"env": {"VLLM_LOGGING_LEVEL": "DEBUG"}}, "VLLM_LOGGING_LEVEL absent → DEBUG"),
        ({"container": {"shm_size": "2g"}}, "container shm_size"),
        ({"model": {"served_name": "another"}}, "served-model-name tiny-qwen3 → another"),
    ],
)
def test_the_reason_is_what_the_user_changed(plan: Any, seen: Any, change: Any, reason: str) -> None:
    from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources

    variables = hostvars(3)
    found = _resolve.resolve(_sources.read("sim-tiny-tp2"), variables, list(variables), change)
    assert found["plan"], found["message"]
    decision = decide(found["plan"], seen)
    assert done(decision) == [("engine", "", "replace")]
    assert reason in decision["actions"][0]["text"]
    assert decision["actions"][0]["text"].count("→") == 1, "each change once, not once a node"


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        ({"gx10_models_root": "/data/models"}, "mount /root/.cache/huggingface /srv/models → /data/models"),
        ({"gx10_ray_object_store_bytes": 3 * 2**30}, "ray object-store-memory"),
        ({"gx10_restarts_per_hour": 0}, "group restarts_per_hour 3 → 0"),
        ({"gx10_group_port": 8734}, "group address 192.168.177.11:8733 → 192.168.177.11:8734"),
    ],
)
def test_the_reason_is_what_changed_in_the_inventory(plan: Any, seen: Any, resolve: Any, change: Any, reason: str) -> None:
    now = resolve("sim-tiny-tp2", variables=hostvars(3, **change))["plan"]
    for world in seen["worlds"].values():
        world["host"]["disk"]["/data/models"] = world["host"]["disk"]["/srv/models"]
    decision = decide(now, seen)
    assert done(decision) == [("engine", "", "replace")]
    assert decision["actions"][0]["text"].startswith(f"replace the group: {reason}")
    assert "plan" not in decision["actions"][0]["text"]


def test_adopted_weights_are_the_reason(plan: Any, seen: Any) -> None:
    looks = {name: world["engine"] for name, world in seen["worlds"].items()}
    (action,) = _engine_actions.decide(plan, looks, IMAGE, "others")["actions"]
    assert action["text"] == "replace the group: other weights"


def test_what_has_no_words_is_something_else_of_the_plan(plan: Any, seen: Any) -> None:
    now = copy.deepcopy(plan)
    now["nodes"][1]["ray"]["head"] = "10.0.0.9:6379"
    now["hash"] = "sha256:other"
    (action,) = decide(now, seen)["actions"]
    assert action["text"] == "replace the group: something else of the plan"


def test_a_changed_flag_is_certain_before_the_image_is_known(plan: Any, seen: Any, resolve: Any) -> None:
    """That a build may end in the same image is no reason to doubt it."""
    now = copy.deepcopy(plan)
    now["nodes"][0]["engine"]["argv"] += ["--max-num-batched-tokens", "64"]
    now["hash"] = "sha256:other"
    looks = {name: world["engine"] for name, world in seen["worlds"].items()}
    (action,) = _engine_actions.decide(now, looks, "", str(MANIFEST["hash"]))["actions"]
    assert (action["do"], action["text"]) == ("replace", "replace the group: max-num-batched-tokens absent → 64")


def decided(plan: Any, seen: Any, image: str = IMAGE, weights: str = str(MANIFEST["hash"])) -> Any:
    return _engine_actions.decide(plan, {name: world["engine"] for name, world in seen["worlds"].items()}, image, weights)


def test_every_change_of_a_group_is_a_reason(plan: Any, seen: Any) -> None:
    new = copy.deepcopy(plan)
    new["hash"] = "sha256:new"
    new["supervisor"] = "new"
    new["watch"]["settings"]["frozen_seconds"] += 10
    first, second = new["nodes"]
    first["memory_floor_gib"], first["mods"] = 1.5, [{"name": "m", "hash": "sha256:m"}]
    second["env"] = {**second["env"], "A": "1"}
    first["engine"]["argv"] = [*first["engine"]["argv"], "--new=1", "--list", "a", "b", "--flag"]
    new["nodes"] = [first, {**second, "name": "gx10-4"}]
    # Without a node of its own, gx10-2 still runs what it ran.
    assert [action["text"] for action in decided(new, seen, OTHER)["actions"]] == [
        "replace the group: nodes gx10-1, gx10-2 → gx10-1, gx10-4; new absent → 1; list absent → a b; flag absent → set; "
        "mod m absent → sha256:m; memory floor 2 → 1.5 GiB; A absent → 1; the bounds of its watch; another release of the supervisor; "
        "image 111111111111 → 222222222222"
    ]


def test_an_action_is_of_a_node_or_of_the_group(plan: Any, seen: Any) -> None:
    engine("gx10-2", lambda look: look["containers"].clear())(seen)
    weights("gx10-2", recorded=None)(seen)
    plan["warnings"].append("w")
    assert _reconcile.lines(decide(plan, seen)) == [
        "Warning: w",
        "weights: gx10-2: keep the manifest of gx10/tiny-qwen3 in /var/lib/gx10/manifests",
        "engine: replace the group: gx10-2 has no container",
    ]


def test_without_a_record_the_reasons_are_the_nodes(plan: Any, seen: Any) -> None:
    for name in ("gx10-1", "gx10-2"):
        engine(name, lambda look: (look.update(record={}), look["containers"][0].update(labels={})))(seen)
    wanted = "replace the group: gx10-1 runs another plan (); gx10-2 runs another plan ()"
    assert [action["text"] for action in decided(plan, seen)["actions"]] == [wanted]
    # A record of a group that ended says nothing of what is to be started.
    engine("gx10-1", lambda look: look["containers"][0].update(running=False))(seen)
    engine("gx10-2", lambda look: look["containers"].clear())(seen)
    assert (
        decided(plan, seen)["actions"][0]["text"]
        == "start the group: the container on gx10-1 has ended with code 0; gx10-2 has no container"
    )


def test_what_a_node_recorded_that_was_left_out_since_is_no_reason(plan: Any, seen: Any) -> None:
    """gx10-1 comes back: what it served before is not what is served."""
    first, second = plan["nodes"]
    left = {**plan, "hash": "sha256:left", "nodes": [{**first, "name": "gx10-2"}, {**second, "name": "gx10-3"}]}
    engine("gx10-1", lambda look: look["record"]["plan"].update(profile="before"))(seen)
    for name in ("gx10-2", "gx10-3"):
        engine(name, lambda look: look.update(record={"plan": left, "image_id": IMAGE}))(seen)
    engine("gx10-2", lambda look: look["containers"][0].update(labels={}))(seen)
    assert [action["text"] for action in decided(plan, seen)["actions"]] == ["replace the group: nodes gx10-2, gx10-3 → gx10-1, gx10-2"]


@pytest.mark.parametrize(("image", "weights"), [("", str(MANIFEST["hash"])), (IMAGE, ""), ("", "")])
def test_what_is_not_known_yet_replaces_only_if_it_differs(plan: Any, seen: Any, image: str, weights: str) -> None:
    decision = decided(plan, seen, image, weights)
    assert (decision["parts"], [action["do"] for action in decision["actions"]]) == ({}, ["depends"])
    engine("gx10-2", lambda look: look["containers"][0]["status"].update(phase="stopping"))(seen)
    (action,) = decided(plan, seen, image, weights)["actions"]
    # What is certain is the reason, with a record of what runs and without one.
    assert (action["do"], action["text"]) == ("replace", "replace the group: gx10-2 is stopping: no reason given")
    for world in seen["worlds"].values():
        world["engine"]["record"] = {}
    assert decided(plan, seen, image, weights)["actions"] == [action]


def test_a_group_is_proven_on_every_node_by_its_own_start(plan: Any, seen: Any) -> None:
    assert decide(plan, seen)["proven"] is True
    for name in ("gx10-1", "gx10-2"):
        engine(name, lambda look: look["record"]["boots"]["gx10-2"].update(started_at="x"))(seen)
    assert decide(plan, seen)["proven"] is False


def test_another_profile_is_named(plan: Any, seen: Any, resolve: Any) -> None:
    other = resolve("sim-tiny-solo", variables=hostvars(3))["plan"]
    looks = {name: world["engine"] for name, world in seen["worlds"].items()}
    (action,) = _engine_actions.decide(other, looks, IMAGE, "w")["actions"]
    assert action["text"] == "replace the group: sim-tiny-tp2 → sim-tiny-solo"


def older(plan: Any) -> dict[str, Any]:
    """A plan of a release that knew less."""
    nodes = [{key: value for key, value in node.items() if key != "runtime_env"} for node in plan["nodes"]]
    return {**{key: value for key, value in plan.items() if key not in ("watch", "ready")}, "nodes": nodes, "format": 3, "hash": "sha256:o"}


@pytest.mark.parametrize("form", [older, lambda plan: {"format": 5}, lambda plan: {}])
def test_a_record_that_this_release_cannot_read_gives_no_details(plan: Any, seen: Any, form: Any) -> None:
    record = {"plan": form(plan), "image_id": IMAGE}
    for name in ("gx10-1", "gx10-2"):
        engine(name, lambda look: look.update(record=record, good={"last": record, "previous": {}, "at": 1.0}))(seen)
    decision = decide(plan, seen)
    # What runs is right.
    assert (done(decision), decision["proven"]) == ([("gate", "", "record")], False)
    engine("gx10-1", lambda look: look["containers"][0]["labels"].update({"gx10.serving.hash": "sha256:old"}))(seen)
    assert _reconcile.lines(decide(plan, seen)) == ["engine: replace the group: served by another release"]


@pytest.mark.parametrize(
    "change",
    [
        {"probes": {"min_right": 1}},
        {"expect": {"kv_cache_tokens": 123456}},
        {"expect": {"mamba_pool": {"slots": 9, "requests": 3, "min_requests": 2}}},
    ],
)
def test_what_the_gate_expects_otherwise_is_asked_again_and_nothing_restarts(plan: Any, seen: Any, change: Any) -> None:
    from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources

    variables = hostvars(3)
    found = _resolve.resolve(edited(_sources.read("sim-tiny-tp2"), **change), variables, list(variables))
    assert found["plan"], found["message"]
    assert found["plan"]["hash"] == plan["hash"]
    decision = decide(found["plan"], seen)
    assert _reconcile.lines(decision) == ["gate: record what runs: the gate expects something else now (gx10-1, gx10-2)"]
    assert (done(decision), decision["proven"]) == ([("gate", "", "record")], False)


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda look: look["containers"][0].update(started_at="2026-11-02T00:00:00Z"), "it has started again since it passed"),
        (lambda look: look["good"].update(last={}), "no record that it has passed"),
        # serve.yml -e probe=true found it wrong, though it had passed.
        (lambda look: look.update(record={**look["record"], "refused": True}), "its last gate has failed"),
        (lambda look: look.update(record={**look["record"], "image_id": OTHER}), "no record that it has passed"),
        (lambda look: look["good"].update(last={**look["record"], "boots": {}}), "no record that it has passed"),
        (lambda look: (look["record"].update(image_id=OTHER), look["good"].update(last=look["record"])), "the record is of another plan"),
    ],
)
def test_what_started_again_or_never_passed_is_not_proven(plan: Any, seen: Any, change: Any, why: str) -> None:
    engine("gx10-2", change)(seen)
    decision = decide(plan, seen)
    assert decision["proven"] is False
    assert _reconcile.lines(decision) == [f"gate: record what runs: {why} (gx10-2)"]


KEEPER = "gx10-keep-vllm-node-sim-last"


@pytest.mark.parametrize(
    ("change", "why"),
    [
        (lambda look: look["containers"].clear(), f"no container {KEEPER}"),
        (lambda look: look["containers"].update({KEEPER: OTHER}), f"{KEEPER} keeps 222222222222"),
        (lambda look: look["tags"][0]["tags"].pop(), "vllm-node-sim:last-good does not name it"),
        (lambda look: look["tags"].clear(), "vllm-node-sim:last-good does not name it"),
    ],
)
def test_a_last_good_image_that_nothing_keeps_is_an_action_of_its_own(plan: Any, seen: Any, change: Any, why: str) -> None:
    images("gx10-2", change)(seen)
    decision = decide(plan, seen)
    assert _reconcile.lines(decision) == [f"image: gx10-2: keep the image as the last good one: {why}"]
    assert done(decision) == [("image", "gx10-2", "good")]
    # The role image has nothing to bring, and what runs is proven.
    assert (decision["image"]["actions"], decision["proven"]) == ([], True)


def test_ranks_of_one_launch_know_each_other_and_no_other(resolve: Any, plan: Plan) -> None:
    names = [node["name"] for node in plan["nodes"]]
    found = [part["group"] for part in _engine.parts(plan, names, IMAGE, "w").values() if part]
    assert found[0] == found[1]
    assert found[0]["names"] == names
    assert found[0]["address"] == "192.168.177.11:8733"
    others = [
        _engine.part(plan, names[0], OTHER, "w"),
        _engine.part(plan, names[0], IMAGE, "other"),
        _engine.part(resolve("sim-tiny-tp2", override={"args": {"max-num-seqs": 3}})["plan"], names[0], IMAGE, "w"),
    ]
    launches = {part["group"]["launch"] for part in others if part}
    assert len(launches | {found[0]["launch"]}) == 4


def test_one_node_listens_for_no_other(resolve: Any) -> None:
    plan = resolve("sim-tiny-tp2", override={"executor": "solo", "parallel": {"tensor": 1}})["plan"]
    assert plan["group"] == {"address": None, "restarts_per_hour": 3}


def test_a_group_that_stays_to_say_why_it_is_down_is_replaced(plan: Any, seen: Any) -> None:
    status = {"phase": "failed", "reason": "gx10-2: it died; no restart is left of 3 within an hour"}
    for name in ("gx10-1", "gx10-2"):
        engine(name, lambda look: look["containers"][0]["status"].update(status))(seen)
    (action,) = decide(plan, seen)["actions"]
    assert action["text"].startswith("replace the group: gx10-1 is failed: gx10-2: it died; no restart is left of 3")
