"""A night that fails leaves everything as it was: a newer base, what is built on it, the record of it, lists of packages, layers."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from sim import HEAD, Node, Playbook
from small import DOCKERFILE, SMALL, STATE, Site

BASE = "127.0.0.1:5005/gx10-night-base:1"
REGISTRY = "{version: 0.1, storage: {filesystem: {rootdirectory: /tmp/gx10-night}}, http: {addr: '127.0.0.1:5005'}}"
LOW, TOP = {**SMALL, "base": BASE}, {**SMALL, "base": "low:latest"}


def identifier(node: Node, reference: str) -> str:
    return node.run(f"docker image inspect --format '{{{{.Id}}}}' {reference} 2>/dev/null || true").strip()


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    """An image of two definitions on a base of a registry, and a profile for the gate whose weights are nowhere."""
    folder = tmp_path_factory.mktemp("night")
    found = Site(folder)
    found.extra["gx10_secrets_dir"] = str(folder / "secrets")
    found.define("low", LOW, DOCKERFILE, {"payload": b"low"})
    found.define("small", TOP, DOCKERFILE, {})
    ghost = (folder / "small.yml").read_text().replace("gx10/tiny-qwen3", "gx10/ghost")
    (folder / "ghost.yml").write_text(ghost.replace("executor: ray", "executor: solo").replace("{tensor: 4}", "{tensor: 1}"))
    return found


@pytest.fixture(scope="module", autouse=True)
def newer(site: Site, nodes: dict[str, Node]) -> Iterator[str]:
    """The image is built, and then the registry has a newer base than Docker on the build host: its ID."""
    head = nodes[HEAD]
    head.run(f'echo "{REGISTRY}" > /tmp/gx10-night.yml; systemd-run --unit gx10-night docker-registry serve /tmp/gx10-night.yml')
    head.run(f"docker tag gx10-sim-base:latest {BASE}; for i in $(seq 20); do docker push --quiet {BASE} && break; sleep 1; done")
    site.bring().ok()
    old = identifier(head, BASE)
    head.run(f"printf 'FROM {BASE}\\nLABEL newer=1\\n' | docker build --quiet --tag {BASE} - && docker push --quiet {BASE}")
    found = identifier(head, BASE)
    head.run(f"docker tag {old} {BASE}")
    assert found not in ("", old)
    yield found
    head.run(f"systemctl stop gx10-night; docker image rm {BASE}; rm -r /tmp/gx10-night /tmp/gx10-night.yml")


def rebuild(site: Site, **extra: Any) -> Playbook:
    given = {key: value for key, value in site.extra.items() if key != "wheels_path"}
    return Playbook("rebuild_nightly", pull_base=True, report=f"{site.archive.parent}/report.json", **{**given, **extra})


def report(site: Site) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((site.archive.parent / "report.json").read_text())
    return found


def state(site: Site, nodes: dict[str, Node]) -> dict[str, str]:
    """Tags, what is kept as layers, and lists of packages of every node; the records of the control node; the archive."""
    command = (
        "docker image ls --no-trunc --format '{{.Repository}}:{{.Tag}} {{.ID}}' | grep -v -e '<none>' -e rejected | sort; "
        f"cat {STATE}/registry/images.json; cd {STATE}/sbom 2>/dev/null && sha256sum *"
    )
    pins = Path(site.extra["gx10_secrets_dir"]) / "pins"
    files = [path for path in [*pins.rglob("*.json"), site.archive / "images.json"] if path.is_file()]
    return {**{name: node.run(f"{command} || true") for name, node in nodes.items()}, **{str(path): path.read_text() for path in files}}


@pytest.mark.parametrize("fault", ["build", "verification", "gate"])
def test_a_night_that_fails_leaves_all_as_it_was(site: Site, nodes: dict[str, Node], newer: str, fault: str) -> None:
    before = state(site, nodes)
    assert any("pins/images/low.json" in path for path in before)
    extra = {}
    if fault == "build":
        site.define("small", TOP, DOCKERFILE + "RUN exit 3\n", {})
    elif fault == "verification":
        site.define("small", {**TOP, "expect": {"cuda": None, "imports": ["nothing_of_this_name"]}}, DOCKERFILE, {})
    else:
        extra = {"gate_profile": "ghost"}
    output = rebuild(site, **extra).refused().output
    site.define("small", TOP, DOCKERFILE, {})
    found = report(site)
    # The definitions have not changed for the gate: it was built for the newer base alone.
    assert found["built"] is True, output[-3000:]
    assert (found["ok"], found["promoted"], found["left"]) == (False, False, [])
    if fault == "gate":
        assert "ghost does not serve with the candidate" in output
    assert state(site, nodes) == before
    assert identifier(nodes[HEAD], BASE) != newer


def test_a_night_that_succeeds_promotes_the_newer_base_and_records_it(site: Site, nodes: dict[str, Node], newer: str) -> None:
    rebuild(site).ok()
    found = report(site)
    assert (found["ok"], found["promoted"]) == (True, True)
    assert identifier(nodes[HEAD], BASE) == newer
    pins = Path(site.extra["gx10_secrets_dir"]) / "pins/images/low.json"
    assert json.loads(pins.read_text())["base"] == {"reference": BASE, "id": newer}
    assert {identifier(node, "small:latest") for node in nodes.values()} == {found["candidate"]["id"]}
    assert nodes[HEAD].run(f"ls {STATE}/sbom").split() == ["low.cdx.json", "small.cdx.json"]
    archived = [item["image"] for item in json.loads((site.archive / "images.json").read_text())]
    assert archived[0] == found["candidate"]["id"]
    # The registry has no newer one now.
    rebuild(site).ok()
    assert report(site)["built"] is False
