"""Worlds for the tests of the decision: one in which nothing differs from the plan, and changes of it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest
from ansible_collections.gx10.serving.plugins.module_utils.node._types import File
from ansible_collections.gx10.serving.plugins.module_utils.phases import _engine, _image_actions, _reconcile
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan
from conftest import UNKNOWN, hostvars

IMAGE, OTHER = "sha256:" + "1" * 64, "sha256:" + "2" * 64
FILES: list[File] = [
    {"path": "config.json", "size": 2, "sha256": "a" * 64},
    {"path": "model.safetensors", "size": 2**20, "sha256": "b" * 64},
]
MANIFEST: dict[str, Any] = {
    "repo": "gx10/tiny-qwen3",
    "revision": None,
    "hash": _manifest.digest(FILES),
    "files": FILES,
    "size": 2,
    "hub": {},
}
BLOBS = [{"path": "blobs/a", "size": 2**20, "sha256": "a"}, {"path": "blobs/b", "size": 2**21, "sha256": "b"}]
STARTED = "2026-11-01T00:00:00Z"


def planned(resolve: Any) -> Plan:
    """Two ranks and an idle node; the image has a definition and is built on another one."""
    found: Plan = resolve("sim-tiny-tp2", variables=hostvars(3))["plan"]
    return found


def as_planned(plan: Plan) -> dict[str, Any]:
    """The world of every node as the plan wants it, as the arguments of Evidence."""
    image, context = plan["image"], "c1"
    labels = {"gx10.serving.context": context}
    docker = {"id": IMAGE, "layers": ["a", "b"], "labels": labels, "size": 3, "architecture": "arm64"}
    kept = {
        "name": image["name"],
        "image": IMAGE,
        "digest": "sha256:d",
        "complete": True,
        "files": BLOBS,
        "layers": ["a", "b"],
        "labels": labels,
        "architecture": "arm64",
    }
    disk = {"path": "/", "free": 2**40, "device": 1}
    images = {
        "images": {image["reference"]: docker, _image_actions.verified(image): docker},
        "containers": {_image_actions.keepers(image["name"])[0]: IMAGE},
        "tags": [{"id": IMAGE, "created": "2026-01-01", "tags": [image["reference"], f"{image['name']}:last-good"]}],
        "kept": [kept],
        "blobs": {item["path"]: item["size"] for item in BLOBS},
        "architecture": "arm64",
        "disk": {"store": disk, "docker": disk},
    }
    weights = {
        "gx10/tiny-qwen3": {
            "files": FILES, "size": 2, "problems": [], "hash": MANIFEST["hash"], "unread": 0, "recorded": MANIFEST,
            "config": None, "hub": {"revision": None, "sha256": {}},
        }
    }  # fmt: skip
    host = {
        "addresses": [f"192.168.177.1{number}" for number in (1, 2, 3)], "missing_tools": [], "docker": {"error": ""}, "journal": True,
        "disk": {"/srv/models": {"free": 1, "size": 1, "writable": True}}, "memory": {"total": 2**37, "available": 2**36},
        "hardware": UNKNOWN,
    }  # fmt: skip
    parts = _engine.parts(plan, ["gx10-1", "gx10-2", "gx10-3"], IMAGE, str(MANIFEST["hash"]))
    boots = {node["name"]: {"started_at": STARTED, "facts": {}} for node in plan["nodes"]}
    record = {"plan": plan, "image_id": IMAGE, "parts": parts, "boots": boots}
    worlds = {}
    for name, part in parts.items():
        containers = []
        if part:
            status = {"phase": "joined" if part["rank"] else "serving"}
            containers = [
                {
                    "name": "sim-tiny-tp2", "id": "c" * 64, "image": IMAGE, "running": True, "exit_code": 0, "started_at": STARTED,
                    "status": status, "labels": _engine.labels(plan, part), "ports": [],
                }
            ]  # fmt: skip
        good = {"last": record, "previous": {}, "at": 1.0} if part else {"last": {}, "previous": {}, "at": 0.0}
        engine = {
            "containers": containers, "listeners": [], "processes": [], "record": record if part else {}, "good": good,
            "notifier": {"hash": "", "active": False},
        }  # fmt: skip
        worlds[name] = {"host": host, "engine": engine, "images": images, "weights": weights}
    contexts = {
        item["name"]: {"context": "c0", "dockerfile": True, "missing": [], "altered": [], "size": 1, "wheels": "w"}
        for item in image["lineage"]
    }
    contexts[image["name"]] = {**contexts.get(image["name"], {}), "context": context, "dockerfile": True, "missing": [], "altered": []}
    contexts[image["name"]].update(size=1, wheels="w", definition="d")
    found = {"worlds": worlds, "contexts": contexts, "archived": [kept]}
    return copy.deepcopy(found)


def decide(plan: Plan, seen: dict[str, Any], **wish: Any) -> Any:
    targets = [node["name"] for node in plan["nodes"]]
    asked = _image_actions.Wish(targets=targets, keep=2, archive="/archive", **wish)
    return _reconcile.reconcile(plan, _reconcile.Evidence(**seen), asked, list(seen["worlds"]))


def done(decision: Any) -> list[tuple[str, str, str]]:
    return [(item["phase"], item["node"], item["do"]) for item in decision["actions"]]


def images(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    """A change of what one node has of images; the others keep theirs."""

    def apply(seen: dict[str, Any]) -> None:
        own = copy.deepcopy(seen["worlds"][name]["images"])
        change(own)
        seen["worlds"][name]["images"] = own

    return apply


def weights(name: str, **change: Any) -> Callable[[dict[str, Any]], Any]:
    def apply(seen: dict[str, Any]) -> None:
        own = copy.deepcopy(seen["worlds"][name]["weights"])
        own["gx10/tiny-qwen3"].update(change)
        seen["worlds"][name]["weights"] = own

    return apply


def engine(name: str, change: Callable[[dict[str, Any]], Any]) -> Callable[[dict[str, Any]], Any]:
    def apply(seen: dict[str, Any]) -> None:
        own = copy.deepcopy(seen["worlds"][name]["engine"])
        change(own)
        seen["worlds"][name]["engine"] = own

    return apply
