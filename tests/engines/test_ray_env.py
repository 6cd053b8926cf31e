"""Which of the head's variables vLLM gives to Ray's workers: its own functions, on the file that the supervisor writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, unpack

sys.path.insert(0, str(ROOT / "roles/engine/files/supervisor"))
import ray_env

# vLLM's packages without their __init__, which import torch; the two modules themselves are the published ones.
PROGRAM = """
import json, sys, types
for name in ("vllm", "vllm.ray", "vllm.v1", "vllm.v1.executor"):
    package = types.ModuleType(name)
    package.__path__ = [sys.argv[1] + "/" + name.replace(".", "/")]
    sys.modules[name] = package
from vllm.ray.ray_env import get_env_vars_to_copy
from vllm.v1.executor.ray_env_utils import get_driver_env_vars
print("ANSWER", json.dumps([sorted(get_driver_env_vars(set())), sorted(get_env_vars_to_copy())]))
"""
HEADS = {
    "NCCL_SOCKET_IFNAME": "enp1s0f0np0", "NCCL_IB_HCA": "rocep1s0f0", "NCCL_IB_GID_INDEX": "3", "UCX_NET_DEVICES": "enp1s0f0np0",
    "GLOO_SOCKET_IFNAME": "enp1s0f0np0", "OMPI_MCA_btl_tcp_if_include": "enp1s0f0np0",
}  # fmt: skip


def carried(site: Path, env: dict[str, str]) -> list[set[str]]:
    """The names that the current Ray executor and the one before it would give to workers."""
    done = subprocess.run([sys.executable, "-c", PROGRAM, str(site)], env=env, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    answer = next(line for line in done.stdout.splitlines() if line.startswith("ANSWER "))
    return [set(names) for names in json.loads(answer.removeprefix("ANSWER "))]


@pytest.mark.parametrize("version", ["0.22.1", "0.30.0"])
def test_the_heads_network_settings_stay_at_home(tmp_path: Path, version: str) -> None:
    site = unpack(version)
    env = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "HF_HUB_OFFLINE": "1", **HEADS}
    current, before = carried(site, env)
    # Without the file they travel: the fault that this is about.
    assert set(HEADS) <= current
    assert {"NCCL_SOCKET_IFNAME", "NCCL_IB_HCA", "UCX_NET_DEVICES"} <= before
    assert set(ray_env.keep(env)) == set(HEADS)
    for names in carried(site, env):
        assert not set(HEADS) & names
        assert "HF_HUB_OFFLINE" in names, "what belongs to the model still travels"


def test_a_folder_with_a_tilde_and_a_file_that_is_no_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / ray_env.FILE).write_text("7")
    assert ray_env.keep({"VLLM_CONFIG_ROOT": "~", "NCCL_DEBUG": "INFO"}) == ["NCCL_DEBUG"]
    assert json.loads((tmp_path / ray_env.FILE).read_text()) == ["NCCL_DEBUG"]


def test_an_images_own_list_stays(tmp_path: Path) -> None:
    folder = tmp_path / "own"
    folder.mkdir()
    (folder / ray_env.FILE).write_text('["MY_VARIABLE"]')
    assert ray_env.keep({"VLLM_CONFIG_ROOT": str(folder), "NCCL_DEBUG": "INFO"}) == ["MY_VARIABLE", "NCCL_DEBUG"]
    assert json.loads((folder / ray_env.FILE).read_text()) == ["MY_VARIABLE", "NCCL_DEBUG"]
