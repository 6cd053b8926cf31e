"""One world, one decision: each difference gives exactly its actions, and a world as the plan wants it gives none."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _reconcile
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from conftest import hostvars
from worlds import FILES, IMAGE, MANIFEST, OTHER, as_planned, decide, done, engine, images, planned, weights


@pytest.fixture
def plan(resolve: Any) -> Plan:
    return planned(resolve)


@pytest.fixture
def seen(plan: Plan) -> dict[str, Any]:
    return as_planned(plan)


def test_a_world_as_planned_needs_nothing(plan: Any, seen: Any) -> None:
    decision = decide(plan, seen)
    assert decision["problems"] == []
    assert decision["actions"] == []
    assert decision["proven"] is True
    assert _reconcile.lines(decision)[-1] == "Nothing differs from the plan."
    assert (decision["image"]["id"], decision["weights"]["hash"]) == (IMAGE, MANIFEST["hash"])


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
            [("image", "gx10-1", "restore"), ("image", "gx10-1", "verify")],
            ["from the layers of gx10-2"],
        ),
        (
            [images(name, lambda look: (look["images"].clear(), look["kept"].clear())) for name in ("gx10-1", "gx10-2", "gx10-3")],
            [("image", "gx10-1", "restore"), ("image", "gx10-1", "verify"), PRUNED],
            ["from the archive"],
        ),
        # Where the archive has another one, or none, what comes back from a peer is kept there, too.
        (
            [images("gx10-1", lambda look: (look["images"].clear(), look["kept"].clear())), lambda seen: seen["archived"].clear()],
            [("image", "gx10-1", "restore"), ("image", "gx10-1", "verify"), ("image", "gx10-1", "archive")],
            ["from the layers of gx10-2"],
        ),
        (
            [images("gx10-1", lambda look: look["images"].pop(next(key for key in look["images"] if "verified" in key)))],
            [("image", "gx10-1", "verify")],
            ["verify vllm-node-sim:latest in a throwaway container"],
        ),
        ([lambda seen: seen["archived"].clear()], [("image", "gx10-1", "archive")], ["keep a verified copy in /archive"]),
        ([weights("gx10-2", files=FILES[:1])], [("weights", "gx10-2", "bring")], ["bring 1 files of gx10/tiny-qwen3, 1.0 MiB: missing"]),
        ([weights("gx10-2", recorded=None)], [("weights", "gx10-2", "record")], ["keep the manifest of gx10/tiny-qwen3 in"]),
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
