# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a run that ended early has left on a node: its lock, files that never got their name, a distribution's folder. PRIVATE.

Looked at, and removed where nobody can miss it. Runs on the nodes (Python >= 3.9, standard library).
"""

from __future__ import annotations

import contextlib
import glob
import os
import stat
import time
from collections.abc import Iterable, Mapping

from . import _background, _lock, _oci
from ._types import Left, LeftFile, Lock

# Where this collection writes a file under another name first; not where a mod's or a build's own files lie.
PLACES = (
    "*.new",
    "hashes.json.[0-9]*",
    "run/*/*.new",
    "manifests/*.new",
    "sbom/*.new",
    "fanout/run/*.new",
    "registry/*.new",
    f"registry/{_oci.ROOT}/.incoming.[0-9]*",
    f"registry/{_oci.ROOT}/repositories/**/*.new",
)
# Such a file lives for as long as one write takes. A clock that jumps makes none of them old: it is removed only if it was there before,
# the same, and nobody has it open.
OLD_SECONDS = 600
# A program in the background works there, and its folder goes when it ends.
WORK = ("fanout/run", "download/run")
# Pieces of weights that wait for the next run, which goes on with them.
STAGE = ".gx10"


def files(state_dir: str) -> list[LeftFile]:
    """Files that were to get another name, and that nobody writes any more: regular, the state folder's owner's, old, and not open."""
    found: dict[tuple[int, int], LeftFile] = {}
    if not os.path.isdir(state_dir):
        return []
    owner, home = os.stat(state_dir).st_uid, os.path.realpath(state_dir)
    for pattern in PLACES:
        for path in glob.glob(os.path.join(glob.escape(home), pattern), recursive=True):
            try:
                about = os.lstat(path)
            except OSError:
                continue  # it has got its name meanwhile
            old = time.time() - about.st_mtime
            # Not by way of a folder that is a link, either.
            ours = stat.S_ISREG(about.st_mode) and about.st_uid == owner and os.path.realpath(path) == path
            if ours and old >= OLD_SECONDS:
                which = f"{about.st_ino}:{about.st_mtime_ns}"
                found[about.st_dev, about.st_ino] = {"path": path, "which": which, "age": round(old), "size": about.st_size}
    for key in opened() if found else ():
        found.pop(key, None)
    return sorted(found.values(), key=lambda item: item["path"])


def opened() -> Iterable[tuple[int, int]]:
    """Every file that a process has open, by device and inode: a container has other paths for it."""
    for entry in filter(str.isdigit, os.listdir("/proc")):
        # The process may have ended meanwhile, or closed one of them; the others count.
        with contextlib.suppress(OSError):
            for descriptor in os.listdir(f"/proc/{entry}/fd"):
                with contextlib.suppress(OSError):
                    about = os.stat(f"/proc/{entry}/fd/{descriptor}")
                    yield about.st_dev, about.st_ino


def works(state_dir: str) -> list[str]:
    """Folders of programs in the background that do not run any more."""
    folders = [os.path.join(state_dir, name) for name in WORK]
    return [path for path in folders if os.path.isdir(path) and not _background.running(path)]


def stages(models_root: str) -> list[str]:
    """Models, ORG/NAME, of which a distribution that was interrupted keeps pieces."""
    return sorted("/".join(path.split("/")[-3:-1]) for path in glob.glob(os.path.join(glob.escape(models_root), "*", "*", STAGE)))


def lock(path: str) -> Lock | None:
    """The lock, as far as somebody may know it; None where there is none."""
    try:
        found = _lock.read(path)
    except _lock.NoLock as error:
        return {"error": str(error)}
    if not found:
        return None
    about = {key: value for key, value in found.items() if key not in ("token", "since", "renewed", "node_boot")}
    return {"error": "", "holder": about, "age": round(_lock.age(found), 1), "held": round(_lock.held(found), 1)}


def look(state_dir: str, models_root: str, asked_at: float) -> Left:
    """All of it. `asked_at`: the caller's clock when it asked."""
    return {
        "clock": {"asked": asked_at, "here": time.time()},
        "lock": lock(os.path.join(state_dir, _lock.NAME)),
        "files": files(state_dir),
        "works": works(state_dir),
        "stages": stages(models_root),
    }


def remove(state_dir: str, seen: Iterable[Mapping[str, str]], check: bool) -> list[str]:
    """Remove those that were seen before, path and `which`, and are left over still; returns their paths."""
    wanted = {(item["path"], item["which"]) for item in seen}
    found = [item["path"] for item in files(state_dir) if (item["path"], item["which"]) in wanted]
    for path in found if not check else ():
        os.remove(path)
    return found
