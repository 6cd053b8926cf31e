"""Image definitions: torch cannot be swapped, and what a build needs is named before it starts."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

FOLDERS = sorted(path.parent for path in (ROOT / "files/images").glob("*/Dockerfile"))


def lines(folder: Path) -> list[str]:
    """A Dockerfile's instructions, continuation lines joined, without comments."""
    text = (folder / "Dockerfile").read_text().replace("\\\n", " ")
    return [" ".join(line.split()) for line in text.splitlines() if line.strip() and not line.startswith("#")]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)
def test_torch_for_cuda_is_pinned_against_every_dependency_and_installed_last(folder: Path) -> None:
    torch = yaml.safe_load((folder / "image.yml").read_text())["expect"]["torch"]
    if "+cu" not in torch:
        return
    version, index = torch.split("+")
    runs = [line for line in lines(folder) if line.startswith("RUN ")]
    last = f"RUN uv pip install --no-deps --force-reinstall --index-url https://download.pytorch.org/whl/{index} torch=={version}"
    assert runs[-1] == last
    for line in runs[:-1]:
        if "uv pip install" in line:
            assert f"'torch=={torch}'" in line, "a resolution without the override may swap torch for a CPU build"
            assert "--override" in line


def test_the_lineage_is_whole() -> None:
    bases = {folder.name: yaml.safe_load((folder / "image.yml").read_text())["base"] for folder in FOLDERS}
    assert bases["vllm-node-mimo"] == "vllm-node-tf5:latest"
    assert bases["vllm-node-tf5"] == "vllm-node:latest"
    assert bases["vllm-node"] == "nvidia/cuda:13.2.0-devel-ubuntu24.04"
    for folder in FOLDERS:
        assert f"ARG BASE={bases[folder.name]}" in lines(folder)


def context(tmp_path: Path, wheels: list[str]) -> dict[str, Any]:
    """What the lookup says, as a role would ask it."""
    options = f"wheels={wheels!r}, wheels_path='{tmp_path}', cache='{tmp_path}/cache.json'"
    task = f"msg={{{{ lookup('gx10.serving.image_context', 'vllm-node', {options}) | to_json }}}}"
    argv = [str(Path(sys.executable).parent / "ansible"), "localhost", "-c", "local", "-i", "localhost,", "-m", "debug", "-a", task]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=tmp_path)
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, Any] = json.loads(yaml.safe_load(done.stdout.split("=>", 1)[1])["msg"])
    return found


def test_missing_wheels_are_named_before_a_build(tmp_path: Path) -> None:
    wanted = yaml.safe_load((ROOT / "files/images/vllm-node/image.yml").read_text())["wheels"]
    (tmp_path / "vllm-node").mkdir()
    (tmp_path / "vllm-node" / wanted[0]).write_bytes(b"a wheel")
    before = context(tmp_path, wanted)
    assert before["missing"] == sorted(wanted[1:])
    # An altered wheel is another input: the image is built again.
    (tmp_path / "vllm-node" / wanted[0]).write_bytes(b"another wheel")
    assert context(tmp_path, wanted)["hash"] != before["hash"]
