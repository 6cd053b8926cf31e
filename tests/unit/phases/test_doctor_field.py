"""A doctor on hardware as owners report it, while it serves: nothing to say."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.phases import _doctor, _doctor_checks, _engine, _image_actions, _weights_actions
from conftest import hostvars
from owners import GIB, SAMPLE, observe
from test_doctor import API, DISK, NOW, STATE
from worlds import IMAGE, STARTED


@pytest.mark.parametrize("profile", ["qwen397-mtp2", "nemotron3-ultra", "nex-n2-pro", "nex-n2-mini", "nemotron3-super-sglang"])
def test_the_field_s_healthy_numbers_have_no_finding(tmp_path: Path, resolve: Any, profile: str) -> None:
    """GX10s while they serve: of 119.6 GiB half a GiB above the floor is available, and the group has healed once."""
    plan: Any = resolve(profile, variables=hostvars(**SAMPLE), accept_untested=True)["plan"]
    worlds: Any = {}
    image = {"id": IMAGE, "layers": ["a"], "labels": {}, "size": 1, "architecture": "arm64"}
    named_as = {plan["image"]["reference"]: image, _image_actions.verified(plan["image"]): image}
    (model,) = plan["weights"]["models"][:1]
    manifest = {"repo": model["repo"], "revision": model["revision"], "hash": model["manifest"] or "h", "files": [], "size": 1, "hub": {}}
    look = {"files": [], "size": 1, "problems": [], "hash": "h", "unread": 0, "recorded": manifest, "config": None}
    stored: Any = {
        one["repo"]: {**look, "recorded": {**manifest, "repo": one["repo"]}, "hub": {"revision": None, "sha256": {}}}
        for one in plan["weights"]["models"]
    }
    hashes = _weights_actions.decide(plan["weights"], {"gx10-1": stored}, {}, {})["hash"]
    names = [node["name"] for node in plan["nodes"]] + plan["idle"]
    parts: Any = _engine.parts(plan, names, IMAGE, hashes)
    boots = {name: {"started_at": STARTED, "facts": {}} for name in names}
    record = {"plan": plan, "image_id": IMAGE, "parts": parts, "boots": boots}
    floor = plan["memory"]["floor_gib"]
    for number, name in enumerate(names, start=1):
        hardware = observe("good", tmp_path / name)
        hardware["links"][0]["address"] = f"192.168.177.1{number}"
        node = next((node for node in plan["nodes"] if node["name"] == name), None)
        container = plan["nodes"][0]["container"]["name"]
        evidence = {"mods": [mod["name"] for mod in plan["nodes"][0]["mods"]]} if plan["nodes"][0]["mods"] else {}
        phase = {"phase": "joined" if number > 1 else "serving", "generation": 2, "restarts": "1 of 3 within an hour", "evidence": evidence}
        running = {"name": container, "id": "c" * 64, "image": IMAGE, "running": True, "exit_code": 0, "started_at": STARTED, "ports": []}
        ours = [{**running, "labels": _engine.labels(plan, parts[name]), "status": phase}] if node else []
        worlds[name] = {
            "host": {
                "addresses": [f"192.168.177.1{number}"], "missing_tools": [], "docker": {"error": "", "version": "28.0"}, "journal": True,
                "disk": {path: {**DISK, "free": 40 * GIB} for path in ("/srv/models", STATE)}, "hardware": hardware,
                "memory": {"total": int(119.6 * GIB), "available": int((floor + 0.5 if node else 113) * GIB)},
            },
            "engine": {
                "containers": ours, "listeners": [], "record": record if node else {}, "image_gone": False, "boot_id": "b",
                "processes": [{"pid": 9, "command": "VLLM::Worker", "container": "c" * 64}] if node else [],
                "good": {"last": record if node else {}, "previous": {}, "at": 1.0},
            },
            "images": {
                "images": named_as, "containers": {_image_actions.keepers(plan["image"]["name"])[0]: IMAGE}, "kept": [], "blobs": {},
                "tags": [{"id": IMAGE, "created": "2026", "tags": [f"{plan['image']['name']}:last-good"]}], "architecture": "arm64",
                "disk": {"store": DISK, "docker": DISK},
            },
            "weights": stored,
            "left": {"clock": {"asked": NOW - 6, "here": NOW - 3}, "lock": None, "files": [], "works": [], "stages": []},
        }  # fmt: skip
    contexts: Any = {plan["image"]["name"]: {"context": "", "dockerfile": False}}
    wish = _image_actions.Wish(targets=[], keep=2, build=False, wanted=IMAGE)
    api: Any = {**API, "models": [plan["ready"]["served_name"]]}
    seen = _doctor_checks.Seen(worlds=worlds, half={}, silent={}, head="gx10-1", state_dir=STATE, fanout_port=8731, now=NOW, api=api)
    assert _doctor.diagnose(_doctor.Wanted(plan, contexts, (), wish, {}), seen)["findings"] == []
    # And it does see one that is not: what is under the floor by more than an engine holds beside its budget.
    worlds["gx10-1"]["host"]["memory"]["available"] = 0
    worlds["gx10-1"]["engine"]["containers"][0]["status"]["phase"] = "failed"
    found = _doctor.diagnose(_doctor.Wanted(plan, contexts, (), wish, {}), dataclasses.replace(seen, api=None))
    assert found["verdict"] == "down"
    assert "memory" in [one["what"] for one in found["findings"]]
