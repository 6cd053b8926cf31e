"""Recipes of spark-vllm-docker become profiles that resolve, and what is lost is said."""

from __future__ import annotations

from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _recipe, _resolve, _sources
from conftest import hostvars
from hypothesis import given, settings
from hypothesis import strategies as st

# The fields of the 4x Qwen3.5-397B FP8 recipe, in own words.
RECIPE = """\
recipe_version: "1"
name: Qwen3.5-397B-A17B FP8 on four nodes
description: TP=4 over the fabric
model: Qwen/Qwen3.5-397B-A17B-FP8
container: vllm-node-mimo
cluster_only: true
build_args: [--tf5]
defaults:
  port: 8000
  host: 0.0.0.0
  tensor_parallel: 4
  gpu_memory_utilization: 0.85
  max_model_len: 262144
env:
  VLLM_USE_DEEP_GEMM: 0
  OMP_NUM_THREADS: 4
command: |
  vllm serve Qwen/Qwen3.5-397B-A17B-FP8 --host {host} --port {port} -tp {tensor_parallel} \\
    --gpu-memory-utilization {gpu_memory_utilization} --max-model-len={max_model_len} \\
    --max-num-seqs 32 --kv-cache-dtype fp8 --enable-prefix-caching --no-enable-chunked-prefill \\
    --speculative-config '{{"method": "qwen3_next_mtp", "num_speculative_tokens": 2}}' \\
    --compilation-config.cudagraph_mode none --distributed-executor-backend ray
"""


def convert(text: str) -> tuple[dict[str, Any], list[str]]:
    return _recipe.convert({"path": "r.yaml", "text": text}, _sources.read("sim-tiny-tp2")["schema"]["text"], "2026-11-21")


def resolve(profile: dict[str, Any]) -> Any:
    sources = _sources.read("sim-tiny-tp2")
    sources["profile"] = {"name": "imported", "path": "imported.yml", "text": yaml.safe_dump(profile, sort_keys=False)}
    variables = hostvars()
    return _resolve.resolve(sources, variables, list(variables), None, True)


def test_a_recipe_becomes_a_profile_that_resolves() -> None:
    profile, notes = convert(RECIPE)
    assert notes == [
        "build_args: not carried (['--tf5'])",
        "--host 0.0.0.0: belongs to gx10_api_address in the inventory",
        "--port 8000: belongs to gx10_api_port in the inventory",
    ]
    found = resolve(profile)
    assert found["problems"] == [], found["message"]
    argv = found["plan"]["nodes"][0]["engine"]["argv"]
    assert argv[argv.index("--gpu-memory-utilization") + 1] == "0.85"
    assert argv[argv.index("--tensor-parallel-size") + 1] == "4"
    assert "--no-enable-chunked-prefill" in argv
    assert '{"method":"qwen3_next_mtp","num_speculative_tokens":2}' in argv
    assert profile["executor"] == "ray"
    assert profile["env"]["OMP_NUM_THREADS"] == "4"
    assert profile["provenance"]["status"] == "untested"


def test_without_ray_it_is_vllms_own_executor() -> None:
    profile, _notes = convert(RECIPE.replace(" --distributed-executor-backend ray", ""))
    assert profile["executor"] == "mp"


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("container: vllm-node-mimo\n", ""), "container: found nothing"),
        (("{tensor_parallel}", "{tp}"), "found a placeholder or quote that cannot be filled"),
        (("vllm serve", "bash run.sh"), "wanted vllm serve MODEL"),
        (("name: Qwen", "name: [Qwen"), "invalid YAML"),
    ],
)
def test_what_is_no_recipe_is_refused(change: tuple[str, str], message: str) -> None:
    profile, notes = convert(RECIPE.replace(*change))
    assert profile == {}
    assert any(message in note for note in notes), notes


def test_a_flag_that_a_mod_adds_is_named() -> None:
    text = RECIPE.replace("--max-num-seqs 32", "--gpu-memory-utilization-gb 108")
    _profile, notes = convert(text)
    assert any("--gpu-memory-utilization-gb: not a flag" in note for note in notes)


def test_short_flags_and_negative_numbers_are_read_as_vllm_reads_them() -> None:
    text = RECIPE.replace("-tp {tensor_parallel}", "-tp={tensor_parallel} -O3 -cc.mode=3 --served-model-name a b")
    text = text.replace("--compilation-config.cudagraph_mode none", "").replace("--max-model-len={max_model_len}", "--max-model-len -1")
    profile, notes = convert(text.replace("\n", "\r\n"))
    assert profile["parallel"] == {"tensor": 4} and profile["model"]["served_name"] == "a"
    assert "--served-model-name: the first of 2 names is carried" in notes
    picked = {key: profile["args"][key] for key in ("optimization-level", "compilation-config.mode", "max-model-len", "max-num-seqs")}
    assert picked == {"optimization-level": 3, "compilation-config.mode": 3, "max-model-len": -1, "max-num-seqs": 32}
    assert not any("not a flag" in note for note in notes)
    # What is no flag keeps its sign of equality.
    _profile, notes = convert(RECIPE.replace("--max-num-seqs 32", "-zz=3"))
    assert "-zz=3: not a flag of vllm serve, not carried" in notes


@given(st.text(alphabet="{}[]'\"\\ -=abc:\n", max_size=80))
@settings(max_examples=500, deadline=None)
def test_any_command_gives_a_profile_or_notes(command: str) -> None:
    text = yaml.safe_dump({"name": "n", "container": "c", "command": f"vllm serve {command}"})
    profile, notes = convert(text)
    assert profile or notes
