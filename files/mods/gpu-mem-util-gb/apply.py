# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Add --gpu-memory-utilization-gb N to vLLM: a budget in GiB, instead of a share of a memory that the CPU uses, too.

Field report of 2026-06-13 (Nemotron-3-Ultra): 108 GiB with the tightest node at 111.27; 0.5 GiB must stay free beside it.
"""

from __future__ import annotations

import ast
from collections.abc import Callable
from pathlib import Path

import engine

NAME = "gpu-mem-util-gb"
FIELD = "gpu_memory_utilization_gb"
SHARE = "gpu_memory_utilization"
OPTION = "--gpu-memory-utilization"

CONFIG = f"""\
{FIELD}: float | None = None
\"\"\"The memory budget of the model executor in GiB (mod {NAME}); {SHARE} is then not used.\"\"\"
"""
ARGUMENT = f"""\
cache_group.add_argument(
    "{OPTION}-gb", dest="{FIELD}", type=float, default=None, help="The memory budget in GiB (mod {NAME})."
)
"""
REFUSE = f"""\
if self.{FIELD} is not None:
    if self.{FIELD} <= 0:
        raise ValueError(f"{OPTION}-gb: found {{self.{FIELD}}}; wanted more than 0 GiB")
    if self.kv_cache_memory_bytes is not None:
        raise ValueError("{OPTION}-gb and --kv-cache-memory-bytes: found both; wanted one")
    if self.{SHARE} != EngineArgs.{SHARE}:
        raise ValueError("{OPTION}-gb and {OPTION}: found both; wanted one")
"""
REQUEST = f"""\
if cache_config.{FIELD} is not None:
    requested_memory = math.ceil(cache_config.{FIELD} * 1024**3)
    margin = 512 * 1024**2
    if init_snapshot.free_memory < requested_memory + margin:
        raise ValueError(
            f"{OPTION}-gb on device {{init_snapshot.device_}}: found {{init_snapshot.free_memory / 1024**3:.2f}} GiB free; "
            f"wanted {{(requested_memory + margin) / 1024**3:.2f}} (the budget and 0.50 beside it)"
        )
    return requested_memory
"""


def one(tree: ast.AST, test: Callable[[ast.AST], bool], what: str, file: str, text: str) -> ast.AST:
    """The only node that passes; drift is refused with the text that was found."""
    found = [node for node in ast.walk(tree) if test(node)]
    if len(found) != 1:
        shown = "\n".join(line for line in text.splitlines() if SHARE in line or OPTION in line)
        raise engine.Refused(f"{file}: found {len(found)} x {what}; wanted one. The lines that speak of it:\n{shown}")
    return found[0]


def field(node: ast.AST) -> bool:
    return isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name) and node.target.id == SHARE


def argument(node: ast.AST) -> bool:
    value = node.value if isinstance(node, ast.Expr) else None
    return isinstance(value, ast.Call) and bool(value.args) and isinstance(value.args[0], ast.Constant) and value.args[0].value == OPTION


def passed(node: ast.AST) -> bool:
    """cache_config = CacheConfig(…, gpu_memory_utilization=self.gpu_memory_utilization, …)"""
    value = node.value if isinstance(node, ast.Assign) else None
    return isinstance(value, ast.Call) and any(keyword.arg == SHARE for keyword in value.keywords)


def requested(node: ast.AST) -> bool:
    if not isinstance(node, ast.Assign) or not isinstance(node.targets[0], ast.Name) or node.targets[0].id != "requested_memory":
        return False
    return any(isinstance(part, ast.Attribute) and part.attr == SHARE for part in ast.walk(node.value))


def config(text: str) -> str:
    """config/cache.py: the field, and that it changes no compiled graph."""
    tree = ast.parse(text)
    node = one(tree, field, f"the field {SHARE}", "config/cache.py", text)
    ignored = one(
        tree,
        lambda item: isinstance(item, ast.Set) and any(isinstance(part, ast.Constant) and part.value == SHARE for part in item.elts),
        "a set of ignored factors with it",
        "config/cache.py",
        text,
    )
    entry = next(part for part in ignored.elts if isinstance(part, ast.Constant) and part.value == SHARE)  # type: ignore[attr-defined]
    text = engine.insert(text, entry.end_lineno or 0, f'"{FIELD}",\n', entry.col_offset)
    return engine.insert(text, node.lineno - 1, CONFIG, node.col_offset)  # type: ignore[attr-defined]


def arguments(text: str) -> str:
    """engine/arg_utils.py: the field, the option, what contradicts it, and the way into the configuration."""
    tree = ast.parse(text)
    edits = []
    node = one(tree, field, f"the field {SHARE}", "engine/arg_utils.py", text)
    edits.append((node.lineno - 1, f"{FIELD}: float | None = None\n", node.col_offset))  # type: ignore[attr-defined]
    node = one(tree, argument, f"the option {OPTION}", "engine/arg_utils.py", text)
    edits.append((node.lineno - 1, ARGUMENT, node.col_offset))  # type: ignore[attr-defined]
    node = one(tree, passed, f"a configuration made with {SHARE}", "engine/arg_utils.py", text)
    keyword = next(item for item in node.value.keywords if item.arg == SHARE)  # type: ignore[attr-defined]
    edits.append((keyword.end_lineno, f"{FIELD}=self.{FIELD},\n", keyword.col_offset))
    edits.append((node.lineno - 1, REFUSE, node.col_offset))  # type: ignore[attr-defined]
    # From the end, so that line numbers stay true.
    for line, block, indent in sorted(edits, reverse=True):
        text = engine.insert(text, line, block, indent)
    return text


def request(text: str) -> str:
    """v1/worker/utils.py: what a rank asks for."""
    node = one(ast.parse(text), requested, f"requested_memory from {SHARE}", "v1/worker/utils.py", text)
    return engine.insert(text, node.end_lineno, REQUEST, node.col_offset)  # type: ignore[attr-defined]


FILES = {"config/cache.py": config, "engine/arg_utils.py": arguments, "v1/worker/utils.py": request}


def apply() -> str:
    """All three files or none; says how."""
    package = engine.package()
    texts: dict[Path, str] = {package / name: engine.read(package / name) for name in FILES}
    done = [path for path, text in texts.items() if FIELD in text]
    if len(done) == len(FILES):
        return "not needed: applied before, or the engine has it"
    if done:
        raise engine.Refused(f"found {FIELD} in {', '.join(map(str, done))} only; wanted it in all of {', '.join(FILES)} or in none")
    fresh = {package / name: edit(texts[package / name]) for name, edit in FILES.items()}
    for path, text in fresh.items():
        compile(text, str(path), "exec")
    for path, text in fresh.items():
        engine.write(path, text)
    return "applied by fallback"


if __name__ == "__main__":
    engine.run(NAME, apply)
