"""The same layers on every node, and only those on the link that a node lacks. In file order; the engine's image goes the same way."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from sim import HEAD, Node
from small import STATE, Site

IMAGE = "small:latest"
CHANGE = 20 * 1024**2
WORKERS = ["gx10-sim-2", "gx10-sim-3", "gx10-sim-4"]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory, nodes: dict[str, Node]) -> Iterator[Site]:
    yield Site(tmp_path_factory.mktemp("site"))
    for node in nodes.values():
        node.run(f"docker image ls --quiet --no-trunc small | sort -u | xargs -r docker image rm --force; rm -rf {STATE}")


def layers(node: Node) -> list[str]:
    found: list[str] = json.loads(node.run(f"docker image inspect --format '{{{{json .RootFS.Layers}}}}' {IMAGE}"))
    return found


def nothing_left(nodes: dict[str, Node]) -> None:
    for node in nodes.values():
        assert node.run("pgrep -x 'nginx|docker-registry' || true") == "", node.name
        assert node.run("ss -Hltn 'sport = :8731 or sport = :8732'") == "", node.name


def test_every_node_has_the_same_layers_and_nothing_runs(site: Site, nodes: dict[str, Node]) -> None:
    site.bring().ok()
    assert len({tuple(layers(node)) for node in nodes.values()}) == 1
    nothing_left(nodes)


def test_a_second_run_changes_and_ships_nothing(site: Site, nodes: dict[str, Node]) -> None:
    before = {name: node.fabric() for name, node in nodes.items()}
    site.bring().unchanged()
    assert all(node.fabric() - before[name] < 50_000 for name, node in nodes.items())


def test_a_changed_top_layer_ships_that_layer_and_no_other(site: Site, nodes: dict[str, Node]) -> None:
    head = nodes[HEAD]
    old = layers(head)
    head.run(f"mkdir -p /tmp/top && head -c {CHANGE} /dev/urandom > /tmp/top/added")
    head.run(f"printf 'FROM {IMAGE}\\nCOPY added /workspace/added\\n' > /tmp/top/Dockerfile && docker build --quiet --tag {IMAGE} /tmp/top")
    assert layers(head)[:-1] == old
    before = {name: (node.fabric("tx"), node.fabric("rx")) for name, node in nodes.items()}
    site.bring().ok()
    for name, node in nodes.items():
        assert layers(node) == layers(head)
        sent, received = (node.fabric(way) - was for way, was in zip(("tx", "rx"), before[name], strict=True))
        assert sent <= 1.1 * CHANGE, f"{name} sent {sent} bytes"
        assert received <= 1.1 * CHANGE, f"{name} received {received} bytes"
        assert name == HEAD or received >= CHANGE
        assert (
            node.run(f"docker run --rm --network none --entrypoint sha256sum {IMAGE} /workspace/added").split()[0]
            == (head.run("sha256sum /tmp/top/added").split()[0])
        )
    nothing_left(nodes)


def test_an_image_that_was_pruned_on_one_node_comes_back_without_a_byte_from_the_head(site: Site, nodes: dict[str, Node]) -> None:
    node = nodes["gx10-sim-3"]
    node.run("docker system prune --all --force")
    assert node.run("docker image ls --quiet") == ""
    before = nodes[HEAD].fabric()
    site.bring().ok()
    assert layers(node) == layers(nodes[HEAD])
    # Its layers lie in the node's own folder, where a prune of images does not reach.
    assert nodes[HEAD].fabric() - before < 50_000


def test_a_node_that_lost_its_layers_too_gets_them_from_its_peers(site: Site, nodes: dict[str, Node]) -> None:
    node = nodes["gx10-sim-4"]
    node.run(f"docker system prune --all --force && rm -r {STATE}/registry")
    site.bring().ok()
    assert layers(node) == layers(nodes[HEAD])
    nothing_left(nodes)


def test_a_damaged_layer_is_not_handed_to_docker(site: Site, nodes: dict[str, Node]) -> None:
    """A flipped byte in a node's folder of layers: Docker's own digest check refuses it, and the node is named."""
    node = nodes["gx10-sim-2"]
    top = layers(node)[-1].split(":")[1]
    path = f"{STATE}/registry/docker/registry/v2/blobs/sha256/{top[:2]}/{top}/data"
    node.run(f"printf '\\377\\377' | dd of={path} bs=1 seek=100000 conv=notrunc status=none && docker system prune --all --force")
    assert node.run(f"sha256sum {path}").split()[0] != top
    output = site.bring().refused().output
    assert "gx10-sim-2" in output
    assert "docker pull" in output
    node.run(f"rm {path}")
    site.bring().ok()
    assert layers(node) == layers(nodes[HEAD])
