"""What may lie in a folder in the place of a file, and beside one."""

from __future__ import annotations

import os
import socket
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any

from ansible_collections.gx10.serving.plugins.module_utils.plan import _catalogue, _sources

from . import case as entry
from .case import Case
from .entries import at_checkpoint, profile
from .keys import CONFIG
from .texts import as_json, dump


def kinds_of_file() -> dict[str, Callable[[Path], None]]:
    """What may lie where a file is wanted, and is none that can be read."""

    def sparse(path: Path) -> None:
        with path.open("wb") as file:
            file.truncate(20 * 1024**3)

    def listener(path: Path) -> None:
        with socket.socket(socket.AF_UNIX) as server:
            here = os.getcwd()
            os.chdir(path.parent)  # a path of a socket is short
            try:
                server.bind(path.name)
            finally:
                os.chdir(here)

    return {
        "a folder": Path.mkdir,
        "a FIFO": os.mkfifo,
        "a device": lambda path: path.symlink_to("/dev/zero"),
        "a terminal": lambda path: path.symlink_to("/dev/tty"),
        "a link to a FIFO": lambda path: (os.mkfifo(f"{path}.fifo"), path.symlink_to(f"{path}.fifo"))[1],
        "a dangling link": lambda path: path.symlink_to("nothing"),
        "a loop of links": lambda path: path.symlink_to(path.name),
        "a sparse giant": sparse,
        "a socket": listener,
    }


# Beside what is wanted; nobody asked for them.
STRANGERS: Mapping[str, Callable[[Path], None]] = {
    "an editor's lock": lambda folder: (folder / ".#own.yml").symlink_to("user@host.123:456"),
    "an editor's swap file": lambda folder: (folder / ".own.yml.swp").write_bytes(b"b0VIM"),
    "a backup": lambda folder: (folder / "own.yml~").write_bytes(b"\xff"),
    "a name that is not UTF-8": lambda folder: Path(os.fsdecode(os.fsencode(folder) + b"/\xff.yml")).write_text("a: 1"),
    "a name with a line break": lambda folder: (folder / "a\nb.yml").write_text("a: 1"),
    "a dot": lambda folder: (folder / ".yml").write_text("a: 1"),
    "a folder of that name": lambda folder: (folder / "folder.yml").mkdir(),
    "a FIFO": lambda folder: os.mkfifo(folder / "fifo.yml"),
    "a dangling link": lambda folder: (folder / "dangling.yml").symlink_to("nothing"),
    "a loop": lambda folder: (folder / "loop.yml").symlink_to("loop.yml"),
    "a device": lambda folder: (folder / "device.yml").symlink_to("/dev/zero"),
}


def file_case(random: Random) -> Case:
    """A file that is none, or strangers beside one."""
    name = random.choice(list(kinds_of_file()))
    make = kinds_of_file()[name]
    where = random.choice(
        [
            "profile",
            "another profile",
            "image",
            "another image",
            "mod.yml",
            "run.sh",
            "in a mod",
            "in an image",
            "another mod",
            "config.json",
            "index",
            "strangers",
            "folder",
        ]
    )

    def run(folder: Path) -> list[str]:
        profiles, images, mods = (folder / part for part in ("p", "i", "m"))
        image, mod = images / "own", mods / "own"
        for part in (profiles, image, mod):
            part.mkdir(parents=True)
        (profiles / "own.yml").write_text(dump({**profile(), "image": "own", "mods": ["own"]}))
        (image / "image.yml").write_text(entry.read()["images"]["vllm-node-sim"]["text"])
        (mod / "run.sh").write_text("true\n")
        (mod / "mod.yml").write_text("summary: x\n")
        places = {
            "profile": profiles / "own.yml",
            "another profile": profiles / "another.yml",
            "image": image / "image.yml",
            "another image": images / "another" / "image.yml",
            "mod.yml": mod / "mod.yml",
            "run.sh": mod / "run.sh",
            "in a mod": mod / "more",
            "in an image": image / "more",
            "another mod": mods / "another" / "run.sh",
        }
        if where in ("config.json", "index"):
            if where == "index":
                (folder / "config.json").write_bytes(as_json(CONFIG))
            make(folder / {"index": "model.safetensors.index.json"}.get(where, where))
            return at_checkpoint(folder)
        if where == "strangers":
            for part in (profiles, images, mods):
                stranger(part)
        elif where == "folder":
            make(folder / "x")
        else:
            places[where].parent.mkdir(exist_ok=True)
            places[where].unlink(missing_ok=True)
            make(places[where])
        given = (str(profiles), str(images), str(mods)) if where != "folder" else tuple(str(folder / "x") for _ in range(3))
        if listing:
            _catalogue.table(_sources.read(None, [given[0]], [given[1]], [given[2]]))
            return []
        wanted = "own" if where != "folder" else entry.PROFILE
        return entry.plan(_sources.read(wanted, [given[0]], [given[1]], [given[2]]))

    listing = random.random() < 0.25
    about = random.choice(list(STRANGERS)) if where == "strangers" else name
    stranger = STRANGERS[about] if where == "strangers" else None
    used = where in ("profile", "image", "mod.yml", "run.sh", "in a mod", "in an image")
    if where in ("in a mod", "in an image") and name == "a folder":
        used = False
    oracle: Any = "any" if listing or where in ("config.json", "index", "folder") else "refuse" if used else "accept"
    return Case("files: " + ("list" if listing else where), run, oracle, about=about)
