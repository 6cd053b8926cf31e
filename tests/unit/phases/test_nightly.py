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
from ansible_collections.gx10.serving.plugins.module_utils.phases import _gate, _nightly, _rollback
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve
from conftest import ROOT

PLAN: Any = {"image": {"reference": "small:latest", "builder": "gx10-1"}}
IDLE: Any = {"processes": [], "listeners": [], "containers": [{"running": False}]}


def looked(**engines: Any) -> dict[str, Any]:
    """What the rebuild left of each node after its first look."""
    return {name: {"nightly_before": {"engine": engine}} for name, engine in engines.items()}


def test_a_node_on_which_an_engine_runs_is_not_free() -> None:
    busy = [{**IDLE, "processes": [{"pid": 1}]}, {**IDLE, "listeners": [{"port": 8000}]}, {**IDLE, "containers": [{"running": True}]}]
    hosts = {**looked(idle=IDLE), **looked(**{f"busy{number}": look for number, look in enumerate(busy)}), "silent": {}}
    assert _nightly.free(hosts, list(hosts)) == "idle"
    assert _nightly.free({**hosts, **looked(last=IDLE)}, [*hosts, "last"]) == "last"
    assert _nightly.free(hosts, [name for name in hosts if name != "idle"]) == ""


def rebuilt(error: str = "", now: str = "new", built: bool | None = True, answers: bool = True, **gate: Any) -> dict[str, Any]:
    """What a rebuild left of its two nodes and of the one where it was gated."""

    def look(image: str) -> dict[str, Any]:
        return {"images": {"images": {"small:latest": {"id": image}} if image else {}}}

    after = {"nightly_after": look(now)} if answers else {}
    done = {"image_built": built, "image_id": "new", "image_inputs": "hash"} if built is not None else {}
    return {
        "gx10-1": {"nightly_before": look("old"), "nightly_after": look(now), **done},
        "gx10-2": {"nightly_before": look("old"), **after, **({"nightly_error": error} if error else {})},
        "gx10-4": {"nightly_before": look(""), "nightly_after": look(""), **gate},
    }


@pytest.mark.parametrize(
    ("hosts", "gate_node", "ok", "gated", "text"),
    [
        (
            rebuilt(nightly_gated=True),
            "gx10-4",
            True,
            True,
            "rebuilt and promoted on gx10-1, gx10-2 (tiny answered with it on gx10-4). serve.yml starts it.\n"
            "For room: docker image prune --filter until=24h; never -a",
        ),
        (rebuilt(), "", True, None, "(not gated: every node serves)"),
        (rebuilt(now="old", built=False), "gx10-4", True, None, "inputs are unchanged, so nothing was built"),
        (rebuilt(now="old", answers=False, nightly_gated=True), "gx10-4", False, True, "its tag is where it was.\ngx10-2: no answer"),
        (rebuilt(now="old", nightly_error="Ask: cold"), "gx10-4", False, False, "its tag is where it was.\ngx10-4: Ask: cold"),
        (rebuilt("Build: full", "old", built=None), "gx10-4", False, None, "its tag is where it was.\ngx10-2: Build: full"),
        (
            rebuilt("Promote: full"),
            "",
            False,
            None,
            "on gx10-1, gx10-2 its tag could not be put back: run it again.\ngx10-2: Promote: full",
        ),
    ],
)
def test_the_report(hosts: Any, gate_node: str, ok: bool, gated: bool | None, text: str) -> None:
    document = _nightly.report(PLAN, hosts, list(hosts), gate_node, "tiny")
    assert (document["ok"], document["gate"]["ok"]) == (ok, gated)
    assert document["promoted"] is (ok and hosts["gx10-1"]["image_built"])
    assert document["before"] == {"gx10-1": "old", "gx10-2": "old", "gx10-4": ""}
    assert text in _nightly.text(document)


def test_a_run_that_was_refused_blames_nobody_else() -> None:
    hosts: dict[str, Any] = {"gx10-1": {"nightly_error": "Take the lock: found it locked"}, "gx10-2": {}}
    assert _nightly.report(PLAN, hosts, list(hosts), "", "")["errors"] == ["gx10-1: Take the lock: found it locked"]


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
    assert _rollback.choose(infos) == wanted


def test_a_record_of_another_release_is_refused_by_name(resolve: Any) -> None:
    plan = resolve("sim-tiny-tp2")["plan"]
    assert _resolve.other_format({"plan": plan}) == ""
    del plan["format"]
    found = _resolve.other_format({"plan": plan})
    assert "The record of sim-tiny-tp2 has a plan of another release: found format 1; wanted " in found


def test_a_node_without_the_image_of_what_is_served_is_named() -> None:
    node = {"name": "gx10-1", "role": "head", "container": {"name": "x"}}
    served: Any = {"plan": {"profile": "p", "nodes": [node], "idle": []}, "parts": {}, "image_id": "sha256:0123"}
    answer: Any = {"gx10-1": {"containers": [], "image_gone": True}}
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
    # systemd.service(5): in quotes C's escapes count, then % and $ are doubled.
    (extra,) = re.findall(r' -e "((?:[^"\\]|\\.)*)"$', command)
    assert "%%" in extra and "$$" in extra
    given = {"images_path": paths, "profile": "qwen397-mtp2", "gate_profile": "nex-n2-mini", "report": "/var/log/gx10-rebuild.json"}
    assert json.loads(re.sub(r"\\(.)", r"\1", extra.replace("%%", "%").replace("$$", "$"))) == given
    assert units["timer"]["Timer"]["OnCalendar"] == "*-*-* 03:30:00"
    # Where systemd is installed, its own judgement counts.
    if shutil.which("systemd-analyze"):
        checked = subprocess.run(["systemd-analyze", "verify", *map(str, tmp_path.iterdir())], capture_output=True, text=True)
        assert checked.returncode == 0, checked.stderr
