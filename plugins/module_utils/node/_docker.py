# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Docker's command line on a node. Runs on the nodes (Python >= 3.9, standard library). PRIVATE to the collection."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from ._types import DockerInfo, Tagged

# Runs a command: (exit code, stdout, stderr), as AnsibleModule.run_command.
Run = Callable[[list[str]], tuple[int, str, str]]
# As Docker names what the kernel names otherwise.
ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64"}


class DockerError(Exception):
    """Docker did not answer; the text says to which command, with what it said."""


class Docker:
    """What the collection asks of the engine. The methods raise DockerError where it does not answer."""

    def __init__(self, run: Run) -> None:
        self.run = run

    def ask(self, *arguments: str) -> str:
        """A command that must succeed; returns its stdout."""
        code, out, err = self.run(["docker", *arguments])
        if code:
            raise DockerError(f"docker {arguments[0]}: found exit code {code}: {err.strip()}; wanted an engine that answers")
        return out

    def info(self) -> DockerInfo:
        """The engine's version and folder, or why it does not answer (then the others are missing)."""
        code, out, err = self.run(["docker", "info", "--format", "{{.ServerVersion}} {{.DockerRootDir}}"])
        if code or err.startswith("Cannot connect"):
            return {"error": err.strip() or out.strip()}
        version, _space, root = out.strip().partition(" ")
        return {"version": version, "root": root, "error": ""}

    def root(self) -> str:
        """The engine's folder."""
        return str(json.loads(self.ask("info", "--format", "{{json .DockerRootDir}}")))

    def inspect(self, kind: str, names: Iterable[str]) -> list[dict[str, Any]]:
        """What Docker says of images or containers; those that are not there are left out."""
        wanted = list(dict.fromkeys(names))
        if not wanted:
            return []
        code, out, err = self.run(["docker", kind, "inspect", *wanted])
        strange = [line for line in err.lower().splitlines() if line and "no such" not in line]
        if code and strange:
            raise DockerError(f"docker {kind} inspect {' '.join(wanted)}: found exit code {code}: {err.strip()}")
        found: list[dict[str, Any]] = json.loads(out or "[]")
        return found

    def labelled(self, label: str) -> list[dict[str, Any]]:
        """Every container with a label, running or not."""
        return self.inspect("container", self.ask("ps", "--all", "--quiet", "--no-trunc", "--filter", f"label={label}").split())

    def image(self, reference: str) -> dict[str, Any]:
        """One image that must be there."""
        found = self.inspect("image", [reference])
        if not found:
            raise DockerError(f"image {reference}: found none in Docker; wanted it")
        return found[0]

    def images(self, names: Iterable[str]) -> list[Tagged]:
        """Every image of these repositories, each with all of its tags."""
        found = {one for name in names for one in self.ask("image", "ls", "--quiet", "--no-trunc", name).split()}
        rows = self.inspect("image", sorted(found))
        return [{"id": item["Id"], "created": item["Created"], "tags": item["RepoTags"] or []} for item in rows]


def forgotten(images: Sequence[Tagged], name: str, tag: str, keep: int) -> list[str]:
    """References of `name` to remove: this collection's tags of all but the `keep` newest images and of those that a kept tag names."""
    kept = {f"{name}:{one}" for one in (tag, "last-good", "previous", "candidate", "rejected")}
    ours = re.compile(rf"{re.escape(name)}:(?:[0-9a-f]{{12}}|verified-[0-9a-f]{{12}})")
    spare = [item for item in images if not kept & set(item["tags"])]
    spare.sort(key=lambda item: str(item["created"]), reverse=True)
    return sorted(one for item in spare[keep:] for one in item["tags"] if ours.fullmatch(one))
