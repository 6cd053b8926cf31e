"""One secret for each way in, made unmistakable; every verb with all its words; then all machines are searched for each of them.

After test_faults.py, which leaves one rank alone and two ranks with Ray before it: `rollback` starts those two, the only start here. A key
of the API and a secret variable of the site have no way in, which is what is shown of them: they are refused where an owner puts them.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from canary import Observer, in_text, needles, said, search
from sim import HEAD, ROOT, Node, Playbook, ask
from stub_hub import StubHub

TOKEN = ROOT / ".sim/secrets/ray_token"
PROGRAM = (ROOT / "molecule/shared/canary.py").read_text()
SERVED = "sim-tiny-tp2"
# What test_faults.py served last with Ray: serve finds nothing to do, and still takes every step.
SAME: dict[str, Any] = {"profile": SERVED, "override": {"args": {"max-num-seqs": 3}}}
MODEL = "gx10/canary"
# On a node, while a group serves, and after it: the next launch may need it. /run/gx10 of the container is this folder.
RUN_TOKEN = f"/var/lib/gx10/run/{SERVED}/ray_token"
# A checkout's own, older than any value or compared with it: packages, objects of git.
PASSED = [str(ROOT / ".venv"), str(ROOT / ".git"), str(ROOT / "wheels"), "/var/lib/docker/containerd", "/var/lib/docker/volumes"]


class Machines:
    """This machine and the nodes, and what was planted since when."""

    def __init__(self, names: list[str], values: dict[str, str]) -> None:
        self.names, self.values = names, values
        self.since = time.time() - 2

    def search(self) -> dict[str, list[dict[str, Any]]]:
        """Findings by machine; that of this one, which is the control node, is `control`."""
        job = {"values": self.values, "since": self.since, "roots": ["/"], "passed": [], "layers": True}
        argv = ["python3", "-c", PROGRAM]
        runs = {
            name: subprocess.Popen(
                ["docker", "exec", "-i", name, *argv], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
            )
            for name in self.names
        }
        found = {}
        for name, run in runs.items():
            out, error = run.communicate(json.dumps(job), timeout=120)
            assert run.returncode == 0, f"{name}: {error[-1000:]}"
            found[name] = json.loads(out)
        roots = sorted({str(ROOT), str(Path.home()), tempfile.gettempdir(), "/root", "/home", "/tmp", "/var/tmp", "/var/log", "/run"})
        own = [root for root in roots if Path(root).is_dir() and not any(root.startswith(f"{other}/") for other in roots)]
        # The nodes' layers were looked into from within.
        found["control"] = search({**job, "roots": [*own, "/var/lib/docker/containers"], "passed": PASSED, "layers": False})
        return found


def place(finding: dict[str, Any]) -> tuple[str, str, str]:
    return finding["value"], finding["where"], finding.get("mode", "")


def found_at(found: dict[str, list[dict[str, Any]]]) -> set[tuple[str, ...]]:
    """(machine, value, place, mode) of everything but environments, which are judged apart."""
    return {(name, *place(one)) for name, all_of_it in found.items() for one in all_of_it if one["where"] != "environ"}


def environments(found: dict[str, list[dict[str, Any]]], containers: set[str]) -> set[tuple[str, str, bool]]:
    """(value, process, it is one of `containers`) of the environments on nodes that hold one."""
    rows = [one for name, all_of_it in found.items() if name != "control" for one in all_of_it if one["where"] == "environ"]
    return {(one["value"], one["process"], any(container in one["group"] for container in containers)) for one in rows}


@pytest.fixture(scope="module")
def values() -> dict[str, str]:
    """Ray's is of the form that the role makes; the hub's as its tokens are."""
    made = {name: f"{name}{secrets.token_hex(24)}" for name in ("apikey", "siteenv", "sitelogin")}
    return {"ray": secrets.token_hex(32), "hub": f"hf_{secrets.token_hex(20)}", **made}


@pytest.fixture(scope="module")
def told(values: dict[str, str], nodes: dict[str, Node], tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """What every verb printed, and what was found while the group served and after it was stopped."""
    started, folder = time.monotonic(), tmp_path_factory.mktemp("canary")
    machines = Machines(list(nodes), values)
    token, site, profile = folder / "hub_token", folder / "site.yml", folder / "keyed.yml"
    for path in (token, site, profile):
        path.touch(mode=0o600)
    before = TOKEN.read_text()
    TOKEN.write_text(values["ray"] + "\n")
    token.write_text(values["hub"] + "\n")
    login = f"http://proxy:{values['sitelogin']}@192.0.2.1:3128"
    env = {"SITE_TOKEN": values["siteenv"], "VLLM_API_KEY": values["apikey"], "HTTPS_PROXY": login}
    site.write_text(json.dumps({"gx10_env": env}))
    text = (ROOT / f"model_profiles/{SERVED}.yml").read_text()
    profile.write_text(text.replace("args:\n", f"args:\n  api-key: {values['apikey']}\n"))
    (folder / "checkpoint").mkdir()
    (folder / "checkpoint/config.json").write_text("{}")
    hub = StubHub("172.31.240.1", MODEL, "5" * 40, folder / "checkpoint")
    observer = Observer(values)
    observer.start()
    words = ("-vvv", "--diff")
    patch = pytest.MonkeyPatch()
    # What an owner may have on: a cache of facts, and a log.
    patch.setenv("ANSIBLE_CACHE_PLUGIN", "jsonfile")
    patch.setenv("ANSIBLE_CACHE_PLUGIN_CONNECTION", str(folder / "facts"))
    patch.setenv("ANSIBLE_LOG_PATH", str(folder / "ansible.log"))
    try:
        runs = {
            "rollback": Playbook("rollback", *words, quiet=True),
            "serve": Playbook("serve", *words, quiet=True, **SAME),
            "status": Playbook("status", *words, quiet=True),
            "flag": Playbook("serve", *words, quiet=True, profile="keyed", model_profiles_path=str(folder)),
            "site": Playbook("serve", *words, "-e", f"@{site}", quiet=True, **SAME),
            # The hub does not have this revision: the token travels, and the download fails with the hub's words.
            "download": Playbook(
                "stage", *words, quiet=True, model=MODEL, revision="6" * 40, gx10_hub_endpoint=hub.url,
                gx10_hub_token_file=str(token), gx10_accept_plain_hub=True, hub_image="vllm-node-sim:latest",
            ),
        }  # fmt: skip
        answer = ask() if runs["rollback"].code == 0 else ""
        engines = {one["Id"] for node in nodes.values() for one in node.containers(running=True)}
        serving = machines.search()
        runs["stop"] = Playbook("stop", *words, quiet=True)
        stopped = machines.search()
        print(f"canary: {time.monotonic() - started:.0f} s")
        yield {
            "runs": runs, "answer": answer, "engines": engines, "serving": serving, "stopped": stopped, "hub": hub.requests,
            "observed": observer.stop(), "looks": observer.looks, "token": token, "site": site, "profile": profile,
        }  # fmt: skip
    finally:
        patch.undo()
        observer.stop()
        hub.stop()
        TOKEN.write_text(before)
        for node in nodes.values():
            node.run(f"rm -rf /srv/models/{MODEL}")


def test_the_search_finds_what_is_planted(nodes: dict[str, Node], tmp_path: Path) -> None:
    """A sixth value in each kind of place, which is found there, and is gone from there when it is taken away."""
    values = {"planted": f"planted{secrets.token_hex(24)}"}
    value, node, other = values["planted"], nodes[HEAD], nodes["gx10-sim-2"]
    machines = Machines([HEAD, "gx10-sim-2"], values)
    places = ["/var/lib/gx10/planted", "/tmp/planted", "/root/planted", "/home/spark/planted", "/var/log/planted.gz", "/var/log/base64"]
    name = "planted"
    try:
        node.run(f"echo {value} | tee {' '.join(places[:4])} | gzip > {places[4]}")
        other.run(f"printf 'x{value}y' | base64 --wrap 0 > {places[5]}")
        other.run(f"logger --tag planted {value}")
        node.run(f"docker create --name {name} --label planted={value} vllm-node-sim:latest true")
        node.run(f"nohup bash -c 'exec -a {value} sleep 90' >/dev/null 2>&1 & nohup env PLANTED={value} sleep 91 >/dev/null 2>&1 &")
        (tmp_path / "planted").write_text(value)
        observer = Observer(values)
        observer.start()
        # The look is at every process of every container of this machine.
        time.sleep(1)
        seen = observer.stop()
        found = machines.search()
    finally:
        node.run(f"rm -f {' '.join(places)}; docker rm --force {name}; pkill -f '[p]{value[1:]}'; pkill -x -f 'sleep 91' || true")
        other.run(f"rm -f {' '.join(places)}")
        (tmp_path / "planted").unlink(missing_ok=True)
    head = {one["where"] for one in found[HEAD]}
    assert {*places[:5], "cmdline", "environ"} <= head, head
    assert [where for where in head if where.startswith("docker container inspect")]
    second = {(one["where"].split(" --since")[0], one["form"]) for one in found["gx10-sim-2"]}
    assert second >= {(places[5], "base64"), ("journalctl --no-pager --output export", "as it is")}, second
    assert str(tmp_path / "planted") in {one["where"] for one in found["control"]}
    assert seen, "a command line on a node was not seen from here"
    left = machines.search()
    assert [one for one in left[HEAD] if "journalctl" not in one["where"]] == []
    assert [one for one in left["control"] if "docker logs" not in one["where"]] == []


def test_every_verb_ran_as_it_should(told: dict[str, Any], values: dict[str, str]) -> None:
    """Else silence would prove nothing: what was planted was used, and the runs were those that are meant."""
    runs = told["runs"]
    output = {name: _hidden(run.output, values) for name, run in runs.items()}
    well = {"rollback": True, "serve": True, "status": True, "flag": False, "site": False, "download": False, "stop": True}
    assert {name: run.code == 0 for name, run in runs.items()} == well, {name: text[-1500:] for name, text in output.items()}
    assert f"Back to {SERVED}" in output["rollback"], output["rollback"][-1500:]
    assert "Make the run folder, with the launch's secret" in output["rollback"]
    assert "Nothing differs from the plan." in output["serve"], output["serve"][-1500:]
    assert told["answer"].strip(), "two ranks serve with the planted token"
    assert "args.api-key: found" in output["flag"], output["flag"][-3000:]
    for key in ("SITE_TOKEN", "VLLM_API_KEY", "HTTPS_PROXY"):
        assert f"gx10_env.{key}: found" in output["site"], output["site"][-3000:]
    assert {given == f"Bearer {values['hub']}" for _address, _path, given in told["hub"]} == {True}, "the hub was not asked with the token"
    assert "Give the node the token" in output["download"]


def _hidden(text: str, values: dict[str, str]) -> str:
    """A text that a failed test may print."""
    for value in values.values():
        text = text.replace(value, "<a secret>")
    return text


def test_no_run_says_a_secret(told: dict[str, Any], values: dict[str, str]) -> None:
    wanted = needles(values)
    assert [said(name, needle) for name, run in told["runs"].items() for needle in in_text(run.output.encode(), wanted)] == []


def test_while_it_serves_a_secret_is_in_its_file_alone(told: dict[str, Any]) -> None:
    """Everything that is found, by machine, value, place and mode: the files of mode 0600 that are meant, and each of them."""
    assert found_at(told["serving"]) == {*_files(told), *((name, "ray", RUN_TOKEN, "0600") for name in (HEAD, "gx10-sim-2"))}


def test_after_a_stop_a_secret_is_in_its_file_alone(told: dict[str, Any]) -> None:
    """The run folder of what was stopped stays, with its status and Ray's token: `status` and the next start read it."""
    left = {(name, "ray", RUN_TOKEN, "0600") for name in (HEAD, "gx10-sim-2")}
    assert _files(told) <= found_at(told["stopped"]) <= {*_files(told), *left}


def test_no_command_line_showed_a_secret(told: dict[str, Any]) -> None:
    assert told["looks"] > 50
    assert told["observed"] == []


def test_an_environment_that_holds_one_is_the_engines_own(told: dict[str, Any]) -> None:
    """Ray hands its token to its own processes; nobody else's environment has a secret, and no other secret is in any."""
    found = environments(told["serving"], told["engines"])
    print("in the environment of:", sorted(found))
    assert {(value, inside) for value, _process, inside in found} <= {("ray", True)}, found
    assert environments(told["stopped"], told["engines"]) == set()


def _files(told: dict[str, Any]) -> set[tuple[str, ...]]:
    """The planted files themselves, on this machine."""
    site, profile = told["site"], told["profile"]
    planted = {("ray", TOKEN), ("hub", told["token"]), ("apikey", site), ("apikey", profile), ("siteenv", site), ("sitelogin", site)}
    return {("control", value, str(path), "0600") for value, path in planted}
