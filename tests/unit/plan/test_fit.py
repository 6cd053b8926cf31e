"""One answer has all problems: of the profile, of its checkpoint, and of the site, whichever of them is broken."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from conftest import ROOT, hostvars

SOLO = yaml.safe_load((ROOT / "model_profiles/sim-tiny-solo.yml").read_text())
# Of the site, found only beside an engine: its environment and the address that the API has by default.
SECRET, PRELOAD, NAME = "gx10-1.gx10_env.HF_TOKEN: found a secret", "gx10-1.gx10_env.LD_PRELOAD", "gx10_api_address: found 'spark1'"


def site(**more: Any) -> dict[str, dict[str, Any]]:
    variables = hostvars(1, gx10_env={"HF_TOKEN": "hf_x", "LD_PRELOAD": "/x.so", "NCCL_DEBUG": "INFO"}, **more)
    variables["gx10-1"]["ansible_host"] = "spark1"
    return variables


def text(**keys: Any) -> str:
    return yaml.safe_dump({**SOLO, **keys})


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        (text(args={**SOLO["args"], "max-num-seq": 4}), ["args.max-num-seq"]),
        (text(engine="vlm"), ["engine: found 'vlm'"]),
        (text(engine=["vllm"]), ["engine: found"]),
        (text(image="nope"), ["image: found 'nope'"]),
        (text(parallel={"tensor": 2}), ["executor: found", "parallel: found"]),
        (text(summary=7), ["summary"]),
        ("a: [", [": found "]),
        ("", [": found "]),
    ],
    ids=["flag", "engine", "type", "image", "nodes", "key", "yaml", "empty"],
)
def test_a_bad_profile_hides_nothing_of_the_site(resolve: Any, profile: str, named: list[str]) -> None:
    found = resolve(text=profile, variables=site(gx10_api_port="http"), accept_untested=True)
    for part in (SECRET, PRELOAD, NAME, "gx10_api_port: found 'http'"):
        assert [problem for problem in found["problems"] if part in problem], (part, found["message"])
    assert any(any(part in problem for part in named) for problem in found["problems"] if problem.startswith("test.yml")), found["message"]


def test_no_profile_at_all_hides_nothing_of_the_site(resolve: Any) -> None:
    problems = resolve("nope", variables=site())["problems"]
    assert len(problems) == 4
    assert [part for part in (SECRET, PRELOAD, NAME) if not any(part in problem for problem in problems)] == []


def test_a_bad_site_hides_nothing_of_the_profile_and_its_checkpoint(resolve: Any) -> None:
    """Three heads cannot be split, the budget is beyond what the weights leave, and there are fewer nodes than ranks."""
    override = {"args": {"gpu-memory-utilization": 0.5}, "parallel": {"tensor": 3}}
    variables = site(gx10_api_port="http", gx10_container_options={"runtime": "nvidia"})
    problems = resolve("qwen397-mtp2", variables=variables, override=override)["problems"]
    for part in ("gx10_api_port", SECRET, PRELOAD, NAME, "parallel: found tensor 3", "memory: found", "[not-a-divisor]"):
        assert [problem for problem in problems if part in problem], (part, problems)


def test_what_the_site_says_wrongly_is_said_once(resolve: Any) -> None:
    """Where a value has no form already, nothing follows from it."""
    variables = site(gx10_api_address="head")
    variables["gx10-1"]["gx10_env"] = {"HF_TOKEN": True}
    variables["gx10-1"]["ansible_host"] = "a b"
    problems = resolve("sim-tiny-solo", variables=variables)["problems"]
    assert sorted(problem.split(": ")[1] for problem in problems) == ["gx10-1.ansible_host", "gx10-1.gx10_env.HF_TOKEN", "gx10_api_address"]


def test_of_an_engine_that_nobody_knows_only_what_all_refuse(resolve: Any) -> None:
    """VLLM_API_KEY is a secret to each; SGLang alone refuses its own folder for profiles."""
    variables = hostvars(1, gx10_env={"VLLM_API_KEY": "x", "SGLANG_TORCH_PROFILER_DIR": "/x", "VLLM_NO_SUCH": "1"})
    problems = resolve(text=text(engine="vlm"), variables=variables)["problems"]
    assert [problem for problem in problems if "gx10_env" in problem and "VLLM_API_KEY" not in problem] == []


def test_a_port_of_the_node_is_published_once(resolve: Any) -> None:
    """Docker would say so when the group has been taken down."""
    twice = text(container={**SOLO["container"], "publish": ["8000:8000", "8000:9000"]})
    (problem,) = resolve(text=twice, variables=hostvars(1), accept_untested=True)["problems"]
    assert "container.publish: found port 8000 twice; wanted each of the node's ports once" in problem
    once = text(container={**SOLO["container"], "publish": ["8000:8000", "9000:8000"]})
    assert resolve(text=once, variables=hostvars(1), accept_untested=True)["problems"] == []
