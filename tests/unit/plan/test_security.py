"""What every launch has or refuses, whoever wrote the profile: each of these fails when the default is another one. The rules are named in
SECURITY.md's table, which tests/unit/test_security_table.py holds to these tests."""

from __future__ import annotations

import ipaddress
import re
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _commands, _site
from conftest import ROOT, hostvars

SOLO = yaml.safe_load((ROOT / "model_profiles/sim-tiny-solo.yml").read_text())


def published(port: str) -> str:
    return yaml.safe_dump({**SOLO, "container": {**SOLO["container"], "publish": [port]}})


@pytest.mark.parametrize(("address", "outer"), [("127.0.0.1", "127.0.0.1"), ("fd00::1", "[fd00::1]"), (None, "192.168.1.11")])
def test_finding_1_a_port_is_published_on_the_apis_address_alone(resolve: Any, address: str | None, outer: str) -> None:
    site = {"gx10_api_address": address} if address else {}
    plan = resolve(text=published("8000:9000"), variables=hostvars(1, **site), accept_untested=True)["plan"]
    assert plan["nodes"][0]["container"]["options"]["publish"] == [f"{outer}:8000:9000"]


@pytest.mark.parametrize("port", ["99999:0", "8000:0", "0:8000", "65536:8000", "8000:65536", "08000:8000", "8000:8000:8000", "8000"])
def test_finding_1_a_port_is_a_port(resolve: Any, port: str) -> None:
    answer = resolve(text=published(port), variables=hostvars(1), accept_untested=True)
    assert answer["plan"] is None
    (problem,) = answer["problems"]
    assert f"container.publish[0]: found '{port}'" in problem and "both from 1 to 65535" in problem


def test_finding_1_every_port_can_be_published(resolve: Any) -> None:
    for port in (1, 9, 10, 999, 1000, 9999, 11000, 59999, 60000, 64999, 65000, 65499, 65500, 65529, 65530, 65535):
        assert resolve(text=published(f"{port}:{port}"), variables=hostvars(1), accept_untested=True)["plan"], port


QUIET = ("HF_HUB_OFFLINE=1", "HF_HUB_DISABLE_TELEMETRY=1", "VLLM_NO_USAGE_STATS=1", "DO_NOT_TRACK=1", "RAY_usage_stats_enabled=0")


@pytest.mark.parametrize("name", ["qwen397-mtp2", "nemotron3-super-sglang", "sim-tiny-solo"])
def test_no_engine_tells_anybody_that_it_runs(resolve: Any, name: str) -> None:
    for node in resolve(name, accept_untested=True)["plan"]["nodes"]:
        assert {f"{key}={value}" for key, value in node["runtime_env"].items()} >= set(QUIET)


def container() -> dict[str, Any]:
    """The task that starts an engine."""
    tasks = yaml.safe_load((ROOT / "roles/engine/tasks/replace.yml").read_text())
    (found,) = [task["community.docker.docker_container"] for task in tasks if task["name"] == "replace | Start the container"]
    return dict(found)


def test_a_container_has_no_more_rights_than_it_needs() -> None:
    given = _commands.parameters({"cap_add": ["IPC_LOCK", "KILL"]})
    assert given == {
        "cap_drop": ["ALL"],
        "capabilities": ["CHOWN", "DAC_OVERRIDE", "FOWNER", "KILL", "NET_BIND_SERVICE", "SETGID", "SETUID", "IPC_LOCK"],
        "security_opts": ["no-new-privileges"],
        "pids_limit": 16384,
    }
    task = container()
    for name in given:
        assert task[name] == f"{{{{ __hardware.{name} }}}}", name
    printed = [option for option, _reason in _commands.ADDED]
    assert {"--cap-drop ALL", "--security-opt no-new-privileges", "--pids-limit 16384"} <= set(printed)
    assert [option.split()[1] for option in printed if option.startswith("--cap-add")] == list(_commands.CAPABILITIES)


# Who may restart at all asks the group's head first: docs/recovery.md.
RESTART = "{{ 'unless-stopped' if engine_plan.group.restarts_per_hour else 'no' }}"


def test_a_container_keeps_dockers_seccomp_profile_and_namespaces() -> None:
    task = container()
    assert not {"privileged", "pid_mode", "uts", "userns_mode", "cgroupns_mode", "volumes", "volumes_from"} & set(task)
    assert (task["pull"], task["init"], task["restart_policy"]) == ("never", True, RESTART)
    assert task["log_driver"] == "json-file" and set(task["log_options"]) == {"max-size", "max-file"}


@pytest.mark.parametrize("name", ["qwen397-mtp2", "nemotron3-super-sglang", "sim-tiny-tp4"])
def test_a_container_sees_weights_read_only_and_no_socket_of_docker(resolve: Any, name: str) -> None:
    plays = (ROOT / "roles/engine/tasks/replace.yml").read_text()
    assert "docker.sock" not in plays
    assert "combine', {'type': 'bind', 'read_only': true}" in plays
    for node in resolve(name, accept_untested=True)["plan"]["nodes"]:
        assert [mount["target"] for mount in node["container"]["mounts"]] == ["/root/.cache/huggingface"]


# All but the one that its own limits refuse.
PROFILES = sorted(path.stem for path in (ROOT / "model_profiles").glob("*.yml") if path.stem != "qwen397-mtp5")


@pytest.mark.parametrize("name", PROFILES)
def test_the_api_listens_on_an_explicit_address(resolve: Any, name: str) -> None:
    argv = resolve(name, accept_untested=True)["plan"]["nodes"][0]["engine"]["argv"]
    assert argv.count("--host") == 1
    ipaddress.ip_address(argv[argv.index("--host") + 1])


@pytest.mark.parametrize("name", PROFILES)
def test_ray_wants_its_token_and_has_no_dashboard(resolve: Any, name: str) -> None:
    for node in resolve(name, accept_untested=True)["plan"]["nodes"]:
        if node["ray"]:
            assert (node["runtime_env"]["RAY_AUTH_MODE"], node["runtime_env"]["RAY_AUTH_TOKEN_PATH"]) == ("token", "/run/gx10/ray_token")
            # No dashboard, no monitor with its metrics on every address.
            assert ("--include-dashboard=false --no-monitor" in " ".join(node["ray"]["argv"])) == (node["rank"] == 0)
    # The token's value is in a file alone.
    task = (ROOT / "roles/engine/tasks/replace.yml").read_text().split("Make the run folder")[1].split("\n- name")[0]
    assert 'path: ray_token, content: "{{ __token | b64encode }}", mode: "0600"' in task


# Every option of `ray start` that is a port (2.54 to 2.60: scripts/scripts.py), but Redis', which nothing here starts.
RAY_PORTS = {
    *("node-manager", "ray-client-server", "object-manager", "runtime-env-agent", "dashboard-agent-grpc", "dashboard-agent-listen"),
    *("metrics-export", "dashboard", "min-worker", "max-worker"),
}


@pytest.mark.parametrize("name", ["sim-tiny-tp4", "nemotron3-super-sglang"])
def test_the_groups_link_is_on_the_heads_fabric_address(resolve: Any, name: str) -> None:
    assert resolve(name, accept_untested=True)["plan"]["group"]["address"] == "192.168.177.11:8733"


@pytest.mark.parametrize("first", [10000, 1024, 31768])
def test_every_port_of_ray_is_fixed_and_is_rays_alone(resolve: Any, first: int) -> None:
    site = {"gx10_ray_first_port": first} if first != 10000 else {}
    plan = resolve("sim-tiny-tp2", variables=hostvars(2, **site), accept_untested=True)["plan"]
    for node in plan["nodes"]:
        argv, metrics = node["ray"]["argv"], int(node["runtime_env"]["DASHBOARD_METRIC_PORT"])
        found = {word[2:-5]: int(argv[index + 1]) for index, word in enumerate(argv) if re.fullmatch("--.+-port", word)}
        low, high = found["min-worker"], found["max-worker"]
        assert set(found) == RAY_PORTS
        fixed = [found[name] for name in RAY_PORTS - {"min-worker", "max-worker"}] + [metrics]
        # The rest is the workers': one for each that lives, and Ray starts gx10_ray_cpus of them ahead (500 at most).
        assert sorted(fixed) == list(range(first, low)) == sorted(node["ray"]["ports"])
        assert (high, high + 1 - low > 900) == (first + 999, True)
        # No connection of the node's own takes one first.
        assert first >= 1024 and high < 32768
        assert ("--port" in argv) == (node["rank"] == 0)
    assert _site.SITE_DEFAULTS["gx10_ray_first_port"] == 10000
    for wrong in (1023, 31769):
        (problem,) = resolve("sim-tiny-tp2", variables=hostvars(2, gx10_ray_first_port=wrong), accept_untested=True)["problems"]
        assert f"gx10_ray_first_port: found {wrong}; wanted a whole number from 1024 to 31768" in problem


@pytest.mark.parametrize(
    ("key", "port"),
    [
        *(("gx10_api_port", 10000), ("gx10_ray_port", 10999), ("gx10_master_port", 10500), ("gx10_group_port", "10009")),
        ("gx10_fanout_port", 10001),
    ],
)
def test_no_other_port_is_one_of_rays(resolve: Any, key: str, port: Any) -> None:
    (problem,) = resolve("sim-tiny-tp2", variables=hostvars(2, **{key: port}), accept_untested=True)["problems"]
    assert f"{key}: found {port}, one of the 1000 from gx10_ray_first_port on; wanted a port that no other setting has" in problem
    assert resolve("sim-tiny-tp2", variables=hostvars(2, **{key: port, "gx10_ray_first_port": 20000}), accept_untested=True)["plan"]


@pytest.mark.parametrize(
    ("ports", "problem"),
    [
        (["8731:8000"], "container.publish[0]: found 8731, of gx10_fanout_port; wanted a port that is not ours."),
        (["8733:8000"], "container.publish[0]: found 8733, of gx10_group_port"),
        (["6379:8000"], "container.publish[0]: found 6379, of gx10_ray_port"),
        (["10999:8000"], "container.publish[0]: found 10999, of gx10_ray_first_port"),
        (["29501:8000"], "container.publish[0]: found 29501, of gx10_master_port"),
        # The first is the API's, wherever it is; another one in its place is not.
        (["9000:8000", "8000:9000"], "container.publish[1]: found 8000, of gx10_api_port"),
    ],
)
def test_a_published_port_is_not_one_of_ours(resolve: Any, ports: list[str], problem: str) -> None:
    text = yaml.safe_dump({**SOLO, "container": {**SOLO["container"], "publish": ports}})
    (found,) = resolve(text=text, variables=hostvars(1), accept_untested=True)["problems"]
    assert problem in found
    assert resolve(text=published("8000:8000"), variables=hostvars(1), accept_untested=True)["plan"]


@pytest.mark.parametrize(
    "key",
    [
        *("api-key", "hf-token", "tool-server", "profiler-config", "enable-tokenizer-info-endpoint", "config", "enable-prompt-embeds"),
        *("grpc", "model-class-overrides", "trust-request-chat-template"),
    ],
)
def test_a_flag_that_opens_the_engine_or_shows_a_secret_is_refused(resolve: Any, key: str) -> None:
    answer = resolve("sim-tiny-solo", override={"args": {key: "x"}}, accept_untested=True)
    assert answer["plan"] is None and any(f"args.{key}: found" in problem for problem in answer["problems"])


@pytest.mark.parametrize(
    "key",
    [
        *("VLLM_API_KEY", "VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_INSECURE_SERIALIZATION", "HF_TOKEN", "LD_PRELOAD", "PYTHONPATH"),
        *("VLLM_ALLOW_RUNTIME_LORA_UPDATING", "VLLM_KEEP_ALIVE_ON_ENGINE_DEATH", "LD_AUDIT", "LD_LIBRARY_PATH", "PYTHONHOME"),
        *("PYTHONSTARTUP", "PYTHONOPTIMIZE", "CUDA_INJECTION64_PATH", "GCONV_PATH", "BASH_ENV", "PATH"),
    ],
)
@pytest.mark.parametrize("site", [False, True])
def test_a_variable_that_opens_the_engine_or_is_a_secret_is_refused(resolve: Any, key: str, site: bool) -> None:
    # A value that the engine reads: another one is refused in any case.
    env = {key: "1"}
    more: dict[str, Any] = {"variables": hostvars(1, gx10_env=env)} if site else {"override": {"env": env}}
    answer = resolve("sim-tiny-solo", accept_untested=True, **more)
    assert answer["plan"] is None and any(f"env.{key}: found" in problem for problem in answer["problems"])


def test_a_folder_for_profiles_of_sglang_is_refused(resolve: Any) -> None:
    answer = resolve("nemotron3-super-sglang", override={"env": {"SGLANG_TORCH_PROFILER_DIR": "/tmp"}}, accept_untested=True)
    assert any("env.SGLANG_TORCH_PROFILER_DIR: found '/tmp'" in problem for problem in answer["problems"])


def test_a_container_writes_into_its_run_folder_alone() -> None:
    tasks = yaml.safe_load((ROOT / "roles/engine/tasks/replace.yml").read_text())
    (task,) = [task for task in tasks if task["name"] == "replace | Start the container"]
    more = "[__notices] if __engine_is_head else [], [__compiled] if __engine_keeps else []"
    assert task["community.docker.docker_container"]["mounts"] == f"{{{{ [__weights, __ours, {more}] | flatten(levels=1) }}}}"
    # The head's notices, and what the engine compiles: folders of this launch's that the host only reads, or that no other container sees.
    assert [(task["vars"][name]["source"], task["vars"][name]["target"]) for name in ("__notices", "__compiled")] == [
        ("{{ engine_plan.state_dir }}/notices", "/run/gx10/notices"),
        ("{{ __engine_compiled_home }}/files", "/var/cache/gx10"),
    ]
    assert [(mount["source"], mount["target"], mount.get("read_only", False)) for mount in task["vars"]["__ours"]] == [
        ("{{ __engine_home }}", "/opt/gx10", True),
        ("{{ __engine_run_dir }}", "/run/gx10", False),
        ("/run/systemd/journal/socket", "/run/systemd/journal/socket", True),
    ]


@pytest.mark.parametrize("key", ["api-key", "admin-api-key", "enable-custom-logit-processor", "tool-server", "grpc-mode", "config"])
def test_a_flag_that_opens_sglang_or_shows_a_secret_is_refused(resolve: Any, key: str) -> None:
    answer = resolve("nemotron3-super-sglang", override={"args": {key: "x"}}, accept_untested=True)
    assert answer["plan"] is None and any(f"args.{key}: found" in problem for problem in answer["problems"])
