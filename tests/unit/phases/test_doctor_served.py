"""What is served, by its record: whom the records are believed, which image it is, and who is asked."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.gx10.serving.plugins.module_utils.phases import _doctor, _image_actions
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from conftest import ROOT
from test_doctor import diagnosed, healthy, named
from worlds import IMAGE, OTHER, images, planned


@pytest.fixture
def plan(resolve: Any) -> Plan:
    return planned(resolve)


@pytest.fixture
def seen(plan: Plan) -> dict[str, Any]:
    return healthy(plan)


NIGHTLY = {"id": OTHER, "layers": ["a", "c"], "labels": {"gx10.serving.context": "c1"}, "size": 3, "architecture": "arm64"}


def promoted(plan: Any, *names: str) -> Callable[[Any], Any]:
    """A nightly rebuild has moved the tags there; what is served is still in Docker, by its ID."""

    def change(look: Any) -> None:
        reference = plan["image"]["reference"]
        before = look["images"][reference]
        look["images"] |= {IMAGE: before, reference: NIGHTLY, _image_actions.verified(plan["image"]): NIGHTLY}
        look["tags"][0]["tags"].remove(reference)
        look["tags"].append({"id": OTHER, "created": "2026-01-02", "tags": [reference]})
        look["kept"].insert(0, {**look["kept"][0], "image": OTHER, "digest": "sha256:e", "layers": NIGHTLY["layers"]})

    def apply(seen: Any) -> None:
        for name in names:
            images(name, change)(seen)

    return apply


@pytest.mark.parametrize("names", [("gx10-1", "gx10-2", "gx10-3"), ("gx10-2",)])
def test_after_a_promoted_nightly_what_is_served_is_healthy_and_what_waits_is_named(plan: Any, seen: Any, names: Any) -> None:
    promoted(plan, *names)(seen)
    found = diagnosed(plan, seen, served=True)
    assert (found["verdict"], found["findings"]) == ("healthy", [])
    where = "gx10-1, gx10-2" if len(names) > 1 else "gx10-2"
    assert found["notes"] == [
        f"Image 111111111111 is served; vllm-node-sim:latest names 222222222222 on {where}, as a nightly rebuild that was promoted "
        "leaves it. ansible-playbook serve.yml -e profile=sim-tiny-tp2 starts that one."
    ]


def test_against_the_profile_a_promoted_nightly_is_what_serve_would_start(plan: Any, seen: Any) -> None:
    promoted(plan, "gx10-1", "gx10-2", "gx10-3")(seen)
    seen["archived"][0]["digest"] = "sha256:e"
    found = diagnosed(plan, seen)
    assert [one for one in found["findings"] if "restore.yml" in one["mend"]] == []
    assert ("gx10-1", "engine", "differs-from-plan") in named(found)
    one = next(one for one in found["findings"] if one["what"] == "engine")
    assert (one["found"], one["mend"]) == (
        "image 111111111111 → 222222222222",
        "ansible-playbook serve.yml -e profile=sim-tiny-tp2 (replace the group)",
    )


def test_an_image_that_is_served_and_gone_from_a_node_is_still_a_finding(plan: Any, seen: Any) -> None:
    images("gx10-2", lambda look: look["images"].clear())(seen)
    found = diagnosed(plan, seen, served=True)
    assert named(found) == [("gx10-2", "image", "differs-from-plan")]
    assert "restore.yml" in found["findings"][0]["mend"]
    # What the tag names by now is what restore.yml would bring.
    promoted(plan, "gx10-1")(seen)
    (one,) = diagnosed(plan, seen, served=True)["findings"]
    assert (one["node"], one["mend"].startswith("ansible-playbook serve.yml -e profile=sim-tiny-tp2")) == ("gx10-2", True)


def test_a_node_that_is_no_head_says_not_where_the_head_is_asked(plan: Any, seen: Any) -> None:
    """Whoever is root there may copy the head's record, but for the URL."""
    engines: Any = {name: world["engine"] for name, world in seen["worlds"].items()}
    forged = copy.deepcopy(engines["gx10-2"]["record"])
    forged["plan"]["ready"]["url"] = "http://elsewhere:1"
    told: Any = {"gx10-2": {**engines["gx10-2"], "record": forged}, "gx10-1": engines["gx10-1"]}
    found = _doctor.chosen(told)
    assert found["plan"] == {}
    assert found["problem"].startswith("gx10-2: current.json: found a record of what gx10-1 serves, of which gx10-1 itself has none")


def test_the_api_s_answer_is_the_planned_head_s(plan: Any) -> None:
    """Served without the inventory's first node, the head is another one."""
    plays = yaml.safe_load((ROOT / "playbooks/doctor.yml").read_text())
    (play,) = [play for play in plays if play["name"] == "Diagnose"]
    expression = play["tasks"][0]["gx10.serving.doctor"]["api"]
    hosts = {"gx10-1": {"doctor_api": {"skipped": True}}, "gx10-2": {"doctor_api": {"chat": 1}}, "gx10-3": {}}

    def answer(*names: str) -> Any:
        chosen = {"plan": {"nodes": [{"name": name} for name in names]} if names else {}}
        variables = {"hostvars": hosts, "doctor_chosen": chosen, "head": "gx10-1"}
        return Templar(DataLoader(), variables=variables).template(trust_as_template(expression))

    assert answer("gx10-2", "gx10-3") == {"chat": 1}
    assert answer("gx10-3") == answer("gone") == answer() == {}


def test_what_the_records_say_is_served(plan: Any, seen: Any) -> None:
    engines: Any = {name: world["engine"] for name, world in seen["worlds"].items()}
    assert _doctor.chosen(engines) == {"plan": plan, "image_id": IMAGE, "problem": ""}
    assert _doctor.chosen({"gx10-3": engines["gx10-3"]}) == {"plan": {}, "image_id": "", "problem": ""}
    for record, problem in (
        ({"plan": {**plan, "format": 0}, "image_id": IMAGE}, "has a plan of another release"),
        ({"plan": {**plan, "profile": "{{ x }}"}, "image_id": IMAGE}, "plan.profile is '{{ x }}'"),
    ):
        other: Any = {"gx10-1": {**engines["gx10-1"], "record": record}}
        found = _doctor.chosen(other)
        assert (found["plan"], problem in found["problem"]) == ({}, True)
