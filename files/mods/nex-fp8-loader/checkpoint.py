# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Would renaming `.weight_scale` corrupt this checkpoint? Only block-quantized FP8 has its scales under the wrong name.

Standard library, Python >= 3.9.
"""

from __future__ import annotations

import json
import re
import struct
from pathlib import Path

INDEX = "model.safetensors.index.json"
EXPERT = re.compile(r"\.experts\.\d+\.(?:gate|up|down)_proj\.weight_scale$")


def shape(path: Path, tensor: str) -> list[int]:
    """A tensor's shape, from the header of a safetensors file."""
    with path.open("rb") as file:
        (length,) = struct.unpack("<Q", file.read(8))
        header = json.loads(file.read(length))
    found: list[int] = header[tensor]["shape"]
    return found


def problems(folder: Path) -> list[str]:
    """Why the mod must not be used with a checkpoint; empty if it may."""
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        names: dict[str, str] = json.loads((folder / INDEX).read_text(encoding="utf-8"))["weight_map"]
    except (OSError, ValueError, KeyError) as error:
        return [f"{folder}: found {error}; wanted config.json and {INDEX}"]
    quantization = config.get("quantization_config") or config.get("text_config", {}).get("quantization_config") or {}
    found = []
    if quantization.get("quant_method") != "fp8":
        found.append(f"config.json: quant_method: found {quantization.get('quant_method')!r}; wanted 'fp8'")
    block = quantization.get("weight_block_size")
    if not (isinstance(block, list) and len(block) == 2):
        found.append(
            f"config.json: weight_block_size: found {block!r}; wanted two numbers. Per-tensor FP8 has its scales in `.weight_scale` "
            "rightly: renamed, they would be lost"
        )
    right = [name for name in names if name.endswith(".weight_scale_inv")]
    if right:
        found.append(f"{INDEX}: found {right[0]}; wanted no name that ends so: this checkpoint needs no mod")
    scales = sorted(name for name in names if EXPERT.search(name))
    if not scales:
        found.append(f"{INDEX}: found no scale of an expert like layers.0.mlp.experts.0.down_proj.weight_scale; wanted one")
    elif (folder / names[scales[0]]).is_file() and len(shape(folder / names[scales[0]], scales[0])) != 2:
        found.append(
            f"{scales[0]}: found shape {shape(folder / names[scales[0]], scales[0])}; wanted a scale for each block, two dimensions"
        )
    return found
