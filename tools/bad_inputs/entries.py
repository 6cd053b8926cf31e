"""The entries of the code with one document changed."""

from __future__ import annotations

import functools
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from ansible_collections.gx10.serving.plugins.module_utils.plan import _catalogue, _recipe, _sources

from . import case as entry
from .keys import Document
from .texts import dump


@functools.cache
def profile() -> Document:
    found: Document = yaml.safe_load(entry.read()["profile"]["text"])
    if "date" in found["provenance"]:
        found["provenance"]["date"] = str(found["provenance"]["date"])
    return found


def with_profile(text: str) -> Mapping[str, Any]:
    return {**entry.read(), "profile": {"name": "test", "path": "test.yml", "text": text}}


def with_image(name: str, text: str) -> Mapping[str, Any]:
    images = {**entry.read()["images"], name: {"path": f"files/images/{name}/image.yml", "text": text}}
    return {**entry.read(), "images": images}


def with_mod(name: str, text: str, used: bool) -> Mapping[str, Any]:
    mod = {"path": f"files/mods/{name}", "hash": "sha256:0", "ready": True, "about": {"path": f"files/mods/{name}/mod.yml", "text": text}}
    sources = with_profile(dump({**profile(), "mods": [name] if used else []}))
    return {**sources, "mods": {**entry.read()["mods"], name: mod}}


def table(texts: Mapping[str, str]) -> list[str]:
    """The list of all profiles, as profiles.yml prints it; its lines are told as problems are."""
    profiles = {name: {"path": f"{name}.yml", "text": text} for name, text in texts.items()}
    lines = _catalogue.table({**entry.read(None), "profiles": profiles}).splitlines()
    return [line for line in lines if any(name in line for name in texts)]


def convert(text: str) -> list[str]:
    """A recipe; a profile that comes of it must be one."""
    made, notes = _recipe.convert({"path": "r.yaml", "text": text}, entry.read()["schema"]["text"], "2026-11-21")
    if made:
        json.dumps(made, allow_nan=False).encode()
    return [] if made else notes


def checkpoint(folder: Path, config: bytes | None, index: bytes | None) -> list[str]:
    for name, raw in (("config.json", config), ("model.safetensors.index.json", index)):
        if raw is not None:
            (folder / name).write_bytes(raw)
    return at_checkpoint(folder)


def at_checkpoint(folder: Path) -> list[str]:
    return entry.plan(_sources.read(entry.PROFILE, checkpoints={profile()["model"]["repo"]: str(folder)}))


@functools.cache
def parsed(name: str) -> Document:
    found: Document = yaml.safe_load(entry.read(None)["profiles"][name]["text"])
    if "date" in found["provenance"]:
        found["provenance"]["date"] = str(found["provenance"]["date"])
    return found
