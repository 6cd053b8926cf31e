# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What engines measure of their kernels at a start is measured anew at each one, by all ranks: some engines measure in step, and one that
finds an old answer leaves the others waiting (vllm-project/vllm#54618, #57423)."""

from __future__ import annotations

import shutil
from collections.abc import Mapping

# As the plan sets them; another folder is its owner's.
VARIABLES = ("VLLM_FLASHINFER_AUTOTUNE_CACHE_DIR",)
PREFIX = "/tmp/gx10-"


def forget(env: Mapping[str, str]) -> None:
    """Before an engine starts."""
    for folder in {env[name] for name in VARIABLES if env.get(name, "").startswith(PREFIX)}:
        shutil.rmtree(folder, ignore_errors=True)
