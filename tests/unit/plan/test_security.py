"""What a plan has for every launch, whoever wrote the profile: each of these fails when the default is another one."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
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
    assert f"container.publish[0]: found '{port}'" in problem and "two ports from 1 to 65535" in problem


def test_finding_1_every_port_can_be_published(resolve: Any) -> None:
    for port in (1, 9, 10, 999, 1000, 9999, 10000, 59999, 60000, 64999, 65000, 65499, 65500, 65529, 65530, 65535):
        assert resolve(text=published(f"{port}:{port}"), variables=hostvars(1), accept_untested=True)["plan"], port


QUIET = ("HF_HUB_OFFLINE=1", "HF_HUB_DISABLE_TELEMETRY=1", "VLLM_NO_USAGE_STATS=1", "DO_NOT_TRACK=1", "RAY_usage_stats_enabled=0")


@pytest.mark.parametrize("name", ["qwen397-mtp2", "nemotron3-super-sglang", "sim-tiny-solo"])
def test_no_engine_tells_anybody_that_it_runs(resolve: Any, name: str) -> None:
    for node in resolve(name, accept_untested=True)["plan"]["nodes"]:
        assert {f"{key}={value}" for key, value in node["runtime_env"].items()} >= set(QUIET)
