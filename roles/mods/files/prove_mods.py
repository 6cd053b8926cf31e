# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Runs inside a throwaway container: apply mods as the supervisor does, and print one JSON about what they changed.

    python3 - '[{"name": "x", "proof": [{"module", "object", "contains" or "attribute"}]}]' MODS_DIR MODEL_DIR

Standard library; the engine is imported in processes of their own, before and after.
"""

import json
import os
import shutil
import subprocess
import sys

LOOK = """
import importlib, importlib.abc, importlib.machinery, inspect, json, sys
from unittest.mock import MagicMock

# An image for CPUs lacks packages that the engine imports and a proof does not use, as torchvision: those that are missing
# are stubbed for the one import, and the answer says so.
stubbed = []

class Stub(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    def find_spec(self, name, path, target=None):
        return importlib.machinery.ModuleSpec(name, self, is_package=True) if name.split(".")[0] in stubbed else None

    def create_module(self, spec):
        module = MagicMock(name=spec.name)
        module.__path__, module.__spec__ = [], spec
        return module

    def exec_module(self, module):
        pass

def load(name):
    while True:
        try:
            return importlib.import_module(name)
        except ModuleNotFoundError as error:
            missing = (error.name or "").split(".")[0]
            if not missing or missing == "vllm" or missing in stubbed:
                raise
            stubbed.append(missing)
            if len(stubbed) == 1:
                sys.meta_path.append(Stub())

asked = json.loads(sys.argv[1])
found = {"models": 0, "error": "", "proofs": []}
try:
    import vllm
    from vllm.plugins import load_general_plugins
    from vllm.model_executor.models.registry import ModelRegistry
    load_general_plugins()
    found["models"] = len(ModelRegistry.get_supported_archs())
except Exception as error:
    found["error"] = f"{type(error).__name__}: {error}"
for mod in asked:
    for proof in mod["proof"]:
        item = {**proof, "name": mod["name"], "ok": False, "error": "", "stubs": []}
        try:
            target = load(proof["module"])
            item["stubs"] = list(stubbed)
            for part in proof["object"].split("."):
                target = getattr(target, part)
            if "attribute" in proof:
                item["ok"] = hasattr(target, proof["attribute"])
            else:
                item["ok"] = proof["contains"] in (inspect.getsource(target) if callable(target) else target)
        except Exception as error:
            item["error"] = f"{type(error).__name__}: {error}"
        found["proofs"].append(item)
print("LOOK " + json.dumps(found))
"""


def look(asked: list) -> dict:
    done = subprocess.run([sys.executable, "-c", LOOK, json.dumps(asked)], capture_output=True, text=True, check=False)
    line = next((line for line in done.stdout.splitlines() if line.startswith("LOOK ")), None)
    if line is None:
        return {"models": 0, "error": f"exit code {done.returncode}: {done.stderr[-2000:]}", "proofs": []}
    return json.loads(line[5:])


def main() -> None:
    asked, source, model = json.loads(sys.argv[1]), sys.argv[2], sys.argv[3]
    workspace = os.getcwd()
    env = {**os.environ, "WORKSPACE_DIR": workspace}
    if model:
        env["GX10_MODEL_DIR"] = model
    found = {"before": look([]), "mods": []}
    for mod in asked:
        home = os.path.join(workspace, "mods", mod["name"])
        shutil.copytree(os.path.join(source, mod["name"]), home, symlinks=True)
        script = os.path.join(home, "run.sh")
        os.chmod(script, 0o755)
        done = subprocess.run([script], cwd=home, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False)
        found["mods"].append({"name": mod["name"], "code": done.returncode, "output": done.stdout[-4000:]})
    found["after"] = look(asked)
    print("\nEVIDENCE " + json.dumps(found))


if __name__ == "__main__":
    main()
