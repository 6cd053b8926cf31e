"""Shared by the unit tests: the collection's pure code, imported as Ansible imports it, and a plan to work with."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources
from ansible_collections.gx10.serving.plugins.module_utils.plan._types import Plan

# What a container says of its hardware.
UNKNOWN: dict[str, Any] = {
    "architecture": "aarch64", "kernel": "6.17.0", "bios": None, "driver": None, "gpus": None, "memory": {}, "links": [],
}  # fmt: skip
ROOT = Path(__file__).resolve().parents[2]


def hostvars(nodes: int = 4, **site: Any) -> dict[str, dict[str, Any]]:
    """Inventory variables of `nodes` machines, which give an engine their GPUs."""
    site = {"gx10_container_options": {"runtime": "nvidia"}, **site}
    return {
        f"gx10-{number}": {"ansible_host": f"192.168.1.1{number}", "gx10_fabric_address": f"192.168.177.1{number}", **site}
        for number in range(1, nodes + 1)
    }


def edited(sources: Any, **keys: Any) -> Any:
    """The sources with some of the profile's top keys otherwise: a file of the user's own."""
    profile = {**yaml.safe_load(sources["profile"]["text"]), **keys}
    sources["profile"]["text"] = json.dumps(profile, default=str)
    return sources


def launch(name: str, **own: Any) -> Plan:
    """The plan of a profile for four nodes, with some of its top keys otherwise."""
    found = _resolve.resolve(edited(_sources.read(name), **own), hostvars(), list(hostvars()), None, True)
    assert found["plan"], found["message"]
    return found["plan"]


@pytest.fixture
def resolve() -> Any:
    """Resolve a profile: by name, or by text under the name `test`."""

    def run(name: str = "test", text: str | None = None, variables: dict[str, Any] | None = None, **more: Any) -> _resolve.Resolved:
        sources = _sources.read(name if text is None else "sim-tiny-tp2")
        if text is not None:
            sources["profile"] = {"name": name, "path": f"{name}.yml", "text": text}
        variables = hostvars() if variables is None else variables
        return _resolve.resolve(sources, variables, list(variables), **more)

    return run
