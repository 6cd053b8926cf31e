"""Where the API listens, by whatever name of the address; and what the network has to be for a plan."""

from __future__ import annotations

import re
from typing import Any

import pytest
from conftest import ROOT, hostvars

EVERY = ("0.0.0.0", "::", "0::0", "::0.0.0.0", "::ffff:0.0.0.0", "::ffff:0:0")


def problems(resolve: Any, name: str = "sim-tiny-tp2", **site: Any) -> list[str]:
    variables = hostvars(2, **site)
    return [f"{text.split(': ')[1]} {text.rpartition('[')[2].rstrip(']')}" for text in resolve(name, variables=variables)["problems"]]


@pytest.mark.parametrize("address", [*EVERY, "8.8.8.8", "2606:4700::1111"])
def test_an_api_for_everybody_wants_the_owners_word(resolve: Any, address: str) -> None:
    """It has no users and no TLS."""
    assert problems(resolve, gx10_api_address=address) == ["gx10_api_address api-open"]
    assert problems(resolve, gx10_api_address=address, gx10_accept_open_api="yes") == []
    assert problems(resolve, gx10_api_address=address, gx10_accept_open_api="perhaps") != []
    (text,) = resolve("sim-tiny-tp2", variables=hostvars(2, gx10_api_address=address))["problems"]
    assert "or 127.0.0.1 with a proxy before it (docs/proxy.md)" in text and "gx10_accept_open_api: true is your word" in text


@pytest.mark.parametrize(
    "address", [None, "127.0.0.1", "::1", "192.168.1.11", "10.0.0.7", "172.31.0.1", "100.64.1.2", "fd00::1", "fe80::1%eth0"]
)
def test_an_address_of_a_network_of_ones_own_needs_none(resolve: Any, address: str | None) -> None:
    assert problems(resolve, **({"gx10_api_address": address} if address else {})) == []


def test_the_heads_own_address_of_the_internet_is_one_too(resolve: Any) -> None:
    variables = hostvars(2)
    variables["gx10-1"]["ansible_host"] = "8.8.8.8"
    (text,) = resolve("sim-tiny-tp2", variables=variables)["problems"]
    assert "gx10_api_address: found 8.8.8.8, an address of the Internet" in text


@pytest.mark.parametrize("address", EVERY)
def test_every_address_is_known_by_each_of_its_names(resolve: Any, address: str) -> None:
    plan = resolve("sim-tiny-tp2", variables=hostvars(2, gx10_api_address=address, gx10_accept_open_api=True))["plan"]
    argv = plan["nodes"][0]["engine"]["argv"]
    assert argv[argv.index("--host") + 1] in ("0.0.0.0", "::")
    assert plan["ready"]["url"] == "http://192.168.1.11:8000"
    assert plan["nodes"][0]["engine"]["health"] in ("http://127.0.0.1:8000", "http://[::1]:8000")
    assert any("the API listens on all of gx10-1's addresses" in text for text in plan["warnings"])


@pytest.mark.parametrize("address", ["fe80::1%$(id)", "fe80::1%eth0; x", "fe80::1%a b", "fd00::1%eth0", "::%1", "fe80::1%é"])
def test_a_scope_is_an_interface_of_a_link_local_address(resolve: Any, address: str) -> None:
    assert problems(resolve, gx10_api_address=address) == ["gx10_api_address not-an-address"]


def test_a_distribution_over_the_management_network_wants_addresses(resolve: Any) -> None:
    """A name cannot stand in nginx's allow; without it a launch would end in its middle."""
    variables = hostvars(2, gx10_fanout_network="management", gx10_api_address="192.168.1.11")
    for number, host in enumerate(variables.values(), 1):
        host["ansible_host"] = f"spark{number}.local"
    texts = resolve("sim-tiny-tp2", variables=variables)["problems"]
    assert [text.split(": ")[1] for text in texts] == ["gx10-1.gx10_management_address", "gx10-2.gx10_management_address"]
    assert "found 'spark1.local'; wanted an IP address, with gx10_fanout_network: management" in texts[0]
    for number, host in enumerate(variables.values(), 1):
        host["gx10_management_address"] = f"192.168.1.1{number}"
    assert resolve("sim-tiny-tp2", variables=variables)["problems"] == []


PROXY = (ROOT / "docs/proxy.md").read_text()


def test_the_proxys_page_lets_four_paths_through_and_no_more() -> None:
    """Each path stands there twice: nginx would hand on the client's own text. molecule/proofs runs it."""
    (server,) = re.findall(r"^```nginx\n(.*?)^```$", PROXY, re.MULTILINE | re.DOTALL)
    places = re.findall(r"location (.*?) \{", server)
    assert places == ["= /v1/chat/completions", "= /v1/completions", "= /v1/embeddings", "= /v1/models", "/"]
    for path in re.findall(r"location = (\S+)", server):
        assert f"location = {path} {{ proxy_pass http://127.0.0.1:8000{path}; }}" in server
    assert re.search(r"location / \{\s+return 403;", server) and "auth_basic_user_file" in server and "listen 443 ssl;" in server
