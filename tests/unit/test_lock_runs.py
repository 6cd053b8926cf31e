"""The cluster's lock, over real runs: this machine is control node and node."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.node import _lock
from ansible_collections.gx10.serving.plugins.modules import cluster_lock
from conftest import ROOT
from test_lock import eventually, holder, lay, processes

LEASE = 3


def status(pid: int) -> list[int]:
    """Process, parent, process group and session; zeros where it has ended."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return [0, 0, 0, 0]
    return [pid, *map(int, fields[1:4])]


def opened(pid: int) -> set[str]:
    return {os.readlink(file) for file in Path(f"/proc/{pid}/fd").iterdir()}


class Site:
    """Runs of ansible-playbook, each with the lock of one node, and what is left of them."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.lock = folder / "state/lock.json"
        self.end = folder / "end"
        self.passed: tuple[int, ...] = ()

    def start(
        self, *tasks: dict[str, Any], purpose: str = "hold", lease: int = LEASE, options: tuple[str, ...] = ()
    ) -> subprocess.Popen[str]:
        take = {"gx10.serving.cluster_lock": {"path": str(self.lock), "purpose": purpose, "lease": lease}}
        playbook = self.folder / f"{purpose}.yml"
        playbook.write_text(yaml.safe_dump([{"hosts": "all", "gather_facts": False, "tasks": [take, *tasks]}]))
        argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "localhost,", "-c", "local", *options, str(playbook)]
        argv += ["-e", f"ansible_python_interpreter={sys.executable}"]
        env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        return subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env, pass_fds=self.passed)

    def hold(self, **more: Any) -> subprocess.Popen[str]:
        """A run that holds the lock until it is told to end."""
        run = self.start({"ansible.builtin.wait_for": {"path": str(self.end), "timeout": 60}}, **more)
        assert eventually(self.lock.exists, 20)
        return run

    def run(self, *tasks: dict[str, Any], **more: Any) -> str:
        output = self.start(*tasks, **more).communicate(timeout=60)[0]
        return " ".join(output.split())

    def read(self) -> dict[str, Any]:
        return _lock.read(str(self.lock))

    def processes(self) -> list[int]:
        """Everything that is a copy of a run, what renews a lock among it."""
        return processes(str(self.folder))


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Site]:
    found = Site(tmp_path)
    yield found
    found.end.touch()
    assert eventually(lambda: not found.processes(), 10)


def test_a_run_leaves_no_process_and_the_next_takes_what_it_left(site: Site) -> None:
    again, give_back = (
        {"gx10.serving.cluster_lock": {"path": str(site.lock), "purpose": "again", "state": state}} for state in ("present", "absent")
    )
    # With the lease that it has unless told otherwise.
    assert "ok=2 changed=0" in site.run(again)
    assert eventually(lambda: not site.processes(), 2)
    left = site.read()
    assert left["purpose"] == "again"

    assert "ok=1 changed=0" in site.run(options=("--check",))
    assert site.read() == left
    # Here everybody sees that the process ended, long before the lease is over.
    output = site.run(give_back, purpose="next")
    assert left["lease"] == 120
    assert f"over from again, process {left['pid']} on {left['control']}: that process has ended." in output
    assert "ok=2 changed=0" in output
    assert site.read() == {}


def test_a_living_run_of_another_control_node_keeps_it_and_a_dead_one_loses_it(site: Site) -> None:
    run = site.hold()
    # From now on this machine cannot tell.
    with cluster_lock.guard(str(site.lock)):
        lay(str(site.lock), {**site.read(), "machine": "another"})
    first = site.read()
    assert eventually(lambda: site.read()["renewed"] - first["renewed"] > 2 * LEASE, 60)
    refused = site.run(purpose="other")
    assert f"localhost: {site.lock}: found the cluster locked by hold, process {run.pid} on {first['control']}, for" in refused
    assert "If it is dead, wait" in refused
    assert site.read()["token"] == first["token"]

    run.kill()
    run.communicate()
    site.end.touch()
    # Whatever was under way is ended, too.
    assert eventually(lambda: not site.processes(), 5)
    left = site.read()
    assert eventually(lambda: _lock.age(left) > LEASE, LEASE + 1)
    assert f"over from hold, process {run.pid} on {first['control']}: not renewed for" in site.run(purpose="other")


def test_what_renews_a_lock_holds_nothing_else_and_ends_when_the_lock_is_another_runs(site: Site) -> None:
    # As a lock of flock(1), or make's pipe.
    with open(site.folder / "inherited", "w", encoding="utf-8") as file:
        site.passed = (file.fileno(),)
        run = site.hold(lease=1)
    # Each worker leads a session, too, but is the run's child.
    (beside,) = [pid for pid in site.processes() if status(pid)[3] == pid and run.pid not in status(pid)]
    assert run.stdout
    inherited = {file.name, os.readlink(f"/proc/self/fd/{run.stdout.fileno()}")}
    assert inherited < opened(run.pid)
    assert not inherited & opened(beside)
    with cluster_lock.guard(str(site.lock)):
        lay(str(site.lock), {**site.read(), "run": "another", "token": "another"})
    assert eventually(lambda: beside not in site.processes(), 60)
    assert site.read()["token"] == "another"
    assert run.poll() is None
    site.end.touch()
    run.communicate()


@pytest.mark.parametrize(
    ("verb", "arguments"),
    [
        ("stage", ["-e", "model=a/b"]),
        # The head's lock counts, also where it is left out, or something else than the group's state is stopped.
        ("stage", ["-e", "model=a/b", "--limit", "localhost,gx10-2"]),
        ("stop", ["--limit", "gx10-2"]),
        ("stop", ["-e", "state_dir=/nowhere"]),
        ("rebuild_nightly", ["-e", "profile=sim-tiny-solo"]),
        # Not even to look at what runs: the other one may be in the middle of it.
        ("serve", ["-e", "profile=sim-tiny-tp2"]),
    ],
)
def test_a_verb_beside_another_run_ends_on_every_node_before_anything_is_done(site: Site, verb: str, arguments: list[str]) -> None:
    site.lock.parent.mkdir()
    lay(str(site.lock), holder("1", **_lock.stamp()))
    nodes = {f"gx10-{number}": {"ansible_host": f"127.0.0.{number}", "gx10_fabric_address": f"10.0.0.{number}"} for number in (1, 2)}
    state = {"gx10_state_dir": str(site.lock.parent), "gx10_models_root": str(site.folder / "models")}
    group = {"hosts": nodes, "vars": {"ansible_connection": "local", "ansible_python_interpreter": sys.executable, **state}}
    (site.folder / "inventory.json").write_text(json.dumps({"gx10": group}))
    argv = [
        str(Path(sys.executable).parent / "ansible-playbook"),
        "-i",
        str(site.folder / "inventory.json"),
        f"{ROOT}/playbooks/{verb}.yml",
    ]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg")}
    output = subprocess.run([*argv, *arguments], capture_output=True, text=True, env=env).stdout
    assert "gx10-1: " in output
    assert "locked by serve 1, process 7 on ctl" in output
    assert "PLAY [Stage]" not in output
    assert "Observe and decide" not in output
    assert "Look at every node" not in output
    assert "Stop the engine" not in output
    assert "Forget the candidate" not in output, "it may be the other run's"
    assert site.read()["run"] == "1"


class Nodes:
    """Nodes of a group that are this machine, each with a state folder of its own: what one stands in."""

    def __init__(self, folder: Path, *names: str) -> None:
        self.folder = folder
        self.hosts: dict[str, dict[str, Any]] = {}
        (folder / "here").symlink_to("/proc/self/cwd")
        self.path = f"{folder}/here/lock.json"
        for name in names:
            python = folder / f"python-{name}"
            (folder / name).mkdir()
            python.write_text(f'#!/bin/sh\ncd {folder}/{name} && exec {sys.executable} "$@"\n')
            python.chmod(0o755)
            addresses = {"ansible_host": f"127.0.0.{name[-1]}", "gx10_fabric_address": f"10.0.0.{name[-1]}"}
            self.hosts[name] = {"ansible_connection": "local", "ansible_python_interpreter": str(python), **addresses}

    def lock(self, name: str) -> Path:
        return self.folder / name / "lock.json"

    def play(self, playbook: str, *options: str) -> str:
        common = {"gx10_state_dir": f"{self.folder}/here", "gx10_models_root": f"{self.folder}/models", "gx10_image_archive": ""}
        (self.folder / "inventory.json").write_text(json.dumps({"gx10": {"hosts": self.hosts, "vars": common}}))
        argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", "inventory.json", playbook, *options]
        env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
        done = subprocess.run(argv, cwd=self.folder, capture_output=True, text=True, env=env)
        return done.stdout + done.stderr

    def run(self, head: str, pattern: str, *options: str, look: bool = True) -> str:
        """A run that takes the lock on one node, and then is told that it is alone; what it printed."""
        take = {"gx10.serving.cluster_lock": {"path": self.path, "purpose": "verb"}, "when": f"inventory_hostname == '{head}'"}
        given = {"alone_path": self.path, **({"alone_head": head} if look else {})}
        alone = {"ansible.builtin.import_tasks": f"{ROOT}/playbooks/tasks/alone.yml", "vars": given}
        told = {"ansible.builtin.debug": {"msg": "it is alone"}}
        play = {"hosts": pattern, "gather_facts": False, "any_errors_fatal": True, "tasks": [take, alone, told]}
        (self.folder / "verb.yml").write_text(yaml.safe_dump([play]))
        return self.play("verb.yml", *options)


@pytest.mark.parametrize(
    ("verb", "arguments", "before"),
    [
        ("serve", ["-e", "profile=sim-tiny-tp2"], "Act and prove"),
        ("stop", [], "stop | End it"),
        ("stage", ["-e", "model=a/b"], "Bring each model"),
        ("restore", ["-e", "profile=sim-tiny-tp2"], "decide | Look"),
        ("rebuild_nightly", ["-e", "profile=sim-tiny-tp2"], "Look at what runs"),
        ("remove_weights", ["-e", "model=a/b", "-e", "confirm=a/b"], "Look at what runs"),
    ],
)
def test_a_verb_beside_a_run_with_its_lock_on_another_node_changes_nothing(
    tmp_path: Path, verb: str, arguments: list[str], before: str
) -> None:
    """As serve has it that leaves out the head; each takes its own lock first, and gives it back."""
    nodes = Nodes(tmp_path, "gx10-1", "gx10-2")
    lay(str(nodes.lock("gx10-2")), holder("1", lease=3600, **_lock.stamp()))
    output = nodes.play(f"{ROOT}/playbooks/{verb}.yml", *arguments)
    assert f"gx10-2: {nodes.path}: found the cluster locked by serve 1, process 7 on ctl" in output
    assert before not in output and "Stop the engine" not in output, output
    assert not nodes.lock("gx10-1").exists()
    assert _lock.read(str(nodes.lock("gx10-2")))["run"] == "1"


def test_a_run_beside_one_whose_lock_is_on_another_node_is_refused(tmp_path: Path) -> None:
    """As one that serves without the head has it."""
    nodes = Nodes(tmp_path, "gx10-1", "gx10-2", "gx10-3")
    assert nodes.run("gx10-1", "gx10").count("it is alone") == 3, "its own lock is no other's"
    lay(str(nodes.lock("gx10-2")), holder("1", lease=3600, **_lock.stamp(), since=_lock.stamp()["renewed"] - 300))
    output = nodes.run("gx10-1", "gx10")
    found = re.search(f"gx10-2: {nodes.path}: found the cluster locked by serve 1, process 7 on ctl, for ([0-9]+) s, renewed", output)
    assert found and int(found[1]) >= 300, output
    assert "it is alone" not in output
    # On every node: what goes on where it was not seen is not kept from it.
    assert output.count("fatal: ") >= 3
    # The other way round: who leaves out the head looks there, too, in case that it is not gone.
    nodes.lock("gx10-1").write_text(nodes.lock("gx10-2").read_text())
    nodes.lock("gx10-2").unlink()
    for look in (True, False):
        output = nodes.run("gx10-2", "gx10:!gx10-1", look=look)
        assert f"gx10-1: {nodes.path}: found the cluster locked by serve 1" in output
        assert "it is alone" not in output
    # A check takes no lock and asks nobody for one.
    assert nodes.run("gx10-2", "gx10:!gx10-1", "--check").count("it is alone") == 2


def test_a_dead_runs_lock_elsewhere_and_nodes_that_are_gone_keep_nobody(tmp_path: Path) -> None:
    nodes = Nodes(tmp_path, "gx10-1", "gx10-2")
    nodes.hosts["gx10-3"] = {"ansible_host": "127.0.0.1", "ansible_port": 1, "ansible_connection": "ssh"}
    old = _lock.stamp()["renewed"] - 121
    lay(str(nodes.lock("gx10-2")), holder("1", lease=120, **{**_lock.stamp(), "renewed": old}))
    output = nodes.run("gx10-1", "gx10:!gx10-3")
    assert output.count("it is alone") == 2, output
    assert "UNREACHABLE" in output and "unreachable=1" not in output
    assert nodes.lock("gx10-2").exists(), "it is looked at, and left"


@pytest.mark.parametrize("verb", ["rebuild_nightly", "remove_weights", "restore", "stage", "stop"])
def test_a_verb_looks_for_another_runs_lock_right_after_it_has_its_own(verb: str) -> None:
    """serve and rollback have it in their look: test_locks.py."""
    plays = yaml.safe_load((ROOT / f"playbooks/{verb}.yml").read_text())
    (block,) = [task["block"] for play in plays for task in play.get("tasks", []) if task["name"] == "Under the lock"]
    names = [task["name"] for task in block]
    # stage has taken it in the play before.
    before = "Reach every node" if verb == "stage" else "Take the lock"
    assert names.index("See that no other run changes the group") == names.index(before) + 1


@pytest.mark.parametrize("verb", ["converge", "rebuild_nightly", "remove_weights", "restore", "stage", "stop"])
def test_a_verb_that_changes_something_gives_the_lock_back_in_any_case(verb: str) -> None:
    plays = yaml.safe_load((ROOT / f"playbooks/{verb}.yml").read_text())
    tasks = [task for play in plays for task in play.get("tasks", [])]
    inner = [task for outer in tasks for task in outer.get("block", [])]
    takes = [task["gx10.serving.cluster_lock"] for task in tasks + inner if "gx10.serving.cluster_lock" in task]
    gives = [task["gx10.serving.cluster_lock"] for outer in tasks for task in outer.get("always", [])]
    assert [(take["path"], "absent") for take in takes] == [(give["path"], give["state"]) for give in gives] != []
