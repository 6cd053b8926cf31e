"""What the engine compiles: a second start of the same launch adds nothing to it, and ranks that differ start with none of it."""

from __future__ import annotations

from typing import Any

from sim import HEAD, Node, Playbook, ask

RANKS = (HEAD, "gx10-sim-2")
PROFILE: dict[str, Any] = {"profile": "sim-tiny-tp2"}


def files(node: Node) -> list[str]:
    """Files that the engine has left, with their sizes and times."""
    return sorted(
        node.run("cd /var/lib/gx10/compiled 2>/dev/null && find . -path '*/files/*' -type f -printf '%p %s %T@\\n' || true").splitlines()
    )


def stamps(nodes: dict[str, Node]) -> list[str]:
    return [nodes[name].run("cat /var/lib/gx10/compiled/*/complete.json 2>/dev/null || true") for name in RANKS]


def test_a_second_start_of_the_same_launch_writes_nothing(nodes: dict[str, Any]) -> None:
    Playbook("stop").ok()
    for node in nodes.values():
        node.run("rm -rf /var/lib/gx10/compiled")
    Playbook("serve", **PROFILE).ok()
    assert files(nodes[HEAD]), "the engine has left nothing, so that this test would show nothing"
    # Without a compiler a rank on CPUs leaves nothing: a stub of what it would.
    for name in RANKS:
        nodes[name].run("docker exec sim-tiny-tp2 sh -c 'mkdir /var/cache/gx10/stub && echo stub >/var/cache/gx10/stub/kernel'")
    first = {name: files(nodes[name]) for name in RANKS}
    assert all("/files/stub/kernel " in " ".join(found) for found in first.values()), first
    assert len(set(stamps(nodes))) == 1 and stamps(nodes)[0]
    Playbook("stop").ok()
    output = Playbook("serve", **PROFILE).ok().output
    assert "is not used again" not in output
    assert {name: files(nodes[name]) for name in RANKS} == first
    for name in RANKS:
        assert nodes[name].run("docker exec sim-tiny-tp2 cat /var/cache/gx10/stub/kernel") == "stub\n", name
    assert nodes["gx10-sim-3"].run("ls /var/lib/gx10/compiled 2>/dev/null || true") == ""
    Playbook("serve", **PROFILE).unchanged()


def test_ranks_that_differ_start_with_none_of_it(nodes: dict[str, Any]) -> None:
    Playbook("stop").ok()
    (name,) = nodes[HEAD].run("ls /var/lib/gx10/compiled").split()
    nodes[HEAD].run(f"touch /var/lib/gx10/compiled/{name}/files/old")
    nodes["gx10-sim-2"].run(f"rm -rf /var/lib/gx10/compiled/{name}")
    output = Playbook("serve", **PROFILE).ok().output
    assert "is not used again: gx10-sim-2 has nothing" in output
    assert not [line for line in files(nodes[HEAD]) if "/files/old " in line]
    assert len(set(stamps(nodes))) == 1 and stamps(nodes)[0]
    assert ask().strip()


def test_nothing_is_left_where_nothing_shall_be_kept(nodes: dict[str, Any]) -> None:
    Playbook("serve", **{**PROFILE, "gx10_compiled_gib": 0}).ok()
    for node in nodes.values():
        assert node.run("ls /var/lib/gx10/compiled 2>/dev/null || true") == "", node.name
    assert all(mount["Destination"] != "/var/cache/gx10" for mount in nodes[HEAD].containers()[0]["Mounts"])
