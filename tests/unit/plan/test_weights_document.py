"""Which weights go to which nodes, over which network."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _inventory, _weights
from conftest import hostvars

MODEL: Any = {"repo": "org/name"}


def document(variables: Any) -> Any:
    found = _weights.of_models([MODEL], variables, list(variables))
    assert found["message"] == ""
    return found["document"]


def test_every_node_by_its_rails() -> None:
    variables = hostvars(2, gx10_fanout_lanes=3)
    variables["gx10-2"]["gx10_fabric_rails"] = ["192.168.177.12", "192.168.178.12"]
    assert document(variables) == {
        "models": [{"repo": "org/name", "revision": None, "manifest": None, "size_gib": None, "path": "/srv/models/org/name"}],
        "nodes": [
            {"name": "gx10-1", "addresses": ["192.168.177.11"]},
            {"name": "gx10-2", "addresses": ["192.168.177.12", "192.168.178.12"]},
        ],
        "models_root": "/srv/models",
        "state_dir": "/var/lib/gx10",
        "port": 8731,
        "lanes": 3,
        "chains": 0,
    }


def test_a_management_network_is_one_chain() -> None:
    found = document(hostvars(1, gx10_fanout_network="management"))
    assert (found["nodes"], found["chains"]) == ([{"name": "gx10-1", "addresses": ["192.168.1.11"]}], 1)


@pytest.mark.parametrize(("count", "names"), [(0, 3), (1, 1), (2, 2), (3, 3)])
def test_the_first_nodes_or_all(count: int, names: int) -> None:
    variables = hostvars(3)
    cluster, _problems = _inventory.read(variables, list(variables), "i")
    pinned: Any = {**MODEL, "revision": "r", "manifest": "m", "size_gib": 5}
    found = _weights.document(cluster, [pinned], count)
    assert [node["name"] for node in found["nodes"]] == ["gx10-1", "gx10-2", "gx10-3"][:names]
    assert [found["models"][0][key] for key in ("revision", "manifest", "size_gib")] == ["r", "m", 5]


def test_an_inventory_with_a_problem_stages_nothing() -> None:
    variables = hostvars(1, gx10_api_port=0)
    found = _weights.of_models([MODEL], variables, list(variables))
    assert found["document"] is None
    assert found["message"].startswith("Cannot stage: 1 problem.") and "inventory: gx10_api_port" in found["message"]
