"""Where a rollback goes, and that no single node decides it."""

from __future__ import annotations

import base64
import copy
import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.phases import _rollback
from conftest import ROOT, hostvars

IMAGE = "sha256:" + "1" * 64


def good(at: float, last: str, previous: str = "") -> Any:
    return {"good": {"at": at, "last": one(last), "previous": one(previous)}, "record": {}}


def one(name: str) -> Any:
    """A record, by its plan's hash."""
    return {"plan": {"hash": name}, "image_id": IMAGE} if name else {}


@pytest.mark.parametrize(
    ("infos", "wanted"),
    [
        ({}, ""),
        # Nothing is served: what ran last. The newest word counts.
        ({"a": good(1.0, "old"), "b": good(2.0, "new", "old")}, "new"),
        ({"a": {**good(2.0, "a", "b"), "record": one("a")}}, "b"),
        ({"a": {**good(2.0, "a", "b"), "record": one("c")}, "b": {**good(1.0, "d"), "record": one("a")}}, "a"),
        ({"a": {**good(2.0, "a"), "record": one("a")}}, ""),
        ({"a": {**good(2.0, "a", "b"), "record": {**one("a"), "image_id": "sha256:2"}}}, "a"),
        # What is served was written by another release.
        ({"a": {**good(2.0, "a"), "record": {"plan": {}, "image_id": IMAGE}}}, "a"),
    ],
)
def test_a_rollback_goes_to_what_passed_and_is_another(infos: Any, wanted: str) -> None:
    assert _rollback.choose(infos) == one(wanted)


@pytest.fixture
def record(resolve: Any) -> Any:
    return {"plan": resolve("sim-tiny-tp2", variables=hostvars(3))["plan"], "image_id": IMAGE}


@pytest.fixture
def infos(record: Any) -> Any:
    """Both nodes of the plan have the same record; a third one has what it served before."""
    both = {name: {"good": {"at": 2.0, "last": copy.deepcopy(record), "previous": {}}, "record": {}} for name in ("gx10-1", "gx10-2")}
    return {**both, "gx10-3": good(1.0, "sha256:" + "0" * 64)}


def test_finding_3_a_forged_record_gives_no_plan(record: Any, infos: Any, tmp_path: Path) -> None:
    """What it says of files, mounts and capabilities is read by nobody: the plan is the copy that was kept here, or one made anew."""
    kept = _rollback.kept_file(record)
    (tmp_path / kept["path"]).write_bytes(base64.b64decode(kept["content"]))
    forged = infos["gx10-2"]["good"]["last"]
    infos["gx10-2"]["good"]["at"] = 3.0
    forged["plan"]["nodes"][0]["mods"] = [{"name": "m", "path": "/root/.ssh", "hash": "sha256:" + "2" * 64, "ready": True}]
    forged["plan"]["nodes"][0]["container"]["mounts"] = [{"source": "/", "target": "/host"}]
    assert _rollback.choose(infos) == forged
    assert _rollback.misformed(forged, infos) == []
    assert _rollback.kept(forged, str(tmp_path)) == record
    # And the playbook takes the plan from nowhere else.
    text = (ROOT / "playbooks/rollback.yml").read_text()
    plays = yaml.safe_load(text)
    facts = [task["ansible.builtin.set_fact"] for play in plays for task in play.get("tasks", []) if "ansible.builtin.set_fact" in task]
    assert [fact["plan_document"] for fact in facts if "plan_document" in fact] == [
        "{{ dict(rollback_kept.plan | dictsort | rejectattr(0, 'eq', 'notify'))\n"
        "   | gx10.serving._rollback_among(rollback_hosts, rollback_gone, rollback_without) }}"
    ]
    assert "rollback_record.plan.nodes" not in text


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("profile", "../../etc/x"), ("profile", "a\n"), ("profile", 7), ("profile", "{{ lookup('pipe', 'id') }}"),
        ("hash", "sha256:x"), ("hash", "../" * 20), ("hash", None), ("hash", "sha256:" + "A" * 64),
    ],
)  # fmt: skip
def test_finding_3_a_record_names_only_what_has_the_form_of_a_name(infos: Any, key: str, value: Any) -> None:
    forged = infos["gx10-1"]["good"]["last"]
    forged["plan"][key] = value
    forged["image_id"] = "vllm:latest"
    found = _rollback.misformed(forged, infos)
    assert [text.split(": found")[0] for text in found] == [f"gx10-1: plan.{key}", "gx10-1: image_id"]
    assert all("[wrong-form]" in text for text in found)


def test_finding_3_a_copy_is_only_of_what_it_is_named_after(record: Any, tmp_path: Path) -> None:
    path = tmp_path / _rollback.kept_file(record)["path"]
    assert _rollback.kept(record, str(tmp_path)) == {}
    another: Any = {**record, "image_id": "sha256:" + "2" * 64}
    for text in ("", "half", json.dumps(another)):
        path.write_text(text)
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(_rollback, "kept_name", lambda _record: path.name)
            assert _rollback.kept(record, str(tmp_path)) == {}
    assert _rollback.kept_file(record)["mode"] == "0600"
    # One plan with two images is two copies.
    assert _rollback.kept_name(record) != _rollback.kept_name(another)


def test_finding_3_a_node_that_says_otherwise_is_named(record: Any, infos: Any) -> None:
    assert _rollback.differing(record, record["plan"], infos) == []
    # What it had before counts, too: the other nodes may have served something between.
    infos["gx10-2"]["good"].update(previous=record, last={**record, "image_id": "sha256:" + "2" * 64})
    assert _rollback.differing(record, record["plan"], infos) == []
    infos["gx10-2"]["good"]["previous"] = {}
    (text,) = _rollback.differing(record, record["plan"], infos)
    assert (
        text.startswith("gx10-2: what passed a gate: found 'sim-tiny-tp2' by plan 'sha256:")
        and "as on gx10-1" in text
        and "[records-differ]" in text
    )
    # One that lost its records is no witness against the others.
    infos["gx10-2"]["good"]["last"] = {}
    assert _rollback.differing(record, record["plan"], infos) == []


def test_finding_3_without_a_copy_every_node_must_name_what_is_planned_now(record: Any, infos: Any, resolve: Any) -> None:
    plan = record["plan"]
    assert _rollback.unconfirmed(record, plan, infos) == []
    infos["gx10-2"]["good"]["last"] = {}
    del infos["gx10-3"]
    (silent,) = _rollback.unconfirmed(record, plan, infos)
    assert silent.startswith("gx10-2: what passed a gate: found no record") and "[no-record]" in silent
    now = resolve("sim-tiny-tp2", variables=hostvars(3), override={"args": {"max-num-seqs": 3}})["plan"]
    *_silent, text = _rollback.unconfirmed(record, now, infos)
    assert "sim-tiny-tp2: found planned otherwise now: max-num-seqs " in text and " → 3" in text and "[plan-differs]" in text
    record["plan"]["nodes"] = "forged"
    infos["gx10-1"]["good"]["last"] = record
    *_silent, text = _rollback.unconfirmed(record, now, infos)
    assert "its record cannot be read" in text


def test_whom_a_plan_does_not_know_and_who_does_not_answer_is_left_out_again(resolve: Any) -> None:
    """gx10-1 was gone when it was served; gx10-4 and gx10-5 have no part in it, or came later."""
    plan = resolve("sim-tiny-tp2", variables=hostvars(4), without=["gx10-1"])["plan"]
    assert ([node["name"] for node in plan["nodes"]], plan["idle"]) == (["gx10-2", "gx10-3"], ["gx10-4"])
    hosts = [f"gx10-{number}" for number in range(1, 6)]

    def among(gone: list[str], without: list[str]) -> tuple[list[str], list[str]]:
        now = _rollback.among(plan, [name for name in hosts if name not in without], gone, without)
        assert {**now, "idle": [], "warnings": []} == {**plan, "idle": [], "warnings": []}
        return now["idle"], [text.partition(":")[0] for text in now["warnings"] if "left out" in text]

    assert among(["gx10-1"], []) == (["gx10-4", "gx10-5"], ["gx10-1"])
    # It is back, and what was served with it since has to end there.
    assert among([], []) == (["gx10-1", "gx10-4", "gx10-5"], [])
    # An idle one that does not answer is wanted, as for serve, unless it is left out by name.
    assert among(["gx10-1", "gx10-4"], []) == (["gx10-4", "gx10-5"], ["gx10-1"])
    assert among(["gx10-1"], ["gx10-4"]) == (["gx10-5"], ["gx10-4, gx10-1"])
    # A rank that does not answer stays one: preflight names it.
    assert _rollback.passed_by(plan, ["gx10-2", "gx10-1"]) == ["gx10-1"]
    (text,) = _rollback.needed(plan, ["gx10-3", "gx10-4"])
    assert text.startswith("command line: without: found gx10-3, rank 1 of what passed a gate; wanted other nodes.")
    # Whoever is root on a node writes what it wants.
    assert _rollback.passed_by({"nodes": ["x"], "idle": "gx10-1"}, ["gx10-1"]) == ["gx10-1"]
    assert _rollback.passed_by({}, []) == []
