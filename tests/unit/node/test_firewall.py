"""A node's firewall as nft and iptables list it: is what nobody let in dropped?"""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _firewall
from ansible_collections.gx10.serving.plugins.module_utils.phases import _firewall_checks
from conftest import launch


@pytest.fixture(autouse=True)
def no_older_tables(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever this machine has."""
    monkeypatch.setattr(_firewall, "LEGACY", dict.fromkeys(_firewall.LEGACY, ("/nowhere", "nobody")))


def chain(family: str, name: str = "INPUT", hook: str = "input", policy: str = "accept", kind: str = "filter") -> dict[str, Any]:
    about = {"family": family, "table": "filter", "name": name, "handle": 1, "type": kind, "hook": hook, "prio": 0, "policy": policy}
    return {"chain": about}


def rule(family: str, *expressions: dict[str, Any], name: str = "INPUT") -> dict[str, Any]:
    return {"rule": {"family": family, "table": "filter", "chain": name, "handle": 2, "expr": list(expressions)}}


META: dict[str, Any] = {"metainfo": {"version": "1.0.9", "json_schema_version": 1}}
COUNTER: dict[str, Any] = {"counter": {"packets": 0, "bytes": 0}}
SSH: dict[str, Any] = {"match": {"op": "==", "left": {"payload": {"protocol": "tcp", "field": "dport"}}, "right": 22}}
DROP: dict[str, Any] = {"drop": None}
REJECT: dict[str, Any] = {"reject": {"type": "icmpx", "expr": "admin-prohibited"}}
RULESETS: list[tuple[list[dict[str, Any]], bool, bool]] = [
    ([], False, False),
    # Docker's own: what is forwarded, not what comes in.
    ([chain("ip", "FORWARD", "forward", "drop"), chain("ip", "PREROUTING", "prerouting", kind="nat")], False, False),
    # ufw, by iptables-nft.
    ([chain("ip", policy="drop"), chain("ip6", policy="drop"), rule("ip", SSH, {"accept": None})], True, True),
    ([chain("ip", policy="drop"), chain("ip6")], True, False),
    ([chain("inet", "input", policy="drop")], True, True),
    # firewalld: its last rule.
    ([chain("inet"), rule("inet", SSH, {"accept": None}), rule("inet", COUNTER, {"log": {}}, REJECT)], True, True),
    ([chain("ip"), rule("ip", SSH, DROP)], False, False),
    ([chain("ip"), rule("ip", {"limit": {"rate": 5, "per": "second"}}, DROP)], False, False),
    # Of another chain, or one that no packet comes to.
    ([chain("ip"), rule("ip", DROP, name="OTHER")], False, False),
    ([{"chain": {"family": "ip", "table": "filter", "name": "INPUT", "handle": 1}}, rule("ip", DROP)], False, False),
    ([chain("ip", policy="drop", kind="nat")], False, False),
]


@pytest.mark.parametrize(("ruleset", "ipv4", "ipv6"), RULESETS)
def test_a_ruleset_drops_what_nobody_let_in(ruleset: list[dict[str, Any]], ipv4: bool, ipv6: bool) -> None:
    assert _firewall.judge([META, *ruleset]) == {"ipv4": ipv4, "ipv6": ipv6}


@pytest.mark.parametrize("answer", [(1, "", "Operation not permitted"), (0, "", ""), (0, "[]", ""), (0, '{"nftables": 7}', "")])
def test_what_nobody_can_read_is_unknown(monkeypatch: pytest.MonkeyPatch, answer: tuple[int, str, str]) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: name)
    assert _firewall.look(lambda _argv: answer) == {"ipv4": None, "ipv6": None}
    monkeypatch.setattr(shutil, "which", lambda _name: None)
    assert _firewall.look(lambda _argv: (0, "", "")) == {"ipv4": None, "ipv6": None}


@pytest.mark.parametrize(
    ("text", "drops"),
    [
        ("-P INPUT ACCEPT\n", False),
        ("-P INPUT DROP\n-A INPUT -p tcp -m tcp --dport 22 -j ACCEPT\n", True),
        ("-P INPUT ACCEPT\n-A INPUT -i lo -j ACCEPT\n-A INPUT -j REJECT --reject-with icmp-port-unreachable\n", True),
        ("-P INPUT ACCEPT\n-A INPUT -s 10.0.0.1/32 -j DROP\n", False),
    ],
)
def test_where_there_is_no_nft_iptables_is_asked(monkeypatch: pytest.MonkeyPatch, text: str, drops: bool) -> None:
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "nft" else name)
    answers = {"iptables": (0, text, ""), "ip6tables": (3, "", "no permission")}
    assert _firewall.look(lambda argv: answers[argv[0]]) == {"ipv4": drops, "ipv6": None}


@pytest.mark.parametrize("text", ["-P INPUT DROP\n", "-P INPUT ACCEPT\n-A INPUT -i lo -j ACCEPT\n"])
@pytest.mark.parametrize("names", ["nat\nfilter\n", "nat\n", None])
def test_what_nft_does_not_list_is_asked_for_where_it_is(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, text: str, names: str | None
) -> None:
    tables = {version: (str(tmp_path / version), f"{version}-legacy") for version in ("ipv4", "ipv6")}
    monkeypatch.setattr(_firewall, "LEGACY", tables)
    monkeypatch.setattr(shutil, "which", lambda name: name)
    if names is not None:
        (tmp_path / "ipv4").write_text(names)
    asked: list[str] = []

    def run(argv: list[str]) -> tuple[int, str, str]:
        asked.append(argv[0])
        return 0, json.dumps({"nftables": [META]}) if argv[0] == "nft" else text, ""

    legacy = names is not None and "filter" in names
    assert _firewall.look(run) == {"ipv4": legacy and "DROP" in text, "ipv6": False}
    assert asked == ["nft", *(["ipv4-legacy"] if legacy else [])]


def test_nft_is_asked_once() -> None:
    asked: list[list[str]] = []
    monkey = pytest.MonkeyPatch()
    monkey.setattr(shutil, "which", lambda name: name)
    _firewall.look(lambda argv: asked.append(argv) or (0, json.dumps({"nftables": [META]}), ""))  # type: ignore[func-returns-value]
    monkey.undo()
    assert asked == [["nft", "-j", "list", "ruleset"]]


def told(plan: Any, **found: Any) -> list[str]:
    hosts: Any = {
        node["name"]: {"firewall": found.get(node["name"].replace("-", "_"), {"ipv4": True, "ipv6": True})} for node in plan["nodes"]
    }
    return [str(problem) for problem in _firewall_checks.warnings(plan, hosts)]


def test_nodes_that_drop_nothing_are_warned_of() -> None:
    plan = launch("qwen397-mtp2")
    nothing, old = {"ipv4": False, "ipv6": False}, {"ipv4": True, "ipv6": False}
    assert told(plan) == told(plan, gx10_1={"ipv4": None, "ipv6": None}) == told(plan, gx10_1={}) == []
    (line,) = told(plan, gx10_1=nothing, gx10_2=nothing)
    assert line.startswith("gx10-1, gx10-2: firewall: found no rule that drops what comes in (IPv4 and IPv6); wanted one that lets in SSH")
    assert "port 8000 of gx10-1, and everything from 192.168.177.11, 192.168.177.12, 192.168.177.13, 192.168.177.14. " in line
    (_line, line) = told(plan, gx10_1=nothing, gx10_2=old)
    assert line.startswith("gx10-2: firewall: found no rule that drops what comes in (IPv6)")
    # Nobody looked; and one node has no ranks that meet.
    assert _firewall_checks.warnings(plan, {}) == []
    assert told(launch("sim-tiny-solo"), gx10_1=nothing) == []
