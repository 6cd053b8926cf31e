"""A checkpoint's own code, run by a real engine: recorded at its first use, and held from then on."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import yaml
from sim import HEAD, ROOT, Playbook, ask

REPO, PIN = "gx10/tiny-coded", ROOT / ".sim/secrets/pins/weights/gx10--tiny-coded.json"
CODE = "from transformers import Qwen3Config\n\nprint('THE CHECKPOINT RUNS', flush=True)\n\n\nclass Config(Qwen3Config):\n    pass\n"


def test_code_is_recorded_at_its_first_use_and_then_held(tmp_path: Path, nodes: dict[str, Any]) -> None:
    folder, profiles = tmp_path / "coded", tmp_path / "profiles"
    shutil.copytree(ROOT / ".sim/checkpoints/tiny-qwen3", folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**config, "auto_map": {"AutoConfig": "configuration_own.Config"}}))
    (folder / "configuration_own.py").write_text(CODE)
    profile = yaml.safe_load((ROOT / "model_profiles/sim-tiny-solo.yml").read_text())
    profile["model"]["repo"], profile["args"]["trust-remote-code"] = REPO, True
    profiles.mkdir()
    (profiles / "coded.yml").write_text(yaml.safe_dump(profile))
    extra = {"profile": "coded", "model_profiles_path": str(profiles), "gx10_weights_sources": {REPO: str(folder)}}
    PIN.unlink(missing_ok=True)

    output = Playbook("serve", **extra).ok().output
    assert f"Runs code of {REPO}: configuration_own.py" in Playbook("plan", **extra).ok().output, output[-3000:]
    assert "THE CHECKPOINT RUNS" in nodes[HEAD].run("docker logs sim-tiny-solo 2>&1") and ask().strip()
    record = json.loads(PIN.read_text())
    assert (record["repo"], list(record["code"])) == (REPO, ["configuration_own.py"])

    (folder / "configuration_own.py").write_text(CODE + "# and more\n")
    refused = Playbook("serve", **extra).refused().output
    assert f"wanted {record['manifest']}, as first used: its code runs" in refused, refused[-3000:]
    assert json.loads(PIN.read_text()) == record and ask().strip()
