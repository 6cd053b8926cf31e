"""All that a verdict needs of one node, as JSON. Standard library, Python >= 3.9: it runs on a node, from its standard input.

python3 - SINCE < look.py     SINCE: Unix seconds from which the journal is read; without it the journal is left out
"""

from __future__ import annotations

import glob
import json
import os
import re
import subprocess
import sys
import time
from typing import Any

STATE, MODELS = "/var/lib/gx10", "/srv/models"
# Files that are whole before they get their name, and what Ansible leaves of a module that was ended.
TEMPORARY = re.compile(r"\.new$|\.tmp$|\.part$|\.download$")
ANSIBLE = ("/root/.ansible/tmp", "/home/spark/.ansible/tmp")
# Younger ones may belong to whoever writes now.
SECONDS = 5.0
CONTAINER = re.compile(r"([0-9a-f]{64})")
# What the driver has put beside the group, and nobody may touch.
BYSTANDER = "bystander"


def output(*argv: str) -> str:
    done = subprocess.run(argv, capture_output=True, stdin=subprocess.DEVNULL, text=True, check=False)
    return done.stdout if done.returncode == 0 else ""


def read(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read()
    except OSError:
        return ""  # ended, or removed, meanwhile


def processes() -> list[dict[str, Any]]:
    """Every process that is no zombie. `started`: Unix seconds; `container`: the innermost that it is in."""
    booted = time.time() - float(read("/proc/uptime").split()[0])
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        stat = read(f"/proc/{pid}/stat")
        command = read(f"/proc/{pid}/cmdline").replace("\0", " ").strip()
        if not stat or not command or int(pid) == os.getpid():
            continue
        fields = stat[stat.rindex(")") + 2 :].split()
        if fields[0] in "ZX":
            continue
        found.append(
            {
                "pid": int(pid),
                "parent": int(fields[1]),
                "state": fields[0],
                "command": command[:160],
                "started": round(booted + int(fields[19]) / os.sysconf("SC_CLK_TCK"), 2),
                "container": (CONTAINER.findall(read(f"/proc/{pid}/cgroup")) or [""])[-1],
            }
        )
    return found


def containers() -> list[dict[str, Any]] | None:
    """Every container; None where Docker does not answer."""
    if not output("docker", "version", "--format", "{{.Server.Version}}"):
        return None
    names = output("docker", "ps", "--all", "--quiet", "--no-trunc").split()
    found = json.loads(output("docker", "inspect", *names) or "[]") if names else []
    return [
        {
            "id": item["Id"],
            "name": item["Name"].strip("/"),
            "running": item["State"]["Running"] and not item["State"].get("Paused"),
            "profile": item["Config"]["Labels"].get("gx10.serving.profile", ""),
            "rank": item["Config"]["Labels"].get("gx10.serving.rank", ""),
        }
        for item in found
    ]


def listeners() -> list[dict[str, Any]]:
    found = []
    for line in output("ss", "-Hltnp").splitlines():
        fields = line.split()
        address, _colon, port = fields[3].rpartition(":")
        owner = re.search(r"pid=(\d+)", line)
        found.append({"address": address, "port": int(port), "pid": int(owner.group(1)) if owner else 0})
    return found


def temporary() -> list[str]:
    """Files that were to get another name, and did not."""
    found = []
    now = time.time()
    for root in (STATE, MODELS, *ANSIBLE):
        for folder, _folders, files in os.walk(root):
            paths = [f"{folder}/{name}" for name in files if root in ANSIBLE or TEMPORARY.search(name)]
            for path in paths:
                try:
                    if now - os.stat(path).st_mtime > SECONDS:
                        found.append(path)
                except OSError:
                    continue
    found += [path for path in (f"{STATE}/fanout/run", *glob.glob(f"{MODELS}/*/*/.gx10")) if os.path.exists(path)]
    return sorted(found)


def supervisors() -> list[dict[str, Any]]:
    """What each supervisor holds."""
    found = []
    for pid in filter(str.isdigit, os.listdir("/proc")):
        if not read(f"/proc/{pid}/cmdline").startswith("python3\0/opt/gx10/supervisor\0"):
            continue
        sizes = dict(line.split(":", 1) for line in read(f"/proc/{pid}/status").splitlines() if ":" in line)
        try:
            files = len(os.listdir(f"/proc/{pid}/fd"))
        except OSError:
            continue
        found.append({"pid": int(pid), "rss_kib": int(sizes["VmRSS"].split()[0]), "files": files, "threads": int(sizes["Threads"])})
    return found


def journal(since: float) -> list[dict[str, Any]]:
    """What the supervisors have said, oldest first; it outlives containers and reboots."""
    lines = output("journalctl", "--identifier", "gx10", "--since", f"@{int(since)}", "--no-pager", "--output", "json").splitlines()
    found = sorted((int(item["__REALTIME_TIMESTAMP"]) / 1e6, str(item["MESSAGE"])) for item in map(json.loads, lines))
    return [{"at": at, "text": text} for at, text in found if at >= since]


def look(since: float | None) -> dict[str, Any]:
    statuses = {path.split("/")[-2]: json.loads(text) for path in glob.glob(f"{STATE}/run/*/status.json") if (text := read(path))}
    lock = read(f"{STATE}/lock.json")
    unit = output("systemctl", "show", "--property", "MainPID", "--value", BYSTANDER).strip()
    return {
        "at": time.time(),
        # Another one after each boot of this node; the kernel's boot ID is its host's.
        "boot": read("/proc/1/stat").rpartition(")")[2].split()[19],
        "containers": containers(),
        "processes": processes(),
        "listeners": listeners(),
        "statuses": statuses,
        "lock": json.loads(lock) if lock else None,
        "temporary": temporary(),
        "supervisors": supervisors(),
        "bystander": int(unit or 0),
        "journal": journal(since) if since is not None else [],
    }


if __name__ == "__main__":
    print(json.dumps(look(float(sys.argv[1]) if len(sys.argv) > 1 else None)))
