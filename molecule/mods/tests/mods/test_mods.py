"""Mods on a real engine: each proven in its image, and a visible one on every rank. In file order; the model serves in between."""

from __future__ import annotations

import json
import urllib.request
from pathlib import Path
from typing import Any

import pytest
from sim import API, HEAD, Node, Playbook, ask

RANKS = [HEAD, "gx10-sim-2"]
MARK = "from vllm.version import __version__; print('MARK', __version__)"
# As the field has them: patch(1), a file beside it, WORKSPACE_DIR, no mod.yml. It knows nothing of us.
THIRD_PARTY = """\
#!/bin/bash
set -e
SITE=$(python3 -c 'import sysconfig; print(sysconfig.get_paths()["purelib"])')
[ -d "$SITE/vllm" ] || SITE=/usr/local/lib/python3.11/dist-packages
patch --fuzz=5 -p1 -d "$SITE" < version.diff
cp "name with a space" "$WORKSPACE_DIR/copied"
cat .hidden >> "$WORKSPACE_DIR/copied"
echo "third-party: applied in $PWD with $# arguments"
"""
DIFF = """\
--- a/vllm/version.py
+++ b/vllm/version.py
@@ -1,2 +1,3 @@
 # SPDX-License-Identifier: Apache-2.0
 # SPDX-FileCopyrightText: Copyright contributors to the vLLM project
+# changed by a third party
"""
MARKER = """\
#!/bin/sh
set -eu
site=$(python3 -c 'import importlib.util as u; print(u.find_spec("vllm").submodule_search_locations[0])')
echo '__version__ += "+{mark}"' >> "$site/version.py"
echo "marker: {mark} on $(hostname)"
"""
FAILS = """\
#!/bin/sh
echo "this mod does not like $(hostname)"
case $(hostname) in *-2) echo "no such hunk: line 42" >&2; exit 3;; esac
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("mods")


def write(folder: Path, name: str, script: str, **files: str) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "run.sh").write_text(script)
    (folder / name / "run.sh").chmod(0o755)
    for path, text in files.items():
        (folder / name / path).write_text(text)


def serve(folder: Path, *mods: str) -> Playbook:
    return Playbook("serve", profile="sim-tiny-tp2", mods_path=str(folder), override={"mods": list(mods)})


def version() -> str:
    with urllib.request.urlopen(f"{API}/version", timeout=20) as answer:
        found: str = json.load(answer)["version"]
        return found


def containers(nodes: dict[str, Node]) -> list[str]:
    return [item["Id"] for name in RANKS for item in nodes[name].containers(running=True)]


def test_every_mod_of_the_collection_is_proven_inside_the_image() -> None:
    mods = ["nex-fp8-loader", "nex-fp8-loader-plugin", "gpu-mem-util-gb", "nemotron-ultra"]
    output = Playbook("test_mods", profile="sim-tiny-tp2", mods=mods).ok().output
    assert "mod nex-fp8-loader: applied by fallback" in output
    assert "mod nex-fp8-loader-plugin: applied by plugin" in output
    assert "nex-fp8-loader: vllm.model_executor.models.qwen3_5:Qwen3_5Model.load_weights: as wanted" in output
    # What the image for CPUs lacks is said, not passed over.
    assert "nex-fp8-loader-plugin: vllm.model_executor.models.qwen3_5:Qwen3_5Model.load_weights: as wanted (with a stub for" in output
    assert "gpu-mem-util-gb: vllm.v1.worker.utils:request_memory: as wanted" in output
    assert "mod nemotron-ultra: not needed" in output
    assert "failed:" not in output


def test_a_mod_without_effect_is_not_proven(folder: Path) -> None:
    about = "summary: says that it changes what it does not\nproof:\n  - {module: vllm.version, object: __version__, contains: +never}\n"
    write(folder, "idle", "#!/bin/sh\nexit 0\n", **{"mod.yml": about})
    output = Playbook("test_mods", profile="sim-tiny-tp2", mods=["idle"], mods_path=str(folder)).refused().output
    assert "idle: vllm.version:__version__: found not so; wanted contains +never" in output


def test_a_profile_serves_with_its_mods_on_all_ranks(folder: Path, nodes: dict[str, Node]) -> None:
    write(folder, "third-party", THIRD_PARTY, **{"version.diff": DIFF, ".hidden": "hidden\n", "name with a space": "visible\n"})
    write(folder, "marker", MARKER.format(mark="one"))
    serve(folder, "third-party", "marker").ok()
    assert version().endswith("+one")
    assert ask().strip()
    for name in RANKS:
        (container,) = nodes[name].containers(running=True)
        assert nodes[name].run("docker exec sim-tiny-tp2 cat /workspace/copied") == "visible\nhidden\n"
        assert "+one" in nodes[name].run(f'docker exec sim-tiny-tp2 python3 -c "{MARK}"').split("MARK ")[1]
        log = nodes[name].run("docker logs sim-tiny-tp2 2>&1")
        assert "third-party: applied in /workspace/mods/third-party with 0 arguments" in log
        assert f"marker: one on {name}" in log
        labels: dict[str, Any] = container["Config"]["Labels"]
        assert [item.split("@")[0] for item in labels["gx10.serving.mods"].split()] == ["third-party", "marker"]
        assert nodes[name].status()["evidence"]["mods"] == ["third-party", "marker"]


def test_a_changed_mod_recreates_the_containers(folder: Path, nodes: dict[str, Node]) -> None:
    before = containers(nodes)
    write(folder, "marker", MARKER.format(mark="two"))
    serve(folder, "third-party", "marker").ok()
    assert not set(containers(nodes)) & set(before)
    assert version().endswith("+two")


def test_a_mod_that_fails_on_one_node_stops_the_launch_and_shows_its_output(folder: Path, nodes: dict[str, Node]) -> None:
    write(folder, "fails", FAILS)
    output = serve(folder, "fails").refused().output
    assert "gx10-sim-2 (rank 1): found exited with code 1 in phase failed; wanted joined. mod fails: run.sh exited with code 3" in output
    assert "this mod does not like gx10-sim-2" in output
    assert "no such hunk: line 42" in output
    for node in nodes.values():
        assert node.containers(running=True) == []
        assert node.run("pgrep -x 'raylet|gcs_server|vllm' || true") == ""
    Playbook("stop").ok()
