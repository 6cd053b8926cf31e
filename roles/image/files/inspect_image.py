# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a throwaway container: print one JSON about what is really installed.

    python3 - '{"imports": ["vllm"], "versions": ["vllm"]}'

torch is asked itself: its package's metadata is what lies after a silent swap for a CPU build.
"""

import importlib
import importlib.metadata
import json
import shutil
import subprocess
import sys


def packages() -> dict:
    """Every installed package and its version, by kind."""
    found = {"python": {item.metadata["Name"]: item.version for item in importlib.metadata.distributions()}}
    if shutil.which("dpkg-query"):
        out = subprocess.run(["dpkg-query", "-W", "-f=${Package} ${Version}\n"], capture_output=True, text=True, check=True).stdout
        found["debian"] = dict(line.split(" ", 1) for line in out.splitlines())
    return found


def nccl_path() -> str:
    """The NCCL library that this process has loaded, or nothing."""
    with open("/proc/self/maps", encoding="utf-8") as file:
        return next((line.split()[-1] for line in file if "libnccl" in line), "")


def main() -> None:
    wanted = json.loads(sys.argv[1])
    found = {"torch": None, "cuda": None, "gpu": None, "nccl": None, "nccl_path": "", "imports": {}, "versions": {}}
    found["python"], found["packages"] = sys.version.split()[0], packages()
    try:
        import torch

        found["torch"], found["cuda"], found["gpu"] = torch.__version__, torch.version.cuda, torch.cuda.is_available()
        if torch.version.cuda:
            found["nccl"], found["nccl_path"] = ".".join(map(str, torch.cuda.nccl.version())), nccl_path()
    except Exception as error:
        found["torch"] = f"import failed: {error}"
    for name in wanted["imports"]:
        try:
            importlib.import_module(name)
            found["imports"][name] = ""
        except Exception as error:
            found["imports"][name] = f"{type(error).__name__}: {error}"
    for name in wanted["versions"]:
        try:
            found["versions"][name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            found["versions"][name] = None
    print("\nEVIDENCE " + json.dumps(found))


if __name__ == "__main__":
    main()
