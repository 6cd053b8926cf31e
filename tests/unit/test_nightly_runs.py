"""rebuild_nightly.yml as a timer runs it, on this machine as its node. Docker is a stub: its images are names with labels in a file."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from conftest import ROOT

# As a stub of Docker's client and of three of community.docker's modules keeps them: "images" by ID, "tags" and "registry" by reference.
STORE = """\
import json, sys
PATH = {path!r}
def load():
    with open(PATH) as file:
        return json.load(file)
def save(state):
    with open(PATH, "w") as file:
        json.dump(state, file)
"""
CLIENT = """
argv, state = sys.argv[1:], load()
def images(names):
    tags = lambda one: sorted(tag for tag, image in state["tags"].items() if image == one)
    ids = [state["tags"].get(name, name) for name in names]
    return [{{"Id": one, "RepoTags": tags(one), "Created": "", "Size": 1, "Architecture": "", "RootFS": {{"Layers": [one]}},
             "Config": {{"Labels": state["images"][one]}}}} for one in ids if one in state["images"]]
if argv[0] == "info":
    print('"/"' if "json" in argv[-1] else "28 /")
elif argv[:2] == ["image", "inspect"]:
    print(json.dumps(images(argv[2:])))
elif argv[1:2] == ["inspect"]:
    print("[]")
elif argv[:2] == ["image", "ls"]:
    print("\\n".join(image for tag, image in state["tags"].items() if tag.split(":")[0] == argv[-1]))
elif argv[0] == "build":
    options = dict(word[2:].split("=", 1) for word in argv[1:] if "=" in word and not word.startswith("--label"))
    labels = dict(word.split("=", 2)[1:] for word in argv if word.startswith("--label"))
    new = "sha256:%064x" % (len(state["images"]) + 1)
    state["images"][new], state["tags"][options["tag"]] = labels, new
    save(state)
elif argv[0] == "run":
    print('EVIDENCE {{"cuda": null, "imports": {{"json": ""}}, "packages": {{"python": {{}}, "debian": {{}}}}}}')
"""
MODULES = {
    "docker_image_tag": """
def change(state, name, repository, **_more):
    repository = [repository] if isinstance(repository, str) else repository
    if state["fail"] in repository:
        return "no"
    state["tags"].update(dict.fromkeys(repository, state["tags"].get(name, name)))
""",
    "docker_image_remove": """
def change(state, name, **_more):
    state["tags"].pop(name, None)
""",
    "docker_image_pull": """
def change(state, name, **_more):
    state["tags"][name] = state["registry"][name]
""",
}
MAIN = """
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule({"name": {"type": "str"}, "repository": {"type": "list"}, "pull": {"type": "str"}})
state = load()
problem = change(state, **module.params)
if problem:
    module.fail_json(msg=problem)
save(state)
module.exit_json(changed=True)
"""
BASE = "vendor/base:1"
OLD, NEW = "sha256:" + "a" * 64, "sha256:" + "b" * 64


class Site:
    """A user's image of two definitions on a base of a registry."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.docker, self.state = folder, folder / "docker.json", folder / "state"
        store = STORE.format(path=str(self.docker))
        modules = folder / "collections/ansible_collections/community/docker/plugins/modules"
        modules.mkdir(parents=True)
        for name, change in MODULES.items():
            (modules / f"{name}.py").write_text(f"#!/usr/bin/python\nDOCUMENTATION = 'module: {name}'\n{store}{change}{MAIN}")
        (folder / "bin").mkdir()
        (folder / "bin/docker").write_text(f"#!{sys.executable}\n{store}{CLIENT.format()}")
        (folder / "bin/python").write_text(f'#!/bin/sh\nPATH="{folder}/bin:$PATH" exec {sys.executable} "$@"\n')
        for path in (folder / "bin").iterdir():
            path.chmod(0o755)
        profile = yaml.safe_load((ROOT / "model_profiles/sim-tiny-solo.yml").read_text())
        (folder / "own.yml").write_text(yaml.safe_dump({**profile, "image": "top"}))
        for name, base in (("low", BASE), ("top", "low:latest")):
            (folder / "images" / name).mkdir(parents=True)
            about = {"summary": "For tests", "base": base, "expect": {"cuda": None, "imports": ["json"]}}
            (folder / "images" / name / "image.yml").write_text(yaml.safe_dump(about))
            (folder / "images" / name / "Dockerfile").write_text("ARG BASE\nFROM ${BASE}\n")
        self.set(images={OLD: {}, NEW: {}}, tags={BASE: OLD}, registry={BASE: NEW}, fail="")

    def set(self, **change: Any) -> None:
        before = json.loads(self.docker.read_text()) if self.docker.exists() else {}
        self.docker.write_text(json.dumps({**before, **change}))

    def tags(self) -> dict[str, str]:
        found: dict[str, str] = json.loads(self.docker.read_text())["tags"]
        return found

    def files(self) -> dict[str, str]:
        """The control node's records, and the node's lists of packages."""
        return {str(path): path.read_text() for part in ("secrets/pins", "state/sbom") for path in (self.folder / part).rglob("*.json")}

    def night(self) -> tuple[int, str, Any]:
        """Its code, what it printed, and its report."""
        python = str(self.folder / "bin/python")
        here = {"ansible_connection": "local", "ansible_host": "127.0.0.1", "ansible_python_interpreter": python}
        site = {"gx10_state_dir": str(self.state), "gx10_secrets_dir": str(self.folder / "secrets"), "gx10_image_archive": ""}
        host = {**here, **site, "gx10_fabric_address": "10.0.0.1"}
        (self.folder / "hosts.json").write_text(json.dumps({"gx10": {"hosts": {"gx10-1": host}}}))
        report = self.folder / "report.json"
        extra = {"profile": "own", "pull_base": True, "report": str(report)}
        extra |= {"model_profiles_path": str(self.folder), "images_path": str(self.folder / "images")}
        argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(self.folder / "hosts.json")]
        argv += [f"{ROOT}/playbooks/rebuild_nightly.yml", "-e", json.dumps(extra)]
        env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        env["ANSIBLE_COLLECTIONS_PATH"] = f"{self.folder}/collections:{ROOT}/.ansible/collections"
        done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=self.folder)
        return done.returncode, done.stdout + done.stderr, json.loads(report.read_text())


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """Nothing was built yet, and the registry has a newer base than Docker."""
    return Site(tmp_path_factory.mktemp("night"))


def test_a_promotion_that_fails_leaves_no_trace(site: Site) -> None:
    """The last of all steps: a base was pulled, two definitions were built on it, and the candidate was verified."""
    site.set(fail="top:latest")
    code, output, report = site.night()
    assert (code, report["built"], report["promoted"], report["left"]) == (2, True, False, []), output[-4000:]
    assert report["errors"] == ["gx10-1: promote | Set the tag: no"]
    assert site.tags() == {BASE: OLD}
    assert site.files() == {}


def test_then_the_newer_base_is_promoted_and_recorded(site: Site) -> None:
    site.set(fail="")
    code, output, report = site.night()
    assert (code, report["promoted"], report["left"]) == (0, True, []), output[-4000:]
    tags, files = site.tags(), {Path(path).name: json.loads(text) for path, text in site.files().items()}
    assert tags[BASE] == NEW
    assert {"low:latest", "top:latest"} < tags.keys()
    assert not any("candidate" in tag for tag in tags)
    assert files.keys() == {"low.json", "top.json", "low.cdx.json", "top.cdx.json"}
    assert files["low.json"]["base"] == {"reference": BASE, "id": NEW}
