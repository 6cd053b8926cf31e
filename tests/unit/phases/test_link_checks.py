"""Who is to blame on the fabric, from what each node saw. That nodes see it: test_links.py, over real network namespaces."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _link_checks

ADDRESS = {"a": "10.0.0.1", "b": "10.0.0.2", "c": "10.0.0.3"}
PLAN: Any = {"nodes": [{"name": name, "address": address} for name, address in ADDRESS.items()]}


def world(**fabric: Any) -> Any:
    """Three nodes that reach each other; `fabric`: what one of them sees otherwise, None for nothing."""
    infos: Any = {}
    for name, address in ADDRESS.items():
        others = [other for other in ADDRESS.values() if other != address]
        seen = {
            "interface": f"eth-{name}", "state": "UP", "down": [], "beside": [f"rail-{name}"], "reached": dict.fromkeys(others, True),
            "routes": dict.fromkeys(others, f"eth-{name}"),
        }  # fmt: skip
        infos[name] = {"addresses": [address, "192.168.0.1"], "fabric": seen}
        change = fabric.get(name, {})
        if change is None:
            del infos[name]["fabric"]
        else:
            seen.update({key: {**seen[key], **value} if isinstance(value, dict) else value for key, value in change.items()})  # type: ignore[dict-item]
    return infos


def said(infos: Any) -> list[str]:
    return [str(problem) for problem in _link_checks.problems(PLAN, infos)]


def test_a_good_fabric_and_an_unseen_one_have_no_problem() -> None:
    assert said(world()) == said(world(a=None, b=None, c=None)) == said({}) == []
    assert _link_checks.warnings(PLAN, world()) == _link_checks.warnings(PLAN, {}) == []


def test_an_address_that_is_not_there_and_what_is_down() -> None:
    infos = world(b={"down": ["eth1", "eth2"]}, c=None)
    for name in ("b", "c"):
        infos[name]["addresses"] = ["192.168.0.1", "192.168.0.2"]
    assert said(infos) == [
        f"{name}: gx10_fabric_address: found 192.168.0.1, 192.168.0.2; links that are not up: {down}; wanted {ADDRESS[name]}. "
        f"Is the cable in, and the other end up? On {name}: ip -br link show; ip -br address show [not-the-nodes-address]"
        for name, down in (("b", "eth1, eth2"), ("c", "none"))
    ]


def test_a_link_that_is_down_is_told_once() -> None:
    silent = {"reached": {ADDRESS["b"]: False}}
    infos = world(a=silent, b={"state": "DOWN", "reached": {ADDRESS["a"]: False, ADDRESS["c"]: False}}, c=silent)
    assert said(infos) == [
        "b: fabric interface eth-b (10.0.0.2): found link DOWN; wanted link UP. "
        "Is the cable in, and the other end up? On b: ip link set eth-b up; ip -br link show eth-b [link-down]"
    ]
    assert said(world(b={"interface": None, "state": "DOWN", "routes": {ADDRESS["a"]: None, ADDRESS["c"]: None}})) == []


def test_who_answers_nobody_is_named_not_its_victims() -> None:
    """Calls go both ways, so c says of all others what they say of it."""
    silent = {"reached": {ADDRESS["c"]: False}}
    infos = world(a=silent, b=silent, c={"reached": {ADDRESS["a"]: False, ADDRESS["b"]: False}})
    wanted = (
        "c: fabric interface eth-c (10.0.0.3): found no answer to a, b (TCP, ARP); wanted an answer. "
        "Compare cable, switch port, VLAN and MTU of eth-c on c; from a: ping -I eth-a 10.0.0.3 [no-answer]"
    )
    assert said(infos) == [wanted]
    infos["c"].pop("fabric")
    assert said(infos) == [wanted.replace("interface eth-c", "interface None").replace("MTU of eth-c", "MTU of None")]


def test_two_culprits_are_both_named() -> None:
    infos = world(c={"reached": {ADDRESS["a"]: False, ADDRESS["b"]: False}})
    assert [(text[0], text.split("found ")[1].split(";")[0]) for text in said(infos)] == [
        ("a", "no answer to c (TCP, ARP)"),
        ("b", "no answer to c (TCP, ARP)"),
    ]


@pytest.mark.parametrize(
    ("routes", "found"),
    [
        ({ADDRESS["b"]: "rail-a", ADDRESS["c"]: "eth-a"}, []),
        (
            {ADDRESS["b"]: "wlan0", ADDRESS["c"]: "wlan0"},
            [
                "a: route to b (10.0.0.2), c (10.0.0.3): found by wlan0; wanted by eth-a, which holds 10.0.0.1. "
                "Check the prefix length of the address on a: ip route get 10.0.0.2 [wrong-route]"
            ],
        ),
        (
            {ADDRESS["c"]: None},
            [
                "a: route to c (10.0.0.3): found none; wanted by eth-a, which holds 10.0.0.1. "
                "Check the prefix length of the address on a: ip route get 10.0.0.3 [wrong-route]"
            ],
        ),
    ],
)
def test_traffic_leaves_by_the_fabric(routes: Any, found: list[str]) -> None:
    assert said(world(a={"routes": routes})) == found


def test_of_whom_nobody_can_tell_is_a_warning() -> None:
    unknown = {"reached": {ADDRESS["a"]: None, ADDRESS["c"]: None}}
    assert [str(problem) for problem in _link_checks.warnings(PLAN, world(a=None, b=unknown))] == [
        "b: fabric interface eth-b (10.0.0.2): found no answer of a, c over TCP, and ARP does not reach them; "
        "wanted an answer, or all fabric addresses in one network. A firewall, or no way at all? On b: ping -I eth-b ADDRESS [no-answer]"
    ]
    assert said(world(b=unknown)) == []
    assert _link_checks.warnings(PLAN, world(b={"reached": {ADDRESS["a"]: False}})) == []
