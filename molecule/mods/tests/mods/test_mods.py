"""Mods on a real engine: each proven in its image, and a visible one on every rank, with a site's own profile and image. In file order."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from sim import API, HEAD, ROOT, Node, Playbook, ask

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
PROOF = "summary: a mark that anybody can read\nproof:\n  - {{module: vllm.version, object: __version__, contains: +{mark}}}\n"
FAILS = """\
#!/bin/sh
echo "this mod does not like $(hostname)"
case $(hostname) in *-2) echo "no such hunk: line 42" >&2; exit 3;; esac
"""


def write(folder: Path, name: str, script: str, **files: str) -> None:
    (folder / name).mkdir(exist_ok=True)
    (folder / name / "run.sh").write_text(script)
    (folder / name / "run.sh").chmod(0o755)
    for path, text in files.items():
        (folder / name / path).write_text(text)


class Site:
    """Folders as a user has them: a profile with an image and mods that the collection does not know."""

    def __init__(self, folder: Path) -> None:
        self.mods, (images, profiles) = folder / "mods", (folder / name for name in ("images", "profiles"))
        for path in (self.mods, images / "own", profiles):
            path.mkdir(parents=True)
        sim = yaml.safe_load((ROOT / "files/images/vllm-node-sim/image.yml").read_text())
        about = {"summary": "For tests", "base": "vllm-node-sim:latest", "expect": sim["expect"]}
        (images / "own/image.yml").write_text(yaml.safe_dump(about))
        (images / "own/Dockerfile").write_text("ARG BASE\nFROM ${BASE}\nCOPY own /workspace/own\n")
        (images / "own/own").write_text("own\n")
        profile = yaml.safe_load((ROOT / "model_profiles/sim-tiny-tp2.yml").read_text())
        profile["container"]["name"] = "own"
        (profiles / "own.yml").write_text(yaml.safe_dump({**profile, "image": "own", "mods": ["third-party", "marker"]}))
        self.extra = {"profile": "own", "model_profiles_path": str(profiles), "images_path": str(images), "mods_path": str(self.mods)}

    def run(self, verb: str, **extra: Any) -> Playbook:
        return Playbook(verb, **{**self.extra, **extra})


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, Node]) -> Iterator[Site]:
    yield Site(tmp_path_factory.mktemp("site"))
    for node in nodes.values():
        node.run("docker ps --all --quiet --filter label=gx10.serving.keep=own | xargs -r docker rm")
        node.run("docker image ls --quiet --no-trunc own | sort -u | xargs -r docker image rm --force")


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


def test_a_mod_without_effect_is_not_proven(site: Site) -> None:
    about = "summary: says that it changes what it does not\nproof:\n  - {module: vllm.version, object: __version__, contains: +never}\n"
    write(site.mods, "idle", "#!/bin/sh\nexit 0\n", **{"mod.yml": about})
    output = Playbook("test_mods", profile="sim-tiny-tp2", mods=["idle"], mods_path=str(site.mods)).refused().output
    assert "idle: vllm.version:__version__: found not so; wanted contains +never" in output


def test_a_sites_own_profile_serves_with_its_image_and_mods_on_all_ranks(site: Site, nodes: dict[str, Node]) -> None:
    write(site.mods, "third-party", THIRD_PARTY, **{"version.diff": DIFF, ".hidden": "hidden\n", "name with a space": "visible\n"})
    write(site.mods, "marker", MARKER.format(mark="one"), **{"mod.yml": PROOF.format(mark="one")})
    assert '"name": "own"' in site.run("plan").ok().output
    site.run("stage").ok()
    site.run("verify_weights").ok()
    site.run("serve").ok()
    assert version().endswith("+one")
    assert ask().strip()
    for name in RANKS:
        (container,) = nodes[name].containers(running=True)
        assert nodes[name].run("docker exec own cat /workspace/own") == "own\n"
        assert nodes[name].run("docker exec own cat /workspace/copied") == "visible\nhidden\n"
        assert "+one" in nodes[name].run(f'docker exec own python3 -c "{MARK}"').split("MARK ")[1]
        log = nodes[name].run("docker logs own 2>&1")
        assert "third-party: applied in /workspace/mods/third-party with 0 arguments" in log
        assert f"marker: one on {name}" in log
        labels: dict[str, Any] = container["Config"]["Labels"]
        assert [item.split("@")[0] for item in labels["gx10.serving.mods"].split()] == ["third-party", "marker"]
        assert nodes[name].status()["evidence"]["mods"] == ["third-party", "marker"]


def test_the_verbs_beside_it_know_the_sites_image_and_mods(site: Site, nodes: dict[str, Node]) -> None:
    before = containers(nodes)
    # The third party's says nothing of a proof.
    output = site.run("test_mods", mods=["marker"]).ok().output
    assert "marker: vllm.version:__version__: as wanted" in output
    nodes["gx10-sim-2"].run("docker image rm --force own:latest")
    assert nodes["gx10-sim-2"].host.run("docker image inspect own:latest").rc
    site.run("restore").ok()
    nodes["gx10-sim-2"].run("docker image inspect own:latest")
    assert "own:latest: its inputs are unchanged, so nothing was built." in site.run("rebuild_nightly").ok().output
    assert containers(nodes) == before
    assert ask().strip()


def test_a_changed_mod_recreates_the_containers(site: Site, nodes: dict[str, Node]) -> None:
    before = containers(nodes)
    write(site.mods, "marker", MARKER.format(mark="two"), **{"mod.yml": PROOF.format(mark="two")})
    site.run("serve").ok()
    assert not set(containers(nodes)) & set(before)
    assert version().endswith("+two")


def test_a_mod_that_fails_on_one_node_stops_the_launch_and_shows_its_output(site: Site, nodes: dict[str, Node]) -> None:
    write(site.mods, "fails", FAILS)
    output = site.run("serve", override={"mods": ["fails"]}).refused().output
    where = "gx10-sim-2 (rank 1): found phase failed; wanted joined."
    assert f"{where} gx10-sim-2: mod fails: run.sh exited with code 3" in output
    assert "this mod does not like gx10-sim-2" in output
    assert "no such hunk: line 42" in output
    for node in nodes.values():
        assert node.containers(running=True) == []
        assert node.run("pgrep -x 'raylet|gcs_server|vllm' || true") == ""
    Playbook("stop").ok()
