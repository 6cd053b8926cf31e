"""What has to be done for an image: of three layers, on its build host and on a node that gets it. The plan's is in test_reconcile.py."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _image_actions

ID = {name: "sha256:" + digit * 64 for name, digit in (("low", "1"), ("mid", "2"), ("top", "3"), ("other", "4"))}


def definition(name: str, base: str | None) -> Any:
    expect: Any = {"imports": []}
    return {"name": name, "reference": f"{name}:latest", "base": base, "requirements": None, "size_gib": 1, "expect": expect}


LINEAGE = [definition("low", None), definition("mid", "low:latest")]
IMAGE: Any = {**definition("top", "mid:latest"), "lineage": LINEAGE, "builder": "n0"}


def docker(name: str, context: str = "", base: str = "") -> Any:
    labels = {_image_actions.CONTEXT: context or f"c-{name}"} | ({_image_actions.BASE: base} if base else {})
    return {"id": ID[name], "layers": [name], "labels": labels, "size": 1, "architecture": "arm64"}


@pytest.fixture
def seen() -> Any:
    """Two nodes that have the image as it shall be; the build host has what it is built on, too."""
    top = docker("top", base=ID["mid"])
    kept = {
        "name": "top",
        "image": ID["top"],
        "digest": "d",
        "complete": True,
        "files": [{"path": "f", "size": 1}],
        "layers": ["top"],
        "architecture": "arm64",
    }
    disk = {"path": "/", "free": 2**40, "device": 1}
    node = {
        "images": {"top:latest": top, _image_actions.verified(IMAGE): top}, "containers": {"gx10-keep-top-last": ID["top"]},
        "tags": [{"id": ID["top"], "created": "2026-01-01", "tags": ["top:latest", "top:last-good"]}], "blobs": {"f": 1},
        "kept": [{**kept, "labels": top["labels"]}], "architecture": "arm64", "disk": {"store": disk, "docker": disk},
    }  # fmt: skip
    builder: Any = copy.deepcopy(node)
    for item in LINEAGE:
        there = docker(item["name"], base=ID["low"] if item["base"] else "")
        builder["images"] |= {item["reference"]: there, _image_actions.verified(item): there}
    context = {"dockerfile": True, "missing": [], "altered": [], "size": 1, "wheels": "w", "definition": "d"}
    contexts = {item["name"]: {**context, "context": f"c-{item['name']}"} for item in [*LINEAGE, IMAGE]}
    return {"looks": {"n0": builder, "n1": node}, "contexts": contexts, "archived": copy.deepcopy(node["kept"])}


def decide(seen: Any, **wish: Any) -> Any:
    asked = _image_actions.Wish(**{"targets": ["n0", "n1"], "keep": 1, "archive": "/a", **wish})
    return _image_actions.decide(IMAGE, seen["looks"], seen["contexts"], seen["archived"], asked)


def done(decision: Any) -> list[str]:
    return [
        f"{item['do']} {item['text'].split(' ')[1].rstrip(':') if item['do'] in ('build', 'verify') else item['node']}"
        for item in decision["actions"]
    ]


def lose(seen: Any) -> None:
    """Nobody has the image, in Docker or as layers."""
    for look in seen["looks"].values():
        look["images"].pop("top:latest")
        look["images"].pop(_image_actions.verified(IMAGE))
        look["kept"].clear()
    seen["archived"].clear()


def test_as_it_shall_be() -> None:
    assert _image_actions.asked(IMAGE, "/s", "wanted:1")["references"][:2] == ["top:latest", "wanted:1"]
    assert len(_image_actions.asked(IMAGE, "/s")["references"]) == 6
    assert _image_actions.asked(IMAGE, "/s")["store"] == "/s/registry"


def test_nothing_to_do(seen: Any) -> None:
    decision = decide(seen)
    assert (decision["actions"], decision["problems"], decision["id"], decision["good"]) == ([], [], ID["top"], [])
    assert (decision["keep_archive"], decision["send"], decision["forget"], decision["restore"]) == (False, [], {}, {})
    assert decision["builds"] == {"top": {"build": False, "verify": False}}


def test_what_lies_below_is_looked_at_only_for_a_build(seen: Any) -> None:
    del seen["looks"]["n0"]["images"]["low:latest"]
    assert decide(seen)["actions"] == []


@pytest.mark.parametrize(
    ("change", "wanted", "why"),
    [
        (lambda images, contexts: None, ["build top:latest", "verify top:latest"], "it is not there"),
        (
            lambda images, contexts: images.pop("low:latest"),
            ["build low:latest", "verify low:latest", "build mid:latest", "verify mid:latest", "build top:latest", "verify top:latest"],
            "low:latest is built again",
        ),
        (
            lambda images, contexts: images.update({"low:latest": {**images["low:latest"], "id": ID["other"]}}),
            ["verify low:latest", "build mid:latest", "verify mid:latest", "build top:latest", "verify top:latest"],
            "low:latest is another one now",
        ),
        (
            lambda images, contexts: contexts["mid"].update(context="c2"),
            ["build mid:latest", "verify mid:latest", "build top:latest", "verify top:latest"],
            "its inputs are others now",
        ),
        # Without our labels it was built elsewhere.
        (lambda images, contexts: images["mid:latest"].update(labels={}), ["build top:latest", "verify top:latest"], "it is not there"),
    ],
)
def test_a_build_begins_at_the_lowest_that_differs(seen: Any, change: Any, wanted: list[str], why: str) -> None:
    lose(seen)
    change(seen["looks"]["n0"]["images"], seen["contexts"])
    decision = decide(seen)
    assert done(decision) == [*wanted, "send n1", "archive n0"]
    assert [item["text"].split(": ", 1)[1] for item in decision["actions"] if item["do"] == "build"].count(why) == 1
    assert (decision["problems"], decision["id"], [action["node"] for action in decision["good"]]) == ([], "", ["n0", "n1"])
    assert [item["text"] for item in decision["actions"] if item["do"] == "send"] == [
        "bring what it lacks of the image: Docker does not have it"
    ]


def test_a_newer_base_of_the_lowest_definition_reaches_the_image(seen: Any) -> None:
    """Its own base is another definition, which nobody pulls."""
    low = {**LINEAGE[0], "base": "vendor/base:1"}
    image: Any = {**IMAGE, "lineage": [low, LINEAGE[1]]}
    there = seen["looks"]["n0"]["images"]
    there["low:latest"]["labels"][_image_actions.BASE] = ID["other"]
    there["vendor/base:1"] = {**docker("other"), "id": ID["other"]}

    def decided(**wish: Any) -> Any:
        asked = _image_actions.Wish(targets=["n0", "n1"], keep=1, archive="/a", promote=False, **wish)
        return _image_actions.decide(image, seen["looks"], seen["contexts"], seen["archived"], asked)

    assert decided(pull_base=True)["actions"] == [], "the registry had no newer one"
    there["vendor/base:1"]["id"] = "sha256:" + "5" * 64
    assert decided()["actions"] == []
    decision = decided(pull_base=True)
    built = ["build low:latest", "verify low:latest", "build mid:latest", "verify mid:latest", "build top:latest", "verify top:latest"]
    assert done(decision)[:6] == built
    assert decision["actions"][0]["text"] == "build low:latest: vendor/base:1 is another one now"
    assert decision["problems"] == []


def test_what_cannot_be_built_is_said_of_each_and_only_of_what_is_built(seen: Any) -> None:
    lose(seen)
    seen["contexts"]["low"].update(dockerfile=False)
    assert decide(seen)["problems"] == []
    seen["looks"]["n0"]["images"]["mid:latest"]["architecture"] = "amd64"
    (problem,) = decide(seen)["problems"]
    assert problem.startswith("n0: image mid:latest: architecture: found amd64; wanted arm64")
    seen["contexts"]["top"].update(missing=["a==1"], altered=["b"])
    (problem,) = decide(seen)["problems"]
    assert "no wheel a==1; b (in w); wanted the wheels as image.yml pins them. Put them there, or load the image on n0" in problem


@pytest.mark.parametrize(("free", "fits"), [(2**30 + 1, True), (2**30, False)])
def test_a_build_needs_room_for_wheels_and_layers(seen: Any, free: int, fits: bool) -> None:
    lose(seen)
    seen["looks"]["n0"]["disk"]["docker"]["free"] = free
    assert (decide(seen)["problems"] == []) is fits


def test_stale_inputs_build_unless_the_verb_keeps_what_is_there(seen: Any) -> None:
    seen["contexts"]["top"].update(context="c2")
    assert done(decide(seen)) == ["build top:latest", "verify top:latest", "send n1", "archive n0"]
    assert decide(seen, build=False, promote=False)["actions"] == []
    # A restore brings back what is tagged, not what the definition says by now.
    assert (decide(seen, build=False)["problems"], decide(seen, build=False)["id"]) == ([], ID["top"])
    for look in seen["looks"].values():
        look.update(images={}, kept=[])
    seen["archived"] = []
    (problem,) = decide(seen, build=False)["problems"]
    assert problem == (
        "image top:latest: found it neither in Docker nor as layers on any node, nor in the archive (/a), for arm64; wanted it in one of "
        "them. serve.yml builds it again."
    )
    assert "(there is none)" in decide(seen, build=False, archive="")["problems"][0]


def test_an_image_of_these_inputs_is_brought_back_not_built(seen: Any) -> None:
    """The build host has one of other inputs; a peer has the right one in Docker alone."""
    seen["looks"]["n0"]["images"] = {"top:latest": docker("other", "c0")}
    for look in seen["looks"].values():
        look["kept"].clear()
    seen["archived"].clear()
    decision = decide(seen)
    assert decision["actions"][0]["text"] == "bring top:latest back from the Docker of n1: what is tagged has other inputs"
    assert decision["id"] == ID["top"]
    seen["looks"]["n0"]["images"]["top:older"] = docker("top")
    assert decide(seen)["actions"][0]["text"].startswith("bring top:latest back from its own Docker")


def test_the_wanted_id_and_no_other(seen: Any) -> None:
    assert decide(seen, wanted=ID["top"], build=False)["actions"] == []
    seen["looks"]["n0"]["images"]["top:latest"] = docker("other")
    decision = decide(seen, wanted=ID["top"], build=False)
    assert decision["actions"][0]["text"] == "bring top:latest back from its own layers: another one is tagged"
    assert done(decision) == ["restore n0"]
    assert decision["builds"]["top"]["build"] is False


def test_a_restored_image_is_verified_where_it_never_was(seen: Any) -> None:
    del seen["looks"]["n0"]["images"]["top:latest"]
    assert done(decide(seen)) == ["restore n0"]
    seen["looks"]["n0"]["images"][_image_actions.verified(IMAGE)] = docker("other")
    assert done(decide(seen)) == ["restore n0", "verify top:latest"]


def test_a_node_gets_what_differs_by_id_or_layers(seen: Any) -> None:
    node = seen["looks"]["n1"]
    node["images"]["top:latest"]["layers"] = ["x"]
    assert decide(seen)["send"] == ["n1"]
    assert decide(seen)["actions"][0]["text"] == "bring the image from its own layers: Docker has another one (333333333333)"
    node["blobs"]["f"] = 2
    assert decide(seen)["actions"][0]["text"].startswith("bring 1 of 1 files, 1 B: ")
    node["architecture"] = "amd64"
    assert [problem.split(":")[0] for problem in decide(seen)["problems"]] == ["n1"]
    assert decide(seen, targets=["n0"])["actions"] == decide(seen, targets=["n0"])["problems"] == []


@pytest.mark.parametrize("keep", [1, 2])
def test_tags_beyond_those_kept_go(seen: Any, keep: int) -> None:
    old = [{"id": ID["other"], "created": f"2025-01-0{day}", "tags": [f"top:{day * 111111111111:012x}"[:16]]} for day in (1, 2)]
    seen["looks"]["n1"]["tags"] += old
    (tag,) = old[0]["tags"]
    decision = decide(seen, keep=keep)
    assert decision["forget"] == ({"n1": [tag]} if keep == 1 else {})
    assert [(item["phase"], item["node"], item["do"], item["text"]) for item in decision["actions"]] == (
        [("image", "n1", "forget", f"remove {tag}: more than the 1 newest")] if keep == 1 else []
    )


def test_what_a_build_makes_one_too_many_is_named_before_it(seen: Any) -> None:
    look = seen["looks"]["n1"]
    look["tags"] = [
        {"id": ID["other"], "created": "2025-01-02", "tags": ["top:latest", "top:bbbbbbbbbbbb"]},
        {"id": ID["top"], "created": "2025-01-01", "tags": ["top:aaaaaaaaaaaa"]},
    ]
    assert decide(seen, keep=1)["forget"] == {}
    seen["contexts"]["top"]["context"] = "new"
    decision = decide(seen, keep=1)
    assert decision["builds"]["top"]["build"]
    assert decision["forget"] == {"n1": ["top:aaaaaaaaaaaa"]}
    # A candidate leaves the tag that serves where it is, and all others, until it is promoted.
    look["tags"].append({"id": ID["low"], "created": "2024-01-01", "tags": ["top:cccccccccccc"]})
    assert decide(seen, keep=1)["forget"] == {"n1": ["top:aaaaaaaaaaaa", "top:cccccccccccc"]}
    assert decide(seen, keep=1, promote=False)["forget"] == {}


@pytest.mark.parametrize(
    "change",
    [
        lambda look: look["containers"].clear(),
        lambda look: look["containers"].update({"gx10-keep-top-last": ID["other"]}),
        lambda look: look["tags"][0]["tags"].remove("top:last-good"),
    ],
)
def test_good_is_kept_by_container_and_by_tag(seen: Any, change: Any) -> None:
    change(seen["looks"]["n1"])
    assert [action["node"] for action in decide(seen)["good"]] == ["n1"]


def test_the_archive_keeps_what_it_does_not_have(seen: Any) -> None:
    seen["archived"][0]["complete"] = False
    assert done(decide(seen)) == ["archive n0"]
    assert decide(seen, archive="")["keep_archive"] is False
    seen["archived"][0].update(complete=True, digest="another")
    assert decide(seen)["keep_archive"] is True
    # Layers that are not whole have no digest to compare.
    seen["archived"][0]["digest"] = "d"
    seen["looks"]["n0"]["kept"][0]["complete"] = False
    assert decide(seen)["keep_archive"] is True


def test_a_base_that_is_another_one_than_first_used_is_refused_unless_a_newer_one_was_asked_for(seen: Any) -> None:
    seen["contexts"]["top"].update(context="c2")
    del seen["looks"]["n0"]["images"]["mid:latest"]
    base: dict[str, Any] = {"reference": "low:latest", "id": ID["low"]}

    def problems(held: dict[str, Any] | None, **wish: Any) -> list[str]:
        seen["contexts"]["mid"]["held"] = held and {"path": "/pins/mid.json", "base": {}, "wheels": {}, "problem": "", **held}
        return list(decide(seen, archive="", **wish)["problems"])

    for held in (None, {}, {"base": base}, {"base": {"reference": "older:1", "id": ID["other"]}}):
        assert problems(held) == []
    other = {"base": {**base, "id": ID["other"]}}
    (line,) = problems(other)
    assert line.startswith(f"image mid:latest: base low:latest: found {ID['low']}; wanted {ID['other']}, as first used. ")
    assert "remove base from /pins/mid.json" in line
    assert problems(other, pull_base=True) == []
    (line,) = problems({"problem": "/pins/mid.json: found no mapping"}, pull_base=True)
    assert line.startswith("image mid:latest: /pins/mid.json: found no mapping; wanted the record of a first build. ")
