"""What every rank's log must say before a launch counts as served."""

from __future__ import annotations

from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _log_facts
from ansible_collections.gx10.serving.plugins.module_utils.phases import _rank_checks
from ansible_collections.gx10.serving.plugins.module_utils.phases._types import Check
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from conftest import hostvars

# Ray 2.60.0 (_private/ray_logging and worker.py): where a line is from stands before it; the head's own ranks have no ip.
RAY = """\
(EngineCore pid=235) INFO 06-17 15:02:01 [core.py:97] Initializing a V1 LLM engine (v0.22.1rc1.dev124) with config: model='x'
(RayWorkerProc pid=301) INFO 06-17 15:13:20 [gpu_worker.py:467] Available KV cache memory: 7.02 GiB
(RayWorkerProc pid=88, ip=192.168.177.12) INFO 06-17 15:13:20 [gpu_worker.py:467] Available KV cache memory: 6.38 GiB
(RayWorkerProc pid=91, ip=192.168.177.13) INFO 06-17 15:13:21 [gpu_worker.py:467] Available KV cache memory: 7.11 GiB
(RayWorkerProc pid=90, ip=192.168.177.14) INFO 06-17 15:13:21 [gpu_worker.py:467] Available KV cache memory: 7.39 GiB
(EngineCore pid=235) INFO 06-17 15:13:22 [kv_cache_utils.py:1710] GPU KV cache size: 844,024 tokens
"""
# The same with Ray's default: the first line at once, and the last one for all that followed.
FOLDED = """\
(RayWorkerProc pid=301) INFO Available KV cache memory: 7.02 GiB
(RayWorkerProc pid=90, ip=192.168.177.14) INFO Available KV cache memory: 7.39 GiB\x1b[32m [repeated 3x across cluster]\x1b[0m
"""


def log(text: str) -> Any:
    return {"facts": _log_facts.facts(text)}


@pytest.fixture
def plan(resolve: Any) -> Plan:
    found: Plan = resolve("qwen397-mtp2")["plan"]
    return found


def judge(plan: Plan, logs: dict[str, Any]) -> Check:
    (found,) = _rank_checks.rank_checks(plan, logs)
    return found


def test_four_ranks_over_ray(plan: Plan) -> None:
    found = judge(plan, {"gx10-1": log(RAY), "gx10-2": log("")})
    assert (found["ok"], found["found"]) == (True, "6.38 to 7.39 GiB")
    assert found["wanted"] == "a line of each of 4 nodes, above 0 GiB"


def test_what_a_boot_said_outlives_its_log(plan: Plan) -> None:
    """Docker rotates; the record of the same start remembers, another start's does not."""
    container = {"name": plan["nodes"][0]["container"]["name"], "started_at": "2026-11-24T07:00:00Z"}
    infos: dict[str, Any] = {"gx10-1": {"containers": [container], "log": log(RAY), "record": {}}}
    boots = _rank_checks.boot_facts(plan, infos)
    assert judge(plan, boots)["ok"] is True
    rotated: Any = {"containers": [container], "log": log(RAY[RAY.index("(RayWorkerProc pid=90") :]), "record": {"boots": boots}}
    assert judge(plan, {"gx10-1": rotated["log"]})["ok"] is None
    assert _rank_checks.boot_facts(plan, {"gx10-1": rotated}) == boots
    again: Any = {**rotated, "containers": [{**container, "started_at": "2026-11-24T09:00:00Z"}]}
    assert judge(plan, _rank_checks.boot_facts(plan, {"gx10-1": again}))["ok"] is None


def test_a_whole_log_of_another_generation_needs_no_record(plan: Plan) -> None:
    """The same container: its record is of the generation before, which had one rank more to say."""
    container = {"name": plan["nodes"][0]["container"]["name"], "started_at": "2026-11-24T07:00:00Z"}
    before: Any = {"containers": [container], "log": log(RAY), "record": {}}
    boots = _rank_checks.boot_facts(plan, {"gx10-1": before})
    short = {**log(RAY[RAY.index("(RayWorkerProc pid=90") :]), "whole": True}
    now: Any = {"containers": [container], "log": short, "record": {"boots": boots}}
    assert judge(plan, _rank_checks.boot_facts(plan, {"gx10-1": now}))["ok"] is None


def test_the_plan_asks_ray_for_every_line(plan: Plan) -> None:
    assert [node["runtime_env"]["RAY_DEDUP_LOGS"] for node in plan["nodes"]] == ["0"] * 4


def test_folded_lines_count(plan: Plan) -> None:
    assert _log_facts.facts(FOLDED)["kv_cache_gib"] == [7.02, 7.39, 7.39, 7.39]
    assert judge(plan, {"gx10-1": log(FOLDED)})["ok"] is True


@pytest.mark.parametrize(
    ("text", "ok", "found"),
    [
        ("\n".join(line for line in RAY.splitlines() if "177.13" not in line), None, "6.38 to 7.39 GiB; 3 of 4 lines in the log of gx10-1"),
        ("", None, "no value; 0 of 4 lines in the log of gx10-1"),
        (RAY.replace("6.38", "-1.25"), False, "-1.25 to 7.39 GiB"),
        # The log of a container that was started twice: only the last start counts.
        (RAY + "\n".join(RAY.splitlines()[:2]), None, "7.02 to 7.02 GiB; 1 of 4 lines in the log of gx10-1"),
    ],
)
def test_a_rank_without_a_cache_or_a_word(plan: Plan, text: str, ok: bool | None, found: str) -> None:
    check = judge(plan, {"gx10-1": log(text)})
    assert (check["ok"], check["found"]) == (ok, found)
    assert "docker logs qwen397-fp8-mtp-tp4" in check["hint"]


def test_without_ray_each_node_has_its_own_log(resolve: Any) -> None:
    plan = resolve("sim-tiny-tp2", variables=hostvars(2))["plan"]
    for node in plan["nodes"]:
        node["ray"] = None
    line = "(Worker_TP0 pid=281) INFO [cpu_worker.py:200] Explicitly set (1.0/23.54) GiB for KV cache on node 0."
    assert judge(plan, {"gx10-1": log(line), "gx10-2": log(line)})["ok"] is True
    check = judge(plan, {"gx10-1": log(line + "\n" + line)})
    assert (check["ok"], check["found"]) == (None, "1.00 to 1.00 GiB; no line in the log of gx10-2")


# Forms: sglang 0.5.13, mem_cache/memory_pool.py and managers/scheduler.py; numbers of the field report.
SGLANG = """\
[2026-06-20 10:00:01 TP0] Mamba Cache is allocated. max_mamba_cache_size: {slots}, conv_state size: 0.08GB, ssm_state size: 9.20GB \
intermediate_ssm_state_cache size: 4.10GB intermediate_conv_window_cache size: 0.05GB
[2026-06-20 10:00:02 TP0] KV Cache is allocated. dtype: torch.float8_e4m3fn, #tokens: 16580000, K size: 15.81 GB, V size: 15.81 GB
[2026-06-20 10:00:03 TP0] KV Cache is allocated. dtype: torch.float8_e4m3fn, #tokens: 16580000, K size: 1.98 GB, V size: 1.98 GB
[2026-06-20 10:00:09 TP0] max_total_num_tokens=16580000, chunked_prefill_size=8192, max_prefill_tokens=16384, \
max_running_requests={requests}, context_len=524288, available_gpu_mem=23.60 GB
"""


@pytest.mark.parametrize("profile", ["nemotron3-super-sglang", "nemotron3-super-sglang-ep4"])
def test_the_mamba_pool_bounds_the_requests(resolve: Any, profile: str) -> None:
    plan = resolve(profile)["plan"]
    names = [node["name"] for node in plan["nodes"]]

    def judge(slots: int, requests: int) -> list[Check]:
        text = SGLANG.format(slots=slots, requests=requests)
        return _rank_checks.rank_checks(plan, {name: log(text) for name in names})

    cache, pool = judge(96, 19)
    assert (cache["ok"], cache["found"]) == (True, "31.62 to 31.62 GiB"), "the drafter's own cache is not the group's"
    assert (pool["ok"], pool["found"]) == (True, "19 requests at once from 96 slots")
    # A pool that was left to SGLang came out at 18 slots on a sibling (dgxarley's profile of Ultra): six requests.
    pool = judge(18, 6)[1]
    assert pool["ok"] is False
    assert pool["wanted"] == "at least 8 (reported: 19 from 96 slots)" and "max-mamba-cache-size" in pool["hint"]
    assert _rank_checks.rank_checks(plan, {})[1]["ok"] is None
