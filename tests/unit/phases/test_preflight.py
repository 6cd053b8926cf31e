"""Can these nodes run this plan? Each reason alone; all of them at once: node/test_evidence.py, memory: plan/test_memory_floor.py."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import yaml
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from ansible_collections.gx10.serving.plugins.module_utils.phases import _preflight
from conftest import ROOT, UNKNOWN, hostvars

GOOD: dict[str, Any] = {
    "journal": True, "hardware": UNKNOWN, "missing_tools": [], "docker": {"error": ""},
    "addresses": ["192.168.177.11", "192.168.177.12", "192.168.177.13"],
    "disk": {"/srv/models": {"free": 1, "size": 1, "writable": True}}, "memory": {"total": 2**37, "available": 2**36},
}  # fmt: skip
NAMES = ["gx10-1", "gx10-2", "gx10-3"]


@pytest.fixture
def plan(resolve: Any) -> Any:
    """Two ranks and an idle node."""
    return resolve("sim-tiny-tp2", variables=hostvars(3))["plan"]


def said(plan: Any, name: str = "", engine: Any = None, present: Any = None, **change: Any) -> list[str]:
    """Problems where one node differs from a good one; its key `gone` means that it said nothing."""
    infos: Any = {node: copy.deepcopy(GOOD) for node in NAMES}
    if name:
        infos[name] |= change
    if change.get("gone"):
        del infos[name]
    idle: dict[str, Any] = {"containers": [], "listeners": []}
    engines: dict[str, Any] = {node: engine if node == name and engine else idle for node in infos}
    if change.get("docker"):
        del engines[name]
    return _preflight.node_problems(plan, infos, engines, NAMES if present is None else present)


def test_good_nodes_have_no_problem(plan: Any) -> None:
    assert said(plan) == []


@pytest.mark.parametrize("name", NAMES)
def test_every_node_takes_part_and_answers(plan: Any, name: str) -> None:
    wanted = f"{name}: node: found no answer, or left out by --limit; wanted all nodes of the inventory"
    for (problem,) in (said(plan, name, gone=True), said(plan, present=[node for node in NAMES if node != name])):
        assert problem.startswith(wanted)


@pytest.mark.parametrize("name", NAMES)
def test_docker_answers_on_idle_nodes_too(plan: Any, name: str) -> None:
    assert said(plan, name, docker={"error": "refused"}) == [
        f"{name}: Docker engine: found refused; wanted an engine that answers. systemctl start docker [no-answer]"
    ]


def test_what_a_rank_needs_an_idle_node_does_not(plan: Any) -> None:
    unfit = {"missing_tools": ["nginx"], "journal": False, "memory": {"total": 2**37, "available": 1}}
    assert [len(said(plan, name, **unfit)) for name in NAMES] == [3, 3, 0]


def test_tools_are_named_as_programs_and_as_packages(plan: Any) -> None:
    assert said(plan, "gx10-2", missing_tools=["docker", "nginx", "curl"]) == [
        "gx10-2: tools: found no docker nginx curl; wanted all of them installed. apt-get install docker.io nginx-light curl [no-program]"
    ]


def test_the_folder_of_models_can_be_written_where_it_is_there(plan: Any) -> None:
    (problem,) = said(plan, "gx10-1", disk={"/srv/models": {"free": 1, "size": 1, "writable": False}})
    assert problem.startswith("gx10-1: /srv/models: found a folder that cannot be written")
    assert said(plan, "gx10-1", disk={"/srv/models": None}) == said(plan, "gx10-1", disk={}) == []


def test_a_port_is_free_or_our_own(plan: Any) -> None:
    ours = {"id": "c" * 64, "ports": [], "running": False}
    listener = {"port": 8000, "pid": 9, "command": "", "container": "c" * 64}
    engine = {"containers": [{**ours, "id": "d" * 64}, ours], "listeners": [listener], "record": {}}
    assert said(plan, "gx10-1", engine) == []
    (problem,) = said(plan, "gx10-1", {**engine, "listeners": [listener, {**listener, "container": None}]})
    assert problem.startswith("gx10-1: port 8000: found pid 9 (unknown); wanted a free port")


@pytest.mark.parametrize(
    ("node", "ray", "ports"),
    [
        ("gx10-1", {"ports": [10000, 10001]}, [10000, 10001]),
        ("gx10-3", {"ports": [10000]}, [10000]),
        # Not of the plan, without Ray, and in a record of an older release.
        *[("gx10-9", {"ports": [10000]}, []), ("gx10-3", None, []), ("gx10-3", {"argv": []}, [])],
    ],
)
def test_rays_own_ports_are_looked_at_on_every_node(node: str, ray: Any, ports: list[int]) -> None:
    task = yaml.safe_load((ROOT / "roles/preflight/tasks/main.yml").read_text())[0]
    assert "+ __preflight_ray }}" in task["gx10.serving.world_info"]["engine"]["ports"]
    plan = {"nodes": [{"name": f"gx10-{number}", "ray": ray} for number in range(1, 5)]}
    variables = {"preflight_plan": plan, "inventory_hostname": node}
    assert Templar(DataLoader(), variables=variables).template(trust_as_template(task["vars"]["__preflight_ray"])) == ports


def test_a_mod_that_is_only_declared(plan: Any) -> None:
    plan = copy.deepcopy(plan)
    for node in plan["nodes"]:
        node["mods"] = [{"name": "m", "ready": ready, "path": "/m"} for ready in (True, False)]
    (problem,) = said(plan)
    assert problem.startswith("mod m: run.sh: found nothing; wanted a program in /m")


def looked(plan: Any, **configs: Any) -> list[str]:
    """Problems of the checkpoint, with each node's config.json."""
    looks: Any = {name.replace("_", "-"): {plan["model"]["repo"]: {"config": config}} for name, config in configs.items()}
    return _preflight.checkpoint_problems(plan, looks)


def test_a_node_s_checkpoint_is_compared_before_anything_changes(plan: Any) -> None:
    good = {"num_attention_heads": 4, "num_key_value_heads": 2, "num_hidden_layers": 1, "head_dim": 8, "max_position_embeddings": 512}
    assert looked(plan, gx10_1=good, gx10_2=None) == looked(plan) == []
    (problem,) = looked(plan, gx10_1=good, gx10_2={**good, "max_position_embeddings": 256})
    assert problem.startswith("gx10-2: args.max-model-len: found 512; wanted at most 256, max_position_embeddings of /srv/models/gx10/tiny")
    # Equal ones are one checkpoint; an idle node serves none, and an older release's plan asks for nothing.
    bad = {**good, "num_attention_heads": 3}
    assert [text.split(":")[0] for text in looked(plan, gx10_1=bad, gx10_2=dict(bad), gx10_3=bad)] == ["gx10-1"]
    assert looked(plan, gx10_3=bad) == []
    del plan["asked"]
    assert looked(plan, gx10_1=bad) == []


def test_a_node_s_checkpoint_tells_what_it_takes(resolve: Any) -> None:
    plan = resolve("qwen397-mtp2", variables=hostvars(4))["plan"]
    shape = {"num_hidden_layers": 15, "head_dim": 256, "num_attention_heads": 32, "num_key_value_heads": 2, "mtp_num_hidden_layers": 1}
    assert looked(plan, gx10_1=shape) == []
    (problem,) = looked(plan, gx10_1={**shape, "num_hidden_layers": 150})
    assert problem.startswith("gx10-1: memory: found 18.88 GiB of KV cache per rank for one request")
    plan["memory"]["budget_gib"] = 90.0
    (problem,) = looked(plan, gx10_1={"num_attention_heads": 32, "mtp_num_hidden_layers": 1})
    assert problem.startswith("gx10-1: memory: found 94.75 GiB of weights per rank")
