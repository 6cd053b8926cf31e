"""The plan of a distribution: who fetches what from whom, whatever the nodes have and lack."""

from __future__ import annotations

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node._types import File
from ansible_collections.gx10.serving.plugins.module_utils.phases import _fanout
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Address
from hypothesis import given, settings
from hypothesis import strategies as st

FILES: list[File] = [{"path": f"f{number}", "size": 3 * 1024**2, "sha256": f"{number:064x}"} for number in range(4)]


def nodes(count: int, rails: int = 1) -> list[Address]:
    return [{"name": f"n{i}", "addresses": [f"10.{rail}.{i // 250}.{i % 250 + 1}" for rail in range(rails)]} for i in range(count)]


def everything(count: int) -> dict[str, list[str]]:
    return {f"n{number}": [item["path"] for item in FILES] for number in range(1, count)}


def test_a_chain_in_rank_order_with_nearer_ones_to_fall_back_to() -> None:
    plan = _fanout.plan(nodes(4), FILES, everything(4), 8731)
    assert plan["chains"] == [["n1", "n2", "n3"]]
    assert plan["jobs"]["n0"]["parents"] == []
    assert plan["jobs"]["n3"]["parents"] == [["http://10.0.0.3:8731"], ["http://10.0.0.2:8731"], ["http://10.0.0.1:8731"]]
    assert plan["jobs"]["n2"]["allow"] == ["10.0.0.1", "10.0.0.2", "10.0.0.4"]
    assert plan["jobs"]["n2"]["fetch"] == ["f0", "f1", "f2", "f3"]


def test_64_nodes_get_four_chains_that_the_origin_feeds() -> None:
    plan = _fanout.plan(nodes(64), FILES, everything(64), 8731)
    assert [len(chain) for chain in plan["chains"]] == [16, 16, 16, 15]
    assert {row[0] for row in plan["chains"]} == {"n1", "n2", "n3", "n4"}
    assert all(plan["jobs"][row[0]]["parents"][0] == ["http://10.0.0.1:8731"] for row in plan["chains"])


def test_a_star_is_a_chain_per_node() -> None:
    plan = _fanout.plan(nodes(4), FILES, everything(4), 8731, chains=3)
    assert [plan["jobs"][name]["parents"] for name in ("n1", "n2", "n3")] == [[["http://10.0.0.1:8731"]]] * 3


def test_both_halves_of_a_port_are_used() -> None:
    plan = _fanout.plan(nodes(3, rails=2), FILES, everything(3), 8731)
    assert plan["lanes"] == 8
    assert plan["jobs"]["n1"]["listen"] == ["10.0.0.2", "10.1.0.2"]
    assert plan["jobs"]["n2"]["parents"][0] == ["http://10.0.0.2:8731", "http://10.1.0.2:8731"]


def test_only_what_somebody_lacks_is_served() -> None:
    plan = _fanout.plan(nodes(4), FILES, {"n2": ["f1"]}, 8731)
    assert plan["chains"] == [["n2"]]
    assert [item["path"] for item in plan["jobs"]["n0"]["files"]] == ["f1"]
    assert plan["jobs"]["n3"]["fetch"] == []
    # The first holder is its origin, the others can stand in.
    assert [parents[0] for parents in plan["jobs"]["n2"]["parents"]] == [
        "http://10.0.0.1:8731",
        "http://10.0.0.2:8731",
        "http://10.0.0.4:8731",
    ]


def test_nothing_to_do_has_no_jobs() -> None:
    assert _fanout.plan(nodes(4), FILES, {}, 8731)["jobs"] == {}


def test_each_node_lost_another_file() -> None:
    plan = _fanout.plan(nodes(3), FILES, {"n0": ["f0"], "n1": ["f1"], "n2": ["f2"]}, 8731)
    assert plan["problems"] == []
    assert all(plan["jobs"][name]["parents"] for name in ("n0", "n1", "n2"))


def test_what_no_node_has_is_named() -> None:
    plan = _fanout.plan(nodes(2), FILES, {"n0": ["f3"], "n1": ["f3", "f0"]}, 8731)
    assert plan["problems"] == ["f3: found on no node; wanted on at least one"]


@settings(deadline=None)
@given(st.integers(2, 80), st.data())
def test_whoever_lacks_something_reaches_somebody_who_has_it(count: int, data: st.DataObject) -> None:
    lacking = data.draw(st.dictionaries(st.sampled_from([f"n{n}" for n in range(1, count)]), st.just([item["path"] for item in FILES])))
    plan = _fanout.plan(nodes(count), FILES, lacking, 8731)
    address = {f"http://10.0.{i // 250}.{i % 250 + 1}:8731": f"n{i}" for i in range(count)}
    for name, job in plan["jobs"].items():
        parents = [address[urls[0]] for urls in job["parents"]]
        assert name not in parents
        assert len(set(parents)) == len(parents)
        if name in lacking:
            assert parents[-1] not in lacking, "the last one to ask must have everything"
    assert sorted(name for row in plan["chains"] for name in row) == sorted(lacking)


@given(st.integers(0, 2**42), st.integers(1, 64), st.integers(1, 16))
def test_pieces_are_powers_of_two_within_their_bounds(total: int, hops: int, lanes: int) -> None:
    piece = _fanout.piece_size(total, hops, lanes)
    assert _fanout.SMALLEST_PIECE <= piece <= _fanout.BIGGEST_PIECE
    assert piece & (piece - 1) == 0
    if piece > _fanout.SMALLEST_PIECE:
        assert (hops - 1) * lanes * piece <= _fanout.FILL * total


def test_a_line_of_progress() -> None:
    before: _fanout.State = {"seconds": 10.0, "received": 10 * 2**30}
    now: _fanout.State = {"seconds": 20.0, "received": 30 * 2**30, "done": 30 * 2**30, "total": 372 * 2**30}
    assert _fanout.progress("gx10-2", now, before) == "gx10-2: 30.0 GiB of 372.0 GiB (8 %), 2.0 GiB/s, 3 min left"
    assert _fanout.progress("gx10-2", {"total": 5, "done": 0}).endswith("waiting")


def test_a_summary_names_sources_and_whom_it_passed_by() -> None:
    state: _fanout.State = {
        "seconds": 2.0,
        "received": 4 * 2**20,
        "fetched": ["a"],
        "sources": {"http://a": 4 * 2**20},
        "resumed": 2**20,
        "repeated": 2**10,
        "passed_by": {"http://b": "no progress for 10 s"},
    }
    assert _fanout.summary("gx10-2", state) == (
        "gx10-2: 1 files, 4.0 MiB in 2 s, 2.0 MiB/s; from http://a (4.0 MiB); 1.0 MiB were there from an earlier run; "
        "1.0 KiB fetched twice; passed http://b by (no progress for 10 s)"
    )


@pytest.mark.parametrize(("seconds", "text"), [(5, "5 s"), (119, "119 s"), (600, "10 min"), (7200, "2.0 h")])
def test_durations(seconds: float, text: str) -> None:
    assert _fanout.duration(seconds) == text
