"""Search this machine for values that may stand nowhere. Standard library, Python >= 3.9: it runs on a node as well.

    python3 canary.py < JOB.json     {"values": {NAME: VALUE}, "since": SECONDS, "roots": [FOLDER], "passed": [FOLDER], "layers": true}

Prints what it found as a JSON list; a finding names the value and never shows it. A value is new and random, so that only a file that
changed since it was made (its ctime, which nobody sets) can hold it. `layers`: what containers write is looked into, too.
"""

from __future__ import annotations

import base64
import gzip
import io
import json
import os
import shutil
import stat
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

CHUNK = 2**20
# The kernel's, and what is looked into by other ways: processes, and the layers that containers write.
PASSED = ("/proc", "/sys", "/dev", "/var/lib/docker/overlay2")


class Needle(NamedTuple):
    value: str
    form: str
    text: bytes


def needles(values: Mapping[str, str]) -> list[Needle]:
    """Each value as it is, and within base64: of a text that holds it, whatever stands before and after."""
    found = []
    for name, value in values.items():
        raw = value.encode()
        found.append(Needle(name, "as it is", raw))
        for before in range(3):
            # The characters that no byte beside the value has a part in.
            first, last = (before * 8 + 5) // 6, (before + len(raw)) * 8 // 6
            inner = base64.b64encode(b"\0" * before + raw)[first:last]
            found += [Needle(name, "base64", text) for text in sorted({inner, inner.replace(b"+", b"-").replace(b"/", b"_")})]
    return found


def within(stream: io.BufferedIOBase, wanted: Sequence[Needle]) -> list[Needle]:
    """The needles in a stream, also across two chunks."""
    found: list[Needle] = []
    keep = max(len(needle.text) for needle in wanted) - 1
    rest = b""
    while True:
        chunk = stream.read(CHUNK)
        if not chunk:
            return found
        text = rest + chunk
        found += [needle for needle in wanted if needle not in found and needle.text in text]
        rest = text[-keep:]


def in_text(text: bytes, wanted: Sequence[Needle]) -> list[Needle]:
    return within(io.BytesIO(text), wanted)


def said(where: str, needle: Needle, **more: Any) -> dict[str, Any]:
    return {"where": where, "value": needle.value, "form": needle.form, **more}


def changed(root: str, since: float, passed: Sequence[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Regular files below `root` that changed since; no link is followed."""
    folders = [root]
    while folders:
        folder = folders.pop()
        try:
            entries = list(os.scandir(folder))
        except OSError:
            continue  # removed meanwhile
        for entry in entries:
            try:
                about = entry.stat(follow_symlinks=False)
            except OSError:
                continue
            if stat.S_ISDIR(about.st_mode) and entry.path not in passed:
                folders.append(entry.path)
            elif stat.S_ISREG(about.st_mode) and about.st_ctime >= since:
                yield entry.path, about


def files(roots: Sequence[str], since: float, passed: Sequence[str], wanted: Sequence[Needle]) -> list[dict[str, Any]]:
    """Findings in the content and the names of files; of a compressed one in both."""
    found: dict[tuple[str, str, str], dict[str, Any]] = {}
    for root in roots:
        for path, about in changed(root, since, passed):
            held = in_text(os.fsencode(path), wanted)
            for read in (open, gzip.open) if path.endswith(".gz") else (open,):
                try:
                    with read(path, "rb") as file:
                        held += within(file, wanted)
                except (OSError, EOFError, zlib.error):
                    continue  # removed meanwhile, or not compressed
            for needle in held:
                mode = f"{stat.S_IMODE(about.st_mode):04o}"
                found[path, needle.value, needle.form] = said(path, needle, mode=mode)
    return list(found.values())


def processes(what: str, wanted: Sequence[Needle]) -> list[dict[str, Any]]:
    """Findings in `cmdline` or `environ` of every process, with its name and its control group."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{pid}/{what}", "rb") as file:
                held = within(file, wanted)
            if held:
                with open(f"/proc/{pid}/comm", encoding="utf-8") as name, open(f"/proc/{pid}/cgroup", encoding="utf-8") as group:
                    about = {"process": name.read().strip(), "group": group.read().strip()}
                found += [said(what, needle, **about) for needle in held]
        except OSError:
            continue  # it has ended, or it is the kernel's
    return found


def output(argv: Sequence[str], wanted: Sequence[Needle]) -> list[dict[str, Any]]:
    """Findings in what a command prints; one that fails would hide them."""
    done = subprocess.run(argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL, check=False)
    if done.returncode and b"No such container" not in done.stdout:  # removed meanwhile
        raise RuntimeError(f"{' '.join(argv[:3])}: exit code {done.returncode}: {done.stdout[-300:]!r}")
    return [said(" ".join(argv), needle) for needle in in_text(done.stdout, wanted)]


def listed(*argv: str) -> list[str]:
    return subprocess.run(argv, stdout=subprocess.PIPE, text=True, check=True).stdout.split()


def docker(wanted: Sequence[Needle]) -> tuple[list[dict[str, Any]], list[str]]:
    """Findings in labels, environment, command and log of containers and images, and the folders that the containers write into."""
    containers, images = listed("docker", "ps", "--all", "--quiet"), listed("docker", "image", "ls", "--all", "--quiet")
    found, written = [], []
    for kind, names in (("container", containers), ("image", images)):
        if names:
            found += output(["docker", kind, "inspect", *sorted(set(names))], wanted)
    for name in containers:
        found += output(["docker", "logs", name], wanted)
    if containers:
        written = listed("docker", "inspect", "--format", "{{.GraphDriver.Data.UpperDir}}", *containers)
    return found, written


def search(job: Mapping[str, Any]) -> list[dict[str, Any]]:
    """All findings on this machine."""
    wanted, found, roots = needles(job["values"]), [], list(job["roots"])
    for what in ("cmdline", "environ"):
        found += processes(what, wanted)
    if shutil.which("docker"):
        inner, written = docker(wanted)
        found += inner
        roots += written if job["layers"] else []
    if os.path.isdir("/run/systemd/journal"):
        # Its files are compressed.
        found += output(["journalctl", "--no-pager", "--output", "export", "--since", f"@{int(job['since'])}"], wanted)
    return found + files(roots, job["since"], [*PASSED, *job["passed"]], wanted)


class Observer(threading.Thread):
    """Looks at every command line of this machine, and of the containers on it, until it is told to stop."""

    def __init__(self, values: Mapping[str, str]) -> None:
        super().__init__(daemon=True)
        self.found: list[dict[str, Any]] = []
        self.looks = 0
        self._wanted = needles(values)
        self._over = threading.Event()

    def run(self) -> None:
        while not self._over.wait(0.25):
            self.found += processes("cmdline", self._wanted)
            self.looks += 1

    def stop(self) -> list[dict[str, Any]]:
        self._over.set()
        self.join()
        return self.found


if __name__ == "__main__":
    print(json.dumps(search(json.load(sys.stdin))))
