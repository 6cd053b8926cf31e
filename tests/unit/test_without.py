"""serve on the nodes that are left: who is planned, who is asked, and whose record counts when the one that was gone is back."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _gate
from ansible_collections.gx10.serving.plugins.module_utils.plan import _inventory, _resolve, _sources, _weights
from conftest import ROOT, hostvars


def resolve(*without: str, nodes: int = 4, **site: Any) -> _resolve.Resolved:
    variables = hostvars(nodes, **site)
    return _resolve.resolve(_sources.read("sim-tiny-tp2"), variables, list(variables), without=without)


@pytest.mark.parametrize("address", ["192.168.1.11", "192.168.177.11"])
def test_the_api_has_no_address_of_a_node_that_is_gone(address: str) -> None:
    found = resolve("gx10-1", gx10_api_address=address)
    (problem,) = found["problems"]
    assert f"gx10_api_address: found {address}, of gx10-1, which is left out; wanted an address of the head, gx10-2" in problem
    assert resolve("gx10-1", gx10_api_address="192.168.1.12")["problems"] == resolve(gx10_api_address=address)["problems"] == []


@pytest.mark.parametrize(
    ("without", "nodes", "idle"),
    [
        ([], ["gx10-1", "gx10-2"], ["gx10-3", "gx10-4"]),
        (["gx10-3"], ["gx10-1", "gx10-2"], ["gx10-4"]),
        (["gx10-1"], ["gx10-2", "gx10-3"], ["gx10-4"]),
        (["gx10-1", "gx10-4"], ["gx10-2", "gx10-3"], []),
    ],
)
def test_the_others_are_planned_and_the_first_of_them_is_the_head(without: list[str], nodes: list[str], idle: list[str]) -> None:
    plan = resolve(*without)["plan"]
    assert plan
    assert ([node["name"] for node in plan["nodes"]], plan["idle"]) == (nodes, idle)
    assert [(node["rank"], node["role"]) for node in plan["nodes"]] == [(0, "head"), (1, "worker")]
    assert plan["ready"]["url"] == f"http://192.168.1.1{nodes[0][-1]}:8000"
    assert plan["group"]["address"] == f"192.168.177.1{nodes[0][-1]}:8733"
    # Nothing travels from or to one that is gone, whatever its rank.
    assert not [name for name in without if f'"{name}"' in json.dumps({**plan, "warnings": []})]
    assert [text for text in plan["warnings"] if "left out, as it is gone" in text] == (
        [text for text in plan["warnings"] if text.startswith(f"{', '.join(without)}: left out")] if without else []
    )
    assert any("left out" in text for text in plan["warnings"]) == bool(without)


@pytest.mark.parametrize(
    ("without", "problem"),
    [
        (["gx10-5"], "command line: without: found 'gx10-5'; wanted nodes of the group: gx10-1, gx10-2, gx10-3 and 1 more. Did you mean"),
        (
            ["gx10-1", "gx10-2", "gx10-3", "gx10-4"],
            "command line: without: found all nodes of the group; wanted at least one that is there",
        ),
        (["gx10-1", "gx10-2", "gx10-3"], "2 GPUs; wanted at most 1: the inventory has 1 nodes with 1 each"),
    ],
)
def test_what_cannot_be_is_said(without: list[str], problem: str) -> None:
    found = resolve(*without)
    assert found["plan"] is None
    assert problem in found["message"]


def test_settings_that_lead_to_the_gone_one_are_named() -> None:
    assert "gx10_build_host: found 'gx10-1'" in resolve("gx10-1", gx10_build_host="gx10-1")["message"]


@pytest.mark.parametrize(
    ("without", "pattern"),
    [([], "gx10"), ("", "gx10"), ("gx10-3", "gx10:!gx10-3"), (None, "gx10"), (["gx10-3", "gx10-1"], "gx10:!gx10-3:!gx10-1")],
)
def test_who_is_left_out_is_no_host_of_the_play(without: Any, pattern: str) -> None:
    assert _inventory.hosts_without("gx10", without) == pattern


def test_the_hosts_of_a_plan_are_those_of_its_play() -> None:
    assert _inventory.hosts_of(resolve("gx10-1")["plan"] or {}, "gx10") == ["gx10-2", "gx10-3", "gx10-4"]
    assert _inventory.hosts_of({}, "gx10") == "gx10"


def test_weights_of_a_model_travel_between_those_that_are_there() -> None:
    variables = hostvars(3)
    found = _weights.of_models([{"repo": "a/b"}], variables, list(variables), without=["gx10-1"])["document"]
    assert found and [node["name"] for node in found["nodes"]] == ["gx10-2", "gx10-3"]
    refused = _weights.of_models([{"repo": "a/b"}], variables, list(variables), without=["gx10-9"])
    assert refused["document"] is None and "without: found 'gx10-9'; wanted nodes of the group: gx10-1" in refused["message"]


def serve(folder: Path, hosts: dict[str, Any], **extra: Any) -> str:
    """What serve says in check mode."""
    (folder / "inventory.json").write_text(json.dumps({"gx10": {"hosts": hosts}}))
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), f"{ROOT}/playbooks/serve.yml", "--check"]
    argv += ["-i", str(folder / "inventory.json"), "-e", json.dumps({"profile": "sim-tiny-tp2", **extra})]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run(argv, capture_output=True, text=True, env=env)
    assert done.returncode
    return done.stdout + done.stderr


def away(number: int) -> dict[str, Any]:
    return {"ansible_host": f"127.0.0.{number}", "ansible_port": 1, "gx10_fabric_address": f"10.0.0.{number}"}


def test_who_is_gone_is_asked_nothing(tmp_path: Path) -> None:
    """Three hosts of which none can be reached, and one is not even tried."""
    played = serve(tmp_path, {f"gx10-{number}": away(number) for number in (1, 2, 3)}, without="gx10-1").split("PLAY [Serve]")[1]
    # The new head's lock comes first.
    assert "gx10-2" in played and "UNREACHABLE" in played
    assert "gx10-1" not in played


def test_who_does_not_answer_is_named_with_the_way_out(tmp_path: Path) -> None:
    """The two that are here have no Docker (a stub); what they lack is told beside it."""
    (tmp_path / "docker").write_text("#!/bin/sh\necho 'Cannot connect to the Docker daemon' >&2\nexit 1\n")
    (tmp_path / "docker").chmod(0o755)
    (tmp_path / "python").write_text(f'#!/bin/sh\nPATH="{tmp_path}:$PATH" exec {sys.executable} "$@"\n')
    (tmp_path / "python").chmod(0o755)
    here = {"ansible_connection": "local", "ansible_python_interpreter": str(tmp_path / "python"), "gx10_image_archive": ""}
    common = {"gx10_state_dir": str(tmp_path / "state"), "gx10_secrets_dir": str(tmp_path / "secrets"), "gx10_image_archive": ""}
    hosts = {f"gx10-{number}": {**here, **common, "gx10_fabric_address": f"10.0.0.{number}"} for number in (1, 2)}
    hosts["gx10-1"]["gx10_management_address"], hosts["gx10-2"]["gx10_management_address"] = "10.1.0.1", "10.1.0.2"
    output = serve(tmp_path, {**hosts, "gx10-3": {**away(3), **common}})
    assert "gx10-3: node: found no answer, or left out by --limit; wanted all nodes of the inventory" in output, output[-3000:]
    assert "-e without=gx10-3 serves on the others." in output
    assert "gx10-2: Docker engine: found Cannot connect to the Docker daemon" in output, "the others' problems are not told"


def record(plan: Any, started: str = "", image: str = "sha256:1") -> dict[str, Any]:
    boots = {node["name"]: {"started_at": started} for node in plan.get("nodes", [])} if started else {}
    return {"record": {"plan": plan, "image_id": image, "boots": boots}}


def test_a_record_that_others_have_left_does_not_count_whatever_its_clock_said() -> None:
    old, new = resolve()["plan"], resolve("gx10-1")["plan"]
    for at in ("", "2026-06-13T03:41:00.5Z", "2099-01-01T00:00:00Z"):
        now = record(new, "2026-07-01T00:00:00Z")
        infos: Any = {"gx10-1": record(old, at), "gx10-2": now, "gx10-3": now, "gx10-4": {"record": {}}}
        assert _gate.served_record(infos)["plan"] == new
        assert _gate.record_checks(infos["gx10-2"]["record"], infos) == []
        (text,) = _gate.other_records(infos["gx10-2"]["record"], infos)
        assert text.startswith("gx10-1: has the record of 'sim-tiny-tp2' by plan 'sha256:")
    # The one that was gone is away again; then the others are.
    assert _gate.served_record({name: infos[name] for name in ("gx10-2", "gx10-3")})["plan"] == new
    assert _gate.served_record({"gx10-1": infos["gx10-1"]})["plan"] == old
    none: Any = {"gx10-1": {"record": {}}}
    assert _gate.served_record(none) == {}
    # An older release's plan may have no nodes, and whoever is root on a node writes what it wants.
    for nodes in ({}, {"nodes": "x"}, {"nodes": ["x", {"name": ["x"]}]}):
        strange: Any = {"gx10-1": {"record": {"plan": {"hash": "x", **nodes}, "image_id": "sha256:1", "boots": ["x"]}}}
        assert _gate.served_record(strange) == strange["gx10-1"]["record"]


def test_of_launches_that_know_nothing_of_each_other_the_newest_counts() -> None:
    """One was served while the other's node was gone, and the other way round."""
    first, second = resolve("gx10-3", "gx10-4")["plan"], resolve("gx10-1", "gx10-2")["plan"]
    for one, other, counts in (("2026-06-13", "2026-06-14", second), ("2026-06-14", "2026-06-13", first)):
        infos: Any = {name: record(first, f"{one}T00:00:00Z") for name in ("gx10-1", "gx10-2")}
        infos |= {name: record(second, f"{other}T00:00:00Z") for name in ("gx10-3", "gx10-4")}
        assert _gate.served_record(infos)["plan"] == counts
        assert len(_gate.other_records(_gate.served_record(infos), infos)) == 2


def test_a_head_is_believed_against_its_workers_and_they_are_named() -> None:
    """A run that died while it wrote the records: the head's comes with the others' or before them."""
    plan = resolve()["plan"]
    before: Any = record(plan, "2026-06-13T00:00:00Z", "sha256:1")
    now: Any = record(plan, "2026-06-14T00:00:00Z", "sha256:2")
    infos: Any = {"gx10-2": before, "gx10-1": now}
    assert _gate.served_record(infos)["image_id"] == "sha256:2"
    (found,) = _gate.record_checks(now["record"], infos)
    assert (found["node"], found["ok"]) == ("gx10-2", False)
    assert found["found"].endswith("with image 'sha256:1'") and found["wanted"].endswith("with image 'sha256:2'")
    # A node that is up to date, or has none yet, is none of them.
    infos["gx10-2"] = {"record": {}}
    assert _gate.record_checks(now["record"], {**infos, "gx10-3": now}) == []


def test_status_warns_of_who_has_been_left_out_and_names_who_disagrees(tmp_path: Path) -> None:
    """This machine is three nodes, each with a folder of its own, and a stub of Docker that runs nothing."""
    (tmp_path / "docker").write_text("#!/bin/sh\n")
    (tmp_path / "docker").chmod(0o755)
    old, new = resolve()["plan"], resolve("gx10-1")["plan"]
    (tmp_path / "here").symlink_to("/proc/self/cwd")
    hosts = {}
    for name, plan, image in (("gx10-1", old, "1"), ("gx10-2", new, "2"), ("gx10-3", new, "3")):
        (tmp_path / name / "state").mkdir(parents=True)
        (tmp_path / name / "state/current.json").write_text(
            json.dumps(record(plan, "2026-06-13T00:00:00Z", f"sha256:{image * 64}")["record"])
        )
        python = tmp_path / f"python-{name}"
        python.write_text(f'#!/bin/sh\ncd {tmp_path}/{name}; PATH="{tmp_path}:$PATH" exec {sys.executable} "$@"\n')
        python.chmod(0o755)
        hosts[name] = {"ansible_connection": "local", "ansible_python_interpreter": str(python), "gx10_state_dir": f"{tmp_path}/here/state"}
    (tmp_path / "inventory.json").write_text(json.dumps({"gx10": {"hosts": hosts}}))
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), f"{ROOT}/playbooks/status.yml", "-i", str(tmp_path / "inventory.json")]
    env = {**os.environ, "ANSIBLE_CONFIG": str(ROOT / "ansible.cfg"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORCE_COLOR": "0"}
    done = subprocess.run(argv, capture_output=True, text=True, env=env)
    output = done.stdout + done.stderr
    assert "Warning: gx10-1: has the record of 'sim-tiny-tp2' by plan 'sha256:" in output, output
    assert "failed: gx10-3: record: found 'sim-tiny-tp2' by plan" in output
    assert "Warning: gx10-3" not in output and "gx10-1: record" not in output
