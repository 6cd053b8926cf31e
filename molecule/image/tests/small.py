"""A site with a small image of its own, and a state folder of its own: nothing else is touched, and a layer is moved in no time."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import yaml
from sim import ROOT, Playbook

STATE = "/var/lib/gx10-small"
SMALL = {"summary": "For tests", "base": "gx10-sim-base:latest", "expect": {"cuda": None, "imports": ["json"]}}
DOCKERFILE = """\
ARG BASE
FROM ${BASE}
COPY payload /workspace/payload
COPY build-metadata.yaml /workspace/build-metadata.yaml
"""


class Site:
    """Folders on the control node as a user has them: profiles, image definitions, wheels, an archive."""

    def __init__(self, folder: Path) -> None:
        self.archive, self.images, self.wheels = folder / "archive", folder / "images", folder / "wheels"
        self.extra = {
            "profile": "small",
            "model_profiles_path": str(folder),
            "images_path": str(self.images),
            "wheels_path": str(self.wheels),
            "gx10_image_archive": str(self.archive),
            "gx10_state_dir": STATE,
        }
        text = (ROOT / "model_profiles/sim-tiny-tp4.yml").read_text()
        (folder / "small.yml").write_text(text.replace("image: vllm-node-sim", "image: small"))
        self.define("small", SMALL, DOCKERFILE, {"payload": os.urandom(5 * 1024**2)})

    def define(self, name: str, about: dict[str, Any], dockerfile: str, files: dict[str, bytes]) -> None:
        folder = self.images / name
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "image.yml").write_text(yaml.safe_dump(about))
        (folder / "Dockerfile").write_text(dockerfile)
        for path, content in files.items():
            (folder / path).write_bytes(content)

    def bring(self, **extra: Any) -> Playbook:
        """The role image alone."""
        return Playbook(str(ROOT / "molecule/image/image.yml"), **{**self.extra, **extra})

    def restore(self) -> Playbook:
        extra = {key: value for key, value in self.extra.items() if key != "wheels_path"}
        return Playbook("restore", **extra)
