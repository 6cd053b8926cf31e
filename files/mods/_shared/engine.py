# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the mods share: find the engine without importing it, edit its source by what it says, and report in one line.

Standard library, Python >= 3.9. Linked into each mod, so that a mod's folder is whole wherever it is copied.
"""

from __future__ import annotations

import ast
import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import NoReturn


class Refused(Exception):
    """The mod cannot or must not be applied; the text says why, and shows the code that was found."""


def package() -> Path:
    """The engine's folder. Nothing of it is imported: no GPU and no torch is needed."""
    spec = importlib.util.find_spec("vllm")
    if spec is None or not spec.submodule_search_locations:
        raise Refused("found no vllm in this Python; wanted the engine's package")
    return Path(next(iter(spec.submodule_search_locations)))


def read(path: Path) -> str:
    """A source file of the engine."""
    if not path.is_file():
        raise Refused(f"found no {path}; wanted it: this engine has another layout")
    return path.read_text(encoding="utf-8")


def find(tree: ast.AST, kind: type, name: str) -> ast.AST | None:
    """The class or function `name` anywhere in a tree; None where there is none or more than one."""
    found = [node for node in ast.walk(tree) if isinstance(node, kind) and getattr(node, "name", None) == name]
    return found[0] if len(found) == 1 else None


def source(text: str, node: ast.AST) -> str:
    """The lines of a node."""
    return "\n".join(text.splitlines()[node.lineno - 1 : node.end_lineno])  # type: ignore[attr-defined]


def insert(text: str, after: int, block: str, indent: int) -> str:
    """Put `block` after line `after` (from 1), indented by `indent` spaces."""
    lines = text.splitlines(keepends=True)
    added = "".join(" " * indent + line if line.strip() else line for line in block.splitlines(keepends=True))
    return "".join(lines[:after]) + added + "".join(lines[after:])


def by_diff(path: Path, diff: Path, wanted: str) -> bool:
    """Does patch(1) make exactly `wanted` of the file? Fuzz beyond two lines would place a hunk without looking at its surroundings."""
    if not shutil.which("patch") or not diff.is_file():
        return False
    with tempfile.TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        shutil.copyfile(path, copy)
        command = ["patch", "--batch", "--forward", "--silent", "--fuzz=2", "--reject-file=-", str(copy), str(diff)]
        done = subprocess.run(command, capture_output=True, check=False)
        return done.returncode == 0 and copy.read_text(encoding="utf-8") == wanted


def write(path: Path, text: str) -> None:
    """Replace a source file as a whole, only by what compiles; stale bytecode is no concern, since the time changes."""
    compile(text, str(path), "exec")
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(text, encoding="utf-8")
    shutil.copymode(path, fresh)
    os.replace(fresh, path)


def run(name: str, apply: object) -> NoReturn:
    """Apply, and report in one line: the last one that starts with "mod NAME: "."""
    try:
        how = apply()  # type: ignore[operator]
    except Refused as refused:
        print(f"mod {name}: refused: {refused}", flush=True)
        sys.exit(1)
    print(f"mod {name}: {how}", flush=True)
    sys.exit(0)
