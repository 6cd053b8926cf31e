"""World against plan: each defect alone is named by its node, with what mends it, and a healthy world by nothing."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import (
    _doctor,
    _doctor_checks,
    _doctor_text,
    _image_actions,
)
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from conftest import hostvars
from worlds import FILES, IMAGE, OTHER, STARTED, as_planned, engine, images, planned, weights

STATE, NOW = "/var/lib/gx10", 1_000_000.0
DISK = {"path": "/", "free": 2**38, "size": 2**42, "writable": True, "device": 1}
LOCK = {"run": "r", "control": "ctl", "pid": 7, "started": "1", "purpose": "serve other", "lease": 120}
API: Any = {"health": 200, "models": ["tiny-qwen3"], "chat": {"status": 200, "text": "hello", "error": ""}, "metrics": {}, "probes": {}}
UP = {"generation": 1, "restarts": "never", "evidence": {}}


@pytest.fixture
def plan(resolve: Any) -> Plan:
    return planned(resolve)


def healthy(plan: Plan) -> dict[str, Any]:
    """All as planned, and what only a doctor asks for."""
    found = as_planned(plan)
    for world in found["worlds"].values():
        world["host"].update(
            disk={path: dict(DISK) for path in ("/srv/models", STATE)}, docker={"error": "", "version": "28.0", "root": "/"}
        )
        world["left"] = {"clock": {"asked": NOW - 6, "here": NOW - 3}, "lock": None, "files": [], "works": [], "stages": []}
        for item in world["engine"]["containers"]:
            item["status"].update(copy.deepcopy(UP))
    return found


@pytest.fixture
def seen(plan: Plan) -> dict[str, Any]:
    return healthy(plan)


def diagnosed(plan: Any, seen: dict[str, Any], api: Any = API, served: bool = False, **more: Any) -> Any:
    """The diagnosis of these worlds: against a profile, or against what is served with IMAGE."""
    archive = "" if served else "/archive"
    wish = _image_actions.Wish(targets=[], keep=2, build=not served, wanted=IMAGE if served else "", archive=archive)
    contexts: Any = {plan["image"]["name"]: {"context": "", "dockerfile": False}} if served else seen["contexts"]
    addresses = {name: host["gx10_fabric_address"] for name, host in hostvars(3).items()}
    silent = {name: "no route to host" for name in hostvars(3) if name not in seen["worlds"]}
    around = {"half": {}, "silent": silent, "head": "gx10-1", "state_dir": STATE, "fanout_port": 8731, "now": NOW, "api": api, **more}
    return _doctor.diagnose(
        _doctor.Wanted(None if more.get("unplanned") else plan, contexts, seen["archived"], wish, addresses),
        _doctor_checks.Seen(worlds=seen["worlds"], **{key: value for key, value in around.items() if key != "unplanned"}),
    )


def named(found: Any) -> list[tuple[str, str, str]]:
    return [(one["node"], one["what"], one["code"]) for one in found["findings"]]


@pytest.mark.parametrize("served", [False, True])
def test_a_healthy_world_has_no_finding(plan: Any, seen: Any, served: bool) -> None:
    found = diagnosed(plan, seen, served=served)
    assert found["findings"] == []
    assert (found["ok"], found["verdict"], found["exit_code"], found["serving"], found["mend"]) == (True, "healthy", 0, True, {})
    text = _doctor_text.text(found, False)
    assert text.startswith(f"sim-tiny-tp2: healthy (nothing differs); serves at {plan['ready']['url']}\n")
    assert "gx10-1  rank 0: sim-tiny-tp2 serving, generation 1; memory 64 of 128 GiB free" in text
    assert "gx10-3  idle: nothing runs" in text


def left(name: str, **change: Any) -> Callable[[Any], None]:
    return lambda seen: seen["worlds"][name]["left"].update(change)


def host(name: str, **change: Any) -> Callable[[Any], None]:
    def apply(seen: Any) -> None:
        seen["worlds"][name]["host"] = {**seen["worlds"][name]["host"], **change}

    return apply


def status(name: str, **change: Any) -> Callable[[Any], Any]:
    return engine(name, lambda look: look["containers"][0]["status"].update(change))


def old(plan: str = "sha256:old", **change: Any) -> dict[str, Any]:
    """A container of ours that no plan names, and without an engine."""
    found = {
        "name": "old",
        "id": "e" * 64,
        "image": OTHER,
        "running": False,
        "exit_code": 0,
        "started_at": STARTED,
        "ports": [],
        "status": {},
    }
    return {**found, "labels": {"gx10.serving.profile": "other", "gx10.serving.plan": plan}, **change}


def beside(name: str, item: dict[str, Any]) -> Callable[[Any], Any]:
    return engine(name, lambda look: look["containers"].append(item))


ONE = "/var/lib/gx10/current.json.new"
LEFT = {"path": ONE, "which": "7:8", "age": 700, "size": 1}
DEFECTS: dict[str, tuple[Callable[[Any], Any], tuple[str, str, str], str]] = {
    "image": (images("gx10-2", lambda look: look["images"].clear()), ("gx10-2", "image", "differs-from-plan"), "restore.yml -e profile="),
    "layers": (
        images("gx10-2", lambda look: look["images"]["vllm-node-sim:latest"].update(layers=["a"])),
        ("gx10-2", "image", "differs-from-plan"),
        "restore.yml",
    ),
    "keeper": (images("gx10-1", lambda look: look["containers"].clear()), ("gx10-1", "image", "differs-from-plan"), "serve.yml"),
    "shard": (weights("gx10-2", files=FILES[:1]), ("gx10-2", "weights", "differs-from-plan"), "stage.yml -e profile="),
    "manifest": (weights("gx10-2", recorded=None), ("gx10-2", "weights", "differs-from-plan"), "stage.yml"),
    "unhashed": (
        weights("gx10-2", files=[FILES[0], {**FILES[1], "sha256": None}], unread=2**20, hash=None),
        ("gx10-2", "weights", "differs-from-plan"),
        "stage.yml",
    ),
    "record": (engine("gx10-2", lambda look: look.update(record={})), ("gx10-2", "record", "no-record"), "serve.yml -e profile="),
    "again": (
        engine("gx10-2", lambda look: look["containers"][0].update(started_at="later")), ("gx10-2", "record", "no-record"), "serve.yml",
    ),
    "generation": (status("gx10-2", generation=2), ("gx10-2", "generation", "generation"), "serve.yml"),
    "restarts": (status("gx10-1", restarts="3 of 3 within an hour"), ("gx10-1", "restarts", "restarts"), "stop.yml"),
    "mods": (status("gx10-2", evidence={"mods": ["x"]}), ("gx10-2", "mods", "differs-from-plan"), "serve.yml"),
    "label": (
        engine("gx10-2", lambda look: look["containers"][0]["labels"].update({"gx10.serving.hash": "sha256:9"})),
        ("gx10-1", "engine", "differs-from-plan"),
        "serve.yml",
    ),
    "orphan": (beside("gx10-3", old()), ("gx10-3", "container", "orphan"), "mend=true"),
    "waiting orphan": (
        beside("gx10-3", old(running=True, status={"phase": "waiting"})),
        ("gx10-3", "container", "orphan"),
        "mend=true",
    ),
    "beside": (
        beside("gx10-1", old(running=True, status={"phase": "serving"})),
        ("gx10-1", "container", "left-over"),
        "serve.yml",
    ),
    "idle record": (
        engine("gx10-3", lambda look: look.update(record={"plan": {"profile": "other", "hash": "sha256:1"}, "image_id": "i"})),
        ("gx10-3", "/var/lib/gx10/current.json", "left-over"),
        "rm /var/lib/gx10/current.json",
    ),
    "port": (
        engine("gx10-1", lambda look: look["listeners"].append({"port": 8000, "pid": 9, "command": "nc", "container": None})),
        ("gx10-1", "port 8000", "port-taken"),
        "End that process",
    ),
    "fanout port": (
        engine("gx10-2", lambda look: look["listeners"].append({"port": 8731, "pid": 9, "command": "nginx", "container": None})),
        ("gx10-2", "port 8731", "port-taken"),
        "kill 9",
    ),
    "foreign engine": (
        engine("gx10-3", lambda look: look["processes"].append({"pid": 9, "command": "vllm serve /m", "container": None})),
        ("gx10-3", "engine processes", "foreign"),
        "ps -p 9",
    ),
    "foreign container": (
        engine("gx10-2", lambda look: look["processes"].append({"pid": 9, "command": "ray::x", "container": "d" * 64})),
        ("gx10-2", "engine processes", "foreign"),
        "docker stop dddddddddddd",
    ),
    "lock": (left("gx10-1", lock={"error": "", "holder": LOCK, "age": 121.0}), ("gx10-1", f"{STATE}/lock.json", "stale-lock"), "mend=true"),
    "no lock": (left("gx10-1", lock={"error": "'x'"}), ("gx10-1", f"{STATE}/lock.json", "wrong-form"), f"rm {STATE}/lock.json"),
    "file": (left("gx10-2", files=[LEFT]), ("gx10-2", ONE, "stale-file"), "mend=true"),
    "work": (left("gx10-2", works=[f"{STATE}/fanout/run"]), ("gx10-2", f"{STATE}/fanout/run", "stale-file"), "mend=true"),
    "stage": (left("gx10-2", stages=["a/b"]), ("gx10-2", "weights a/b", "interrupted"), "stage.yml -e model=a/b"),
    "ahead": (left("gx10-2", clock={"asked": NOW - 6, "here": NOW + 31}), ("gx10-2", "clock", "clock"), "timedatectl"),
    "behind": (left("gx10-2", clock={"asked": NOW - 6, "here": NOW - 3600}), ("gx10-2", "clock", "clock"), "timedatectl"),
    "disk": (host("gx10-3", disk={STATE: {**DISK, "free": 2**29}}), ("gx10-3", STATE, "too-little-room"), "df -h"),
    "read-only": (host("gx10-3", disk={STATE: {**DISK, "writable": False}}), ("gx10-3", STATE, "not-writable"), "findmnt"),
    "memory": (
        host("gx10-2", memory={"total": 2**37, "available": 2**20}),
        ("gx10-2", "memory", "too-little-memory"),
        "end what holds it",
    ),
    "tools": (host("gx10-2", missing_tools=["rsync"]), ("gx10-2", "tools", "no-program"), "apt-get install rsync"),
    "docker": (host("gx10-3", docker={"error": "", "version": "29.0"}), ("gx10-3", "Docker engine", "nodes-differ"), "Install the same"),
    "address": (host("gx10-2", addresses=["10.0.0.1"]), ("gx10-2", "gx10_fabric_address", "not-the-nodes-address"), "ip -br link show"),
}  # fmt: skip


@pytest.mark.parametrize("name", DEFECTS)
def test_each_defect_is_named_alone_and_with_what_mends_it(plan: Any, seen: Any, name: str) -> None:
    change, wanted, mend = DEFECTS[name]
    # What our own engine holds comes back: 102 GiB of them.
    big = {"budget_gib": 100.0, "share": None, "floor_gib": 5.0}
    for document in (plan, seen["worlds"]["gx10-1"]["engine"]["record"]["plan"]):
        document["memory"].update(big)
    change(seen)
    found = diagnosed(plan, seen)
    assert named(found) == [wanted]
    (one,) = found["findings"]
    assert mend in one["mend"]
    assert one["found"] and one["wanted"]
    assert (found["verdict"], found["exit_code"], found["serving"]) == ("degraded", 1, True)
    assert one["mends"] is ("mend=true" in mend)
    assert list(found["mend"]) == ([wanted[0]] if one["mends"] else [])
    assert f"  {wanted[0]}: {wanted[1]}: found " in _doctor_text.text(found, False)


def test_all_defects_at_once_are_all_named(plan: Any, seen: Any) -> None:
    """Serve stops at the first kind; a doctor does not. Apart: what hides another one, or is hidden."""
    apart = ("memory", "label", "beside", "disk", "no lock", "ahead", "layers", "unhashed", "manifest", "idle record", "foreign container")
    rest = {name: DEFECTS[name] for name in DEFECTS if name not in apart}
    for change, _wanted, _mend in rest.values():
        change(seen)
    wanted = {wanted for _change, wanted, _mend in rest.values()}
    assert set(named(diagnosed(plan, seen))) == wanted
    assert len(wanted) >= 20


def test_a_node_that_is_silent_is_a_finding_and_no_others_victim(plan: Any, seen: Any) -> None:
    del seen["worlds"]["gx10-2"]
    found = diagnosed(plan, seen)
    assert named(found) == [("gx10-2", "node", "no-answer")]
    assert found["findings"][0]["found"] == "no route to host"
    assert found["verdict"] == "degraded", "it answers still"
    del seen["worlds"]["gx10-1"]
    found = diagnosed(plan, seen, api=None)
    assert set(named(found)) == {("gx10-1", "node", "no-answer"), ("gx10-2", "node", "no-answer")}
    assert (found["verdict"], found["exit_code"]) == ("down", 2)


def test_a_group_that_is_down_names_its_culprit_once(plan: Any, seen: Any) -> None:
    for name in ("gx10-1", "gx10-2"):
        status(name, phase="failed", reason="gx10-2: raylet was killed by signal 9")(seen)
    found = diagnosed(plan, seen, api=None)
    assert named(found) == [("gx10-2", "group", "not-serving")]
    assert found["findings"][0]["found"] == "phase failed: gx10-2: raylet was killed by signal 9; so on gx10-1, gx10-2"
    assert "docker logs sim-tiny-tp2" in found["findings"][0]["mend"]
    assert (found["verdict"], found["exit_code"], found["serving"]) == ("down", 2, False)
    for name in ("gx10-1", "gx10-2"):
        engine(name, lambda look: look["containers"].clear())(seen)
    (one,) = diagnosed(plan, seen, api=None)["findings"]
    assert one["found"] == "no container; so on gx10-1, gx10-2"


def test_what_a_killed_container_said_last_is_not_believed(plan: Any, seen: Any) -> None:
    engine("gx10-2", lambda look: look["containers"][0].update(running=False, exit_code=137))(seen)
    status("gx10-2", reason="gx10-1: of before")(seen)
    found = diagnosed(plan, seen, api=None)
    assert named(found) == [("gx10-2", "group", "not-serving")]
    assert found["findings"][0]["found"] == "a container that exited with code 137; its last word was joined"
    (told,) = found["nodes"]["gx10-2"]["containers"]
    assert (told["phase"], told["generation"], told["restarts"]) == (None, None, None)
    (told,) = found["nodes"]["gx10-1"]["containers"]
    assert (told["phase"], told["generation"]) == ("serving", 1)
    # What it said as it ended is the reason.
    status("gx10-2", phase="failed", reason="gx10-1: raylet was killed")(seen)
    (one,) = diagnosed(plan, seen, api=None)["findings"]
    assert (one["node"], one["found"]) == ("gx10-1", "a container that exited with code 137: gx10-1: raylet was killed; so on gx10-2")


@pytest.mark.parametrize(
    ("why", "culprit"),
    [
        ("gx10-2: raylet was killed by signal 9", "gx10-2"),
        ("gx10-12: raylet", "gx10-12"),
        ("for gx10-2; gx10-1: Docker stopped it", "gx10-2"),
        ("for gx10-12, gx10-2", "gx10-12"),
        ("for the others to end; gx10-1: x", "gx10-1"),
        ("the engine exited with code 1; see this container's log", ""),
        ("nothing listens at gx10-1:6379", ""),
        ("no container", ""),
    ],
)
def test_whom_a_reason_names(why: str, culprit: str) -> None:
    assert _doctor._culprit(why, ["gx10-1", "gx10-2", "gx10-12"]) == culprit


@pytest.mark.parametrize(
    ("api", "found", "serving"),
    [
        ({"health": 0}, "no answer from /health", False),
        ({"health": 503}, "503 from /health", False),
        ({"models": ["other"]}, "other in /v1/models", False),
        ({"chat": {"status": 500, "text": "", "error": "EngineDeadError"}}, "no text: status 500: EngineDeadError", False),
        ({"chat": {"status": 200, "text": " ", "error": ""}}, "no text: status 200: ' '", False),
        # Silence alone is no dead engine.
        (
            {"chat": {"status": 0, "text": "", "error": "timed out"}},
            "no answer to a question in time (timed out), and no request counted",
            True,
        ),
    ],
)
def test_an_api_that_does_not_answer(plan: Any, seen: Any, api: Any, found: str, serving: bool) -> None:
    diagnosis = diagnosed(plan, seen, api={**API, **api})
    (one,) = diagnosis["findings"]
    assert (one["node"], one["found"], diagnosis["serving"]) == ("gx10-1", found, serving)
    assert diagnosis["verdict"] == ("degraded" if serving else "down")


def test_a_verdict_of_down_has_a_reason(plan: Any, seen: Any) -> None:
    found = diagnosed(plan, seen, api=None)
    assert (found["verdict"], named(found)) == ("down", [("gx10-1", f"API {plan['ready']['url']}", "no-answer")])
    host("gx10-1", docker={"error": "Cannot connect"})(seen)
    del seen["worlds"]["gx10-1"]["engine"]
    found = diagnosed(plan, seen, api=None)
    assert (found["verdict"], named(found)) == ("down", [("gx10-1", "Docker engine", "no-answer")])


def test_a_long_prefill_is_healthy(plan: Any, seen: Any) -> None:
    """The field's 200K prompts hold an answer up for two minutes."""
    api: Any = {**API, "chat": {"status": 0, "text": "", "error": "timed out"}, "metrics": {"vllm:num_requests_running": 1.0}}
    found = diagnosed(plan, seen, api=api)
    assert (found["verdict"], found["findings"], len(found["notes"])) == ("healthy", [], 1)


def test_without_a_plan_it_says_what_is_free(plan: Any, seen: Any) -> None:
    for name in seen["worlds"]:
        engine(name, lambda look: look.update(containers=[], record={}))(seen)
    found = diagnosed(plan, seen, api=None, unplanned=True)
    assert (found["verdict"], found["findings"], found["serving"], found["profile"]) == ("healthy", [], None, "")
    text = _doctor_text.text(found, False)
    assert text.startswith("no profile: healthy (nothing differs); nothing is planned or served\n")
    assert text.count("idle: nothing runs; memory 64 of 128 GiB free; disk /srv/models 256 GiB free") == 3
    engine("gx10-2", lambda look: look.update(containers=[old()]))(seen)
    host("gx10-3", addresses=["10.0.0.1"])(seen)
    found = diagnosed(plan, seen, api=None, unplanned=True)
    assert named(found) == [("gx10-2", "container", "left-over"), ("gx10-3", "gx10_fabric_address", "not-the-nodes-address")]
    assert found["mend"] == {}, "without a record nobody knows what an orphan is"


def test_the_control_nodes_own_clock(plan: Any, seen: Any) -> None:
    for name in seen["worlds"]:
        left(name, clock={"asked": NOW - 6, "here": NOW + 3600})(seen)
    (one,) = diagnosed(plan, seen)["findings"]
    assert (one["node"], one["found"]) == ("control node", "3600 s behind all nodes")


@pytest.mark.parametrize("here", [NOW - 6 - 29, NOW + 29])
def test_how_long_a_look_takes_is_no_clock_that_is_off(plan: Any, seen: Any, here: float) -> None:
    left("gx10-2", clock={"asked": NOW - 6, "here": here})(seen)
    assert diagnosed(plan, seen)["findings"] == []


@pytest.mark.parametrize("restarts", ["never", "0 of 3 within an hour", "2 of 3 within an hour"])
def test_restarts_that_are_left_are_no_finding(plan: Any, seen: Any, restarts: str) -> None:
    status("gx10-1", restarts=restarts)(seen)
    assert diagnosed(plan, seen)["findings"] == []
