"""The port scan of the virtual cluster, here over this machine's own sockets; which ports a plan means; and the judgement."""

from __future__ import annotations

import os
import socket
from pathlib import Path
from typing import Any

import open_ports
import pytest
import scan
from conftest import launch
from open_ports import Holder

NODES = {f"gx10-{number}": {"management": f"192.168.1.1{number}", "fabric": f"192.168.177.1{number}"} for number in range(1, 5)}
API = ("192.168.1.11", 8000)
LINK = ("192.168.177.11", 8733)
GCS = 6379


def test_the_scan_finds_what_listens_and_nothing_else() -> None:
    with socket.socket() as server, socket.socket() as bound:
        server.bind(("127.0.0.1", 0))
        server.listen()
        # Taken, but nobody listens.
        bound.bind(("127.0.0.2", 0))
        for address, (_host, port), found in (("127.0.0.1", server.getsockname(), True), ("127.0.0.2", bound.getsockname(), False)):
            answers = scan.scan([address], port, port)
            assert (answers["open"], answers["silent"]) == ({address: [port] if found else []}, {address: []})


def test_more_ports_than_are_in_flight_at_once() -> None:
    with socket.socket() as server:
        # Below the ports that a connection itself may come from: one to such a port can meet itself.
        server.bind(("127.0.0.3", 2345))
        server.listen()
        answers = scan.scan(["127.0.0.3"], 2000, 2000 + 3 * scan.WINDOW)
    assert 2345 in answers["open"]["127.0.0.3"]
    assert answers["silent"] == {"127.0.0.3": []}


def test_a_port_without_an_answer_is_silent_not_closed() -> None:
    """A full queue of a listener drops what comes, as a firewall does."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        server.listen(0)
        place: tuple[str, int] = server.getsockname()
        full = []
        for _number in range(4):
            one = socket.socket()
            one.setblocking(False)
            one.connect_ex(place)
            full.append(one)
        found, silent = scan.knock([place], 0.2)
        for one in full:
            one.close()
    assert (found, silent) == ([], [place])


def test_an_address_that_cannot_be_reached_is_no_closed_port() -> None:
    with pytest.raises(OSError, match=r"255\.255\.255\.255"):
        scan.knock([("255.255.255.255", 9)], 0.2)


def test_the_parts_of_a_scan_are_the_whole_range() -> None:
    for count in (1, 2, 3, 7):
        ports = [port for low, high in open_ports.parts(1, 65535, count) for port in range(low, high + 1)]
        assert ports == list(range(1, 65536))
    parts: list[dict[str, Any]] = [
        {"open": {"a": [9, 8]}, "silent": {"a": []}, "seconds": 1.0, "rate": 5},
        {"open": {"a": [1]}, "silent": {"a": [2]}, "seconds": 2.0, "rate": 6},
    ]
    assert open_ports.merged(parts) == {"open": {"a": [1, 8, 9]}, "silent": {"a": [2]}, "seconds": 2.0, "rate": 11}


def test_what_a_plan_means_to_listen() -> None:
    must, may = open_ports.serving(launch("qwen397-mtp2"), NODES)
    assert must == {API: "the API", ("192.168.1.11", GCS): "Ray's GCS", ("192.168.177.11", GCS): "Ray's GCS", LINK: "the group's link"}
    assert all(why.startswith("Ray's ") for why in may.values())
    for address in (address for addresses in NODES.values() for address in addresses.values()):
        assert {port for where, port in may if where == address} == set(range(10000, 11000))
    assert may["192.168.1.12", 10008] == "Ray's metrics of the dashboard"
    must, may = open_ports.serving(launch("nemotron3-super-sglang"), NODES)
    assert must == {API: "the API", LINK: "the group's link"}
    assert set(may.values()) == {"where the ranks meet"}
    assert {address for address, _port in may} == set(NODES["gx10-1"].values())


def test_ports_that_a_flag_fixes_are_meant() -> None:
    plan: Any = launch("qwen397-mtp2")
    fixed = ["--node-manager-port=7001", "--object-manager-port", "7002", "--min-worker-port", "7100", "--max-worker-port", "7102"]
    plan["nodes"][1]["ray"]["argv"] = [*fixed, "--dashboard-grpc-port=0"]
    _must, may = open_ports.serving(plan, NODES)
    found = {port: why for (address, port), why in may.items() if address == NODES["gx10-2"]["management"]}
    workers = "Ray's workers, 7100 to 7102"
    assert found.items() >= {7001: "Ray's node manager", 7002: "Ray's object manager", 7100: workers, 7102: workers}.items()
    assert 0 not in found
    solo: Any = {"group": {"address": None}, "nodes": [{**plan["nodes"][0], "ray": None, "engine": None}]}
    solo["nodes"][0]["container"]["options"]["publish"] = ["192.168.1.11:8001:8000"]
    assert open_ports.serving(solo, NODES) == ({("192.168.1.11", 8001): "the API"}, {})


RAYLET = Holder("*", 10000, 7, "/x/raylet --a", True)
RANK = Holder("*", 40001, 10, "ray::RayWorkerProc.run", True)
SSHD = Holder("0.0.0.0", 22, 1, "sshd: /usr/sbin/sshd -D", False)
SERVER = Holder("192.168.1.11", 8000, 9, "/usr/bin/python3 /usr/local/bin/vllm serve /m", True)
SUPERVISOR = Holder("192.168.177.11", 8733, 6, "python3 /opt/gx10/supervisor /opt/gx10/node.json", True)
GCS_SERVER = Holder("*", GCS, 8, "/x/gcs_server --a", True)


def judged(*more: Holder, without: tuple[Holder, ...] = ()) -> tuple[list[str], list[open_ports.Row]]:
    """The judgement on the head of a plan, as its own sockets would answer."""
    nodes = {"gx10-1": NODES["gx10-1"]}
    held = {"gx10-1": [one for one in (SSHD, SERVER, GCS_SERVER, RAYLET, RANK, SUPERVISOR, *more) if one not in without]}
    must, may = open_ports.serving(launch("qwen397-mtp2"), NODES)
    answers = open_ports.from_sockets(nodes, held)
    return open_ports.judge(answers, {**open_ports.ssh(nodes), **must}, may, nodes, held)


def test_what_is_meant_is_the_table() -> None:
    problems, rows = judged(RANK._replace(port=10142), RANK._replace(port=10999))
    assert problems == []
    text = open_ports.table(rows)
    assert "| gx10-1 | management | 8000 | python3 | the API |" in text
    assert text.count("| 22 | sshd |") == 2
    assert text.count("| 2 above 1023 | ray::RayWorkerProc.run | Ray's workers, 10009 to 10999 |") == 2
    assert "| gx10-1 | fabric | 10000 | raylet | Ray's node manager |" in text
    assert "| gx10-1 | fabric | 1 above 1023 | ray::RayWorkerProc.run | of the engine's container; no flag of the plan fixes it |" in text


@pytest.mark.parametrize(
    ("holder", "problem"),
    [
        (Holder("0.0.0.0", 9999, 5, "nc -l 9999", False), "192.168.1.11: port 9999: found open, held by pid 5 (nc -l 9999); wanted closed"),
        # The API on the fabric as well, or on one more port; and Ray by somebody else.
        (SERVER._replace(address="0.0.0.0"), "gx10-1: 192.168.177.11: port 8000: found open, held by pid 9"),
        (SERVER._replace(port=8080), "gx10-1: 192.168.1.11: port 8080: found open, held by pid 9"),
        (RANK._replace(engine=False, port=40002), "gx10-1: 192.168.1.11: port 40002: found open, held by pid 10 (ray::RayWorkerProc.run)"),
        # Ray itself has its own ports alone.
        (RAYLET._replace(port=40002), "gx10-1: 192.168.1.11: port 40002: found open, held by pid 7 (/x/raylet --a)"),
        (Holder("*", 44227, 4, "python3 /x/ray/dashboard/dashboard.py", True), "gx10-1: 192.168.177.11: port 44227: found open, held by"),
    ],
)
def test_anything_else_is_named(holder: Holder, problem: str) -> None:
    problems, _rows = judged(holder)
    assert [text for text in problems if problem in text], problems


def test_what_ought_to_answer_and_does_not_is_named() -> None:
    assert judged(without=(SERVER,))[0] == ["gx10-1: 192.168.1.11: port 8000: found closed; wanted the API"]
    nodes = {"gx10-1": NODES["gx10-1"]}
    answers: dict[str, Any] = {"open": {"192.168.1.11": [], "192.168.177.11": []}, "silent": {"192.168.1.11": [4, 9], "192.168.177.11": []}}
    problems, _rows = open_ports.judge(answers, {}, {}, nodes, {"gx10-1": []})
    assert problems == ["gx10-1: 192.168.1.11: found 2 ports without any answer, 4 the first; wanted each open or closed"]
    answers = {"open": {"192.168.1.11": [7], "192.168.177.11": []}, "silent": {"192.168.1.11": [], "192.168.177.11": []}}
    (problem,), _rows = open_ports.judge(answers, {}, {}, nodes, {"gx10-1": []})
    assert problem == "gx10-1: 192.168.1.11: port 7: found open, held by nobody that is there now; wanted closed"


def test_a_distribution_listens_on_its_own_addresses_alone() -> None:
    plan = launch("qwen397-mtp2")
    found = open_ports.distribution(plan["weights"])
    assert {address for address, _port in found} == {addresses["fabric"] for addresses in NODES.values()}
    assert {port for _address, port in found} == {8731}


def test_the_document_has_a_table_for_each_state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(open_ports, "ROOT", tmp_path)
    monkeypatch.setattr(open_ports, "DOCUMENT", tmp_path / "ports.md")
    os.mkdir(tmp_path / ".sim")
    _problems, rows = judged()
    for state in open_ports.STATES:
        assert not (tmp_path / "ports.md").exists(), "not every state was seen"
        open_ports.keep(state, rows)
    text = (tmp_path / "ports.md").read_text()
    assert [line for line in text.splitlines() if line.startswith("## ")] == [f"## {state}" for state in open_ports.STATES]
    assert text.count(open_ports.table(rows)) == 3
