"""The fabric as a node sees it: real network namespaces behind a real bridge, real cuts and firewalls; then the judgement."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _link_checks
from conftest import ROOT

# Namespaces are the machine's: another checkout may test at the same time.
PREFIX = f"gx10t-{os.getpid()}"
RAILS = ["10.78.0.21"]
NODES = {"n1": "10.77.0.11", "n2": "10.77.0.12", "n3": "10.77.0.13"}
# No two nodes call their interface the same.
INTERFACES = {"n1": "enp1s0f0np0", "n2": "enP2p1s0f0np0", "n3": "fabric7"}
PROGRAM = f"""
import json, subprocess, sys
RAILS = {RAILS}
sys.path.insert(0, {str(ROOT / "plugins/module_utils")!r})
from node import _links
def run(argv):
    done = subprocess.run(argv, capture_output=True, text=True)
    return done.returncode, done.stdout, done.stderr
print(json.dumps(_links.look(run, sys.argv[1], sys.argv[2:], RAILS)))
"""


def ip(*words: str, namespace: str = "") -> str:
    prefix = ["ip", "netns", "exec", f"{PREFIX}-{namespace}"] if namespace else []
    done = subprocess.run([*prefix, *words], capture_output=True, text=True)
    assert done.returncode == 0, f"{words}: {done.stderr}"
    return done.stdout


def clean() -> None:
    for name in [*NODES, "switch"]:
        subprocess.run(["ip", "netns", "del", f"{PREFIX}-{name}"], capture_output=True)


@pytest.fixture
def fabric() -> Iterator[None]:
    """The bridge has a namespace too: no rule of the host's Docker reaches it, and the host never sees a name of a dying namespace."""
    clean()
    for name in [*NODES, "switch"]:
        ip("ip", "netns", "add", f"{PREFIX}-{name}")
    ip("ip", "link", "add", "bridge0", "type", "bridge", namespace="switch")
    ip("ip", "link", "set", "bridge0", "up", namespace="switch")
    for name, address in NODES.items():
        peer = ["peer", "name", INTERFACES[name], "netns", f"{PREFIX}-{name}"]
        ip("ip", "link", "add", f"port-{name}", "type", "veth", *peer, namespace="switch")
        ip("ip", "link", "set", f"port-{name}", "master", "bridge0", "up", namespace="switch")
        ip("ip", "address", "add", f"{address}/24", "dev", INTERFACES[name], namespace=name)
        ip("ip", "link", "set", INTERFACES[name], "up", namespace=name)
        ip("ip", "link", "set", "lo", "up", namespace=name)
    yield
    clean()


def look(name: str) -> Any:
    found = json.loads(ip(sys.executable, "-c", PROGRAM, NODES[name], *NODES.values(), namespace=name))
    return found


def info(name: str) -> Any:
    links = json.loads(ip("ip", "-j", "address", "show", namespace=name))
    return {"addresses": [entry["local"] for link in links for entry in link["addr_info"]], "fabric": look(name)}


def judge() -> list[str]:
    plan: Any = {"nodes": [{"name": name, "address": address} for name, address in NODES.items()]}
    with ThreadPoolExecutor() as pool:
        infos = dict(zip(NODES, pool.map(info, NODES), strict=True))
    return [str(problem) for problem in _link_checks.problems(plan, infos)]


def test_a_good_fabric(fabric: None) -> None:
    seen = look("n2")
    assert (seen["interface"], seen["state"]) == ("enP2p1s0f0np0", "UP")
    assert seen["reached"] == {NODES["n1"]: True, NODES["n3"]: True}
    assert judge() == []


def test_a_link_that_is_down_is_named_once_by_node_and_interface(fabric: None) -> None:
    ip("ip", "link", "set", "fabric7", "down", namespace="n3")
    (problem,) = judge()
    assert problem.startswith("n3: fabric interface fabric7 (10.77.0.13): found link DOWN (switched off); wanted link UP.")
    assert "ip link set fabric7 up" in problem


def test_a_cable_that_is_out(fabric: None) -> None:
    ip("ip", "link", "set", "port-n3", "down", namespace="switch")
    (problem,) = judge()
    assert problem.startswith("n3: fabric interface fabric7 (10.77.0.13): found link DOWN (no carrier)")


def test_a_link_that_is_up_and_leads_nowhere(fabric: None) -> None:
    """A wrong VLAN or switch port: the carrier is there."""
    ip("ip", "link", "set", "port-n3", "nomaster", namespace="switch")
    assert look("n3")["state"] == "UP"
    (problem,) = judge()
    assert problem.startswith("n3: fabric interface fabric7 (10.77.0.13): found no answer to n1, n2 (TCP, ARP); wanted an answer")


def test_a_firewall_on_tcp_is_no_dead_link(fabric: None) -> None:
    ip("iptables", "-A", "INPUT", "-p", "tcp", "-j", "DROP", namespace="n3")
    assert judge() == []


def test_an_address_that_is_nowhere(fabric: None) -> None:
    ip("ip", "address", "flush", "dev", "fabric7", namespace="n3")
    (problem,) = judge()
    assert problem.startswith("n3: gx10_fabric_address: found 127.0.0.1")
    assert "wanted 10.77.0.13" in problem


def test_a_link_that_lost_its_address_when_it_went_down_is_still_named(fabric: None) -> None:
    """As systemd-networkd does."""
    ip("ip", "link", "set", "fabric7", "down", namespace="n3")
    ip("ip", "address", "flush", "dev", "fabric7", namespace="n3")
    (problem,) = judge()
    assert "links that are not up: fabric7 DOWN (switched off)" in problem


def test_a_route_that_leaves_by_another_interface(fabric: None) -> None:
    ip("ip", "link", "add", "mgmt0", "type", "veth", "peer", "name", "mgmt1", namespace="n1")
    ip("ip", "address", "add", "192.0.2.1/24", "dev", "mgmt0", namespace="n1")
    for device in ("mgmt0", "mgmt1"):
        ip("ip", "link", "set", device, "up", namespace="n1")
    ip("ip", "route", "add", "10.77.0.13/32", "dev", "mgmt0", namespace="n1")
    assert look("n1")["routes"]["10.77.0.13"] == "mgmt0"
    (problem,) = judge()
    assert problem.startswith("n1: route to n3 (10.77.0.13): found by mgmt0; wanted by enp1s0f0np0, which holds 10.77.0.11")


def test_two_interfaces_in_one_network_are_both_the_fabric(fabric: None) -> None:
    """Both halves of a ConnectX-7 port often have addresses in one network; the kernel then picks the route."""
    ip("ip", "link", "add", "half2", "type", "veth", "peer", "name", "half3", namespace="n1")
    ip("ip", "address", "add", "10.77.0.21/24", "dev", "half2", namespace="n1")
    for device in ("half2", "half3"):
        ip("ip", "link", "set", device, "up", namespace="n1")
    ip("ip", "route", "add", "10.77.0.13/32", "dev", "half2", namespace="n1")
    assert look("n1")["routes"]["10.77.0.13"] == "half2"
    assert judge() == []


def test_a_second_rail_in_another_network_is_the_fabric_too(fabric: None) -> None:
    ip("ip", "link", "add", "rail2", "type", "veth", "peer", "name", "rail3", namespace="n1")
    ip("ip", "address", "add", "10.78.0.21/24", "dev", "rail2", namespace="n1")
    for device in ("rail2", "rail3"):
        ip("ip", "link", "set", device, "up", namespace="n1")
    ip("ip", "route", "add", "10.77.0.13/32", "dev", "rail2", namespace="n1")
    assert look("n1")["routes"]["10.77.0.13"] == "rail2"
    assert judge() == []


def test_no_route_at_all_is_named(fabric: None) -> None:
    ip("ip", "route", "del", "10.77.0.0/24", namespace="n1")
    assert look("n1")["routes"] == {NODES["n2"]: None, NODES["n3"]: None}
    assert any(text.startswith("n1: route to n2 (10.77.0.12), n3 (10.77.0.13): found none; wanted by enp1s0f0np0") for text in judge())


def test_what_nobody_could_see_refuses_nobody_and_is_said() -> None:
    plan: Any = {"nodes": [{"name": name, "address": address} for name, address in NODES.items()]}
    unknown = {"interface": "x", "state": "UP", "beside": [], "routes": {}, "reached": dict.fromkeys(NODES.values())}
    infos: Any = {name: {"addresses": [NODES[name]], "fabric": unknown} for name in NODES}
    assert _link_checks.problems(plan, infos) == []
    assert [str(warning).split(" over")[0] for warning in _link_checks.warnings(plan, infos)] == [
        "n1: fabric interface x (10.77.0.11): found no answer of n2, n3",
        "n2: fabric interface x (10.77.0.12): found no answer of n1, n3",
        "n3: fabric interface x (10.77.0.13): found no answer of n1, n2",
    ]
    seen: dict[str, Any] = {
        name: {"addresses": [NODES[name]], "fabric": {**unknown, "reached": dict.fromkeys(NODES.values(), True)}} for name in NODES
    }
    blind: dict[str, Any] = {name: {"addresses": [NODES[name]]} for name in NODES}
    for infos in (seen, blind, {}):
        assert _link_checks.problems(plan, infos) == []
        assert _link_checks.warnings(plan, infos) == []
