# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Where engines put what they compile, so that the next launch of the same need not. PRIVATE to the collection."""

from __future__ import annotations

from collections.abc import Mapping

from .engines import _engines

# In the container.
TARGET = "/var/cache/gx10"
# Of the container alone, and new with each start of the engine (roles/engine/files/supervisor/tuned.py).
TUNED = "/tmp/gx10-tuned"
# Triton and Inductor: their own documentation, where the engine does not set them; flashinfer/jit/env.py; NVIDIA's driver, for PTX.
COMMON = {
    "TRITON_CACHE_DIR": "triton",
    "TORCHINDUCTOR_CACHE_DIR": "inductor",
    "FLASHINFER_WORKSPACE_BASE": "flashinfer",
    "CUDA_CACHE_PATH": "cuda",
}


def env(engine: str, given: Mapping[str, str], gib: int) -> dict[str, str]:
    """Variables of one node; what its owner has set stays his."""
    if not gib:
        return {}
    caches = _engines.load(engine).CACHES
    found = {name: f"{TARGET}/{folder}" for name, folder in {**COMMON, **caches.kept}.items()}
    found.update(dict.fromkeys(caches.tuned, TUNED))
    return {name: value for name, value in {**found, **caches.off}.items() if name not in given}
