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


@pytest.mark.parametrize("hops", [0, 1, 2])
def test_the_first_hop_costs_nothing(hops: int) -> None:
    assert _fanout.piece_size(80 * 2**20, hops, 0) == _fanout.piece_size(80 * 2**20, hops, 1) == 8 * 2**20


@pytest.mark.parametrize(("total", "piece"), [(480 * 2**20, 8 * 2**20), (480 * 2**20 - 60, 4 * 2**20), (0, 2**20), (2**50, 2**28)])
def test_a_piece_is_the_biggest_that_keeps_the_bound(total: int, piece: int) -> None:
    assert _fanout.piece_size(total, 3, 3) == piece


def test_the_piece_is_of_what_travels_and_of_the_longest_chain() -> None:
    big: list[File] = [{**item, "size": 120 * 2**20} for item in FILES]
    assert _fanout.plan(nodes(4), big, everything(4), 8731, lanes=3)["piece"] == 8 * 2**20
    assert _fanout.plan(nodes(4), big, {name: ["f0", "f1"] for name in ("n1", "n2", "n3")}, 8731, lanes=3)["piece"] == 4 * 2**20
    assert _fanout.plan(nodes(4), big, everything(4), 8731, lanes=3, chains=3)["piece"] == 16 * 2**20


@pytest.mark.parametrize(("count", "chains"), [(2, [1]), (17, [16]), (18, [9, 8])])
def test_a_chain_feeds_sixteen(count: int, chains: list[int]) -> None:
    assert [len(row) for row in _fanout.plan(nodes(count), FILES, everything(count), 8731)["chains"]] == chains


def parents(plan: _fanout.Distribution, name: str) -> list[str]:
    return [urls[0].removeprefix("http://10.0.0.").removesuffix(":8731") for urls in plan["jobs"][name]["parents"]]


def test_a_node_asks_three_before_it_then_the_origin() -> None:
    plan = _fanout.plan(nodes(6), FILES, everything(6), 8731)
    assert [parents(plan, name) for name in ("n1", "n2", "n5")] == [["1"], ["2", "1"], ["5", "4", "3", "1"]]


def test_other_holders_stand_in_three_at_most() -> None:
    lacking = {name: ["f0"] for name in ("n5", "n6")}
    plan = _fanout.plan(nodes(7), FILES, lacking, 8731)
    assert parents(plan, "n5") == ["1", "2", "3", "4"]
    assert parents(plan, "n6") == ["6", "2", "3", "4", "1"]


def test_holders_take_the_chains_in_turn() -> None:
    plan = _fanout.plan(nodes(5), FILES, {name: ["f0"] for name in ("n2", "n3", "n4")}, 8731, chains=3)
    assert [parents(plan, name)[0] for name in ("n2", "n3", "n4")] == ["1", "2", "1"]


def test_who_lacks_least_is_the_origin_and_asks_everybody_for_it() -> None:
    plan = _fanout.plan(nodes(3), FILES, {"n0": ["f0", "f1"], "n1": ["f2"], "n2": ["f3", "f0"]}, 8731)
    assert plan["chains"] == [["n0", "n2"]]
    assert [parents(plan, name) for name in ("n0", "n1", "n2")] == [["2"], ["1", "3"], ["1", "2"]]


def test_lanes_follow_the_node_with_the_fewest_rails() -> None:
    mixed = [*nodes(2, rails=2), nodes(3)[2]]
    assert _fanout.plan(mixed, FILES, everything(3), 8731)["lanes"] == 4
    assert _fanout.plan(mixed, FILES, everything(3), 8731, lanes=5)["jobs"]["n1"]["lanes"] == 5
    assert _fanout.plan([], [], {}, 8731) == {"piece": 2**20, "lanes": 4, "chains": [], "problems": [], "jobs": {}}


def test_a_url_brackets_ipv6() -> None:
    assert [_fanout.url(address, 1) for address in ("10.0.0.1", "fd00::1")] == ["http://10.0.0.1:1", "http://[fd00::1]:1"]


@pytest.mark.parametrize(
    ("count", "text"),
    [
        *[(0, "0 B"), (1023, "1023 B"), (1024, "1.0 KiB"), (2**20 - 2**10, "1023.0 KiB"), (2**20, "1.0 MiB")],
        *[(2**30, "1.0 GiB"), (2**40, "1024.0 GiB"), (-1024, "-1.0 KiB")],
    ],
)
def test_bytes_for_people(count: int, text: str) -> None:
    assert _fanout.size_text(count) == text


def test_progress_without_an_earlier_state_and_without_time() -> None:
    now: _fanout.State = {"seconds": 2.0, "received": 2**22, "done": 2**22, "total": 2**23}
    assert _fanout.progress("n", now) == "n: 4.0 MiB of 8.0 MiB (50 %), 2.0 MiB/s, 2 s left"
    assert _fanout.progress("n", now, now) == "n: 4.0 MiB of 8.0 MiB (50 %), 0 B/s, waiting"
    assert _fanout.progress("n", {}) == "n: 0 B of 0 B (100 %), 0 B/s, waiting"
    assert _fanout.summary("n", {}) == "n: 0 files, 0 B in 0 s, 0 B/s"
    assert _fanout.summary("n", {"seconds": 4.0, "received": 2}) == "n: 0 files, 2 B in 4 s, 0 B/s"


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


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(5, "5 s"), (119.4, "119 s"), (120, "2 min"), (600, "10 min"), (7199, "120 min"), (7200, "2.0 h"), (9000, "2.5 h")],
)
def test_durations(seconds: float, text: str) -> None:
    assert _fanout.duration(seconds) == text
