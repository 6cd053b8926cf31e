"""Readers of evidence: engine logs, a container's JSON, process lists, image contexts, and the roles' interfaces."""

from __future__ import annotations

import os
import socket
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.node import _log_facts, _look, _processes
from ansible_collections.gx10.serving.plugins.module_utils.phases import _image, _preflight
from ansible_collections.gx10.serving.plugins.module_utils.plan import _context
from conftest import ROOT, UNKNOWN, hostvars


# The wording of these lines by version: reference/reliability-and-security.md, section 2, and vLLM 0.30.0 as run here.
@pytest.mark.parametrize(
    ("line", "fact"),
    [
        ("INFO [kv_cache_utils.py:1] GPU KV cache size: 551,076 tokens", {"kv_cache_tokens": 551076}),
        ("GPU KV cache size: 1,234 tokens, Maximum concurrency for 8,192 tokens per request: 3.50x", {"kv_cache_tokens": 1234}),
        ("\x1b[36m(EngineCore pid=235)\x1b[0m INFO CPU KV cache size: 2,097,152 tokens, Maximum", {"kv_cache_tokens": 2097152}),
        ("GPU + host KV cache size: 10 tokens", {"kv_cache_tokens": 10}),
        ("Available KV cache memory: -1.25 GiB", {"kv_cache_gib": [-1.25]}),
        (
            "Initial free memory 110.1 GiB, reserved 20.5 GiB memory for KV Cache as specified by kv_cache_memory_bytes",
            {"kv_cache_gib": [20.5]},
        ),
        ("(RayWorkerProc pid=7, ip=10.0.0.2) Explicitly set (1.0/23.5) GiB for KV cache on node 0.", {"kv_cache_gib": [1.0]}),
        ("Auto set (3.25/23.5) GiB for KV cache on node 0, with 4.0 GiB requested memory for the worker.", {"kv_cache_gib": [3.25]}),
        ("Loading weights took 549.60 seconds", {"weights_seconds": 549.6}),
        ("init engine (profile, create kv cache, warmup model) took 45.20 seconds", {"init_seconds": 45.2}),
        ("init engine (profile, create kv cache, warmup model) took 3.50 s (compilation: 1 s)", {"init_seconds": 3.5}),
        ("KV cache", {}),
        # SGLang 0.5.13: memory_pool.py and metrics_reporter.py.
        (
            "KV Cache is allocated. dtype: torch.float8_e4m3fn, #tokens: 812345, KV size: 9.50 GB",
            {"kv_cache_tokens": 812345, "kv_cache_gib": [9.5]},
        ),
        (
            "KV Cache is allocated. #tokens: 1557504, K size: 2.23 GB, V size: 2.25 GB",
            {"kv_cache_tokens": 1557504, "kv_cache_gib": [4.48]},
        ),
        ("[2026-08-17 16:52:12] Mamba Cache is allocated. max_mamba_cache_size: 614, conv_state size: 0.38GB", {"mamba_slots": 614}),
        (
            "[TP0] max_total_num_tokens=1557504, chunked_prefill_size=1024, max_running_requests=19, context_len=8192",
            {"kv_cache_tokens": 1557504, "max_running_requests": 19},
        ),
        # What was asked for is no evidence of what is.
        ("server_args=ServerArgs(max_running_requests=32, max_mamba_cache_size=96)", {}),
        ("Decode batch. accept len: 2.67, accept rate: 0.56, cuda graph: True", {"acceptance_rate": 0.56}),
    ],
)
def test_log_facts(line: str, fact: dict[str, Any]) -> None:
    assert _log_facts.facts(f"before\n{line}\nafter") == fact


@pytest.mark.parametrize(
    ("line", "sign"),
    [
        ("vllm.v1.engine.exceptions.EngineDeadError: EngineCore encountered an issue.", "engine core died"),
        ("RayWorkerProc rank=[2] died unexpectedly, shutting down executor.", "a rank died"),
        ("ValueError: No available memory for the cache blocks.", "no memory for the KV cache"),
        ("ImportError: libtorch_cuda.so: cannot open shared object file", "CPU build of torch"),
        ("Free memory on device (74.9/142.5 GiB) on startup is less than desired GPU memory utilization", "too little free memory"),
        ("vllm: error: unrecognized arguments: --max-num-seq 4", "wrong flag"),
    ],
)
def test_log_signs(line: str, sign: str) -> None:
    assert _log_facts.signs(f"x\n{line}\ny") == [f"{sign}: {line}"]


@pytest.mark.parametrize("text", ["", "null", "[]", '"text"', '{"plan": {', '{"plan": null}', '{"plan": {}}', '{"image_id": "x"}'])
def test_what_is_no_record_counts_as_none(tmp_path: Path, text: str) -> None:
    run = tmp_path / "run/name"
    run.mkdir(parents=True)
    (run / "status.json").write_text(text)
    for name in ("current.json", "last-good.json", "previous-good.json"):
        (tmp_path / name).write_text(text)
    container = {
        "Name": "/name", "Id": "c", "Image": "i", "Config": {"Labels": None}, "HostConfig": {"PortBindings": None},
        "State": {"Running": True, "ExitCode": 0, "StartedAt": ""},
    }  # fmt: skip
    docker: Any = SimpleNamespace(labelled=lambda label: [container], inspect=lambda kind, names: [])
    look = _look.engine(docker, str(tmp_path), [])
    assert (look["record"], look["good"]["last"], look["good"]["previous"], look["image_gone"]) == ({}, {}, {}, False)
    assert isinstance(look["containers"][0]["status"], dict)


def test_a_log_of_several_generations_counts_from_the_last_ones_start() -> None:
    first = "supervisor | gx10-1 | generation 1\nGPU KV cache size: 1,000 tokens\nEngineCore encountered a fatal error\n"
    second = "supervisor | gx10-1 | generation 2\nsupervisor | gx10-1 | engine\nGPU KV cache size: 2,000 tokens\n"
    last, whole = _log_facts.last_generation(f"a mod's words\n{first}{second}")
    assert (last, whole) == (second, True)
    assert (_log_facts.facts(last), _log_facts.signs(last)) == ({"kv_cache_tokens": 2000}, [])
    # Rotated away, or none has started yet.
    assert _log_facts.last_generation("generation 3\nx supervisor | n | generation 3\n") == (
        "generation 3\nx supervisor | n | generation 3\n",
        False,
    )


def test_the_supervisors_line_is_the_one_that_is_looked_for(tmp_path: Path) -> None:
    program = "import sys, status; status.Status(sys.argv[1], {'node': 'gx10-1', 'profile': 'p'}).begin(7, 1, 3)"
    home = ROOT / "roles/engine/files/supervisor"
    done = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "status.json")], cwd=home, capture_output=True, text=True, check=True
    )
    assert _log_facts.last_generation(f"before\n{done.stderr}after") == (f"{done.stderr}after", True)


EXPECT: Any = {"torch": "2.11.0+cu130", "cuda": "13.0", "imports": ["vllm"], "versions": {"transformers": ">=5.0.0"}}
GOOD = {"torch": "2.11.0+cu130", "cuda": "13.0", "imports": {"vllm": ""}, "versions": {"transformers": "5.23.0"}}


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({}, None),
        ({"torch": "2.10.0+cpu"}, "torch.__version__: found '2.10.0+cpu'; wanted '2.11.0+cu130'. Rebuild it."),
        ({"cuda": None}, "torch.version.cuda: found None; wanted '13.0'"),
        ({"imports": {"vllm": "ImportError: libtorch_cuda.so"}}, "import vllm: found ImportError: libtorch_cuda.so"),
        ({"imports": {}}, "import vllm: found not tried"),
        ({"versions": {"transformers": "4.57.1"}}, "version of transformers: found 4.57.1; wanted >=5.0.0"),
        ({"versions": {}}, "version of transformers: found not installed"),
    ],
)
def test_image_evidence(change: dict[str, Any], message: str | None) -> None:
    problems = _image.problems({**GOOD, **change}, EXPECT, "Rebuild it.", "image x")
    assert (problems == []) if message is None else (len(problems) == 1 and message in problems[0])


def test_pinned_wheels_that_are_not_there() -> None:
    text = "ray==2.60.0\ntorch==2.13.0+cpu\nantlr4-python3-runtime==4.9\nray[default]==2.60.0\n# x==1\n"
    wheels = ["ray-2.60.0-cp311-cp311-manylinux2014_x86_64.whl", "torch-2.13.0+cpu-cp311-cp311-linux_x86_64.whl"]
    assert _context.missing(text, wheels) == ["antlr4-python3-runtime==4.9"]


def test_who_listens_is_found() -> None:
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        port = server.getsockname()[1]
        assert _processes.listeners([port]) == [], "bound is not listening"
        server.listen()
        (found,) = _processes.listeners([port])
        assert (found["port"], found["pid"]) == (port, os.getpid())
    assert _processes.listeners([port]) == []


@pytest.mark.parametrize(
    ("command", "engine"),
    [
        ("/usr/bin/python3 /usr/local/bin/vllm serve /m", True),
        ("vllm serve /m", True),
        ("VLLM::EngineCore", True),
        ("ray::RayWorkerProc", True),
        ("/x/ray/core/src/ray/raylet/raylet --a", True),
        ("/x/gcs_server --b", True),
        ("/usr/bin/python3 /usr/local/bin/ray start --block", True),
        ("python3 -m sglang.launch_server --model-path /m", True),
        ("sglang::scheduler", True),
        ("vim vllm serve.md", False),
        ("array startup", False),
        ("sshd: x-ray", False),
    ],
)
def test_engine_processes_by_command_line(command: str, engine: bool) -> None:
    assert bool(_processes.ENGINE.search(command)) is engine


def test_preflight_lists_every_problem_of_every_node(resolve: Any) -> None:
    plan = resolve("sim-tiny-tp2", variables=hostvars(2))["plan"]
    good: Any = {
        "journal": True, "hardware": UNKNOWN,
        "addresses": ["192.168.177.11", "192.168.177.12"], "missing_tools": [], "docker": {"error": ""},
        "disk": {"/srv/models": {"free": 1, "size": 1, "writable": True}}, "memory": {"total": 2**37, "available": 2**36},
    }  # fmt: skip
    infos = {"gx10-1": good, "gx10-2": good}
    engine: Any = {"containers": [], "listeners": []}
    engines = {"gx10-1": engine, "gx10-2": engine}
    present = ["gx10-1", "gx10-2"]
    assert _preflight.node_problems(plan, infos, engines, present) == []
    bad: Any = {
        **good,
        "addresses": ["10.0.0.1"],
        "missing_tools": ["nginx"],
        "journal": False,
        "docker": {"error": "refused"},
        "memory": {"total": 2**37, "available": 1},
    }
    bad["disk"] = {"/srv/models": {"free": 1, "size": 1, "writable": False}}
    foreign: Any = {"containers": [], "listeners": [{"port": 8000, "pid": 9, "command": "other", "container": None}]}
    problems = _preflight.node_problems(plan, {"gx10-1": bad}, {"gx10-1": foreign}, ["gx10-1"])
    assert len(problems) == 8
    for text in (
        "gx10-2: node",
        "gx10_fabric_address",
        "apt-get install nginx-light",
        "/run/systemd/journal/socket: found nothing; wanted the socket of systemd-journald",
        "Docker engine",
        "/srv/models",
        "memory",
        "port 8000",
    ):
        assert any(text in problem for problem in problems), text


@pytest.mark.parametrize("role", sorted(path.parent.parent.name for path in ROOT.glob("roles/*/meta/argument_specs.yml")))
def test_a_roles_defaults_are_those_of_its_argument_spec(role: str) -> None:
    spec = yaml.safe_load((ROOT / f"roles/{role}/meta/argument_specs.yml").read_text())["argument_specs"]
    options = {name: option for entry in spec.values() for name, option in entry["options"].items()}
    defaults = yaml.safe_load((ROOT / f"roles/{role}/defaults/main.yml").read_text()) or {}
    assert {name: option["default"] for name, option in options.items() if "default" in option} == defaults
    text = (ROOT / f"roles/{role}/README.md").read_text()
    for entry in spec.values():
        for name in entry["options"]:
            assert f"`{name}`" in text, f"roles/{role}/README.md does not mention {name}"
