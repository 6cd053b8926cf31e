"""The nightly rebuild's decisions, what to go back to, and the units of systemd."""

from __future__ import annotations

import configparser
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _look
from ansible_collections.gx10.serving.plugins.module_utils.phases import _gate, _nightly
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve
from conftest import ROOT

PLAN = {"image": {"reference": "small:latest"}}
IDLE: dict[str, Any] = {"processes": [], "listeners": [], "containers": [{"running": False}]}


def test_a_node_on_which_an_engine_runs_is_not_free() -> None:
    busy = [{**IDLE, "processes": [{"pid": 1}]}, {**IDLE, "listeners": [{"port": 8000}]}, {**IDLE, "containers": [{"running": True}]}]
    infos = {f"gx10-{number}": info for number, info in enumerate([IDLE, *busy], 1)}
    assert _nightly.free(infos) == "gx10-1"
    assert _nightly.free({**infos, "gx10-5": IDLE}) == "gx10-5"
    assert _nightly.free({name: info for name, info in infos.items() if name != "gx10-1"}) == ""


def nodes(error: str = "", now: str = "new") -> dict[str, Any]:
    return {"gx10-1": {"error": "", "id": "old", "now": now}, "gx10-2": {"error": error, "id": "old", "now": now}}


@pytest.mark.parametrize(
    ("states", "built", "gate", "ok", "text"),
    [
        (
            nodes(),
            True,
            {"ok": True},
            True,
            "rebuilt and promoted on gx10-1, gx10-2 (tiny answered with it on gx10-4). serve.yml starts it.\n"
            "For room: docker image prune --filter until=24h; never -a",
        ),
        (nodes(), True, {"ok": None, "why": "every node serves"}, True, "(not gated: every node serves)"),
        (nodes(now="old"), False, {"ok": None}, True, "inputs are unchanged, so nothing was built"),
        (nodes("no answer", "old"), True, {"ok": True}, False, "its tag is where it was.\ngx10-2: no answer"),
    ],
)
def test_the_report(states: Any, built: bool, gate: dict[str, Any], ok: bool, text: str) -> None:
    gate = {"node": "gx10-4", "profile": "tiny", "why": "", **gate}
    document = _nightly.report(PLAN, states, {"built": built, "id": "new", "inputs": "hash"}, gate)
    assert document["ok"] is ok
    assert document["promoted"] is (ok and built)
    assert text in _nightly.text(document)


def record(profile: str, image: str) -> dict[str, Any]:
    return {"plan": {"hash": profile, "profile": profile}, "image_id": image}


def info(current: Any = None, last: Any = None, previous: Any = None, at: float = 1) -> dict[str, Any]:
    return {"record": current or {}, "good": {"last": last or {}, "previous": previous or {}, "at": at}}


A, B, C = record("a", "1"), record("a", "2"), record("c", "1")


@pytest.mark.parametrize(
    ("infos", "wanted"),
    [
        ({}, {}),
        ({"n": info()}, {}),
        # What runs is the last good one: the one before. What runs failed its gate: the last good one.
        ({"n": info(B, B, A)}, A),
        ({"n": info(B, A, C)}, A),
        ({"n": info(A, A)}, {}),
        # Nothing runs.
        ({"n": info(None, A, B)}, A),
        # A node that did not take part in the last launch.
        ({"m": info(None, C, None, 1), "n": info(B, B, A, 2)}, A),
    ],
)
def test_what_to_go_back_to(infos: dict[str, Any], wanted: dict[str, Any]) -> None:
    assert _gate.rollback_record(infos) == wanted


def test_a_record_of_another_release_is_refused_by_name(resolve: Any) -> None:
    plan = resolve("sim-tiny-tp2")["plan"]
    assert _resolve.other_format({"plan": plan}) == ""
    del plan["format"]
    found = _resolve.other_format({"plan": plan})
    assert "The record of sim-tiny-tp2 has a plan of another release: found format 1; wanted " in found


def test_a_node_without_the_image_of_what_is_served_is_named() -> None:
    node = {"name": "gx10-1", "role": "head", "container": {"name": "x"}}
    served = {"plan": {"profile": "p", "nodes": [node], "idle": []}, "parts": {}, "image_id": "sha256:0123"}
    answer = {"gx10-1": {"containers": [], "image_gone": True}}
    gone = _gate.container_checks(served, answer)[0]
    assert (gone["name"], gone["ok"], gone["hint"]) == ("image kept", False, "ansible-playbook restore.yml -e profile=p brings it back.")


def test_records_are_read_with_their_age(tmp_path: Path) -> None:
    assert _look.good(str(tmp_path)) == {"last": {}, "previous": {}, "at": 0.0}
    (tmp_path / "last-good.json").write_text(json.dumps(A))
    os.utime(tmp_path / "last-good.json", (7, 7))
    assert _look.good(str(tmp_path)) == {"last": A, "previous": {}, "at": 7.0}


def test_the_units_run_the_rebuild(tmp_path: Path) -> None:
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "-i", str(ROOT / "inventories/sample"), "install_nightly.yml"]
    argv += ["-e", "profile=qwen397-mtp2", "-e", "gate_profile=nex-n2-mini", "-e", f"units_dir={tmp_path}", "-e", "enable=false"]
    # Each of these is systemd's own in a unit.
    paths = ["/srv/100% mine", "/srv/$HOME", "/srv/it's", "/srv/a\\b", '/srv/"ü"']
    argv += ["-e", json.dumps({"images_path": paths})]
    done = subprocess.run(argv, capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stdout + done.stderr
    units = {}
    for name in ("service", "timer"):
        units[name] = configparser.RawConfigParser(strict=False)
        units[name].optionxform = str  # type: ignore[assignment, method-assign]
        units[name].read(tmp_path / f"gx10-rebuild.{name}")
    command = units["service"]["Service"]["ExecStart"]
    assert "gx10.serving.rebuild_nightly -i " in command
    assert " -e profile=qwen397-mtp2 -e gate_profile=nex-n2-mini " in command
    # systemd.service(5): in quotes C's escapes count, then % and $ are doubled.
    (extra,) = re.findall(r" -e '((?:[^'\\]|\\.)*)' ", command)
    assert "%%" in extra and "$$" in extra
    assert json.loads(re.sub(r"\\(.)", r"\1", extra.replace("%%", "%").replace("$$", "$"))) == {"images_path": paths}
    assert units["timer"]["Timer"]["OnCalendar"] == "*-*-* 03:30:00"
    # Where systemd is installed, its own judgement counts.
    if shutil.which("systemd-analyze"):
        checked = subprocess.run(["systemd-analyze", "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
