"""Inventories, settings and extra variables."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from random import Random
from typing import Any

from ansible_collections.gx10.serving.plugins.module_utils.common import _problem
from ansible_collections.gx10.serving.plugins.module_utils.common._problem import show
from ansible_collections.gx10.serving.plugins.module_utils.plan import _arguments, _inventory, _variables, _weights

from .case import HOSTVARS, Case, plan, read, text, value

# What no node or group can have, by the variable.
NODE: Mapping[str, list[Any]] = {
    "gx10_fabric_address": [
        *("127.0.0.1", "0.0.0.0", "224.0.0.1", "255.255.255.255", "240.0.0.1", "0.1.2.3", "fd00::1", "10.0.0", "host", "", None, 1, True),
        *([], {}, ["10.0.0.1"], "10.0.0.1/24", " 10.0.0.1", "192.168.177.11\n", "١٠.0.0.1", "192.168.177.13", "172.16.0.1"),
    ],
    "gx10_fabric_rails": [
        *("192.168.177.11", ["127.0.0.1"], ["192.168.177.21", "192.168.177.21"], ["192.168.177.13"], [None], [[]], 1, {"a": 1}, [""]),
    ],
    "gx10_management_address": ["0.0.0.0", "224.0.0.1", "-oProxyCommand=x", "a b", "a\nb", "x" * 300, 1, ["10.0.0.1"], "1.2.3"],
    "gx10_rank": [-1, 1.0, "1.0", "x", None, True, 10**6, 10**4400, "9" * 30, [], {}, 2],
    "gx10_env": [
        *(["A=1"], "A=1", {"A": None}, {"A": []}, {"A": True}, {"A B": "1"}, {"A": "a\nb"}, {"NCCL_IB_HCA": "a,a"}, {1: "a"}),
        *({"NCCL_IB_DISABLE": "true"}, {"NCCL_BUFFSIZE": "4M"}, {"NCCL_DEBUG": "ALL"}, {"VLLM_RPC_TIMEOUT": "soon"}),
    ],
}  # fmt: skip
PORT = [0, -1, 65536, "x", "", None, True, 8000.0, "8000.0", [8000], {}, 10**30]
GROUP: Mapping[str, list[Any]] = {
    **{f"gx10_{name}_port": PORT for name in ("api", "ray", "master", "fanout", "group")},
    "gx10_models_root": ["", "/", "srv", "~/x", "/a/../b", "/a,b", "/a:b", "/a\nb", "/var/lib/gx10", "/var/lib", "/var/lib/gx10/m", 1, []],
    "gx10_state_dir": ["", "/", "x", "/etc", "/usr/bin", "/a;b", "/a b", "/srv", "/srv/models/state", "/a\x00", None, True, {}],
    "gx10_api_address": ["head", "", "10.0.0", "224.0.0.1", "ff02::1", 1, [], True, "1.2.3.4/8", "x" * 70_000],
    "gx10_accept_open_api": ["maybe", "", 2, None, []],
    "gx10_restarts_per_hour": [-1, 61, None, "x", 1.5],
    "gx10_compiled_gib": [-1, 1001, None, "x"],
    "gx10_notify_command": ["x", [1], [""], {"a": 1}, ["x"] * 65],
    "gx10_notify_url": ["x", "ftp://x", 1, [], "https://a b"],
    "gx10_notify_headers": [1, {"a": 1}, ["x"], {"a": "b"}],
    "gx10_notify_secret_file": [1, "x", [], "/etc/shadow"],
    "gx10_ray_cpus": [0, 501, "x", None, 1.5],
    "gx10_ray_object_store_bytes": [1, "1GiB", None, 2**60, 1e9],
    "gx10_gpus_per_node": [0, 17, "all", None],
    "gx10_memory_floor_gib": ["x", -1, True, "nan", 10**6, float("inf"), [], {}],
    "gx10_drop_caches": ["maybe", "", 2, 1.5, None, []],
    "gx10_fabric_routed": ["maybe", "", 2, None, {}, ["true"]],
    "gx10_weights_sources": ["/a", ["/a"], {"a/b": None}, {"a/b": ""}, {"a/b": ["/x"]}, {"ab": "/x"}, {"a/b": {"c": "/x"}}, 1],
    "gx10_fanout_network": ["both", "", None, 1, ["fabric"], "Fabric"],
    "gx10_fanout_lanes": [-1, 65, None, "x"],
    "gx10_image_keep": [0, 101, None, "x"],
    "gx10_build_host": ["gx10-9", ["gx10-1"], 1, {"a": 1}],
    "gx10_image_archive": ["a", "~a", None, 1, [], "./x"],
    "gx10_image_archive_host": ["", "nope", None, 1, ["localhost"]],
    "gx10_secrets_dir": ["", 1, [], True, "secrets", "$HOME/x"],
    "gx10_hub_token_file": [1, [], {}],
    "gx10_hub_endpoint": ["hub", "ftp://x", "https://a b", 1, []],
    "gx10_container_options": [
        *(None, "runtime: nvidia", [], 1, {"cap_add": ["ALL"]}, {"cap_add": "IPC_LOCK"}, {"cap_add": ["cap_all"]}, {"cap_add": [None]}),
        *({"runtime": "nvidia", "gpus": "all"}, {"runtime": "a b"}, {"runtime": None}, {"gpus": 0}, {"gpus": True}, {"gpus": "x"}),
        *({"devices": "/dev/infiniband"}, {"devices": ["/dev/mem"]}, {"devices": ["/dev"]}, {"devices": ["/etc/shadow"]}, {"devices": [1]}),
        *({"ulimits": "memlock=-1"}, {"ulimits": ["memlock"]}, {"ulimits": ["memlock=2:1"]}, {"ulimits": ["nope=1"]}, {"privileged": True}),
        *({"ulimits": ["core=1", "core=2"]}, {"device": []}, {"devices": ["/dev/x/../mem"]}, {"devices": ["/dev/x:/dev/y:z"]}),
        *({"devices": ["/dev/sda"]}, {"devices": ["/dev/nvidia0:/dev/kvm"]}, {"cap_add": ["SYS_ADMIN"]}, {"accept": ["/dev"]}),
    ],
}  # fmt: skip
# Right ones, so that the whole is not refused for nothing.
RIGHT: Mapping[str, list[Any]] = {
    "gx10_api_port": [8001, "8001"],
    "gx10_models_root": ["/data/models", "/data/models/"],
    "gx10_api_address": ["127.0.0.1", "192.168.177.11", "192.168.1.11"],
    "gx10_memory_floor_gib": [None, 1, "1.5"],
    "gx10_build_host": ["gx10-2", "", None],
    "gx10_fabric_routed": [True, "no", "True"],
    "gx10_image_archive": ["", "/a", "~/a"],
    "gx10_env": [{"NCCL_DEBUG": "INFO"}, {}],
    "my_variable": [None, 1, {"a": ["b"]}, "x" * 1000],
    "gx11_port": [1],
}
VERBS = ("serve", "plan", "stage", "restore", "rebuild_nightly", "test_mods", "status", "stop", "rollback", "weights", "remove_weights")


class Undefined(Mapping[str, Any]):
    """Variables of which one has a template that fails, as hostvars have it."""

    def __init__(self, variables: Mapping[str, Any], key: str) -> None:
        self.variables, self.key = variables, key

    def __getitem__(self, key: str) -> Any:
        if key == self.key:
            raise ValueError("'nope' is undefined")
        return self.variables[key]

    def __iter__(self) -> Iterator[str]:
        yield from self.variables

    def __len__(self) -> int:
        return len(self.variables)


def _vars(change: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    variables = copy.deepcopy(dict(HOSTVARS))
    change(variables)
    return variables


def _planned(kind: str, variables: Mapping[str, Any], oracle: Any, about: str, says: str = "") -> Case:
    return Case(f"inventory: {kind}", lambda _folder: plan(read(), variables), oracle, says, about)


def _node(random: Random) -> Case:
    key = random.choice(list(NODE))
    bad = random.choice(NODE[key])
    return _planned("a node's variable", _vars(lambda it: it["gx10-2"].update({key: bad})), "refuse", f"{key}: {show(bad)}")


def _group(random: Random) -> Case:
    key = random.choice(list(GROUP))
    bad = random.choice(GROUP[key])
    hosts = _vars(lambda it: [host.update({key: bad}) for host in it.values()])
    folders = ("gx10_models_root", "gx10_state_dir")
    return _planned("a setting", hosts, "refuse", f"{key}: {show(bad)}", "" if key in folders else key)


def _any(random: Random) -> Case:
    key = random.choice(_variables.KNOWN)
    bad = value(random)
    one = random.random() < 0.5

    def change(it: dict[str, Any]) -> None:
        for name in ["gx10-3"] if one else it:
            it[name][key] = bad

    return _planned("any value", _vars(change), "any", f"{key}: {type(bad).__name__}")


def _differs(random: Random) -> Case:
    key = random.choice([key for key in GROUP if key != "gx10_api_address"])
    others = {"gx10_api_port": 8001, "gx10_models_root": "/data", "gx10_drop_caches": False, "gx10_image_keep": 5, "gx10_gpus_per_node": 2}
    key = random.choice(list(others))
    says = f"gx10-3: {key}"
    return _planned("a setting of one host", _vars(lambda it: it["gx10-3"].update({key: others[key]})), "refuse", key, says)


def _typo(random: Random) -> Case:
    key = random.choice(_variables.KNOWN)
    at = random.randrange(6, len(key))
    wrong = random.choice([key[:at] + key[at + 1 :], key[:at] + "x" + key[at:], key + "s", f"gx10_{text(random)}"])
    if wrong in _variables.KNOWN:
        wrong = "gx10_x"
    return _planned("a name nobody reads", _vars(lambda it: it["gx10-2"].update({wrong: 1})), "refuse", wrong, "unknown-key")


def _undefined(random: Random) -> Case:
    key = random.choice(_variables.KNOWN)
    variables = _vars(lambda it: [host.setdefault(key, "x") for host in it.values()])
    hosts = random.choice([["gx10-2"], list(variables)])
    variables |= {name: Undefined(variables[name], key) for name in hosts}
    return _planned("a template that fails", variables, "refuse", key, "template-fails")


def _right(random: Random) -> Case:
    keys = random.sample(list(RIGHT), 3)
    chosen = {key: random.choice(RIGHT[key]) for key in keys}
    return _planned("right", _vars(lambda it: [host.update(chosen) for host in it.values()]), "accept", str(chosen)[:80])


def _open(random: Random) -> Case:
    """The whole world's, without the owner's word for it and with."""
    word, address = random.choice([{}, {"gx10_accept_open_api": True}]), random.choice(["0.0.0.0", "::", "8.8.8.8", "::ffff:0.0.0.0"])
    hosts = _vars(lambda it: [host.update({"gx10_api_address": address, **word}) for host in it.values()])
    return _planned("an open API", hosts, "accept" if word else "refuse", address, "" if word else "api-open")


def _ports(random: Random) -> Case:
    one, two = random.sample(["gx10_api_port", "gx10_ray_port", "gx10_master_port", "gx10_fanout_port"], 2)
    hosts = _vars(lambda it: [host.update({one: 7000, two: "7000"}) for host in it.values()])
    return _planned("equal ports", hosts, "refuse", f"{one}, {two}", "not-unique")


def _name(random: Random) -> Case:
    name = random.choice(
        ["-x", "a b", "a\nb", "x" * 300, "../a", ".a", "a/b", "", "é", "a:b", "\ud800", "{{ a }}", "a,b", text(random) + "/"]
    )
    return _planned("a host's name", _vars(lambda it: it.update({name: {"gx10_fabric_address": "192.168.177.99"}})), "refuse", name[:80])


def _many(random: Random) -> Case:
    count = random.choice([200, 1000, 1001, 3000])
    bad = random.choice([{}, {"gx10_api_prot": 1}, {"gx10_rank": "x"}, {"gx10_env": {f"A{number}": "x" * 10 for number in range(4000)}}])
    hosts = {f"n{number}": {"gx10_fabric_address": f"10.0.{number // 250}.{number % 250 + 1}", **bad} for number in range(count)}
    refused = count > 1000 or ("gx10_env" not in bad and bad)
    return _planned("many hosts", hosts, "refuse" if refused else "any", f"{count} with {list(bad)}")


def _hostvars(random: Random) -> Case:
    bad = value(random)
    return _planned("a host's variables", _vars(lambda it: it.update({"gx10-2": bad})), "any", type(bad).__name__)


def _settings(random: Random) -> Case:
    key = random.choice([*GROUP, text(random)])
    bad = random.choice(GROUP.get(key, [1]))
    return Case(
        "inventory: settings of a plan", lambda _folder: plan(read(), settings={key: bad}), "refuse", about=f"{key[:80]}: {show(bad)}"
    )


def _cuda(random: Random) -> Case:
    options = random.choice([{}, {"devices": ["/dev/infiniband"]}, {"cap_add": ["IPC_LOCK"]}])
    name = random.choice(["qwen397-mtp2", "nex-n2-pro", "nemotron3-ultra"])
    hosts = _vars(lambda it: [host.update({"gx10_container_options": options}) for host in it.values()])
    return Case("inventory: no GPU", lambda _folder: plan(read(name), hosts), "refuse", "no-gpu", name)


def _said(problems: list[_problem.Problem]) -> list[str]:
    return _problem.told(problems)


def _argument(random: Random) -> Case:
    verb = random.choice(VERBS)
    spec = _arguments.options(verb)
    name = random.choice(list(spec))
    wrong: Mapping[str, list[Any]] = {
        "bool": ["maybe", 2, [], {}, "", 1.5],
        "dict": ["x", [], 1, True, '{"a": 1}'],
        "list": [1, {}, [1], [None], [[]], True, ["x" * 5000], "a\nb"],
    }
    bad = random.choice(wrong.get(spec[name].get("type", "str"), [1, [], {}, True, 1.5, ["x"], "a\x1bb", "x" * 5000, 10**4400]))
    given = {key: "x" for key, option in spec.items() if option.get("required")} | {name: bad}
    return Case("arguments: a value", lambda _folder: _arg(verb, given), "refuse", name, f"{verb}: {name}: {show(bad)}")


def _argument_any(random: Random) -> Case:
    verb = random.choice(VERBS)
    given = {random.choice([*_arguments.options(verb), text(random)]): value(random) for _ in range(3)}
    return Case("arguments: any value", lambda _folder: _arg(verb, given), about=verb)


def _argument_unread(random: Random) -> Case:
    verb = random.choice(VERBS)
    name = random.choice(
        ["profil", "overide", "mod_path", "plan_document", "gate_plan", "resolve_verb", "decision", "plan_known", "x" * 300, ""]
    )
    return Case("arguments: a name nobody reads", lambda _folder: _arg(verb, {name: 1}), "refuse", "unknown-key", f"{verb}: {name[:80]}")


def _argument_right(random: Random) -> Case:
    given = {
        "profile": "sim-tiny-tp2",
        random.choice(["ansible_user", "mine", "gx10_api_port", "gate_prompt"]): 1,
        "override": {"args": {}},
    }
    return Case("arguments: right", lambda _folder: _arg("plan", given), "accept", about=str(given))


def _arg(verb: str, given: Mapping[str, Any]) -> list[str]:
    def lookup(name: str) -> Any:
        return given[name]

    return _said(_arguments.read(verb, lookup, given, ["all", "ungrouped", "gx10"], lambda: '{"x": "{{ mine }}"}')[1])


def _model(random: Random) -> Case:
    repo = random.choice(["../../etc", "a", "a/b/c", "/a/b", "a/..", "-a/b", "a/b\n", "a b/c", "", "{{ a }}/b"])
    run = lambda _folder: _weights.of_models([{"repo": repo}], HOSTVARS, list(HOSTVARS))["message"].splitlines()[1:]  # noqa: E731
    return Case("arguments: a model", run, "refuse", "model", repo)


def _unplanned(random: Random) -> Case:
    key = random.choice(list(GROUP))
    bad = random.choice(GROUP[key])
    hosts = _vars(lambda it: [host.update({key: bad}) for host in it.values()])
    # Who builds and who keeps, only a plan asks.
    oracle: Any = "any" if key in ("gx10_build_host", "gx10_image_archive_host") else "refuse"
    run = lambda _folder: _said(_inventory.settings(hosts, list(hosts), "inventory"))  # noqa: E731
    return Case("inventory: a setting without a plan", run, oracle, about=f"{key}: {show(bad)}")


MAKERS = (
    *(_node, _node, _group, _group, _group, _any, _any, _any, _differs, _typo, _undefined, _right, _open, _ports, _name, _hostvars),
    *(_settings, _cuda, _argument, _argument, _argument_any, _argument_unread, _argument_right, _model, _unplanned),
)


def cases(random: Random) -> Iterator[Case]:
    """Cases without end."""
    while True:
        # Many hosts take long.
        yield (_many if random.random() < 0.01 else random.choice(MAKERS))(random)
