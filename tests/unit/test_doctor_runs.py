"""doctor.yml as a user runs it, on this machine as a node and on one that does not answer; Docker is a stub that has no containers."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from conftest import ROOT

DOCKER = """\
#!/bin/sh
case "$*" in *json*) echo '"/"';; info*) echo "28 /";; *inspect*) echo "[]";; esac
"""


class Site:
    """This machine as gx10-1, and gx10-2, which nobody can reach, where it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.state = folder, folder / "state"
        self.state.mkdir()
        for name in ("docker", "docker-registry", "curl", "nginx", "rsync"):
            (folder / name).write_text(DOCKER)
            (folder / name).chmod(0o755)
        python = folder / "python"
        python.write_text(f'#!/bin/sh\nPATH="{folder}:$PATH" exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        here = {"ansible_connection": "local", "ansible_host": "127.0.0.1", "ansible_python_interpreter": str(python)}
        self.hosts: dict[str, dict[str, Any]] = {"gx10-1": here, "gx10-2": {"ansible_host": "127.0.0.1", "ansible_port": 1}}

    def run(self, *names: str, check: bool = False, **extra: Any) -> tuple[int, str, Any]:
        """Its code, what it printed, and the document that it wrote."""
        site = {"gx10_state_dir": str(self.state), "gx10_models_root": str(self.folder / "models")}
        (self.folder / "hosts.json").write_text(json.dumps({"gx10": {"hosts": {name: {**self.hosts[name], **site} for name in names}}}))
        document = self.folder / "doctor.json"
        argv = [
            str(Path(sys.executable).parent / "ansible-playbook"),
            "-i",
            str(self.folder / "hosts.json"),
            f"{ROOT}/playbooks/doctor.yml",
        ]
        env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        argv += ["-e", json.dumps({"report": str(document), **extra}), *(["--check"] if check else [])]
        done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=self.folder)
        found = json.loads(document.read_text()) if document.exists() and not check else None
        return done.returncode, done.stdout + done.stderr, found


@pytest.fixture
def site(tmp_path: Path) -> Site:
    return Site(tmp_path)


def test_what_is_left_over_is_named_then_mended_once_and_only_when_asked(site: Site) -> None:
    old = site.state / "current.json.new"
    old.write_text("{")
    os.utime(old, (time.time() - 3600,) * 2)
    (site.state / "fanout/run").mkdir(parents=True)
    holder = {"run": "r", "token": "t", "control": "elsewhere", "pid": 7, "started": "1", "purpose": "serve x", "lease": 1}
    lock = site.state / "lock.json"
    lock.write_text(json.dumps({**holder, "node_boot": "another", "renewed": 0.0}))
    wanted = {str(old), f"{site.state}/fanout/run", str(lock)}
    code, output, found = site.run("gx10-1")
    assert (code, found["exit_code"], found["verdict"], found["serving"]) == (2, 1, "degraded", None), output[-3000:]
    # What else this machine runs may come and go.
    assert wanted <= {one["what"] for one in found["findings"]}
    assert "degraded (exit_code 1 of the document)" in output
    code, output, _none = site.run("gx10-1", check=True, mend=True)
    assert code == 2
    assert output.count("(mending it)") == 3
    assert old.exists() and lock.exists() and (site.state / "fanout/run").exists(), "the check removed something"
    code, output, found = site.run("gx10-1", mend=True)
    assert not wanted & {one["what"] for one in found["findings"]}, output[-3000:]
    assert {one["what"] for one in found["mended"]} == wanted
    assert not old.exists() and not lock.exists() and not (site.state / "fanout/run").exists()
    assert re.search(r"gx10-1 .*changed=2 ", output)
    _code, output, found = site.run("gx10-1", mend=True)
    assert found["mended"] == []
    assert re.search(r"gx10-1 .*changed=0 ", output)


def test_a_document_is_written_where_mending_fails_too(site: Site) -> None:
    """What lies in the lock's place is no lock of ours: nobody takes it over, and nothing is removed beside it."""
    old, lock = site.state / "current.json.new", site.state / "lock.json"
    old.write_text("{")
    os.utime(old, (time.time() - 3600,) * 2)
    lock.write_text("no lock")
    code, output, found = site.run("gx10-1", mend=True)
    assert (code, found["mended"], found["verdict"]) == (2, [], "degraded"), output[-3000:]
    (failed,) = found["unmended"]
    assert (failed["node"], failed["code"]) == ("gx10-1", "stale-lock")
    assert str(lock) in failed["why"]
    assert str(old) in {one["what"] for one in found["findings"]}
    assert old.exists() and lock.read_text() == "no lock"
    assert "not mended: gx10-1: stale-lock: " in output


def test_a_node_that_does_not_answer_is_a_finding_where_it_is_the_first_too(site: Site) -> None:
    code, output, found = site.run("gx10-2", "gx10-1")
    assert code == 2, output[-3000:]
    (silent,) = [one for one in found["findings"] if one["code"] == "no-answer"]
    assert (silent["node"], silent["what"]) == ("gx10-2", "node")
    assert list(found["nodes"]) == ["gx10-1"]
    assert "gx10-1  idle: nothing runs; memory" in output
    _code, output, found = site.run("gx10-2", "gx10-1", without="gx10-2")
    assert (list(found["nodes"]), [one for one in found["findings"] if one["code"] == "no-answer"]) == (["gx10-1"], [])
    assert "gx10-2" not in output


def test_a_profile_is_compared_with_what_is_there(site: Site) -> None:
    site.hosts["gx10-1"]["gx10_fabric_address"] = "10.0.0.1"
    code, output, found = site.run("gx10-1", profile="sim-tiny-solo", gx10_image_archive="")
    assert (code, found["exit_code"], found["verdict"]) == (2, 2, "down"), output[-3000:]
    told = {(one["what"], one["code"]) for one in found["findings"]}
    assert {("group", "not-serving"), ("weights", "differs-from-plan"), ("gx10_fabric_address", "not-the-nodes-address")} <= told


def test_a_group_without_a_node(site: Site) -> None:
    code, output, _none = site.run()
    assert code == 2
    assert "found no node in group gx10; wanted at least one" in output
