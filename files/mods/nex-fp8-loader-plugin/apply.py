# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Put the plugin beside the engine, where every process of it finds its entry point."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import checkpoint
import engine

NAME = "nex-fp8-loader-plugin"


def apply() -> str:
    """Refuse a checkpoint that would be corrupted, then install the plugin; says how."""
    folder = os.environ.get("GX10_MODEL_DIR")
    problems = checkpoint.problems(Path(folder)) if folder else []
    if problems:
        raise engine.Refused(f"{folder} is not what this mod is for:\n" + "\n".join(problems))
    package = engine.package()
    if "vllm.general_plugins" not in engine.read(package / "plugins/__init__.py"):
        raise engine.Refused("plugins/__init__.py: found no entry points vllm.general_plugins; wanted them")
    model = package / "model_executor/models/qwen3_5.py"
    if "class Qwen3_5Model(" not in engine.read(model):
        raise engine.Refused(f"{model}: found no class Qwen3_5Model; wanted it")
    allowed = os.environ.get("VLLM_PLUGINS")
    if allowed is not None and "gx10_nex_fp8_loader" not in allowed.split(","):
        raise engine.Refused(f"VLLM_PLUGINS: found {allowed!r}; wanted gx10_nex_fp8_loader in it")
    shutil.copytree(Path(__file__).with_name("site"), package.parent, dirs_exist_ok=True)
    return "applied by plugin"


if __name__ == "__main__":
    engine.run(NAME, apply)
