"""The nightly rebuild's decisions, what to go back to, and the units of systemd."""

from __future__ import annotations

import configparser
import copy
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.node import _look
from ansible_collections.gx10.serving.plugins.module_utils.phases import _gate, _image, _nightly, _rollback
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve
from conftest import ROOT

PLAN: Any = {"image": {"name": "small", "reference": "small:latest", "builder": "gx10-1", "lineage": [{"name": "low"}]}}
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
        return {"images": {"images": {"small:latest": {"id": image}} if image else {}, "tags": [], "kept": []}}

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
        (
            rebuilt(now="old", answers=False, nightly_gated=True),
            "gx10-4",
            False,
            True,
            "not all is known to be as it was.\ngx10-2: no answer\ngx10-2: nobody could look at what is left there",
        ),
        (rebuilt(now="old", nightly_error="Ask: cold"), "gx10-4", False, False, "all tags are where they were.\ngx10-4: Ask: cold"),
        (rebuilt("Build: full", "old", built=None), "gx10-4", False, None, "all tags are where they were.\ngx10-2: Build: full"),
        (
            rebuilt("Promote: full"),
            "",
            False,
            None,
            "small:latest was not rebuilt; not all is known to be as it was.\ngx10-2: Promote: full\n"
            "gx10-1: small:latest: not put back. On gx10-1: docker tag old small:latest\ngx10-2: small:latest: not put back. ",
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


def tagged(*images: tuple[str, list[str]], kept: Any = (), **references: str) -> Any:
    """What a look found: images with their tags, layers that are kept, and the base by its reference."""
    found = {f"vendor/{name}:1": {"id": image} for name, image in references.items()}
    layers = [{"name": name, "image": image, "digest": digest} for name, image, digest in kept]
    return {"images": found, "tags": [{"id": image, "created": "", "tags": tags} for image, tags in images], "kept": layers}


BEFORE = tagged(
    ("a", ["small:latest", "small:aaaaaaaaaaaa", "small:verified-1", "mine:1"]), ("l", ["low:latest"]), kept=[("small", "a", "1")], base="x"
)


@pytest.mark.parametrize(
    ("after", "tag", "untag", "forget"),
    [
        (BEFORE, [], [], []),
        # A gate that failed: a newer base was pulled, what is built on it, and a candidate of that.
        (
            tagged(
                ("a", ["small:latest", "small:aaaaaaaaaaaa", "mine:1"]),
                ("b", ["small:candidate", "small:bbbbbbbbbbbb", "small:verified-1"]),
                ("m", ["low:latest", "low:cccccccccccc"]),
                ("l", []),
                kept=[("small", "b", "2"), ("small", "a", "1"), ("other", "o", "3")],
                base="y",
            ),
            [("a", "small:verified-1"), ("l", "low:latest"), ("x", "vendor/base:1")],
            ["low:cccccccccccc", "small:bbbbbbbbbbbb"],
            ["2"],
        ),
        # A promotion that failed on another node; somebody else has tagged the same images meanwhile.
        (
            tagged(("a", ["small:aaaaaaaaaaaa", "small:verified-1", "mine:2"]), ("b", ["small:latest", "x:1", "small:toms-fix"]),
                   ("l", ["low:latest"]), kept=[("small", "a", "1")], base="x"),
            [("a", "small:latest")],
            [],
            [],
        ),
        # What failed its verification is kept to be looked at.
        (
            tagged(("a", ["small:latest", "small:aaaaaaaaaaaa", "small:verified-1"]), ("b", ["small:rejected"]), ("l", ["low:latest"]),
                   base="x"),
            [],
            [],
            [],
        ),
    ],
)  # fmt: skip
def test_after_a_failed_night_tags_bases_and_layers_are_what_they_were(after: Any, tag: Any, untag: Any, forget: Any) -> None:
    found = _image.undo(_nightly.names(PLAN["image"]), BEFORE, after)
    assert sorted((one["id"], one["reference"]) for one in found["tag"]) == tag
    assert (sorted(found["untag"]), [one["digest"] for one in found["forget"]]) == (untag, forget)


def test_a_first_image_and_a_base_by_digest() -> None:
    after = tagged(("b", ["small:latest"]), base="y")
    after["images"]["vendor/base@sha256:1"] = {"id": "z"}
    found = _image.undo(["small"], tagged(), after)
    assert (found["tag"], sorted(found["untag"])) == ([], ["small:latest", "vendor/base:1"])


def test_the_report_says_what_could_not_be_undone_and_how_it_is() -> None:
    hosts = rebuilt("Ask: cold", "old")
    hosts["gx10-1"]["nightly_before"]["images"] = BEFORE
    after = copy.deepcopy(BEFORE)
    after["images"]["vendor/base:1"]["id"] = "y"
    after["tags"].append({"id": "b", "created": "", "tags": ["small:bbbbbbbbbbbb"]})
    after["kept"].append({"name": "small", "image": "sha256:" + "b" * 64, "digest": "2"})
    hosts["gx10-1"]["nightly_after"]["images"] = after
    wanted = [
        "gx10-1: vendor/base:1: not put back. On gx10-1: docker tag x vendor/base:1",
        "gx10-1: small:bbbbbbbbbbbb: not taken away. On gx10-1: docker image rm small:bbbbbbbbbbbb",
        f"gx10-1: layers of {'b' * 12}: not forgotten; a later image takes their place",
    ]
    document = _nightly.report(PLAN, hosts, list(hosts), "", "tiny")
    assert document["left"] == wanted
    assert _nightly.text(document).splitlines()[-3:] == wanted
    del hosts["gx10-2"]["nightly_error"]
    assert _nightly.report(PLAN, hosts, list(hosts), "", "tiny")["left"] == [], "what a promoted night has changed is meant"


def test_what_is_kept_of_a_candidate_is_written_when_it_is_promoted() -> None:
    """Its gate comes before; what serves is described by what was before it until then."""
    role = ROOT / "roles/image/tasks"
    steps = {name: yaml.safe_load((role / f"{name}.yml").read_text()) for name in ("build", "promote", "verify")}
    (recorded,) = [step for step in steps["build"] if step.get("ansible.builtin.include_tasks") == "record.yml"]
    assert recorded["when"] == "__image_build and image_promote"
    order = [step["name"].partition(" | ")[2] for step in steps["promote"]]
    wanted = ["Refuse unless every node has the candidate", "Set the tag", "Archive it", "Record what it was built from"]
    assert [order.index(name) for name in wanted] == sorted(order.index(name) for name in wanted)
    (packages,) = [step for step in steps["verify"] if step["name"] == "verify | Write what is inside"]
    assert "'-candidate' if __image_build and not image_promote" in packages["gx10.serving.node_files"]["files"][0]["path"]


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
