# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Keep each node's own network settings: under Ray, vLLM gives the head's environment to the workers.

Up to 0.20, and later with VLLM_USE_RAY_V2_EXECUTOR_BACKEND=0, by prefix and over what a worker has; since then everything that a worker
lacks (vllm/ray/ray_env.py and vllm/v1/executor/ray_env_utils.py, 0.22.1 and 0.30.0). Both leave out the names in
ray_non_carry_over_env_vars.json. Each node's container has its own values from the plan, so nothing is missed.
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Mapping

# Interfaces, HCAs and GIDs: named by each machine for itself.
PREFIXES = ("NCCL_", "UCX_", "GLOO_", "TP_", "OMPI_")
FILE = "ray_non_carry_over_env_vars.json"


def keep(env: Mapping[str, str]) -> list[str]:
    """Write the names in `env` that belong to this node where vLLM looks for them; an image's own list stays. Returns the names."""
    home = env.get("HOME") or os.path.expanduser("~")
    root = env.get("VLLM_CONFIG_ROOT") or os.path.join(env.get("XDG_CONFIG_HOME") or os.path.join(home, ".config"), "vllm")
    folder = os.path.expanduser(root)
    path = os.path.join(folder, FILE)
    before: list[str] = []
    # vLLM itself passes over a file that it cannot read.
    with contextlib.suppress(FileNotFoundError, ValueError), open(path, encoding="utf-8") as file:
        kept = json.load(file)
        before = [str(name) for name in kept] if isinstance(kept, list) else []
    names = sorted({*before, *(name for name in env if name.startswith(PREFIXES))})
    os.makedirs(folder, exist_ok=True)
    with open(path, "w", encoding="utf-8") as file:
        json.dump(names, file)
    return names
