"""What has to be done for the weights of two models on two nodes."""

from __future__ import annotations

import copy
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest
from ansible_collections.gx10.serving.plugins.module_utils.node._types import File
from ansible_collections.gx10.serving.plugins.module_utils.phases import _weights_actions

FILES: list[File] = [{"path": f"f{number}", "size": 2**20, "sha256": f"{number}" * 64} for number in range(5)]
HASH = _manifest.digest(FILES)


def model(repo: str, revision: str | None = None) -> Any:
    return {"repo": repo, "revision": revision, "manifest": None, "size_gib": None, "path": f"/m/{repo}"}


def staged(repo: str, files: list[File] = FILES, **change: Any) -> Any:
    record: Any = {"repo": repo, "revision": None, "hash": HASH, "files": FILES, "size": 5 * 2**20, "hub": {}}
    found = {
        "files": files, "size": 1, "problems": [], "hash": _manifest.digest(files), "unread": 0, "recorded": record,
        "hub": {"revision": None, "sha256": {}},
    }  # fmt: skip
    return {**found, **change}


@pytest.fixture
def looks() -> Any:
    return copy.deepcopy({name: {repo: staged(repo) for repo in ("z/one", "a/two")} for name in ("n0", "n1")})


def decide(looks: Any, revision: str | None = None) -> Any:
    weights: Any = {"models": [model("z/one", revision), model("a/two")], "state_dir": "/s"}
    return _weights_actions.decide(weights, looks, {}, {})


def texts(decision: Any) -> list[tuple[str, str, str]]:
    return [(item["node"], item["do"], item["text"]) for item in decision["actions"]]


def test_nothing_to_do_has_the_hash_of_all(looks: Any) -> None:
    assert decide(looks) == {"hash": f"{HASH} {HASH}", "problems": [], "actions": []}
    for look in looks.values():
        look["a/two"]["recorded"] = {**look["a/two"]["recorded"], "hash": "h2"}
    # By name, whatever the profile's order.
    assert decide(looks)["hash"] == f"h2 {HASH}"


def test_what_nobody_has_read_is_read_first_and_hides_the_hash(looks: Any) -> None:
    looks["n1"]["z/one"].update(unread=2**20, files=FILES[:1])
    decision = decide(looks)
    assert texts(decision) == [("n1", "read", "read 1.0 MiB of z/one: nobody has hashed these files")]
    assert decision["hash"] == ""
    looks["n1"]["a/two"].update(files=FILES[:4])
    assert [row[:2] for row in texts(decide(looks))] == [("n1", "read"), ("n1", "bring")], "the other model goes on"


@pytest.mark.parametrize(("there", "said"), [(2, "f2, f3, f4"), (1, "f1, f2, f3 and 1 more"), (4, "f4")])
def test_three_paths_are_named_and_the_others_counted(looks: Any, there: int, said: str) -> None:
    looks["n1"]["z/one"]["files"] = FILES[:there]
    count = 5 - there
    assert texts(decide(looks)) == [("n1", "bring", f"bring {count} files of z/one, {count}.0 MiB: missing ({said})")]


def test_every_node_keeps_the_manifest(looks: Any) -> None:
    looks["n1"]["z/one"]["recorded"] = {**looks["n1"]["z/one"]["recorded"], "hash": "another"}
    looks["n1"]["a/two"].update(recorded=None)
    assert texts(decide(looks)) == [
        ("n1", "record", "keep the manifest of z/one in /s/manifests"),
        ("n1", "record", "keep the manifest of a/two in /s/manifests"),
    ]


def test_what_no_node_has_is_downloaded_by_the_first_or_refused(looks: Any) -> None:
    for look in looks.values():
        look["z/one"].update(files=[], problems=["x"], recorded=None)
    decision = decide(looks, "c" * 40)
    assert texts(decision) == [("n0", "download", f"download z/one, revision {'c' * 40}: no node has it")]
    assert (decision["hash"], decision["problems"]) == ("", [])
    decision = decide(looks)
    (problem,) = decision["problems"]
    assert problem.splitlines()[0] == "weights z/one: no node has a whole checkpoint, and no source is known:"
    assert (decision["hash"], decision["actions"]) == ("", [])


def test_a_manifest_that_is_not_the_pinned_one_moves_nothing(looks: Any) -> None:
    looks["n1"]["z/one"]["files"] = FILES[:1]
    weights: Any = {"models": [{**model("z/one"), "manifest": "pinned"}], "state_dir": "/s"}
    decision = _weights_actions.decide(weights, looks, {}, {})
    assert (len(decision["problems"]), decision["actions"]) == (1, [])


def test_other_content_moves_nothing_of_its_model(looks: Any) -> None:
    looks["n1"]["z/one"]["files"] = [{**FILES[0], "sha256": "9" * 64}]
    decision = decide(looks)
    (problem,) = decision["problems"]
    assert problem.splitlines()[0] == "weights z/one are not what was staged:"
    assert problem.splitlines()[-1].endswith("takes what n0 has as the new truth.")
    assert decision["actions"] == []
