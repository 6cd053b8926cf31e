# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Apply mods: small programs that change the engine inside this container before it starts."""

from __future__ import annotations

import os
import shutil
import stat
import time
from collections.abc import Mapping
from typing import Callable

from processes import Family

# Seconds between two looks whether to go on.
LOOK = 0.25


def apply(
    family: Family, names: list[str], source: str, workspace: str, env: Mapping[str, str], seconds: float, check: Callable[[], None]
) -> None:
    """Run each mod's run.sh in order, with the field's contract; raises RuntimeError with the mod's name on failure.

    Copied to WORKSPACE/mods/NAME (dotfiles too), cwd there, WORKSPACE_DIR set, no arguments, non-zero fails the launch. Once per
    container: a mod need not stand being applied again when the container is started again. `check` raises when there is no more need.
    """
    for name in names:
        home = os.path.join(workspace, "mods", name)
        applied = os.path.join(workspace, "mods", f".applied-{name}")
        if os.path.exists(applied):
            continue
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(os.path.join(source, name), home, symlinks=True)
        script = os.path.join(home, "run.sh")
        os.chmod(script, os.stat(script).st_mode | stat.S_IXUSR)
        child = family.start(f"mod {name}", [script], {**env, "WORKSPACE_DIR": workspace}, home)
        deadline = time.monotonic() + seconds
        while not family.wait(child, LOOK) and time.monotonic() < deadline:
            check()
        if child.code is None:
            raise RuntimeError(f"mod {name} still ran after {seconds:.0f} s; see this container's log")
        if child.code:
            raise RuntimeError(f"mod {name}: run.sh {child.ended()}; see this container's log")
        with open(applied, "w", encoding="ascii"):
            pass
