"""Which manifest counts, who lacks what, is there room, may it go."""

from __future__ import annotations

from typing import Any

import jinja2
import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest
from ansible_collections.gx10.serving.plugins.module_utils.node._types import File, Staged
from ansible_collections.gx10.serving.plugins.module_utils.phases import _weights, _weights_report
from ansible_collections.gx10.serving.plugins.module_utils.plan import _weights as _plan_weights
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import WeightsModel
from conftest import ROOT

FILES: list[File] = [{"path": "config.json", "size": 2, "sha256": "a" * 64}, {"path": "model.safetensors", "size": 90, "sha256": "b" * 64}]
MODEL: WeightsModel = {"repo": "org/name", "revision": None, "manifest": None, "size_gib": None, "path": "/srv/models/org/name"}
COMMIT = "c" * 40


def info(files: list[File] = FILES, recorded: Any = None, problems: Any = (), revision: str | None = None) -> Staged:
    return {
        "files": files,
        "size": sum(item["size"] for item in files),
        "hash": _manifest.digest(files),
        "problems": list(problems),
        "recorded": recorded,
        "hub": {"revision": revision, "sha256": {}},
    }


def truth(*arguments: Any, **more: Any) -> Any:
    return _weights.truth(*arguments, **more)


def record(files: list[File] = FILES, **more: Any) -> Any:
    return {"repo": "org/name", "revision": None, "hash": _manifest.digest(files), "files": files, "size": 92, "hub": {}, **more}


EMPTY = info([], problems=["/srv/models/org/name: found nothing; wanted a checkpoint folder"])


def test_a_source_on_the_control_node_comes_first() -> None:
    other = [FILES[0]]
    found = truth(MODEL, {"n0": info(recorded=record())}, info(other), "/data")
    assert found["manifest"]["files"] == other


def test_a_source_that_is_not_whole_is_refused_whatever_the_nodes_have() -> None:
    found = truth(MODEL, {"n0": info(recorded=record())}, info(problems=["x: found a Git LFS pointer"]), "/data")
    assert found["manifest"] is None
    assert found["problems"] == ["weights org/name at /data on the control node are not a whole checkpoint:", "x: found a Git LFS pointer"]


def test_what_was_recorded_counts_before_what_lies_there() -> None:
    damaged: list[File] = [{**FILES[0], "sha256": "d" * 64}, FILES[1]]
    found = truth(MODEL, {"n0": info(damaged, record()), "n1": info()}, None, "")
    assert found["manifest"]["files"] == FILES
    assert truth(MODEL, {"n0": info(damaged, record())}, None, "", adopt=True)["manifest"]["files"] == damaged


def test_another_node_that_has_it_will_do() -> None:
    found = truth(MODEL, {"n0": EMPTY, "n1": info()}, None, "")
    assert found["manifest"]["origin"] == "n1"


def test_without_anything_all_ways_out_are_named() -> None:
    found = truth(MODEL, {"n0": EMPTY, "n1": info(problems=["x: cut"])}, None, "")
    text = "\n".join(found["problems"])
    assert "n0: /srv/models/org/name: found no file of it" in text
    assert "n1: x: cut" in text
    for way in ("gx10_weights_sources", "put the files on one node", "model.revision"):
        assert way in text


def test_a_folder_that_is_a_link_no_engine_sees_is_refused_before_anything_is_brought_there() -> None:
    link = f"{MODEL['path']}: found a link to /home/me/m, which an engine's container does not see; wanted the folder itself"
    for source in (None, info()):
        found = truth({**MODEL, "revision": COMMIT}, {"n0": info(recorded=record()), "n1": info([], problems=[link])}, source, "/data")
        assert (found["manifest"], found["download"]) == (None, False)
        assert found["problems"] == ["weights org/name lie where no engine sees them:", f"n1: {link}"]
    # Links of files are named, too, where no file is left.
    file = link.replace(MODEL["path"], "config.json")
    assert f"n1: {file}" in truth(MODEL, {"n0": EMPTY, "n1": info([], problems=[file])}, None, "")["problems"]


def test_a_pinned_revision_is_downloaded_where_no_node_has_it() -> None:
    pinned: WeightsModel = {**MODEL, "revision": COMMIT}
    assert truth(pinned, {"n0": EMPTY}, None, "")["download"] is True
    # Another revision that is recorded, or lies there, is not it.
    old = info(recorded=record(revision="d" * 40), revision="d" * 40)
    assert truth(pinned, {"n0": old}, None, "")["download"] is True
    assert truth(pinned, {"n0": info(revision=COMMIT)}, None, "")["manifest"]["revision"] == COMMIT


def test_a_download_is_compared_with_what_the_hub_said() -> None:
    arrived = info(revision=COMMIT)
    arrived["hub"]["sha256"] = {"model.safetensors": "e" * 64}
    (problem,) = _weights.downloaded({**MODEL, "revision": COMMIT}, "n0", arrived)["problems"]
    assert f"model.safetensors: found SHA-256 {'b' * 64}; wanted {'e' * 64}, as the hub says" in problem


def test_a_pinned_manifest() -> None:
    pinned: WeightsModel = {**MODEL, "manifest": "sha256:" + "0" * 64}
    (problem,) = truth(pinned, {"n0": info()}, None, "")["problems"]
    assert "which the profile pins" in problem


def test_missing_files_are_staged_and_others_are_refused_by_name() -> None:
    infos = {"n0": info(), "n1": info([FILES[0]]), "n2": info([FILES[0], {**FILES[1], "sha256": "f" * 64}])}
    differing = _weights.differences(record(), infos)
    (problem,) = _weights.other_content(MODEL, differing)
    assert problem.startswith("n2: /srv/models/org/name/model.safetensors: found other content of the same size")
    assert _weights.lacks(differing, ["n0", "n1", "n2"]) == {"n0": [], "n1": ["model.safetensors"], "n2": ["model.safetensors"]}
    assert _weights.lacks(differing, ["n0", "n1"], "n1") == {"n0": [], "n1": []}
    assert _weights.nowhere(FILES, differing) == []
    assert _weights.nowhere(FILES, {"n1": [{**item, "why": "missing"} for item in FILES]}) == ["config.json", "model.safetensors"]


def test_all_weights_have_one_hash_whoever_joins_it() -> None:
    """A name's case must not order it otherwise in the role than in the decision: a healthy group would be replaced."""
    from ansible_collections.gx10.serving.plugins.filter import internal
    from ansible_collections.gx10.serving.plugins.module_utils.phases import _weights_actions

    models: list[WeightsModel] = [{**MODEL, "repo": repo} for repo in ("amd/draft", "Qwen/Big")]
    records = {"amd/draft": record(FILES[:1]), "Qwen/Big": record(FILES)}
    looks: Any = {"n0": {repo: {**info(one["files"], one), "unread": 0} for repo, one in records.items()}}
    planned: Any = {"models": models, "state_dir": "/var/lib/gx10"}
    decided = _weights_actions.decide(planned, looks, {}, {})
    assert decided["actions"] == []
    text = yaml.safe_load((ROOT / "roles/weights/tasks/main.yml").read_text())[-1]["ansible.builtin.set_fact"]["weights_hash"]
    template = jinja2.Environment()
    template.filters |= {f"gx10.serving.{name}": one for name, one in internal.FilterModule().filters().items()}
    assert (
        template.from_string(text).render(weights_manifests=records)
        == decided["hash"]
        == f"{records['Qwen/Big']['hash']} {records['amd/draft']['hash']}"
    )
    assert _weights.joined({"a/b": "x", "c/d": ""}) == ""


def look(**disk: Any) -> Any:
    writable = {"read_only": False, "writable": True}
    whole = {"manifest": "", "differing": [], "unknown": [], "staged": 0, "whole": True, "problems": []}
    return {
        "models": [{"name": "org/old", "path": "/srv/models/org/old", "bytes": 5 * 2**30, "files": 3, **whole}],
        "caches": [{"name": "models--a--b", "path": "/srv/models/hub/models--a--b", "bytes": 2**30}],
        "disk": {"path": "/srv/models", "mount": "/", "type": "ext4", "free": 10**12, "size": 10**12, **writable, **disk},
        "user": "spark",
    }


@pytest.mark.parametrize(
    ("disk", "message"),
    [
        ({"free": 80}, "n1: /: found 80 B free; wanted 94 B for 2 files. Could be removed: /srv/models/org/old (5.0 GiB), "),
        ({"read_only": True}, "n1: /: found a read-only mount; wanted a writable one"),
        ({"writable": False}, "n1: /srv/models: found a folder that spark cannot write"),
        ({"type": "tmpfs"}, "n1: /: found file system tmpfs; wanted a local disk"),
        ({"type": "nfs4"}, "n1: /: found file system nfs4"),
    ],
)
def test_no_room(disk: dict[str, Any], message: str) -> None:
    (problem,) = _weights_report.room("n1", MODEL, FILES, look(**disk))
    assert problem.startswith(message)


def test_room_enough_and_nothing_to_bring() -> None:
    assert _weights_report.room("n1", MODEL, FILES, look()) == []
    assert _weights_report.room("n1", MODEL, [], look(free=0)) == []


def test_what_an_interrupted_run_brought_counts() -> None:
    there = look(free=50)
    there["models"].append({"name": "org/name", "path": "", "bytes": 0, "staged": 60, "whole": False})
    assert _weights_report.room("n1", MODEL, FILES, there) == []


def test_the_overview_tells_whole_partial_unknown_and_caches() -> None:
    there = look()
    there["models"][0].update(unknown=["notes.txt"], manifest="sha256:" + "a" * 64)
    partial = {"whole": False, "problems": ["x: cut", "y: cut"], "manifest": "", "differing": [], "unknown": [], "staged": 2**20}
    there["models"].append({"name": "org/new", "path": "", "bytes": 0, "files": 1, **partial})
    text = _weights_report.overview({"n0": there}, ["n1"])
    assert "n1" in text.splitlines()[-1]
    assert "no answer" in text.splitlines()[-1]
    assert "whole, manifest aaaaaaaaaaaa, unknown: notes.txt" in text
    assert "partial: x: cut (and 1 more), no manifest, 1.0 MiB in staging" in text
    assert "hub cache" in text


def removal(**change: Any) -> list[str]:
    here = look()
    looks = {"n0": here, "n1": here}
    arguments: dict[str, Any] = {"repo": "org/old", "confirm": "org/old", "targets": ["n0"], "looks": looks}
    arguments.update(missing=[], serving=[], elsewhere=False)
    return _weights_report.removal_problems(**{**arguments, **change})


def test_removing() -> None:
    assert removal() == []
    assert "found 'org/ol'; wanted 'org/old'" in removal(confirm="org/ol")[0]
    assert "wanted one that stays" in removal(targets=["n0", "n1"])[0]
    assert removal(targets=["n0", "n1"], elsewhere=True) == []
    assert "ansible-playbook stop.yml first" in removal(serving=["n0"])[0]
    assert "n2: node: found no answer" in removal(missing=["n2"])[0]
    assert "wanted one that is there: org/old" in removal(repo="org/x", confirm="org/x")[0]


@pytest.mark.parametrize("targets", [["n9"], ["n0", "n9"]])
def test_a_node_that_nobody_knows_is_named(targets: list[str]) -> None:
    """Beside a right name too: half of what was asked for is not what was asked for."""
    assert removal(targets=targets) == ["command line: only: found 'n9'; wanted one of n0, n1 [not-a-choice]"]
    looks = {"gx10-1": look(), "gx10-2": look()}
    assert removal(targets=["gx01-2"], looks=looks) == [
        "command line: only: found 'gx01-2'; wanted one of gx10-1, gx10-2. Did you mean 'gx10-2'? [not-a-choice]"
    ]


def test_a_node_without_the_model_is_named_not_the_model() -> None:
    looks = {"n0": {**look(), "models": []}, "n1": look()}
    assert removal(targets=["n0"], looks=looks) == ["command line: only: found n0; wanted a node that has org/old: n1 [not-a-choice]"]


def test_users_of_a_model() -> None:
    running: Any = {"containers": [{"running": True}], "record": {"plan": {"weights": {"models": [{"repo": "org/old"}]}}}}
    unknown: Any = {"containers": [{"running": True}], "record": {}}
    idle: Any = {"containers": [], "record": running["record"]}
    assert _weights_report.users({"n0": running, "n1": unknown, "n2": idle}, "org/old") == ["n0", "n1"]
    assert _weights_report.users({"n0": running}, "org/new") == []
    plans: list[Any] = [{"weights": None}, {"weights": {"models": [1]}}, {"weights": []}]
    for plan in plans:
        garbage: Any = {**running, "record": {"plan": plan}}
        assert _weights_report.users({"n0": garbage}, "org/new") == ["n0"]


def test_without_a_fabric_the_management_addresses_in_one_chain() -> None:
    hostvars: dict[str, dict[str, Any]] = {
        "n0": {"gx10_fabric_address": "10.0.0.1", "ansible_host": "192.168.1.1", "gx10_fabric_rails": ["10.0.0.1", "10.1.0.1"]},
        "n1": {"gx10_fabric_address": "10.0.0.2", "ansible_host": "192.168.1.2"},
    }
    found = _plan_weights.of_models([{"repo": "org/name"}], hostvars, ["n0", "n1"])["document"]
    assert found
    assert [node["addresses"] for node in found["nodes"]] == [["10.0.0.1", "10.1.0.1"], ["10.0.0.2"]]
    assert found["chains"] == 0
    hostvars["n0"]["gx10_fanout_network"] = hostvars["n1"]["gx10_fanout_network"] = "management"
    found = _plan_weights.of_models([{"repo": "org/name"}], hostvars, ["n0", "n1"])["document"]
    assert found
    assert [node["addresses"] for node in found["nodes"]] == [["192.168.1.1"], ["192.168.1.2"]]
    assert found["chains"] == 1
    hostvars["n0"]["gx10_fanout_network"] = hostvars["n1"]["gx10_fanout_network"] = "wifi"
    assert "found 'wifi'; wanted fabric or management" in _plan_weights.of_models([], hostvars, ["n0", "n1"])["message"]


@pytest.mark.parametrize("path", ["decide", "stage", "download", "preflight", "verify"])
def test_a_nodes_checkpoint_is_read_as_a_container_will_see_it(path: str) -> None:
    """A folder on the control node is not: a copy of it takes what is behind its links."""
    files = {"preflight": "roles/preflight/tasks/main.yml", "verify": "playbooks/verify_weights.yml"}
    document = yaml.safe_load((ROOT / files.get(path, f"roles/weights/tasks/{path}.yml")).read_text())
    tasks = document[1]["tasks"] if path == "verify" else document
    reads = [task for task in tasks if "gx10.serving.manifest_info" in task and task.get("delegate_to") != "localhost"]
    given = [task["gx10.serving.manifest_info"]["mounted"] for task in reads]
    if path == "preflight":
        given = [tasks[0]["gx10.serving.world_info"]["weights"]["mounted"]]
    assert given and all("models_root }}" in text for text in given)
