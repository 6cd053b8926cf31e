"""The cluster's lock, over real runs: this machine is control node and node."""

from __future__ import annotations

import json
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible.module_utils.testing import patch_module_args
from ansible_collections.gx10.serving.plugins.action import cluster_lock as action
from ansible_collections.gx10.serving.plugins.modules import cluster_lock
from conftest import ROOT

LEASE = 3


def holder(run: str, **more: Any) -> dict[str, Any]:
    found = {"control": "ctl", "pid": 7, "started": "1", "run": run, "token": run, "purpose": f"serve {run}", "lease": 60}
    return {**found, **more}


def lay(path: str, lock: dict[str, Any]) -> None:
    """A lock as it is, and not as of now."""
    Path(path).write_text(json.dumps(lock))


@pytest.fixture
def path(tmp_path: Path) -> str:
    (tmp_path / "state").mkdir()
    return str(tmp_path / "state/lock.json")


def test_one_run_holds_the_lock(path: str) -> None:
    assert cluster_lock.take(path, holder("1")) == {"held_by": {}, "taken_from": {}}
    assert cluster_lock.take(path, holder("1", token="again")) == {"held_by": {}, "taken_from": {}}
    # What renewed it before does not any more.
    assert [cluster_lock.renew(path, token) for token in ("1", "again")] == [False, True]
    # Only the run that was found gone is replaced.
    for gone in ("", "0"):
        found = cluster_lock.take(path, holder("2"), gone)
        assert (found["held_by"]["run"], found["held_by"]["age"] < 60, found["taken_from"]) == ("1", True, {})
    assert cluster_lock.take(path, holder("2"), "1")["taken_from"]["run"] == "1"
    cluster_lock.give_back(path, "1")
    assert cluster_lock.read(path)["run"] == "2"
    cluster_lock.give_back(path, "2")
    assert cluster_lock.read(path) == {}
    assert not cluster_lock.renew(path, "2")


def test_a_lock_counts_for_its_own_lease_on_the_nodes_own_clock(path: str) -> None:
    now = cluster_lock.stamp()
    for age, held in ((50, True), (70, False)):
        lay(path, holder("1", node_boot=now["node_boot"], renewed=now["renewed"] - age))
        found = cluster_lock.take(path, holder("2", lease=1))
        assert found["held_by" if held else "taken_from"]["age"] == pytest.approx(age, abs=5)
    # The node has booted since: the holder had the time since then to renew it.
    for lease, held in ((10**9, True), (1, False)):
        lay(path, holder("1", node_boot="another", renewed=10.0**9, lease=lease))
        found = cluster_lock.take(path, holder("2"))
        assert found["held_by" if held else "taken_from"]["age"] == pytest.approx(now["renewed"], abs=5)


def contender(path: str, name: str, rounds: int, barrier: Any, won: Any) -> None:
    for number in range(rounds):
        barrier.wait()
        if not cluster_lock.take(path, holder(f"{number} {name}"), f"{number - 1} gone")["held_by"]:
            won.put(number)
        barrier.wait()
        # Half of the rounds start from a dead run's lock, the others from none.
        if name == "0":
            os.remove(path)
            if number % 2:
                lay(path, holder(f"{number} gone", **cluster_lock.stamp()))


def test_of_many_that_start_at_once_one_gets_it(path: str) -> None:
    context, rounds = multiprocessing.get_context("fork"), 100
    barrier, won = context.Barrier(4), context.Queue()
    runs = [context.Process(target=contender, args=(path, str(number), rounds, barrier, won), daemon=True) for number in range(4)]
    for run in runs:
        run.start()
    winners = sorted(won.get(timeout=20) for _round in range(rounds))
    for run in runs:
        run.join(20)
    assert won.empty()
    assert winners == list(range(rounds))


OLD = json.dumps({"control": "ctl", "machine": "0", "pid": 7, "run": "1", "purpose": "serve a"})


@pytest.mark.parametrize(("text", "found"), [("half a line", "'half a line'"), ("", "''"), ("[]", "'[]'"), (OLD, '"purpose": "serve a"')])
def test_what_is_no_lock_of_this_release_is_named_and_left(text: str, found: str, path: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path(path).write_text(text)
    message = module(capsys, path=path, holder=holder("2"))["msg"]
    assert message.startswith(f"{path}: found ")
    assert found in message
    assert "wanted a lock of this release, or none. If no run changes the group, remove it." in message
    assert "msg" not in module(capsys, path=path, holder=holder("2"), state="absent")
    assert module(capsys, path=path, holder=holder("2"), state="renewed")["renewed"] is False
    assert Path(path).read_text() == text


def test_a_place_where_no_lock_can_be_is_named(path: str, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkdir(path)
    assert f"{path}: found is a directory; wanted a lock" in module(capsys, path=path, holder=holder("1"))["msg"]
    Path(path, "file").touch()
    inside = f"{path}/file/lock.json"
    assert (
        f"{path}/file: found file exists; wanted to keep the cluster's lock there."
        in module(capsys, path=inside, holder=holder("1"))["msg"]
    )
    assert "lease: found 0; wanted" in module(capsys, path=path, holder=holder("1"), lease=0)["msg"]


def module(capsys: pytest.CaptureFixture[str], **arguments: Any) -> dict[str, Any]:
    with patch_module_args(arguments), pytest.raises(SystemExit):
        cluster_lock.main()
    answer: dict[str, Any] = json.loads(capsys.readouterr().out)
    return answer


def test_only_its_own_machine_can_tell_that_a_process_ended() -> None:
    child = subprocess.Popen(["sleep", "60"])
    held = action.holder_of(child.pid)
    assert not action.gone(held)
    # Its number was given to another process.
    assert action.gone({**held, "started": "1"})
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert action.gone(held), "a zombie holds nothing"
    child.wait()
    assert action.gone(held)
    # Machines and containers of one name, with one machine ID or none, in one boot or one PID namespace: any of it differs.
    for key in action.place():
        assert not action.gone({**held, key: ""})
        assert not action.gone({name: value for name, value in held.items() if name != key})


@pytest.mark.parametrize("machine", ["", "a machine ID of an image"])
@pytest.mark.parametrize("other", ["boot", "pidns", "control"])
def test_finding_6_equal_or_empty_machine_ids_make_no_living_holder_look_gone(
    monkeypatch: pytest.MonkeyPatch, machine: str, other: str
) -> None:
    """Control nodes in containers of one image: the holder's process number means another process, or none, in this one."""
    here = {**action.place(), "machine": machine}
    monkeypatch.setattr(action, "place", lambda: here)
    child = subprocess.Popen(["true"])
    child.wait()
    held = {**action.holder_of(child.pid), "started": "1"}
    assert action.gone(held), "here it has ended"
    assert not action.gone({**held, other: "another"})


def test_a_process_that_is_hidden_is_no_process_that_ended(monkeypatch: pytest.MonkeyPatch) -> None:
    held = action.holder_of(os.getpid())

    def hidden(*_args: Any, **_more: Any) -> str:
        raise FileNotFoundError

    monkeypatch.setattr(action, "place", lambda: {"control": held["control"]})
    monkeypatch.setattr(Path, "read_text", hidden)
    assert not action.gone(held)


def eventually(check: Callable[[], Any], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not check():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True


def attempts(folder: Path, *acts: Callable[[], bool]) -> tuple[Callable[[], int], Callable[[], bool]]:
    """What an attempt to renew does, one after the other; and how many there were."""

    def count() -> int:
        return len(list(folder.iterdir()))

    def renew() -> bool:
        (folder / str(count())).touch()
        return acts[count() - 1]()

    return count, renew


HANGS = f"4242.{os.getpid()}"


def hang() -> bool:
    subprocess.run(["sleep", HANGS])
    return True


def processes(argument: str) -> list[int]:
    """Those of whose command line it is a part."""
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if argument.encode() in (process / "cmdline").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


def fail() -> bool:
    raise OSError("no route")


def test_a_node_that_fails_or_hangs_is_asked_again_until_the_lock_is_another_runs(tmp_path: Path) -> None:
    count, renew = attempts(tmp_path, fail, hang, lambda: True, lambda: False, lambda: True)
    action.keep(1, lambda: False, renew)
    assert count() == 4
    assert processes(HANGS) == []


def test_a_node_that_hangs_does_not_hold_up_the_end(tmp_path: Path) -> None:
    _count, renew = attempts(tmp_path, hang)
    seen: list[int] = []

    def over() -> bool:
        seen.extend(processes(HANGS))
        return bool(seen)

    started = time.monotonic()
    action.keep(8, over, renew)
    assert seen
    assert time.monotonic() - started < 8
    assert processes(HANGS) == []


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
        return cluster_lock.read(str(self.lock))

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
    assert f"localhost: {site.lock}: found the cluster locked by hold, process {run.pid} on {first['control']}, renewed" in refused
    assert "If it is dead, wait" in refused
    assert site.read()["token"] == first["token"]

    run.kill()
    run.communicate()
    site.end.touch()
    # Whatever was under way is ended, too.
    assert eventually(lambda: not site.processes(), 5)
    left = site.read()
    assert eventually(lambda: cluster_lock.age(left) > LEASE, LEASE + 1)
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
    assert eventually(lambda: beside not in site.processes(), 10)
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
    ],
)
def test_a_verb_beside_another_run_ends_on_every_node_before_anything_is_done(site: Site, verb: str, arguments: list[str]) -> None:
    site.lock.parent.mkdir()
    lay(str(site.lock), holder("1", **cluster_lock.stamp()))
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
    assert "Stop the engine" not in output
    assert "Forget the candidate" not in output, "it may be the other run's"
    assert site.read()["run"] == "1"


@pytest.mark.parametrize("verb", ["converge", "rebuild_nightly", "remove_weights", "restore", "stage", "stop"])
def test_a_verb_that_changes_something_gives_the_lock_back_in_any_case(verb: str) -> None:
    plays = yaml.safe_load((ROOT / f"playbooks/{verb}.yml").read_text())
    tasks = [task for play in plays for task in play.get("tasks", [])]
    inner = [task for outer in tasks for task in outer.get("block", [])]
    takes = [task["gx10.serving.cluster_lock"] for task in tasks + inner if "gx10.serving.cluster_lock" in task]
    gives = [task["gx10.serving.cluster_lock"] for outer in tasks for task in outer.get("always", [])]
    assert [(take["path"], "absent") for take in takes] == [(give["path"], give["state"]) for give in gives] != []
