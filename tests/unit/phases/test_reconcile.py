"""One world, one decision: each difference gives exactly its actions, and a world as the plan wants it gives none."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest
from ansible_collections.gx10.serving.plugins.module_utils.node._types import File
from ansible_collections.gx10.serving.plugins.module_utils.phases import _engine, _engine_actions, _image_actions, _reconcile
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from conftest import UNKNOWN, hostvars

IMAGE, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
FILES: list[File] = [
    {"path": "config.json", "size": 2, "sha256": "a" * 64},
    {"path": "model.safetensors", "size": 2**20, "sha256": "b" * 64},
]
MANIFEST: dict[str, Any] = {
    "repo": "gx10/tiny-qwen3",
    "revision": None,
    "hash": _manifest.digest(FILES),
    "files": FILES,
    "size": 2,
    "hub": {},
}
BLOBS = [{"path": "blobs/a", "size": 2**20, "sha256": "a"}, {"path": "blobs/b", "size": 2**21, "sha256": "b"}]
STARTED = "2026-11-01T00:00:00Z"


@pytest.fixture
def plan(resolve: Any) -> Plan:
    """Two ranks and an idle node; the image has a definition and is built on another one."""
    found: Plan = resolve("sim-tiny-tp2", variables=hostvars(3))["plan"]
    return found


@pytest.fixture
def seen(plan: Plan) -> dict[str, Any]:
    """A world as the plan wants it, as the arguments of Evidence."""
    image, context = plan["image"], "c1"
    labels = {"gx10.serving.context": context}
    docker = {"id": IMAGE, "layers": ["a", "b"], "labels": labels, "size": 3, "architecture": "arm64"}
    kept = {
        "name": image["name"],
        "image": IMAGE,
        "digest": "sha256:d",
        "complete": True,
        "files": BLOBS,
        "layers": ["a", "b"],
        "labels": labels,
        "architecture": "arm64",
    }
    disk = {"path": "/", "free": 2**40, "device": 1}
    images = {
        "images": {image["reference"]: docker, _image_actions.verified(image): docker},
        "containers": {_image_actions.keepers(image["name"])[0]: IMAGE},
        "tags": [{"id": IMAGE, "created": "2026-01-01", "tags": [image["reference"], f"{image['name']}:last-good"]}],
        "kept": [kept],
        "blobs": {item["path"]: item["size"] for item in BLOBS},
        "architecture": "arm64",
        "disk": {"store": disk, "docker": disk},
    }
    weights = {
        "gx10/tiny-qwen3": {
            "files": FILES, "size": 2, "problems": [], "hash": MANIFEST["hash"], "unread": 0, "recorded": MANIFEST,
            "noted": MANIFEST["hash"], "hub": {"revision": None, "sha256": {}},
        }
    }  # fmt: skip
    host = {
        "addresses": [f"192.168.177.1{number}" for number in (1, 2, 3)], "missing_tools": [], "docker": {"error": ""}, "journal": True,
        "disk": {"/srv/models": {"free": 1, "size": 1, "writable": True}}, "memory": {"total": 2**37, "available": 2**36},
        "hardware": UNKNOWN,
    }  # fmt: skip
    parts = _engine.parts(plan, ["gx10-1", "gx10-2", "gx10-3"], IMAGE, str(MANIFEST["hash"]))
    boots = {node["name"]: {"started_at": STARTED, "facts": {}} for node in plan["nodes"]}
    record = {"plan": plan, "image_id": IMAGE, "parts": parts, "boots": boots}
    worlds = {}
    for name, part in parts.items():
        containers = []
        if part:
            status = {"phase": "joined" if part["rank"] else "serving"}
            containers = [
                {
                    "name": "sim-tiny-tp2", "id": "c" * 64, "image": IMAGE, "running": True, "exit_code": 0, "started_at": STARTED,
                    "status": status, "labels": _engine.labels(plan, part), "ports": [],
                }
            ]  # fmt: skip
        good = {"last": record, "previous": {}, "at": 1.0} if part else {"last": {}, "previous": {}, "at": 0.0}
        engine = {"containers": containers, "listeners": [], "processes": [], "record": record if part else {}, "good": good}
        worlds[name] = {"host": host, "engine": engine, "images": images, "weights": weights}
    contexts = {
        item["name"]: {"context": "c0", "dockerfile": True, "missing": [], "altered": [], "size": 1, "wheels": "w"}
        for item in image["lineage"]
    }
    contexts[image["name"]] = {**contexts.get(image["name"], {}), "context": context, "dockerfile": True, "missing": [], "altered": []}
    contexts[image["name"]].update(size=1, wheels="w", definition="d")
    found = {"worlds": worlds, "contexts": contexts, "archived": [kept]}
    return copy.deepcopy(found)


def decide(plan: Plan, seen: dict[str, Any], **wish: Any) -> Any:
    targets = [node["name"] for node in plan["nodes"]]
    asked = _image_actions.Wish(targets=targets, keep=2, archive="/archive", **wish)
    return _reconcile.reconcile(plan, _reconcile.Evidence(**seen), asked, list(seen["worlds"]))


def done(decision: Any) -> list[tuple[str, str, str]]:
    return [(item["phase"], item["node"], item["do"]) for item in decision["actions"]]


def test_a_world_as_planned_needs_nothing(plan: Any, seen: Any) -> None:
    decision = decide(plan, seen)
    assert decision["problems"] == []
    assert decision["actions"] == []
    assert decision["proven"] is True
    assert _reconcile.lines(decision)[-1] == "Nothing differs from the plan."
    assert (decision["image"]["id"], decision["weights"]["hash"]) == (IMAGE, MANIFEST["hash"])


def images(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """A change of what one node has of images; the others keep theirs."""

    def apply(seen: dict[str, Any]) -> None:
        own = copy.deepcopy(seen["worlds"][name]["images"])
        change(own)
        seen["worlds"][name]["images"] = own

    return apply


def weights(name: str, **change: Any) -> Callable[[dict[str, Any]], Any]:
    def apply(seen: dict[str, Any]) -> None:
        own = copy.deepcopy(seen["worlds"][name]["weights"])
        own["gx10/tiny-qwen3"].update(change)
        seen["worlds"][name]["weights"] = own

    return apply


def engine(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def apply(seen: dict[str, Any]) -> None:
        own = copy.deepcopy(seen["worlds"][name]["engine"])
        change(own)
        seen["worlds"][name]["engine"] = own

    return apply


LOST = [{**FILES[1], "sha256": None}]
PRUNED = ("image", "gx10-2", "send")


@pytest.mark.parametrize(
    ("changes", "wanted", "texts"),
    [
        ([images("gx10-2", lambda look: look["images"].clear())], [PRUNED], ["bring the image from its own layers: Docker does not have"]),
        (
            [images("gx10-2", lambda look: (look["images"].clear(), look["blobs"].clear()))],
            [PRUNED],
            ["bring 2 of 2 files, 3.0 MiB: Docker does not have it"],
        ),
        (
            [images("gx10-2", lambda look: look["images"]["vllm-node-sim:latest"].update(id=OTHER))],
            [PRUNED],
            ["Docker has another one (222222222222)"],
        ),
        # A peer that is not in the plan needs no image.
        ([images("gx10-3", lambda look: look["images"].clear())], [], []),
        (
            [images("gx10-1", lambda look: look["images"].clear())],
            [("image", "gx10-1", "restore"), ("image", "gx10-1", "verify")],
            ["bring vllm-node-sim:latest back from its own layers: Docker has it no more"],
        ),
        (
            [images("gx10-1", lambda look: (look["images"].clear(), look["kept"].clear()))],
            [("image", "gx10-1", "restore"), ("image", "gx10-1", "verify"), ("image", "gx10-1", "archive")],
            ["from the layers of gx10-2"],
        ),
        (
            [images(name, lambda look: (look["images"].clear(), look["kept"].clear())) for name in ("gx10-1", "gx10-2", "gx10-3")],
            [("image", "gx10-1", "restore"), ("image", "gx10-1", "verify"), PRUNED, ("image", "gx10-1", "archive")],
            ["from the archive"],
        ),
        (
            [images("gx10-1", lambda look: look["images"].pop(next(key for key in look["images"] if "verified" in key)))],
            [("image", "gx10-1", "verify")],
            ["verify vllm-node-sim:latest in a throwaway container"],
        ),
        ([lambda seen: seen["archived"].clear()], [("image", "gx10-1", "archive")], ["keep a verified copy in /archive"]),
        ([weights("gx10-2", files=FILES[:1])], [("weights", "gx10-2", "bring")], ["bring 1 files of gx10/tiny-qwen3, 1.0 MiB: missing"]),
        ([weights("gx10-2", recorded=None)], [("weights", "gx10-2", "record")], ["write the manifest beside gx10/tiny-qwen3"]),
        ([weights("gx10-1", noted=None)], [("weights", "gx10-1", "note")], ["keep the manifest of gx10/tiny-qwen3 in"]),
        (
            [weights("gx10-2", files=[FILES[0], LOST[0]], unread=2**20, hash=None)],
            [("weights", "gx10-2", "read"), ("engine", "", "depends")],
            ["read 1.0 MiB of gx10/tiny-qwen3", "replace the group, if image or weights turn out to be others"],
        ),
        ([engine("gx10-2", lambda look: look["containers"].clear())], [("engine", "", "replace")], ["gx10-2 has no container"]),
        (
            [engine("gx10-2", lambda look: look["containers"][0].update(running=False, exit_code=137))],
            [("engine", "", "replace")],
            ["the container on gx10-2 has ended with code 137"],
        ),
        (
            [engine("gx10-1", lambda look: look["containers"][0]["status"].update(phase="failing", reason="wedged"))],
            [("engine", "", "replace")],
            ["gx10-1 is failing: wedged"],
        ),
        (
            [engine("gx10-1", lambda look: look["containers"][0]["labels"].update({"gx10.serving.hash": "sha256:" + "9" * 64}))],
            [("engine", "", "replace")],
            ["gx10-1 runs another plan (999999999999)"],
        ),
        # What will be known only later takes the place of no reason that is known now.
        (
            [
                engine("gx10-2", lambda look: look["containers"].clear()),
                weights("gx10-2", files=[FILES[0], LOST[0]], unread=2**20, hash=None),
            ],
            [("weights", "gx10-2", "read"), ("engine", "", "replace")],
            ["replace the group: gx10-2 has no container\n"],
        ),
        (
            [engine("gx10-3", lambda look: look["containers"].append({"name": "old", "running": True}))],
            [("engine", "gx10-3", "remove")],
            ["engine: gx10-3: remove old: left over\n"],
        ),
        (
            [engine("gx10-1", lambda look: look["containers"].insert(0, {"name": "old", "running": False}))],
            [("engine", "gx10-1", "remove")],
            ["engine: gx10-1: remove old: left over\n"],
        ),
        (
            [engine("gx10-1", lambda look: look["containers"].append({"name": "old", "running": True}))],
            [("engine", "", "replace")],
            ["replace the group: gx10-1 runs old, which holds memory and ports\n"],
        ),
        # A group that is replaced takes all of ours with it.
        (
            [
                engine("gx10-2", lambda look: look["containers"].clear()),
                engine("gx10-3", lambda look: look["containers"].append({"name": "old", "running": True})),
            ],
            [("engine", "", "replace")],
            ["replace the group: gx10-2 has no container\n"],
        ),
        (
            [
                engine("gx10-3", lambda look: look["containers"].append({"name": "old", "running": False})),
                weights("gx10-2", files=[FILES[0], LOST[0]], unread=2**20, hash=None),
            ],
            [("weights", "gx10-2", "read"), ("engine", "", "depends"), ("engine", "gx10-3", "remove")],
            [],
        ),
        (
            [engine(name, lambda look: look["containers"].clear()) for name in ("gx10-1", "gx10-2")],
            [("engine", "", "start")],
            ["start the group: gx10-1 has no container; gx10-2 has no container"],
        ),
    ],
)  # fmt: skip
def test_each_difference_gives_its_actions(plan: Any, seen: Any, changes: Any, wanted: Any, texts: list[str]) -> None:
    for change in changes:
        change(seen)
    decision = decide(plan, seen)
    assert decision["problems"] == []
    assert done(decision) == wanted
    said = "\n".join([*_reconcile.lines(decision), ""])
    for text in texts:
        assert text in said
    # What touches the engine is proven again; an image that was only brought back is not another one.
    assert decision["proven"] is not any(phase == "engine" and do != "remove" for phase, _node, do in wanted)
    removals = {item["node"]: ["old"] for item in decision["actions"] if item["do"] == "remove"}
    assert decision["engine"]["remove"] == removals, "the role removes what was said, and nothing else"


def test_changed_inputs_build_and_replace(plan: Any, seen: Any) -> None:
    seen["contexts"][plan["image"]["name"]]["context"] = "c2"
    decision = decide(plan, seen)
    assert [item for item in done(decision) if item[0] == "engine"] == [("engine", "", "depends")]
    assert ("image", "gx10-1", "build") in done(decision)
    assert PRUNED in done(decision)
    assert "its inputs are others now" in "\n".join(_reconcile.lines(decision))
    assert done(decision)[-2:] == [("image", "gx10-1", "good"), ("image", "gx10-2", "good")]
    assert (decision["image"]["id"], decision["proven"]) == ("", False)


@pytest.mark.parametrize(
    ("change", "found"),
    [
        (
            {"missing": ["torch==2"]},
            "no wheel torch==2 (in w); wanted the wheels as image.yml pins them. Run tools/fetch-wheels vllm-node-sim",
        ),
        ({"altered": ["w/x: found SHA-256 1; wanted 2"]}, "w/x: found SHA-256 1; wanted 2 (in w)"),
        ({"dockerfile": False}, "nor a Dockerfile in d; wanted one of them"),
        ({"size": 2**50}, "GiB to build vllm-node-sim:latest. docker system df shows"),
    ],
)
def test_what_cannot_be_built_is_refused_before_anything_is_changed(plan: Any, seen: Any, change: Any, found: str) -> None:
    for name in ("gx10-1", "gx10-2", "gx10-3"):
        images(name, lambda look: (look["images"].clear(), look["kept"].clear()))(seen)
    seen["archived"].clear()
    seen["contexts"][plan["image"]["name"]].update(change)
    assert any(found in problem for problem in decide(plan, seen)["problems"])


def test_a_rollback_wants_its_image_and_builds_none(plan: Any, seen: Any) -> None:
    decision = decide(plan, seen, build=False, wanted=OTHER)
    (problem,) = decision["problems"]
    assert f"image vllm-node-sim:latest with ID {OTHER}: found it neither in Docker nor as layers" in problem
    assert decide(plan, seen, build=False, wanted=IMAGE)["actions"] == []


def test_a_restore_brings_back_what_is_tagged_whatever_its_definition_says_now(plan: Any, seen: Any) -> None:
    seen["contexts"][plan["image"]["name"]]["context"] = "c2"
    assert decide(plan, seen, build=False)["actions"] == []
    # A worker lost it; then the build host lost it, tag, verification and all.
    images("gx10-2", lambda look: look["images"].clear())(seen)
    decision = decide(plan, seen, build=False)
    assert (decision["problems"], done(decision), decision["image"]["id"]) == ([], [PRUNED], IMAGE)
    images("gx10-1", lambda look: (look["images"].clear(), look["kept"].clear()))(seen)
    seen["archived"].clear()
    decision = decide(plan, seen, build=False)
    assert (decision["problems"], decision["image"]["restore"]["image"]) == ([], IMAGE)
    assert [item for item in done(decision) if item[2] in ("restore", "verify", "send")] == [("image", "gx10-1", "restore"), PRUNED]
    # A peer of another machine has nothing to say.
    images("gx10-3", lambda look: look["images"].clear())(seen)
    other = {"id": OTHER, "layers": ["c"], "labels": {}, "size": 3, "architecture": "amd64"}
    images("gx10-2", lambda look: look["images"].update({plan["image"]["reference"]: other}))(seen)
    assert "found it of other inputs only" in decide(plan, seen, build=False)["problems"][0]
    images("gx10-2", lambda look: look["images"].update({plan["image"]["reference"]: {**other, "id": IMAGE, "architecture": "arm64"}}))(
        seen
    )
    # With its inputs it is what the definition asks for, which says what to expect of it.
    seen["contexts"][plan["image"]["name"]]["context"] = "c1"
    assert ("image", "gx10-1", "verify") in done(decide(plan, seen, build=False))


def test_layers_of_other_inputs_are_named_where_nothing_is_tagged(plan: Any, seen: Any) -> None:
    seen["contexts"][plan["image"]["name"]]["context"] = "c2"
    for name in ("gx10-1", "gx10-2", "gx10-3"):
        images(name, lambda look: look["images"].clear())(seen)
    images("gx10-1", lambda look: look["kept"].clear())(seen)
    (problem,) = decide(plan, seen, build=False)["problems"]
    places = "the layers of gx10-2, the layers of gx10-3, the archive"
    assert f"image vllm-node-sim:latest: found it of other inputs only, in {places}; wanted one of the inputs of " in problem
    assert problem.endswith("back as it was when they were built, or serve.yml builds it as it is now.")
    images("gx10-2", lambda look: look["kept"].clear())(seen)
    images("gx10-3", lambda look: look["kept"].clear())(seen)
    seen["archived"].clear()
    (problem,) = decide(plan, seen, build=False)["problems"]
    assert "found it neither in Docker nor as layers on any node, nor in the archive (/archive), for arm64; wanted it" in problem


def test_a_file_of_other_content_is_refused_not_overwritten(plan: Any, seen: Any) -> None:
    weights("gx10-2", files=[FILES[0], {**FILES[1], "sha256": "c" * 64}])(seen)
    (problem,) = decide(plan, seen)["problems"]
    assert "gx10-2: /srv/models/gx10/tiny-qwen3/model.safetensors: found other content of the same size" in problem
    assert "adopt=true takes what gx10-1 has as the new truth" in problem


@pytest.mark.parametrize(
    ("files", "revision", "hint"),
    [
        ([], None, "or put the files on one node."),
        ([], "c" * 40, f"stage.yml -e model=gx10/tiny-qwen3 -e revision={'c' * 40} -e adopt=true downloads revision {'c' * 40} anew."),
        (FILES[1:], "c" * 40, "-e adopt=true takes what gx10-1 has as the new truth, without them."),
    ],
)
def test_weights_that_no_node_has_any_more_are_refused_at_once(plan: Any, seen: Any, files: Any, revision: Any, hint: str) -> None:
    recorded = {**MANIFEST, "revision": revision}
    for name in ("gx10-1", "gx10-2"):
        weights(name, files=files, recorded=recorded, problems=[] if files else ["config.json: found nothing"])(seen)
    decision = decide(plan, seen)
    (problem,) = decision["problems"]
    found = "2 of 2 files on no node (config.json, model.safetensors)" if not files else "1 of 2 files on no node (config.json)"
    assert problem.startswith(f"weights gx10/tiny-qwen3: found {found}; wanted each on at least one, as they were staged. ")
    assert "gx10_weights_sources ({gx10/tiny-qwen3: FOLDER})" in problem
    assert problem.endswith(hint)
    assert [item for item in done(decision) if item[0] == "weights"] == []
    # What no node has the control node may have; and one node is enough.
    source = {"files": FILES, "size": 2, "problems": [], "hash": MANIFEST["hash"], "hub": {"revision": None, "sha256": {}}}
    assert decide(plan, {**seen, "sources": {"gx10/tiny-qwen3": source}, "origins": {"gx10/tiny-qwen3": "/data"}})["problems"] == []
    weights("gx10-2", files=FILES)(seen)
    assert decide(plan, seen)["problems"] == []


def test_every_problem_of_every_phase_is_there_at_once(plan: Any, seen: Any) -> None:
    weights("gx10-2", files=[FILES[0], {**FILES[1], "sha256": "c" * 64}])(seen)
    images("gx10-2", lambda look: look.update(architecture="amd64"))(seen)
    problems = decide(plan, seen)["problems"]
    assert ["architecture" in problems[0], "not what was staged" in problems[1]] == [True, True]


def test_the_architecture_is_that_of_the_image_that_comes_back(plan: Any, seen: Any) -> None:
    """What is tagged now is another one, of the wrong architecture: it is replaced, and is no reason to refuse."""
    images("gx10-1", lambda look: look["images"]["vllm-node-sim:latest"].update(id=OTHER, architecture="amd64"))(seen)
    decision = decide(plan, seen, build=False, wanted=IMAGE)
    assert decision["problems"] == []
    assert ("image", "gx10-1", "restore") in done(decision)
    # And a node that the restored one does not fit is named.
    images("gx10-2", lambda look: look.update(architecture="amd64"))(seen)
    (problem,) = decide(plan, seen, build=False, wanted=IMAGE)["problems"]
    assert problem.startswith("gx10-2: image vllm-node-sim:latest: architecture: found arm64; wanted amd64")


def test_an_idle_node_without_docker_is_named(plan: Any, seen: Any) -> None:
    """Its containers have to be stopped, so what runs there has to be known."""
    world = seen["worlds"]["gx10-3"]
    world["host"] = {**world["host"], "docker": {"error": "docker is not installed"}}
    del world["engine"], world["images"]
    assert decide(plan, seen)["problems"] == [
        "gx10-3: Docker engine: found docker is not installed; wanted an engine that answers. systemctl start docker [no-answer]"
    ]


@pytest.mark.parametrize("node", ["gx10-1", "gx10-2", "gx10-3"])
@pytest.mark.parametrize("part", ["host", "engine", "images", "weights"])
def test_a_node_that_told_only_a_part_is_named(plan: Any, seen: Any, node: str, part: str) -> None:
    del seen["worlds"][node][part]
    (problem,) = decide(plan, seen)["problems"]
    assert problem.startswith(f"{node}: node: found no answer")


@pytest.mark.parametrize("memory", [None, {}, {"share": None}])
def test_a_record_that_does_not_say_how_much_memory_it_holds_is_no_problem(plan: Any, seen: Any, memory: Any) -> None:
    seen["worlds"]["gx10-1"]["engine"]["record"] = {"plan": {"memory": memory}, "image_id": IMAGE}
    assert decide(plan, seen)["problems"] == []


def without_tools(seen: dict[str, Any]) -> None:
    seen["worlds"]["gx10-3"]["host"] = {**seen["worlds"]["gx10-3"]["host"], "missing_tools": ["nginx", "rsync"]}


def test_an_idle_node_that_builds_or_restores_needs_its_tools(plan: Any, seen: Any, resolve: Any) -> None:
    wanted = "gx10-3: tools: found no nginx rsync; wanted all of them installed. apt-get install nginx-light rsync [no-program]"
    without_tools(seen)
    assert decide(plan, seen)["problems"] == []
    images("gx10-2", lambda look: look["images"].clear())(seen)
    assert decide(plan, seen)["problems"] == [], "it has nothing to do with it"
    built = resolve("sim-tiny-tp2", variables=hostvars(3, gx10_build_host="gx10-3"))["plan"]
    assert decide(built, seen)["problems"] == [wanted]
    for name in ("gx10-1", "gx10-2"):
        images(name, lambda look: (look["images"].clear(), look["kept"].clear()))(seen)
    assert decide(plan, seen)["image"]["restore"]["node"] == "gx10-3"
    assert decide(plan, seen)["problems"] == [wanted]


def test_an_image_of_its_owner_is_never_built(plan: Any, seen: Any) -> None:
    for world in seen["worlds"].values():
        for item in world["images"]["images"].values():
            item["labels"] = {}
    seen["contexts"][plan["image"]["name"]]["context"] = "c2"
    assert decide(plan, seen)["actions"] == []


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
        "weights: gx10-2: write the manifest beside gx10/tiny-qwen3",
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


@pytest.mark.parametrize("form", [older, lambda plan: {"format": 4}, lambda plan: {}])
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
    found = _resolve.resolve(_sources.read("sim-tiny-tp2"), variables, list(variables), change)
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
