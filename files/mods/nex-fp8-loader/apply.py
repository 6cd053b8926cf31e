# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Rename `.weight_scale` to `.weight_scale_inv` on the way into Qwen3_5Model.load_weights.

Field report of 2026-06-17: block-quantized FP8 of Nex-N2-Pro; without it `KeyError: 'layers.0.mlp.experts.w2_weight_scale'`.
"""

from __future__ import annotations

import ast
import os
from pathlib import Path

import checkpoint
import engine

NAME = "nex-fp8-loader"
FILE = "model_executor/models/qwen3_5.py"
SENTINEL = "_alias_fp8_scales"
BLOCK = """\
# Mod nex-fp8-loader: this checkpoint stores block scales as `<x>.weight_scale`; the slots that vLLM's FP8 methods
# register are `<x>.weight_scale_inv`. Renamed here, before names are mapped to fused slots.
def _alias_fp8_scales(ws):
    for n, w in ws:
        # A dot: names of tensors have no underscore there.
        yield (n + "_inv" if n.endswith(".weight_scale") else n), w

weights = _alias_fp8_scales(weights)
"""


def load_weights(text: str) -> ast.FunctionDef:
    """Qwen3_5Model.load_weights of a source file; it must take `weights`."""
    model = engine.find(ast.parse(text), ast.ClassDef, "Qwen3_5Model")
    if model is None:
        raise engine.Refused(f"{FILE}: found no class Qwen3_5Model; wanted one")
    function = engine.find(model, ast.FunctionDef, "load_weights")
    if not isinstance(function, ast.FunctionDef):
        raise engine.Refused(f"{FILE}: found no load_weights in Qwen3_5Model; wanted one:\n{engine.source(text, model)}")
    uses = [node for node in ast.walk(function) if isinstance(node, ast.Name) and node.id == "weights"]
    if "weights" not in [argument.arg for argument in function.args.args] or not uses:
        raise engine.Refused(f"{FILE}: load_weights does not read its argument `weights` any more:\n{engine.source(text, function)}")
    return function


def patched(text: str) -> str:
    """The source with the renaming as the first thing that the function does."""
    function = load_weights(text)
    lines = text.splitlines()
    # The header may span lines, and comments may follow it.
    header = next(number for number in range(function.lineno, function.end_lineno or 0) if lines[number - 1].rstrip().endswith(":"))
    first = function.body[0]
    docstring = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str)
    return engine.insert(text, (first.end_lineno or 0) if docstring else header, BLOCK, function.col_offset + 4)


def apply() -> str:
    """Refuse a checkpoint that would be corrupted, then patch the source; says how."""
    folder = os.environ.get("GX10_MODEL_DIR")
    problems = checkpoint.problems(Path(folder)) if folder else []
    if problems:
        raise engine.Refused(f"{folder} is not what this mod is for:\n" + "\n".join(problems))
    if not folder:
        print(f"mod {NAME}: GX10_MODEL_DIR is not set, so the checkpoint was not looked at", flush=True)
    path = engine.package() / FILE
    text = engine.read(path)
    body = engine.source(text, load_weights(text))
    if SENTINEL in body:
        return "not needed: applied before"
    if ".weight_scale_inv" in body:
        return "not needed: the engine renames the scales itself"
    wanted = patched(text)
    how = "diff" if engine.by_diff(path, Path(__file__).with_name("qwen3_5-fp8-scale-alias.diff"), wanted) else "fallback"
    engine.write(path, wanted)
    return f"applied by {how}"


if __name__ == "__main__":
    engine.run(NAME, apply)
