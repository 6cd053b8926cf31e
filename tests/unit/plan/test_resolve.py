"""Profiles against inventories: the field report's command comes out, and every mistake is named at once."""

from __future__ import annotations

import json
import shlex
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _commands
from conftest import ROOT, hostvars
from hypothesis import given, settings
from hypothesis import strategies as st

SAMPLE = yaml.safe_load((ROOT / "inventories/sample/group_vars/gx10.yml").read_text())


@pytest.fixture
def plan(resolve: Any) -> Any:
    found = resolve("qwen397-mtp2", variables=hostvars(**SAMPLE))
    assert found["problems"] == []
    return found["plan"]


def test_what_is_printed_is_what_runs(plan: Any) -> None:
    """A shell reads the printed commands as the plan's argv."""
    printed = _commands.commands(plan).split("# gx10-1 ")[1].split("\n\n")[0].split("\n", 1)[1].replace("\\\n", " ")
    run, execute = (shlex.split(line) for line in printed.splitlines())
    head = plan["nodes"][0]
    assert run == ["docker", "run", "-d", *_commands.docker_options(head), "vllm-node-mimo:latest", *head["ray"]["argv"]]
    assert execute == ["docker", "exec", "qwen397-fp8-mtp-tp4", *head["engine"]["argv"]]


def test_what_is_added_is_listed(plan: Any) -> None:
    text = _commands.commands(plan)
    head = plan["nodes"][0]
    for key in head["runtime_env"]:
        assert f"#   -e {key}=" in text
    for option in (
        "--device /dev/infiniband",
        "--cap-add IPC_LOCK",
        "--ulimit memlock=-1:-1",
        "--init",
        "--security-opt",
        "--cap-drop ALL",
    ):
        assert f"#   {option}" in text


def test_ranks_and_addresses(plan: Any) -> None:
    assert [(node["rank"], node["role"], node["address"]) for node in plan["nodes"]] == [
        (0, "head", "192.168.177.11"),
        (1, "worker", "192.168.177.12"),
        (2, "worker", "192.168.177.13"),
        (3, "worker", "192.168.177.14"),
    ]
    assert [node["engine"] is not None for node in plan["nodes"]] == [True, False, False, False]
    assert plan["nodes"][0]["ray"]["members"] == {"addresses": [node["address"] for node in plan["nodes"]], "gpus": 4}


def test_same_input_same_bytes(resolve: Any) -> None:
    one, two = (json.dumps(resolve("sim-tiny-tp4")) for _time in range(2))
    assert one == two


def test_nodes_that_are_not_used_are_idle(resolve: Any) -> None:
    plan = resolve("sim-tiny-tp2")["plan"]
    assert plan["idle"] == ["gx10-3", "gx10-4"]


def test_rank_order_is_the_inventorys_word(resolve: Any) -> None:
    variables = hostvars(2)
    variables["gx10-1"]["gx10_rank"], variables["gx10-2"]["gx10_rank"] = 1, 0
    assert [node["name"] for node in resolve("sim-tiny-tp2", variables=variables)["plan"]["nodes"]] == ["gx10-2", "gx10-1"]


def test_the_hash_is_of_what_runs(resolve: Any) -> None:
    text = GOOD
    one = resolve(text=text)["plan"]["hash"]
    assert resolve(text=text.replace("boot_minutes: 2", "boot_minutes: 3"))["plan"]["hash"] == one
    assert resolve(text=text.replace("summary: A", "summary: Another"))["plan"]["hash"] == one
    for old, new in (
        ("max-num-seqs: 4", "max-num-seqs: 5"),
        ('OMP_NUM_THREADS: "1"', 'OMP_NUM_THREADS: "2"'),
        ("shm_size: 1g", "shm_size: 2g"),
    ):
        assert old in text
        assert resolve(text=text.replace(old, new))["plan"]["hash"] != one, new
    variables = hostvars()
    variables["gx10-2"]["gx10_fabric_address"] = "192.168.177.99"
    assert resolve(text=text, variables=variables)["plan"]["hash"] != one


@pytest.mark.parametrize(
    ("address", "url", "health"),
    [("::", "http://192.168.1.11:8000", "http://[::1]:8000"), ("fd00::1", "http://[fd00::1]:8000", "http://[fd00::1]:8000")],
)
def test_ipv6_addresses_are_bracketed(resolve: Any, address: str, url: str, health: str) -> None:
    plan = resolve("sim-tiny-tp2", variables=hostvars(gx10_api_address=address, gx10_accept_open_api=True))["plan"]
    assert plan["ready"]["url"] == url
    assert plan["nodes"][0]["engine"]["health"] == health


GOOD = (ROOT / "model_profiles/sim-tiny-tp2.yml").read_text()


def edit(**changes: Any) -> str:
    """The tiny profile with keys replaced ("a.b" goes down; None removes)."""
    profile = yaml.safe_load(GOOD)
    profile["provenance"]["date"] = "2026-11-21"
    for path, value in changes.items():
        *folders, last = path.split("__")
        part = profile
        for folder in folders:
            part = part.setdefault(folder, {})
        if value is None:
            part.pop(last)
        else:
            part[last] = value
    return yaml.safe_dump(profile)


# (the edit, what each problem must contain); the number of problems must match, too.
BAD: list[tuple[dict[str, Any], list[str]]] = [
    ({"sumary": "x"}, ["sumary: found an unknown key; wanted one of"]),
    ({"summary": None}, ["summary: found nothing; wanted one line for people"]),
    ({"engine": "vlm"}, ["engine: found 'vlm'; wanted one of sglang, vllm. Did you mean 'vllm'?"]),
    ({"executor": "rai"}, ["executor: found 'rai'; wanted one of mp, ray, sglang, solo. Did you mean 'ray'?"]),
    ({"image": "vllm-node-sym"}, ["Did you mean 'vllm-node-sim'?"]),
    ({"parallel__tensor": "2"}, ["parallel.tensor: found '2'; wanted integer"]),
    ({"parallel__tensor": 0}, ["parallel.tensor: found 0; wanted at least 1"]),
    ({"parallel__tensor": True}, ["parallel.tensor: found True; wanted integer"]),
    ({"parallel__tensor": 8}, ["parallel: found tensor 8 x pipeline 1 = 8 GPUs; wanted at most 4"]),
    ({"executor": "solo"}, ["executor: found GPUs of 2 nodes with executor solo"]),
    ({"container__name": "Bad Name"}, ["container.name: found 'Bad Name'"]),
    ({"container__name": "name\n"}, ["found a line break or control character in 'name\\n'"]),
    ({"model__repo": "../x"}, ["model.repo: found '../x'"]),
    ({"model__revision": "main"}, ["model.revision: found 'main'"]),
    ({"env__A": 1}, ["env.A: found 1; wanted string"]),
    ({"env__A B": "1"}, ["env.A B: found the key 'A B'"]),
    ({"env__VLLM_SERVER_DEV_MODE": "1"}, ["env.VLLM_SERVER_DEV_MODE"]),
    ({"env__VLLM_HOST_IP": "10.0.0.1"}, ["env.VLLM_HOST_IP"]),
    (
        {"args": {"max-num-seq": 4}},
        [
            "args.max-num-seq: found an unknown flag of vllm serve 0.30.0; wanted one of the long flags of vllm serve."
            " Did you mean 'max-num-seqs'?"
        ],
    ),
    ({"args": {"port": 9}}, ["args.port: found a flag that the plan sets; wanted the value in gx10_api_port"]),
    ({"args": {"api-key": "x"}}, ["args.api-key: found a refused flag"]),
    ({"args": {"enforce-eager": "yes"}}, ["args.enforce-eager: found 'yes'; wanted true or false"]),
    ({"args": {"max-model-len": True}}, ["args.max-model-len: found True"]),
    ({"args": {"no-enforce-eager": True}}, ["args.no-enforce-eager: found True; wanted enforce-eager: false"]),
    ({"args": {"chat-template": "--trust-remote-code"}}, ["args.chat-template"]),
    ({"args": {"chat-template": ""}}, ["args.chat-template: found ''; wanted a text that is not empty"]),
    ({"mods": ["nope"]}, ["mods[0]: found 'nope'"]),
    (
        {"limits": [{"arg": "max-num-seqs", "max": 2, "because": "it broke"}]},
        ["args.max-num-seqs: found 4; wanted at most 2. Reason: it broke."],
    ),
    ({"limits": [{"arg": "max-num-seqs", "min": 8, "because": "it broke"}]}, ["args.max-num-seqs: found 4; wanted at least 8"]),
    ({"provenance__date": "13.6.2026"}, ["provenance.date: found '13.6.2026'"]),
    ({"executor": "x", "image": "y", "container__name": "?", "args": {"port": 1}}, ["executor", "image", "container.name", "args.port"]),
]


@pytest.mark.parametrize(("changes", "expected"), BAD, ids=lambda item: ",".join(item)[:60] if isinstance(item, dict) else "")
def test_bad_profiles(resolve: Any, changes: dict[str, Any], expected: list[str]) -> None:
    found = resolve(text=edit(**changes))
    assert found["plan"] is None
    assert len(found["problems"]) == len(expected), found["message"]
    for part in expected:
        assert any(part in problem for problem in found["problems"]), (part, found["problems"])
    assert all(problem.startswith("test.yml: ") for problem in found["problems"])
    assert "No host was touched" in found["message"]


def test_problems_of_profile_and_inventory_come_together(resolve: Any) -> None:
    variables = hostvars(2, gx10_api_port="http", gx10_api_address="head")
    variables["gx10-2"]["gx10_fabric_address"] = "192.168.177.11"
    problems = resolve(text=edit(engine="x"), variables=variables)["problems"]
    assert len(problems) == 4
    assert any("gx10_api_address: found 'head'" in problem for problem in problems)
    assert any("gx10-2.gx10_fabric_address: found 192.168.177.11, as on gx10-1" in problem for problem in problems)
    assert any("gx10_api_port: found 'http'" in problem for problem in problems)


def test_a_setting_of_the_group_that_one_host_has_otherwise_is_refused(resolve: Any) -> None:
    variables = hostvars(4)
    variables["gx10-3"]["gx10_models_root"] = "/data"
    (problem,) = resolve("sim-tiny-tp2", variables=variables)["problems"]
    assert problem.startswith("inventory: gx10-3: gx10_models_root: found '/data'; wanted '/srv/models', as on gx10-1.")
    # Said twice is said alike; the API's address may come of each host's own.
    variables["gx10-3"] |= {"gx10_models_root": "/srv/models/", "gx10_api_port": "8000"}
    for name, number in (("gx10-1", 1), ("gx10-2", 2)):
        variables[name]["gx10_api_address"] = f"10.0.0.{number}"
    plan = resolve("sim-tiny-tp2", variables=variables)["plan"]
    assert plan["ready"]["url"] == "http://10.0.0.1:8000"
    # The head is rank 0, wherever it stands in the inventory.
    variables["gx10-1"]["gx10_rank"], variables["gx10-2"]["gx10_rank"] = 1, 0
    assert resolve("sim-tiny-tp2", variables=variables)["plan"]["ready"]["url"] == "http://10.0.0.2:8000"
    # For one plan, as the nightly's gate has it on another node.
    found = resolve("sim-tiny-tp2", variables=variables, settings={"gx10_api_address": "127.0.0.1"})
    assert found["plan"]["ready"]["url"] == "http://127.0.0.1:8000"
    (problem,) = resolve("sim-tiny-tp2", settings={"gx10_api_adress": "127.0.0.1"})["problems"]
    assert problem.startswith("settings: gx10_api_adress: found no setting of the group; wanted one of ")


def test_numbers_are_ascii_and_names_are_text(resolve: Any) -> None:
    variables = hostvars(2, gx10_build_host=["gx10-1"], gx10_api_port="٨٠٠٠")
    variables["gx10-2"]["gx10_rank"] = "²"
    problems = resolve("sim-tiny-tp2", variables=variables)["problems"]
    assert [problem.split(": found")[0] for problem in problems] == [
        "inventory: gx10-2.gx10_rank",
        "inventory: gx10_api_port",
        "inventory: gx10_build_host",
    ]


@pytest.mark.parametrize("address", [None, "", "fd00::1", "10.0.0.256", "10.0.0.1/24", "gx10-1", 5])
def test_fabric_addresses_that_are_none(resolve: Any, address: object) -> None:
    variables = hostvars(2)
    variables["gx10-2"]["gx10_fabric_address"] = address
    (problem,) = resolve("sim-tiny-tp2", variables=variables)["problems"]
    assert problem.startswith("inventory: gx10-2.gx10_fabric_address: found ")
    assert "wanted the node's IPv4 address on the fabric" in problem


def test_no_nodes_and_no_profile(resolve: Any) -> None:
    problems = resolve("qwen", variables={})["problems"]
    assert len(problems) == 2
    assert "profile: found 'qwen'; wanted one of nemotron3-super-sglang, " in problems[0]
    assert "make sim-up" in problems[1]


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=8),
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(
                st.sampled_from(
                    ["args", "env", "model", "parallel", "tensor", "image", "limits", "arg", "max", "mods", "executor", "container"]
                ),
                inner,
                max_size=5,
            )
        ),
        max_leaves=20,
    )
)
@settings(max_examples=100, deadline=None)
def test_any_document_gives_a_plan_or_problems(document: Any) -> None:
    from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources

    good, sources = yaml.safe_load(edit()), _sources.read("sim-tiny-tp2")
    for profile in (document, {**good, **document} if isinstance(document, dict) else good):
        sources["profile"] = {"name": "test", "path": "test.yml", "text": json.dumps(profile)}
        found = _resolve.resolve(sources, hostvars(), list(hostvars()))
        assert (found["plan"] is None) == bool(found["problems"])
        if profile == good:
            assert found["plan"]


def test_the_page_cache_is_dropped_right_before_a_start(resolve: Any) -> None:
    """Only where a group is replaced, after everything that reads files, and unless the site says no."""
    steps = yaml.safe_load((ROOT / "roles/engine/tasks/replace.yml").read_text())
    names = [step["name"] for step in steps]
    drop = names.index("replace | Drop the page cache")
    assert names[drop + 2] == "replace | Start the container"
    assert steps[drop]["ansible.builtin.command"]["argv"] == ["sh", "-c", "sync && echo 3 > /proc/sys/vm/drop_caches"]
    assert "engine_plan.drop_caches" in steps[drop]["when"]
    first, second = (resolve("sim-tiny-tp2", variables=hostvars(gx10_drop_caches=value))["plan"] for value in (True, False))
    assert (first["drop_caches"], second["drop_caches"]) == (True, False)
    assert first["hash"] == second["hash"], "nobody's engine is restarted for it"
    assert (
        "gx10_drop_caches: found 'maybe'; wanted true or false"
        in resolve("sim-tiny-tp2", variables=hostvars(gx10_drop_caches="maybe"))["message"]
    )


def test_sources_of_weights_are_the_groups(resolve: Any) -> None:
    variables = hostvars(2, gx10_weights_sources={"a/b": "~/data"})
    assert resolve("sim-tiny-tp2", variables=variables)["problems"] == []
    variables["gx10-2"]["gx10_weights_sources"] = {"a/b": "/elsewhere"}
    (problem,) = resolve("sim-tiny-tp2", variables=variables)["problems"]
    assert problem.startswith(
        "inventory: gx10-2: gx10_weights_sources: found {'a/b': '/elsewhere'}; wanted {'a/b': '~/data'}, as on gx10-1"
    )
    for value in ("/data", {"a/b": ""}, ["/data"]):
        (problem,) = resolve("sim-tiny-tp2", variables=hostvars(2, gx10_weights_sources=value))["problems"]
        assert "wanted a mapping of ORG/NAME to a folder on the control node" in problem


@pytest.mark.parametrize(
    ("override", "key"),
    [
        ({"args": {"max_num_seqs": 0}}, "override.args.max_num_seqs"),
        ({"args": {"max_model_len": 10**7, "max-model-len": None}}, "override.args.max-model-len"),
        (
            {"args": {"speculative-config": {"method": "mtp", "num_speculative_tokens": 5}}},
            "override.args.speculative-config.num_speculative_tokens",
        ),
        ({"env": {"HF_HUB_OFFLINE": None}}, "override.env.HF_HUB_OFFLINE"),
        ({"parallel": {"tensor": 8}}, "override.parallel"),
        ({"mods": ["nobodys"]}, "override.mods[0]"),
        ({"image": "nobodys"}, "override.image"),
    ],
)  # fmt: skip
def test_what_a_launch_brings_is_blamed_on_it(resolve: Any, override: Any, key: str) -> None:
    problems = resolve("qwen397-mtp2", override=override)["problems"]
    assert any(text.startswith(f"command line: {key}: found ") for text in problems), problems
    assert not any("qwen397-mtp2.yml: " in text and key.removeprefix("override.") + ":" in text for text in problems)


def test_what_the_file_says_stays_the_files(resolve: Any) -> None:
    text = yaml.safe_load(GOOD)
    text["args"]["max-num-seqs"] = 0
    (problem,) = resolve(text=json.dumps(text, default=str), override={"args": {"max-model-len": 256}})["problems"]
    assert problem.startswith("test.yml: args.max-num-seqs: found 0")


def test_a_nodes_variable_that_loses_is_named(resolve: Any) -> None:
    def told(**env: str) -> list[str]:
        plan = resolve("sim-tiny-tp2", variables=hostvars(2, gx10_env=env))["plan"]
        return [text for text in plan["warnings"] if "gx10_env" in text]

    assert told(OMP_NUM_THREADS="8") == ["gx10-1, gx10-2: gx10_env.OMP_NUM_THREADS: '8' is not used, since the profile sets '1'"]
    assert told(HF_HUB_OFFLINE="0") == ["gx10-1, gx10-2: gx10_env.HF_HUB_OFFLINE: '0' is not used, since the plan sets '1'"]
    assert told(OMP_NUM_THREADS="1", HF_HUB_OFFLINE="1", MINE="x") == []


def test_a_node_may_have_its_own_folder_for_a_checkpoints_code(resolve: Any) -> None:
    def folders(**env: str) -> list[Any]:
        plan = resolve("qwen397-mtp2", variables=hostvars(4, gx10_env=env))["plan"]
        return [{**node["env"], **node["runtime_env"]}.get("HF_MODULES_CACHE") for node in plan["nodes"]]

    assert folders() == ["/tmp/gx10-hf-modules"] * 4
    assert folders(HF_MODULES_CACHE="/scratch") == ["/scratch"] * 4


@pytest.mark.parametrize(
    ("name", "value", "refused"),
    [
        *[("NVIDIA_VISIBLE_DEVICES", value, False) for value in ("all", "0", "0,1", "GPU-1f0c2a3b")],
        *[("NVIDIA_VISIBLE_DEVICES", value, True) for value in ("none", "void", "1", "", "all,1")],
        *[("CUDA_VISIBLE_DEVICES", value, False) for value in ("0", "0,1")],
        *[("CUDA_VISIBLE_DEVICES", value, True) for value in ("all", "1", "-1", "", "00")],
    ],
)
def test_no_variable_hides_the_only_gpu(resolve: Any, name: str, value: str, refused: bool) -> None:
    for more in ({"override": {"env": {name: value}}}, {"variables": hostvars(2, gx10_env={name: value})}):
        found = resolve("sim-tiny-tp2", **more)["problems"]
        assert ["it hides the node's GPU" in text for text in found] == [True] * (len(found) if refused else 0)
        assert bool(found) == refused
