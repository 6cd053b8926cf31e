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
import sys


def main() -> None:
    wanted = json.loads(sys.argv[1])
    found = {"torch": None, "cuda": None, "imports": {}, "versions": {}, "python": sys.version.split()[0]}
    try:
        import torch

        found["torch"], found["cuda"] = torch.__version__, torch.version.cuda
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
