"""What converge.yml makes of a decision: which roles run, and what the gate looks at. The conditions are the playbook's own."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.gx10.serving.plugins.module_utils.phases import _engine_actions
from ansible_collections.gx10.serving.plugins.module_utils.phases._actions import action
from conftest import ROOT

(PLAY,) = yaml.safe_load((ROOT / "playbooks/converge.yml").read_text())
GATE: dict[str, Any] = {
    **yaml.safe_load((ROOT / "roles/gate/defaults/main.yml").read_text()),
    **yaml.safe_load((ROOT / "roles/gate/vars/main.yml").read_text()),
}
LOOKS: dict[str, Any] = {"gx10-1": {"containers": []}, "gx10-2": {"containers": []}}
PLAN = {"nodes": [{"name": name} for name in LOOKS]}


def tasks(value: Any) -> dict[str, dict[str, Any]]:
    """Every task of a document by its name."""
    if isinstance(value, list):
        return {name: task for item in value for name, task in tasks(item).items()}
    found = {value["name"]: value} if isinstance(value, dict) and "name" in value else {}
    return {**found, **tasks(value.get("tasks", []) + value.get("block", []))} if isinstance(value, dict) else found


def trusted(value: Any) -> Any:
    """As Ansible marks what it reads from a playbook."""
    if isinstance(value, dict):
        return {key: trusted(item) for key, item in value.items()}
    if isinstance(value, list):
        return [trusted(item) for item in value]
    return trust_as_template(value) if isinstance(value, str) else value


def decision(*phases: str, proven: bool = True) -> dict[str, Any]:
    """One action of each of these phases."""
    found: dict[str, Any] = {name: {"actions": [{"phase": name}] * (name in phases)} for name in ("notify", "image", "weights", "engine")}
    found["image"]["good"] = [{"phase": "image", "do": "good"}] * ("good" in phases)
    found["engine"]["looks"] = LOOKS
    return {**found, "actions": [{"phase": name} for name in phases], "proven": proven}


def templar(decided: dict[str, Any], node: str, **more: Any) -> Templar:
    facts = {"localhost": {"plan_document": PLAN}, **{name: {"__gate_now": {"now": name}} for name in LOOKS}}
    variables = {**trusted(PLAY["vars"]), "hostvars": facts, "preflight_decision": decided, "inventory_hostname": node}
    return Templar(DataLoader(), variables={**variables, **more})


def included(decided: dict[str, Any], node: str = "gx10-2") -> list[str]:
    """Which steps run on a node."""
    (block,) = [task for name, task in tasks(PLAY).items() if name == "Act and prove"]
    found = []
    for task in block["block"]:
        when = trusted(task.get("when", True))
        if when is True or templar(decided, node).evaluate_conditional(when):
            found.append(task["name"])
    return found


def gate(decided: dict[str, Any], node: str, **more: Any) -> Any:
    """The gate's variables, as converge.yml and the role set them."""
    given = trusted({**GATE, **tasks(PLAY)["Prove it"]["vars"]})
    return templar(decided, node, **{**given, "ansible_play_hosts": list(LOOKS), **more})


def test_the_role_engine_removes_what_is_left_over_and_leaves_the_group() -> None:
    """From the decision alone: the containers on their node, and there the record, if it is none of the plan's."""
    given = yaml.safe_load((ROOT / "roles/engine/vars/main.yml").read_text())
    steps = tasks(yaml.safe_load((ROOT / "roles/engine/tasks/main.yml").read_text()))
    actions = [action("engine", "gx10-3", "remove", "…")]
    for node, part, removed in (("gx10-1", {}, []), ("gx10-3", None, ["old"])):
        todo = {"parts": {}, "remove": {"gx10-3": ["old"]}, "actions": actions}
        shown = templar(decision(), node, **{**trusted(given), "__engine_todo": todo, "__engine_part": part})
        assert shown.template(trusted(steps["Remove what is left over"]["loop"])) == removed
        assert shown.evaluate_conditional(trusted(steps["Forget what an idle node served"]["when"])) is bool(removed)
    assert not _engine_actions.replaces(actions)
    assert _engine_actions.replaces([*actions, action("engine", "", "depends", "…")])


def test_each_phase_runs_only_for_its_actions() -> None:
    assert included(decision()) == ["Prove it"]
    # What follows a gate that passed brings no image, and is no reason to look at what runs.
    assert included(decision("good")) == ["Prove it", "Keep the image as the last good one"]
    assert included(decision("good"), "gx10-idle") == ["Prove it"]
    assert included(decision("gate", proven=False)) == ["Prove it"]
    assert included(decision("gate", proven=False), "gx10-1") == ["Prove it", "Keep the plan on the control node"]
    assert included(decision("weights"), "gx10-1") == ["Bring the weights", "Start the group", "Prove it"]
    # Who is told is no reason to start anything; a secret alone may differ, which no look can tell.
    assert included(decision("notify")) == ["Arrange who is told", "Prove it"]
    told = {"localhost": {"plan_document": {**PLAN, "notify": {"secret_file": "/f"}}}}
    (block,) = [task for name, task in tasks(PLAY).items() if name == "Arrange who is told"]
    assert [
        templar(decision(), "gx10-1", hostvars=facts).evaluate_conditional(trusted(block["when"]))
        for facts in (told, {"localhost": {"plan_document": {**PLAN, "notify": None}}}, {"localhost": {"plan_document": PLAN}})
    ] == [True, False, False]
    assert included(decision("image")) == ["Bring the image", "Start the group", "Prove it", "Keep the image as the last good one"]
    assert included(decision("weights")) == ["Bring the weights", "Start the group", "Prove it"]


@pytest.mark.parametrize(
    ("decided", "more", "probes", "again"),
    [
        (decision(), {}, False, False),
        (decision(), {"probe": True}, True, True),
        (decision("good"), {}, False, False),
        (decision("gate", proven=False), {}, True, True),
        # Layers travelled for an hour: what was seen before is old.
        (decision("image"), {}, False, True),
        (decision("weights"), {}, False, True),
        (decision("engine", proven=False), {}, True, True),
    ],
)
def test_the_gate_looks_again_after_anything_was_done(decided: Any, more: Any, probes: bool, again: bool) -> None:
    (look,) = [task for name, task in tasks(yaml.safe_load((ROOT / "roles/gate/tasks/main.yml").read_text())).items() if "Look" in name]
    for node, wanted in (("gx10-1", True), ("gx10-2", again)):
        asked = gate(decided, node, **more)
        assert asked.template(trusted("{{ gate_probe }}")) is probes
        assert asked.evaluate_conditional(trusted(look["when"])) is wanted, node
        infos = asked.template(trusted("{{ __gate_infos }}"))
        assert infos == {"gx10-1": {"now": "gx10-1"}, "gx10-2": {"now": "gx10-2"} if again else LOOKS["gx10-2"]}
