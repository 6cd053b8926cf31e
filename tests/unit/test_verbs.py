"""What the verbs make of the command line: every one that plans takes the site's own profiles, images and mods, and refuses alike."""

from __future__ import annotations

import base64
import copy
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from ansible.plugins.action import ActionBase
from ansible_collections.gx10.serving.plugins.action import reconcile
from ansible_collections.gx10.serving.plugins.action.cluster_lock import this_run
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _reconcile, _rollback
from ansible_collections.gx10.serving.plugins.module_utils.plan import _context, _resolve, _sources

ROOT = Path(__file__).resolve().parents[2]
# What each does first on the nodes.
VERBS = {
    "plan": "PLAY [Show]",
    "serve": "PLAY [Serve]",
    "stage": "PLAY [Stage]",
    "verify_weights": "PLAY [Read]",
    "test_mods": "PLAY [Prove]",
    "restore": "PLAY [Restore]",
    "rebuild_nightly": "PLAY [Everywhere or nowhere]",
}


AWAY = {"ansible_host": "127.0.0.1", "ansible_port": 1, "gx10_fabric_address": "10.0.0.1"}
GONE = {**AWAY, "ansible_host": "127.0.0.2", "gx10_fabric_address": "10.0.0.2"}


def run(verb: str, folder: Path, /, stands: Any = None, variables: Any = None, **extra: Any) -> str:
    """A verb in check mode against a node, by default one that cannot be reached, and beside one that is left out: what it printed."""
    inventory = {"gx10": {"hosts": {"gx10-0": GONE, "gx10-1": variables or AWAY} if "without" in extra else {"gx10-1": variables or AWAY}}}
    (folder / "inventory.json").write_text(json.dumps(inventory))
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), f"{ROOT}/playbooks/{verb}.yml", "--check", "-e", json.dumps(extra)]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run([*argv, "-i", str(folder / "inventory.json")], capture_output=True, text=True, env=env, cwd=stands)
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """A profile, an image and a mod that the collection does not have, as variables."""
    folder = tmp_path_factory.mktemp("site")
    for name in ("profiles", "images", "mods/own"):
        (folder / name).mkdir(parents=True)
    shutil.copytree(ROOT / "files/images/vllm-node-sim", folder / "images/own")
    (folder / "mods/own/run.sh").write_text("true\n")
    profile = yaml.safe_load((ROOT / "model_profiles/sim-tiny-solo.yml").read_text())
    (folder / "profiles/own.yml").write_text(yaml.safe_dump({**profile, "image": "own", "mods": ["own"]}))
    paths = {"model_profiles_path": "profiles", "images_path": "images", "mods_path": "mods"}
    return {"profile": "own", **{key: str(folder / name) for key, name in paths.items()}}


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_plans_with_the_sites_own_profile_image_and_mod(verb: str, site: dict[str, str], tmp_path: Path) -> None:
    output = run(verb, tmp_path, **site, without="gx10-0")
    assert "Cannot plan" not in output
    assert VERBS[verb] in output
    # Of whom is left out, the plan alone says anything.
    told = [line for line in output.split(VERBS[verb])[1].splitlines() if "gx10-0" in line]
    assert [line for line in told if "gx10-0: left out, as it is gone" not in line] == []
    if verb == "plan":
        assert f'"folder": "{site["images_path"]}/own"' in output


@pytest.mark.parametrize("verb", ["serve", "plan", "stage"])
def test_the_notifiers_secret_is_judged_with_the_rest_by_whoever_launches(verb: str, tmp_path: Path) -> None:
    hook = {"gx10_notify_url": "https://a.example.org/{secret}", "gx10_notify_secret_file": str(tmp_path / "hook")}
    output = run(verb, tmp_path, profile="sim-tiny-solo", variables={**AWAY, **hook, "gx10_api_port": "x"})
    told = f"{tmp_path}/hook: gx10_notify_secret_file: found nothing; wanted a file of mode 0600 on the control node"
    assert (told in output.replace("\n", " ")) is (verb != "stage")
    assert f"Cannot plan sim-tiny-solo: {1 if verb == 'stage' else 2} problem" in output
    assert VERBS[verb] not in output


@pytest.mark.parametrize("verb", ["serve", "stage"])
def test_what_is_not_found_is_named_before_a_host_is_touched(verb: str, site: dict[str, str], tmp_path: Path) -> None:
    output = run(verb, tmp_path, profile="own", model_profiles_path=site["model_profiles_path"])
    assert "Cannot plan own: 2 problems. No host was touched." in output
    assert "image: found 'own'; wanted one of" in output
    assert "mods[0]: found 'own'; wanted one of" in output
    assert VERBS[verb] not in output


@pytest.mark.parametrize(
    ("verb", "extra"), [("rollback", {}), ("doctor", {}), ("install_nightly", {"profile": "p"}), ("stage", {"model": "a/b"})]
)
def test_who_is_left_out_has_to_be_a_node(verb: str, extra: Any, tmp_path: Path) -> None:
    output = run(verb, tmp_path, without="gx10-9", **extra)
    assert "command line: without: found 'gx10-9'; wanted nodes of the group: gx10-0, gx10-1" in output
    assert output.count("PLAY [") == 1, output


def test_a_verb_without_its_profile_is_refused(tmp_path: Path) -> None:
    assert "command line: profile: found nothing; wanted name of a model profile" in run("serve", tmp_path)
    for name in ("", "*"):
        assert f"profile: found '{name}'; wanted one of" in run("serve", tmp_path, profile=name)


def test_stop_names_every_node_that_it_cannot_reach(tmp_path: Path) -> None:
    """The head among them, which has the lock."""
    names = ["gx10-1", "gx10-2", "gx10-3"]
    hosts = {name: {**AWAY, "gx10_fabric_address": f"10.0.0.{name[-1]}"} for name in names}
    # It answers, and can do nothing.
    hosts["gx10-3"].update(ansible_connection="local", ansible_python_interpreter="/bin/false")
    inventory = {"gx10": {"hosts": hosts}}
    (tmp_path / "inventory.json").write_text(json.dumps(inventory))
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), f"{ROOT}/playbooks/stop.yml", "-i", str(tmp_path / "inventory.json")]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run(argv, capture_output=True, text=True, env=env)
    assert done.returncode == 2, done.stdout
    for name in names:
        assert f"{name}: node: found no answer; wanted one on which nothing of ours is left. When it returns, " in done.stdout
    assert "Stopped: " not in done.stdout


def test_the_nightly_refuses_its_gate_before_a_host_is_touched(tmp_path: Path) -> None:
    output = run("rebuild_nightly", tmp_path, profile="sim-tiny-solo", gate_profile="nope")
    assert "Cannot plan nope: 1 problem. No host was touched." in output
    assert "profile: found 'nope'; wanted one of" in output
    assert VERBS["rebuild_nightly"] not in output


def test_folders_are_found_from_where_the_user_stands(site: dict[str, str], tmp_path: Path) -> None:
    folder = Path(site["images_path"]).parent
    relative = {key: os.path.relpath(site[key], folder) for key in site if key != "profile"}
    output = run("plan", tmp_path, folder, profile="own", **relative)
    assert f'"folder": "{folder}/images/own"' in output
    assert f'"path": "{folder}/mods/own"' in output


def test_a_checkpoint_on_the_control_node_is_asked_for_a_launch_only(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"max_position_embeddings": 16}))
    sources = {"gx10_weights_sources": {"gx10/tiny-qwen3": str(tmp_path)}}
    assert "No host was touched" in run("serve", tmp_path, profile="sim-tiny-solo", **sources)
    assert VERBS["restore"] in run("restore", tmp_path, profile="sim-tiny-solo", **sources)


@pytest.mark.parametrize("verb", ["stage", "verify_weights"])
def test_weights_are_of_a_profile_or_of_a_model(verb: str, tmp_path: Path) -> None:
    assert "found neither profile" in run(verb, tmp_path, profile=None, model=None)
    for extra, found in (({"profile": ""}, "neither"), ({"profile": "sim-tiny-solo", "model": "a/b"}, "both")):
        output = run(verb, tmp_path, **extra)
        assert f"found {found} profile" in output
        assert VERBS[verb] not in output
    assert VERBS[verb] in run(verb, tmp_path, model="a/b")


def test_a_source_of_weights_is_the_same_folder_to_every_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`~` and relative folders: the checkpoint check of a plan, the decision, and what the roles read."""
    from ansible_collections.gx10.serving.plugins.filter import internal

    (tmp_path / "data").mkdir()
    (tmp_path / "data/config.json").write_text("{}")
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for text in ("~/data", "data", str(tmp_path / "data")):
        assert internal.FilterModule().filters()["_folder"](text) == str(tmp_path / "data")
        found = _sources.read(None, checkpoints={"a/b": text})["checkpoints"]["a/b"]
        assert found and found["path"] == str(tmp_path / "data")
    assert internal.FilterModule().filters()["_folder"]("") == ""
    readers = {"roles/weights/vars/main.yml": "weights_sources[", "playbooks/remove_weights.yml": "remove_source: "}
    for path, key in readers.items():
        (line,) = [line for line in (ROOT / path).read_text().splitlines() if key in line]
        assert line.endswith('| gx10.serving._folder }}"'), path


def test_the_decision_reads_a_source_below_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    def read(path: str, _hashes: Any) -> dict[str, Any]:
        asked.append(path)
        return {}

    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(_manifest, "read", read)
    monkeypatch.setattr(_context, "read", lambda *_arguments: {})
    monkeypatch.setattr(_reconcile, "reconcile", lambda _plan, seen, *_more: {"problems": [str(dict(seen.origins))]})
    monkeypatch.setattr(ActionBase, "run", lambda *_arguments: {})
    plan: dict[str, Any] = {"profile": "p", "weights": {"models": [{"repo": "a/b"}]}, "image": {"wheels_path": "w"}}
    plan |= {"group": {"address": ""}, "nodes": []}
    given = {"plan": plan, "sources": {"a/b": "~/data", "c/d": "/other"}, "archived": [], "image": {"targets": [], "keep": 1}, "worlds": {}}
    action = reconcile.ActionModule.__new__(reconcile.ActionModule)
    action._task = SimpleNamespace(check_mode=True)
    monkeypatch.setattr(action, "validate_argument_spec", lambda _spec: (None, {**given, "present": []}), raising=False)
    assert str({"a/b": f"{tmp_path}/data"}) in action.run()["msg"]
    assert asked == [f"{tmp_path}/data"]
    # A run that takes the lock is refused beside another one's, and not by its own: it is told with the rest.
    other = {**this_run(), "purpose": "serve", "lease": 60}
    plan["state_dir"], action._task = "/state", SimpleNamespace(check_mode=False)
    for run, refused in (("another", True), (other["run"], False)):
        lock = {"error": "", "holder": {**other, "run": run}, "age": 1.0, "held": 9.0}
        given["worlds"] = {"gx10-1": {"lock": None}, "gx10-2": {"lock": lock}}
        message = action.run()["msg"]
        assert ("gx10-2: /state/lock.json: found the cluster locked by serve, process" in message) == refused
        assert str({"a/b": f"{tmp_path}/data"}) in message
    # Of 64 nodes, no more than somebody reads; the log of -v has all.
    many, logged = [f"gx10-{number}: docker: found nothing" for number in range(64)], list[str]()
    monkeypatch.setattr(_reconcile, "reconcile", lambda *_arguments: {"problems": many})
    monkeypatch.setattr("ansible.utils.display.Display.v", lambda _self, text: logged.append(text))
    lines = action.run()["msg"].splitlines()
    assert lines[1:] == [*(f"  - {line}" for line in many[:49]), "  - and 15 more; -v shows all of them"]
    assert logged == ["\n".join(many)]


DOCKER = """\
#!/bin/sh
if [ "$GX10_DOWN" ]; then echo "Cannot connect to the Docker daemon" >&2; exit 1; fi
case "$*" in *json*) echo '"/"';; info*) echo "28 /";; *inspect*) echo "[]";; esac
"""


def test_a_rollback_gives_the_true_reason_alone_where_docker_is_down(tmp_path: Path) -> None:
    (tmp_path / "docker").write_text(DOCKER)
    (tmp_path / "docker").chmod(0o755)
    hosts: dict[str, Any] = {}
    for number, down in ((1, ""), (2, "1")):
        python = tmp_path / f"python{number}"
        python.write_text(f'#!/bin/sh\nGX10_DOWN="{down}" PATH="{tmp_path}:$PATH" exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        state = tmp_path / f"state{number}"
        state.mkdir()
        hosts[f"gx10-{number}"] = {"ansible_connection": "local", "ansible_python_interpreter": str(python), "gx10_state_dir": str(state)}
        hosts[f"gx10-{number}"].update(gx10_fabric_address=f"10.0.0.{number}", gx10_secrets_dir=str(tmp_path / "secrets"))
    # The plan's folders are those of the head; nothing is written in check mode.
    variables = {name: {**values, "gx10_state_dir": str(tmp_path / "state1"), "gx10_image_archive": ""} for name, values in hosts.items()}
    plan = _resolve.resolve(_sources.read("sim-tiny-tp2"), variables, list(variables))["plan"]
    record: Any = {"plan": plan, "image_id": "sha256:" + "1" * 64, "parts": {}, "boots": {}}
    (tmp_path / "state1/last-good.json").write_text(json.dumps(record))
    keep(record, tmp_path)
    (tmp_path / "hosts.json").write_text(json.dumps({"gx10": {"hosts": hosts}}))
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), f"{ROOT}/playbooks/rollback.yml", "--check", "-i", "hosts.json"]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=tmp_path)
    output = done.stdout + done.stderr
    assert "gx10-2: Docker engine: found Cannot connect to the Docker daemon; wanted an engine that answers" in output
    assert "no answer, or left out by --limit" not in output
    (tmp_path / "state1/last-good.json").unlink()
    done = subprocess.run(argv, capture_output=True, text=True, env=env, cwd=tmp_path)
    assert "none of gx10-1 has a record" in done.stdout + done.stderr
    assert "gx10-2: docker ps: found exit code 1: Cannot connect" in done.stdout + done.stderr


def keep(record: Any, folder: Path) -> None:
    """The control node's copy of what passed a gate."""
    file = _rollback.kept_file(record)
    path = folder / "secrets/plans" / file["path"]
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(file["content"]))


@pytest.fixture
def recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """This machine as node, with a stub of Docker that runs nothing: writes its last-good.json and rolls back."""
    bin_ = tmp_path / "bin"
    bin_.mkdir()
    (bin_ / "docker").write_text("#!/bin/sh\n")
    (bin_ / "docker").chmod(0o755)
    monkeypatch.setenv("PATH", f"{bin_}:{os.environ['PATH']}")
    state = tmp_path / "state"
    state.mkdir()
    variables = {
        "ansible_connection": "local", "ansible_python_interpreter": sys.executable, "gx10_fabric_address": "10.0.0.1",
        "ansible_host": "127.0.0.1", "gx10_state_dir": str(state), "gx10_secrets_dir": str(tmp_path / "secrets"),
    }  # fmt: skip

    def back(record: dict[str, Any], kept: dict[str, Any] | None = None, gone: bool = False, without: Any = ()) -> str:
        (state / "last-good.json").write_text(json.dumps(record))
        if kept:
            keep(kept, tmp_path)
        return run("rollback", tmp_path, variables=variables, **({"without": list(without)} if gone else {}))

    sources = _sources.read("sim-tiny-solo")
    plan = _resolve.resolve(sources, {"gx10-1": variables}, ["gx10-1"])["plan"]
    return back, {"plan": plan, "image_id": "sha256:" + "1" * 64}


def test_finding_3_rollback_takes_the_copy_of_this_control_node(recorded: Any) -> None:
    back, record = recorded
    forged = copy.deepcopy(record)
    forged["plan"]["summary"] = "forged"
    forged["plan"]["nodes"][0]["mods"] = [{"name": "m", "path": "/root/.ssh", "hash": "sha256:" + "2" * 64, "ready": True}]
    output = back(forged, kept=record)
    assert "Back to sim-tiny-solo with image sha256:111111111111" in output
    assert "PLAY [Serve]" in output
    assert "/root/.ssh" not in output


def test_a_rollback_leaves_out_again_who_was_left_out_and_does_not_answer(recorded: Any) -> None:
    """gx10-0 was gone when this was served, and is still: with this control node's copy of the plan, and with one made anew."""
    back, record = recorded
    for kept in (None, record):
        output = back(record, kept=kept, gone=True)
        assert "Back to sim-tiny-solo with image sha256:111111111111" in output
        played = output.split("PLAY [Serve]")[1].split("PLAY RECAP")[0]
        assert "fatal: [gx10-0]" not in played and "gx10-0: node" not in played, played
        assert "fatal: [gx10-1]" in played, "who is asked has no Docker here"
    assert "Nothing to go back to" in back(record, gone=True, without=["gx10-1"])


def test_finding_3_rollback_without_a_copy_plans_anew_and_says_what_differs(recorded: Any) -> None:
    back, record = recorded
    assert "Back to sim-tiny-solo with image sha256:111111111111" in back(record)
    record["plan"]["hash"] = "sha256:" + "2" * 64
    record["plan"]["nodes"][0]["container"]["mounts"].append({"source": "/", "target": "/host"})
    output = back(record)
    assert "Cannot go back to sim-tiny-solo; nothing was changed" in output
    assert "planned otherwise now: mount /host / → absent" in output.replace("\\u2192", "→")
    assert "PLAY [Serve]" not in output


def test_finding_3_rollback_refuses_a_record_that_names_nothing(recorded: Any) -> None:
    back, record = recorded
    record["plan"]["profile"] = "{{ lookup('pipe', 'id') }}"
    output = back(record)
    assert "plan.profile: found" in output
    assert "[wrong-form]" in output and "uid=" not in output
    assert "PLAY [Make sure]" not in output
