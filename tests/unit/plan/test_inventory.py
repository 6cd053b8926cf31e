"""The inventory at the bounds of what it may say."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.plan import _inventory, _variables
from conftest import hostvars


def read(variables: Any) -> tuple[Any, list[str]]:
    cluster, problems = _inventory.read(variables, list(variables), "i")
    return cluster, [problem.key for problem in problems]


@pytest.mark.parametrize(
    ("key", "low", "high"),
    [
        *[(name, 1, 65535) for name in ("gx10_api_port", "gx10_ray_port", "gx10_master_port", "gx10_fanout_port", "gx10_group_port")],
        ("gx10_restarts_per_hour", 0, 60),
        ("gx10_fanout_lanes", 0, 64),
        ("gx10_ray_first_port", 1024, 31768),
        ("gx10_ray_cpus", 1, 500),
        ("gx10_ray_object_store_bytes", 78643200, 2**36),
        ("gx10_gpus_per_node", 1, 16),
        ("gx10_image_keep", 1, 100),
        ("gx10_compiled_gib", 0, 1000),
    ],
)
def test_whole_numbers_have_bounds(key: str, low: int, high: int) -> None:
    field = key.removeprefix("gx10_")
    for value in (low, str(high)):
        cluster, problems = read(hostvars(1, **{key: value}))
        assert (cluster.site[field], problems) == (int(value), [])
    for bad in (low - 1, high + 1, f"{low}.0", "", None, 10**18):
        assert read(hostvars(1, **{key: bad}))[1] == [key]


def test_an_address_is_kept_as_a_socket_has_it() -> None:
    for text, kept in (("::ffff:10.0.0.1", "10.0.0.1"), ("fd00::0:1", "fd00::1"), ("head", "head")):
        assert read(hostvars(1, gx10_api_address=text))[0].site["api_address"] == kept
    for value, found in ((None, "nothing"), ("head", "'head'"), (7, "7")):
        (problem,) = _inventory.read({"n": {"gx10_fabric_address": value}}, ["n"], "i")[1]
        assert problem.found == found


@pytest.mark.parametrize(
    ("key", "good", "bad"),
    [
        (
            "gx10_api_address",
            ["0.0.0.0", "::", "fd00::1", "::ffff:10.0.0.1", "fe80::1%eth0"],
            [
                *("head", "", "10.0.0", 3232235777, True, "224.0.0.1", "255.255.255.255", "ff02::1"),
                *("fd00::1%eth0", "fe80::1%e,h", "fe80::1%\u0131b0"),
            ],
        ),
        ("gx10_weights_sources", [{}, None, {"a/b": "/x"}], [1, ["a/b"], {"ab": "/x"}, {"a/b": ""}, {"a/b": 1}, {"a /b": "/x"}]),
        ("gx10_secrets_dir", [None, "/x", "~/x"], ["", "x", 1]),
        ("gx10_hub_token_file", [None, "", "/x", "~/x"], ["x", 1]),
        ("gx10_hub_endpoint", [None, "", "http://h", "https://h:8/x"], ["h", "ftp://x", 1]),
        ("gx10_accept_open_api", [True, "no"], ["maybe", None]),
        ("gx10_state_dir", ["/var/lib/x", "/srv/model", "/srv/models2"], ["/", "x", "/a:b", "/srv/models", "/srv/models/x", "/srv"]),
        ("gx10_models_root", ["/srv", "/a..b"], ["srv", "/", "/a/../b", "/a,b", "/a:b", "/a\nb"]),
        ("gx10_image_archive", ["", "/a", "~/a"], ["a", "~a", None, 1]),
        ("gx10_image_archive_host", ["localhost"], ["", None, 1]),
        ("gx10_drop_caches", [True, False, "yes", "False", 1], ["maybe", None, 2, 1.5]),
        ("gx10_accept_plain_hub", [True, False, "no"], ["maybe", None, 2]),
        ("gx10_fabric_routed", [True, False, "on", "false", 0], ["maybe", None, 2]),
        ("gx10_fanout_network", ["fabric", "management"], ["both", None]),
        ("gx10_memory_floor_gib", [None, 0, 1.5, "1.5", 9999], [True, "1.", "-1", 10000, ""]),
        ("gx10_build_host", [None, "", "gx10-1"], ["gx10-9", ["gx10-1"], 1]),
    ],
)
def test_what_a_setting_may_be(key: str, good: list[Any], bad: list[Any]) -> None:
    assert [read(hostvars(1, **{key: value}))[1] for value in good] == [[]] * len(good)
    assert [read(hostvars(1, **{key: value}))[1] for value in bad] == [[key]] * len(bad)


def test_settings_are_kept_as_they_are_meant() -> None:
    site = read(hostvars(1, gx10_models_root="/srv/m/", gx10_memory_floor_gib="1.5"))[0].site
    assert (site["models_root"], site["state_dir"], site["memory_floor_gib"]) == ("/srv/m", "/var/lib/gx10", 1.5)
    assert read(hostvars(1, gx10_memory_floor_gib="x"))[0].site["memory_floor_gib"] is None


@pytest.mark.parametrize(
    ("change", "key"),
    [
        *[({"gx10_fabric_address": value}, "gx10_fabric_address") for value in (None, "fd00::1", "192.168.177.11")],
        *[({"gx10_rank": value}, "gx10_rank") for value in (-1, "x", 10000, 0, None)],
        *[({"gx10_fabric_rails": value}, "gx10_fabric_rails") for value in ("192.168.177.12", ["fd00::1"])],
        ({"gx10_env": ["A=1"]}, "gx10_env"),
    ],
)
def test_what_is_wrong_with_one_node_is_named_by_it(change: dict[str, Any], key: str) -> None:
    variables = hostvars(2)
    variables["gx10-2"] |= change
    assert read(variables)[1] == [f"gx10-2.{key}"]


def test_what_a_node_has_of_its_own() -> None:
    variables = hostvars(2)
    variables["gx10-1"] |= {"gx10_rank": 9999, "gx10_fabric_rails": ("192.168.177.11", "10.0.0.1"), "gx10_env": {"A": 1}}
    variables["gx10-2"] |= {"gx10_management_address": "m"}
    (second, first), problems = read(variables)[0].nodes, read(variables)[1]
    assert problems == []
    assert (first.name, first.rank, first.rails, first.env) == ("gx10-1", 9999, ("192.168.177.11", "10.0.0.1"), {"A": "1"})
    assert (first.management_address, second.management_address) == ("192.168.1.11", "m")
    assert (second.rank, second.rails, second.env) == (1, ("192.168.177.12",), {})
    del variables["gx10-1"]["ansible_host"]
    assert read(variables)[0].nodes[1].management_address == "192.168.177.11"


def test_two_nodes_without_an_address_are_not_the_same_one() -> None:
    variables = hostvars(2)
    for host in variables.values():
        del host["gx10_fabric_address"]
    assert read(variables)[1] == ["gx10-1.gx10_fabric_address", "gx10-2.gx10_fabric_address"]


def test_a_setting_is_the_groups_but_the_apis_address() -> None:
    variables = hostvars(3)
    variables["gx10-2"] |= {"gx10_api_port": 8000.0, "gx10_api_address": "192.168.1.12", "gx10_drop_caches": False}
    variables["gx10-3"] |= {"gx10_api_port": "8000", "gx10_drop_caches": 1, "gx10_models_root": "/srv/models/"}
    assert read(variables)[1] == ["gx10-2: gx10_api_port", "gx10-2, gx10-3: gx10_drop_caches"]


def test_the_head_is_of_the_lowest_rank() -> None:
    variables = hostvars(3)
    assert _inventory.head(variables, list(variables)) == "gx10-1"
    variables["gx10-1"]["gx10_rank"], variables["gx10-3"]["gx10_rank"] = 3, "0"
    assert _inventory.head(variables, list(variables)) == "gx10-3"
    assert _inventory.head({}, []) == ""
    assert [_inventory.is_address(text) for text in ("10.0.0.1", "::1", "x")] == [True, True, False]


def codes(variables: Any) -> list[tuple[str, str]]:
    return [(problem.key, problem.code) for problem in _inventory.read(variables, list(variables), "i")[1]]


@pytest.mark.parametrize("address", ["127.0.0.1", "0.0.0.0", "0.1.2.3", "224.0.0.1", "240.0.0.1", "255.255.255.255"])
def test_an_address_that_no_node_can_have_on_the_fabric(address: str) -> None:
    variables = hostvars(1, gx10_fabric_address=address)
    assert codes(variables) == [("gx10-1.gx10_fabric_address", "wrong-address")]
    assert codes(hostvars(1, gx10_fabric_address="169.254.1.1")) == []


def test_an_address_is_of_one_node_and_named_once() -> None:
    variables = hostvars(2)
    variables["gx10-2"]["gx10_fabric_rails"] = ["192.168.177.12", "192.168.177.11"]
    assert codes(variables) == [("gx10-2.gx10_fabric_rails", "not-unique")]
    variables["gx10-2"]["gx10_fabric_rails"] = ["192.168.177.12", "192.168.177.12"]
    assert codes(variables) == [("gx10-2.gx10_fabric_rails", "not-unique")]
    variables = hostvars(2)
    variables["gx10-2"]["gx10_management_address"] = "192.168.1.11"
    assert codes(variables) == [("gx10-2.gx10_management_address", "not-unique")]
    variables = hostvars(2)
    variables["gx10-2"]["ansible_host"] = "192.168.1.11"
    assert codes(variables) == [("gx10-2.ansible_host", "not-unique")]
    # Both behind forwarded ports of the control node; and one network for all.
    assert codes({name: {**host, "ansible_host": "127.0.0.1"} for name, host in hostvars(2).items()}) == []
    assert codes({name: {**host, "ansible_host": host["gx10_fabric_address"]} for name, host in hostvars(2).items()}) == []


def test_one_rail_is_one_network() -> None:
    variables = hostvars(2)
    variables["gx10-2"]["gx10_fabric_address"] = "10.0.0.2"
    assert codes(variables) == [("gx10-2.gx10_fabric_address", "other-network")]
    for number, rails in ((1, ["192.168.177.11", "10.0.0.1"]), (2, ["10.0.0.2", "192.168.177.12"])):
        variables = {**variables, f"gx10-{number}": {**hostvars(2)[f"gx10-{number}"], "gx10_fabric_rails": rails}}
    assert codes(variables) == [(f"gx10-2.gx10_fabric_rails[{index}]", "other-network") for index in (0, 1)]


def test_a_routed_fabric_has_a_way_out_which_the_refusal_names() -> None:
    variables = hostvars(2)
    variables["gx10-2"] |= {"gx10_fabric_address": "10.0.0.2", "gx10_rank": "0"}
    variables["gx10-1"] |= {"gx10_rank": "1"}
    (problem,) = _inventory.read(variables, list(variables), "i")[1]
    # The head is who the others are compared with.
    assert (problem.key, problem.found) == ("gx10-1.gx10_fabric_address", "192.168.177.11")
    assert problem.wanted == "one of the network that gx10-2 is on (10.0.0.0/16 or a part of it)"
    assert problem.hint.endswith("of a fabric with routers between its networks say gx10_fabric_routed: true.")
    for host in variables.values():
        host["gx10_fabric_routed"] = "true"
    assert read(variables)[1] == []
    # What holds of any address still does, and so does what is the group's.
    assert read({**variables, "gx10-2": {**variables["gx10-2"], "gx10_fabric_address": "127.0.0.1"}})[1] == ["gx10-2.gx10_fabric_address"]
    del variables["gx10-2"]["gx10_fabric_routed"]
    assert read(variables)[1] == ["gx10-1.gx10_fabric_address", "gx10-1: gx10_fabric_routed"]


@pytest.mark.parametrize(
    ("settings", "key", "code"),
    [
        ({"gx10_api_port": 6379}, "gx10_ray_port", "not-unique"),
        ({"gx10_api_port": 10001}, "gx10_api_port", "not-unique"),
        ({"gx10_master_port": "8000"}, "gx10_master_port", "not-unique"),
        ({"gx10_state_dir": "/srv/models/state"}, "gx10_state_dir", "nested-folders"),
        ({"gx10_models_root": "/data", "gx10_state_dir": "/data/gx10"}, "gx10_state_dir", "nested-folders"),
        ({"gx10_models_root": "/var/lib/gx10"}, "gx10_state_dir", "nested-folders"),
        ({"gx10_state_dir": "/srv//models"}, "gx10_state_dir", "nested-folders"),
        ({"gx10_state_dir": "/srv/./models/x"}, "gx10_state_dir", "nested-folders"),
        ({"gx10_hub_endpoint": "hub"}, "gx10_hub_endpoint", "wrong-text"),
        ({"gx10_hub_endpoint": "http://10.0.0.9:8080/hub", "gx10_hub_token_file": "/t"}, "gx10_hub_endpoint", "token-in-clear"),
        ({"gx10_hub_endpoint": "HTTP://localhost.example", "gx10_hub_token_file": "/t"}, "gx10_hub_endpoint", "wrong-text"),
        ({"gx10_accept_plain_hub": "perhaps"}, "gx10_accept_plain_hub", "wrong-type"),
        ({"gx10_secrets_dir": ""}, "gx10_secrets_dir", "wrong-path"),
        ({"gx10_weights_sources": {"name": "/x"}}, "gx10_weights_sources", "wrong-type"),
        ({"gx10_image_archive": "/a\x00"}, "gx10_image_archive", "control-character"),
    ],
)
def test_settings_that_do_not_go_together_or_are_no_words(settings: dict[str, Any], key: str, code: str) -> None:
    assert codes(hostvars(2, **settings)) == [(key, code)]
    assert [problem.key for problem in _inventory.settings(hostvars(2, **settings), ["gx10-1", "gx10-2"], "i")] == [key]
    assert codes(hostvars(2, gx10_state_dir="/srv/models2", gx10_api_port=6378)) == []


@pytest.mark.parametrize("host", ["10.0.0.9", "hub:80/x", "localhost.example", "127.0.0.1.example", "[fd00::1]"])
def test_a_token_goes_to_a_hub_by_tls_or_by_the_owners_word(host: str) -> None:
    """Or it does not leave the node that downloads."""
    settings = {"gx10_hub_token_file": "~/token", "gx10_hub_endpoint": f"http://{host}"}
    assert codes(hostvars(1, **settings)) == [("gx10_hub_endpoint", "token-in-clear")]
    right: list[dict[str, Any]] = [{"gx10_accept_plain_hub": "yes"}, {"gx10_hub_token_file": ""}, {"gx10_hub_endpoint": "https://hub"}]
    right += [{"gx10_hub_endpoint": f"http://{home}"} for home in ("127.0.0.1", "127.8.8.8:80/x", "localhost:8080", "[::1]:80")]
    assert [codes(hostvars(1, **{**settings, **change})) for change in right] == [[]] * len(right)


@pytest.mark.parametrize("name", ["-x", "a b", "a\nb", "x" * 254, ".a", "a/b", "a:b"])
def test_a_host_has_a_name_that_paths_and_options_take(name: str) -> None:
    assert [code for _key, code in codes({name: hostvars(1)["gx10-1"]})] == ["wrong-name"]
    assert codes({"x" * 253: hostvars(1)["gx10-1"]}) == []


@pytest.mark.parametrize("env", [{"A": None}, {"A": True}, {"A": [1]}, {"NCCL_IB_HCA": "a,a"}])
def test_an_environment_has_texts_and_numbers(env: dict[str, Any]) -> None:
    assert read(hostvars(1, gx10_env=env))[1] == [f"gx10-1.gx10_env.{next(iter(env))}"]
    assert read(hostvars(1, gx10_env={"A": "1", "B": 2, "NCCL_IB_HCA": "=a,b"}))[1] == []
    for count in (200, 201):
        assert read(hostvars(1, gx10_env={f"A{number}": "1" for number in range(count)}))[1] == ["gx10-1.gx10_env"] * (count > 200)


def test_a_thousand_hosts_are_answered_and_more_are_refused() -> None:
    hosts = {f"n{number}": {"gx10_fabric_address": f"10.0.{number // 250}.{number % 250 + 1}"} for number in range(1001)}
    assert codes(hosts) == [("group gx10", "too-many")]
    del hosts["n1000"]
    assert codes(hosts) == []


def test_a_cuda_image_needs_an_option_that_gives_it_a_gpu(resolve: Any) -> None:
    for options in ({}, {"devices": ["/dev/infiniband"]}):
        (problem,) = resolve("qwen397-mtp2", variables=hostvars(gx10_container_options=options))["problems"]
        assert problem.startswith("inventory: gx10_container_options: found nothing that gives the container a GPU")
        assert resolve("sim-tiny-tp2", variables=hostvars(gx10_container_options=options))["problems"] == []
    assert resolve("qwen397-mtp2", variables=hostvars(gx10_container_options={"gpus": "all"}))["problems"] == []
    for runtime in ("runc", "crun", "io.containerd.runc.v2", "kata-qemu"):
        (problem,) = resolve("qwen397-mtp2", variables=hostvars(gx10_container_options={"runtime": runtime}))["problems"]
        assert f"found the runtime {runtime}, which gives the container none; wanted runtime: nvidia" in problem
    for runtime in ("nvidia", "nvidia-experimental", "runcx"):
        assert resolve("qwen397-mtp2", variables=hostvars(gx10_container_options={"runtime": runtime}))["problems"] == []


@pytest.mark.parametrize(
    "path",
    [
        "/etc",
        "/etc/gx10",
        "/dev",
        "/usr/bin",
        "/var/lib",
        "/root/",
        "//etc",
        "/./etc",
        "//var/lib",
        "/var/run",
        "/run/systemd/system",
        "/var/lib/docker",
        "/root/.ssh",
        "/home/me/.ssh/x",
    ],
)
def test_no_folder_of_the_system_is_ours(path: str) -> None:
    assert read(hostvars(2, gx10_state_dir=path))[1] == ["gx10_state_dir"]
    assert read(hostvars(2, gx10_models_root=path, gx10_state_dir="/opt/gx10"))[1] == ["gx10_models_root"]


@pytest.mark.parametrize("path", ["/var/lib/gx10", "/root/models", "/home/a/models", "/usr/local/models", "/devices"])
def test_a_folder_within_may_be(path: str) -> None:
    assert read(hostvars(2, gx10_models_root=path, gx10_state_dir="/opt/gx10"))[1] == []


def test_the_api_is_the_heads() -> None:
    assert read(hostvars(2, gx10_api_address="192.168.1.12"))[1] == ["gx10_api_address"]
    assert read(hostvars(2, gx10_api_address="192.168.1.11"))[1] == []
    assert read(hostvars(2, gx10_api_address="10.0.0.200"))[1] == []


@pytest.mark.parametrize("which", [[0], [2], [0, 1, 2, 3]])
@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("gx10_models_root", ""), ("gx10_state_dir", "x"), ("gx10_api_port", None), ("gx10_weights_sources", 1), ("gx10_build_host", -1)],
        *[("gx10_image_archive_host", None), ("gx10_container_options", 7), ("gx10_container_options", {"runtime": 7})],
        *[("gx10_fanout_lanes", "\x00"), ("gx10_container_options", 10**30), ("gx10_env", 7), ("gx10_env", {"NCCL_SOCKET_IFNAM": "x"})],
        *[("gx10_management_address", True), ("gx10_management_address", "0.0.0.0"), ("ansible_host", -1), ("gx10_fabric_rails", 7)],
    ],
)
def test_nothing_follows_from_one_wrong_value(resolve: Any, key: str, value: Any, which: list[int]) -> None:
    variables = hostvars(4)
    for index in which:
        variables[f"gx10-{index + 1}"][key] = value
    (problem,) = resolve("qwen397-mtp2", variables=variables)["problems"]
    assert key in problem
    # One host's is told of it; the head's setting is the group's, and everybody's is nobody's own.
    assert ("gx10-3" in problem.partition(";")[0]) == (which == [2])


def test_what_a_host_has_otherwise_is_told_beside_what_is_wrong() -> None:
    variables = hostvars(4)
    variables["gx10-1"]["gx10_api_port"] = "http"
    variables["gx10-3"] |= {"gx10_api_port": 8001, "gx10_ray_port": 7000}
    variables["gx10-4"]["gx10_ray_port"] = [10**30]
    assert read(variables)[1] == ["gx10-4.gx10_ray_port[0]", "gx10-3: gx10_ray_port", "gx10_api_port"]


@pytest.mark.parametrize(("count", "more"), [(8, False), (9, True)])
def test_of_many_hosts_some_are_named(count: int, more: bool) -> None:
    variables = hostvars(count, gx10_build_host="nope")
    (problem,) = _inventory.read(variables, list(variables), "i")[1]
    assert (f"gx10-8{', …' if more else ''})" in problem.wanted, "gx10-9" in problem.wanted) == (True, False)


def test_who_is_the_head_before_anything_is_checked() -> None:
    assert _inventory.head({"a": {"gx10_rank": 1}, "b": {"gx10_rank": "x"}, "c": {"gx10_rank": "2"}}, ["a", "b", "c"]) == "b"
    assert _inventory.head({"a": {"gx10_rank": 2}, "b": {}}, ["a", "b"]) == "b"
    assert _inventory.head({}, []) == ""


def test_who_is_left_where_some_are_gone() -> None:
    assert _inventory.there(["a", "b"], ["a"]) == (["b"], [])
    left, problems = _inventory.there(["a", "b"], ["b", "a"])
    assert (left, [problem.code for problem in problems]) == (["a", "b"], ["missing"])
    left, problems = _inventory.there(["gx10-1", "gx10-2"], ["gx10-3"])
    assert (left, [(problem.code, problem.found) for problem in problems]) == (["gx10-1", "gx10-2"], [("not-a-choice", "'gx10-3'")])
    assert (_inventory.there([], []), _inventory.left([])) == (([], []), [])
    assert _inventory.left(["a", "b"])[0].startswith("a, b: left out, as it is gone")


def test_what_is_read_before_anything_is_checked() -> None:
    assert [_inventory.hosts_without("gx10", names) for names in ("ab", ["a", "b"], "", [])] == ["gx10:!ab", "gx10:!a:!b", "gx10", "gx10"]
    for value, found in (({"a/b": "/x"}, {"a/b": "/x"}), (["a/b"], {})):
        assert _inventory.weights_sources(hostvars(1, gx10_weights_sources=value), ["gx10-1"]) == found
    default, other, none = (_inventory.pins(hostvars(1, gx10_secrets_dir=value), ["gx10-1"]) for value in (None, "/s", 7))
    assert (other.startswith("/s/"), none) == (True, default)


def test_as_many_hosts_as_may_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(_variables, "MAX_HOSTS", 2)
    assert [read(hostvars(count))[1] for count in (2, 3)] == [[], ["group gx10"]]
    assert len(_inventory.read(hostvars(3), ["gx10-1", "gx10-2", "gx10-3"], "i")[0].nodes) == 2


@pytest.mark.parametrize(("host", "hint"), [("gx10-l", "Did you mean 'gx10-1'?"), ("far", "Add it to"), (7, "Add it to")])
def test_a_build_host_is_of_the_group(host: Any, hint: str) -> None:
    (problem,) = _inventory.read(hostvars(1, gx10_build_host=host), ["gx10-1"], "i")[1]
    assert problem.hint.startswith(hint)


def test_settings_are_taken_in_place_of_the_inventorys() -> None:
    variables = hostvars(2, gx10_api_port=8001)
    cluster, problems = _inventory.read(variables, list(variables), "i", {"gx10_api_port": "9000"})
    assert (cluster.site["api_port"], cluster.site["ray_port"], problems) == (9000, 6379, [])
    _cluster, problems = _inventory.read(variables, list(variables), "i", {"gx10_api_prot": 1, "gx10_rank": 1})
    assert [(problem.where, problem.key, problem.code) for problem in problems] == [
        ("settings", "gx10_api_prot", "unknown-key"),
        ("settings", "gx10_rank", "unknown-key"),
    ]
    (problem,) = _inventory.read(variables, list(variables), "i", [1])[1]  # type: ignore[arg-type]
    assert str(problem) == "settings: found [1]; wanted a mapping [wrong-type]"


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        *[("0.0.0.0", "an unspecified"), ("127.0.0.1", "a loopback"), ("224.0.0.1", "a multicast"), ("255.255.255.255", "a broadcast")],
        *[("240.0.0.1", "a reserved"), ("0.1.2.3", "a reserved")],
    ],
)
def test_an_address_that_is_none_is_told_by_its_kind_and_left_out(address: str, kind: str) -> None:
    cluster, (problem,) = _inventory.read({"n": {"gx10_fabric_address": address}}, ["n"], "i")
    assert (problem.found, problem.code) == (f"{address}, {kind} address", "wrong-address")
    assert (cluster.nodes[0].fabric_address, cluster.nodes[0].rails, cluster.nodes[0].management_address) == ("", (), "")
    whole = {"gx10_fabric_address": "10.0.0.1", "gx10_management_address": "a b", "gx10_env": {"A": 1}, "gx10_rank": "3"}
    cluster, _problems = _inventory.read({"n": whole}, ["n"], "i")
    assert cluster.nodes == (_inventory.Node("n", 3, "10.0.0.1", "", ("10.0.0.1",), {"A": "1"}),)


@pytest.mark.parametrize("address", ["0.0.0.0", "::", "224.0.0.1", "ff02::1", "255.255.255.255", "1.2.3"])
def test_no_machine_has_such_an_address(address: str) -> None:
    assert [_inventory.is_host(value) for value in (address, 1, "10.0.0.1", "spark-1")] == [False, False, True, True]


@pytest.mark.parametrize(("key", "hint"), [("ansible_host", "Nodes behind one address by their ports"), ("gx10_management_address", "")])
def test_two_nodes_with_one_address_are_told_apart(key: str, hint: str) -> None:
    variables = hostvars(2)
    for host in variables.values():
        host[key] = "192.168.1.99"
    (problem,) = _inventory.read(variables, list(variables), "i")[1]
    assert (problem.key, problem.hint[:39]) == (f"gx10-2.{key}", hint)


def test_the_order_of_a_settings_keys_is_no_difference() -> None:
    variables = hostvars(3, gx10_container_options={"runtime": "nvidia", "cap_add": ["IPC_LOCK"]})
    variables["gx10-3"]["gx10_container_options"] = {"cap_add": ["IPC_LOCK"], "runtime": "nvidia"}
    assert read(variables)[1] == []
    variables["gx10-2"]["gx10_container_options"] = {"cap_add": [], "runtime": "nvidia"}
    assert read(variables)[1] == ["gx10-2: gx10_container_options"]
