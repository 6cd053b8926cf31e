"""doctor.yml while four ranks serve: nothing to say, then twelve planted defects and nothing else. Nothing that serves is touched."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sim import Node, Playbook, ask, eventually

STATE = "/var/lib/gx10"
PROFILE = "sim-tiny-tp4"
MODEL = "/srv/models/gx10/tiny-qwen3"
SHARD = f"{MODEL}/model-00004-of-00010.safetensors"
MANIFEST = f"{STATE}/manifests/gx10--tiny-qwen3.json"
STATUS = f"{STATE}/run/{PROFILE}/status.json"
REFERENCE = "vllm-node-sim:latest"
DEAD = {
    "run": "r", "token": "t", "control": "elsewhere", "pid": 7, "started": "1", "purpose": "serve x", "lease": 1, "node_boot": "x",
    "renewed": 0.0,
}  # fmt: skip
# By node: what plants it, what shows that it took effect, and what undoes it (nothing: serve.yml does).
PLANTED: dict[tuple[str, str], tuple[str, str, str]] = {
    # On the loopback address, where the engine does not listen: both can hold the port.
    ("gx10-sim-1", "port 8000"): (
        "nohup python3 -m http.server 8000 --bind 127.0.0.1 >/dev/null 2>&1 &",
        "ss -Hltn 'src 127.0.0.1:8000' | grep -q .",
        "pkill -f '[h]ttp.server 8000'",
    ),
    ("gx10-sim-1", f"{STATE}/lock.json"): (
        f"echo '{json.dumps(DEAD)}' > {STATE}/lock.json", f"test -e {STATE}/lock.json", f"rm -f {STATE}/lock.json",
    ),
    ("gx10-sim-2", "weights"): (f"rm {SHARD}", f"test ! -e {SHARD}", ""),
    ("gx10-sim-2", f"{STATE}/current.json.new"): (
        f"touch -d '1 hour ago' {STATE}/current.json.new", f"test -e {STATE}/current.json.new", f"rm -f {STATE}/current.json.new",
    ),
    ("gx10-sim-3", "image"): (f"docker image rm --force {REFERENCE}", f"! docker image inspect {REFERENCE}", ""),
    ("gx10-sim-3", "weights"): (f"rm {MANIFEST}", f"test ! -e {MANIFEST}", ""),
    ("gx10-sim-3", "engine processes"): (
        "nohup bash -c \"exec -a 'vllm serve /nothing' sleep 900\" >/dev/null 2>&1 &", "pgrep -f '[v]llm serve /nothing'",
        "pkill -f '[v]llm serve /nothing'",
    ),
    ("gx10-sim-3", f"{STATE}/fanout/run"): (f"mkdir -p {STATE}/fanout/run", f"test -d {STATE}/fanout/run", f"rm -rf {STATE}/fanout/run"),
    ("gx10-sim-4", "container"): (
        "docker create --name old --network none --label gx10.serving.profile=old --label gx10.serving.plan=sha256:0"
        f" --label gx10.serving.rank=0 {REFERENCE} true",
        "docker inspect old",
        "docker rm --force old",
    ),
    ("gx10-sim-4", "record"): (f"mv {STATE}/current.json /root/", f"test ! -e {STATE}/current.json", f"mv /root/current.json {STATE}/"),
    ("gx10-sim-4", "tools"): ("mv /usr/bin/rsync /root/", "! command -v rsync", "mv /root/rsync /usr/bin/"),
    ("gx10-sim-4", "generation"): (
        f"sed -i.doctor 's/\"generation\": [0-9]*/\"generation\": 99/' {STATUS}",
        f"grep -q '.generation.: 99' {STATUS}",
        f"mv {STATUS}.doctor {STATUS}",
    ),
}  # fmt: skip
MENDED = {
    ("gx10-sim-1", f"{STATE}/lock.json"), ("gx10-sim-2", f"{STATE}/current.json.new"), ("gx10-sim-3", f"{STATE}/fanout/run"),
    ("gx10-sim-4", "container"),
}  # fmt: skip


def doctor(folder: Path, *arguments: str, **extra: Any) -> tuple[Playbook, dict[str, Any]]:
    """A run, with its time, and the document that it wrote; a check writes none."""
    report = folder / "doctor.json"
    started = time.monotonic()
    run = Playbook("doctor", *arguments, report=str(report), **extra)
    print(f"doctor took {time.monotonic() - started:.1f} s")
    return run, {} if "--check" in arguments else json.loads(report.read_text())


def said(found: dict[str, Any]) -> list[tuple[str, str]]:
    return sorted((one["node"], one["what"]) for one in found["findings"])


@pytest.fixture
def planted(nodes: dict[str, Node]) -> Iterator[None]:
    """All defects; what is not mended is undone, whatever happens, and what was lost is brought back."""
    try:
        for (name, what), (plant, shows, _undo) in PLANTED.items():
            nodes[name].run(plant)
            assert eventually(lambda name=name, shows=shows: nodes[name].host.run(shows).rc == 0, 10), (name, what)
        yield
    finally:
        for (name, _what), (_plant, _shows, undo) in PLANTED.items():
            nodes[name].host.run(undo or "true")
        Playbook("serve", profile=PROFILE).ok()


def test_a_cluster_that_serves_is_healthy(tmp_path: Path, nodes: dict[str, Node]) -> None:
    run, found = doctor(tmp_path)
    assert said(found) == []
    assert (run.ok().code, found["verdict"], found["exit_code"], found["profile"]) == (0, "healthy", 0, PROFILE)
    assert found["serving"] is True
    assert set(found["nodes"]) == set(nodes)
    run.unchanged()
    # By its profile, which serve.yml would find nothing to do for.
    _run, found = doctor(tmp_path, profile=PROFILE)
    assert (said(found), found["verdict"]) == ([], "healthy")


def test_twelve_planted_defects_are_all_named_and_nothing_else(tmp_path: Path, nodes: dict[str, Node], planted: None) -> None:
    assert len(PLANTED) == 12
    before = {name: node.containers(running=True)[0]["Id"] for name, node in nodes.items()}
    run, found = doctor(tmp_path)
    assert said(found) == sorted(PLANTED), run.output
    assert (run.refused().code, found["verdict"], found["exit_code"]) == (2, "degraded", 1)
    assert all(one["found"] and one["wanted"] and one["mend"] for one in found["findings"])
    check, _none = doctor(tmp_path, "--check", mend=True)
    assert check.output.count("(mending it)") == len(MENDED)
    for (name, what), (_plant, shows, _undo) in PLANTED.items():
        assert nodes[name].host.run(shows).rc == 0, f"the check mended {name}: {what}"
    _run, found = doctor(tmp_path, mend=True)
    assert said(found) == sorted(set(PLANTED) - MENDED)
    assert {(one["node"], one["what"]) for one in found["mended"]} == MENDED
    for name, what in MENDED:
        assert nodes[name].host.run(PLANTED[name, what][1]).rc != 0, (name, what)
    for name, what in set(PLANTED) - MENDED:
        assert nodes[name].host.run(PLANTED[name, what][1]).rc == 0, f"{name}: {what} is nobody's to mend"
    assert {name: node.containers(running=True)[0]["Id"] for name, node in nodes.items()} == before
    assert ask().strip(), "what served before must still serve"


def test_what_they_name_is_mended_by_what_they_say(tmp_path: Path) -> None:
    """After the defects before were undone, and serve.yml brought back what was lost."""
    _run, found = doctor(tmp_path)
    assert (said(found), found["verdict"]) == ([], "healthy")
