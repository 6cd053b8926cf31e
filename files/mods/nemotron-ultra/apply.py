# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""See to it that vLLM knows Nemotron-3-Ultra's architecture and the reasoning parser nemotron_v3.

Field report of 2026-06-13. Engines from 0.20 on have both: there it proves so and changes nothing.
"""

from __future__ import annotations

import ast
import shutil
from pathlib import Path

import engine

NAME = "nemotron-ultra"
ARCHITECTURE = "NemotronHForCausalLM"
PARSER = "nemotron_v3"
MODULE = "nemotron_v3_reasoning_parser"


def keys(text: str) -> dict[str, int]:
    """Every key of every dictionary in a source, with its line."""
    return {
        key.value: key.lineno
        for node in ast.walk(ast.parse(text))
        if isinstance(node, ast.Dict)
        for key in node.keys
        if isinstance(key, ast.Constant) and isinstance(key.value, str)
    }


def apply() -> str:
    """Look for both, and add the parser where it is missing; says how."""
    package = engine.package()
    registry = package / "model_executor/models/registry.py"
    if ARCHITECTURE not in keys(engine.read(registry)) or not (package / "model_executor/models/nemotron_h.py").is_file():
        raise engine.Refused(f"{registry}: found no {ARCHITECTURE}; wanted it: an engine without the model's code cannot be given it here")
    listing = package / "reasoning/__init__.py"
    text = engine.read(listing)
    known = keys(text)
    if PARSER in known:
        return f"not needed: the engine has {ARCHITECTURE} and {PARSER}"
    base = engine.read(package / "reasoning/basic_parsers.py")
    if "deepseek_r1" not in known or "def extract_reasoning(" not in base:
        raise engine.Refused(
            f"{listing}: found no parser deepseek_r1 with extract_reasoning; wanted it, for {PARSER} is made of it:\n{text}"
        )
    line = known["deepseek_r1"]
    indent = len(text.splitlines()[line - 1]) - len(text.splitlines()[line - 1].lstrip())
    fresh = engine.insert(text, line - 1, f'"{PARSER}": ("{MODULE}", "NemotronV3ReasoningParser"),\n', indent)
    shutil.copyfile(Path(__file__).with_name("parser.py"), package / f"reasoning/{MODULE}.py")
    engine.write(listing, fresh)
    return "applied by fallback"


if __name__ == "__main__":
    engine.run(NAME, apply)
