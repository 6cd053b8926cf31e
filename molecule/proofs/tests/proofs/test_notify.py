"""Who is told: a receiver that is no node hears of a failure, the restart and the service after it, with nobody at a terminal."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
from open_ports import Neighbour
from sim import HEAD, ROOT, Node, Playbook, eventually

PORT = 8099
UNITS = ("gx10-notify.path", "gx10-notify.service")
EXTRA: dict[str, Any] = {
    "profile": "sim-tiny-tp2",
    "gx10_notify_url": f"http://{Neighbour.ADDRESSES[0]}:{PORT}/hook",
    "gx10_notify_command": ["/bin/sh", "-c", "cat >>/root/told; echo >>/root/told"],
}


class Pager:
    """The stub of a receiver, in a container of its own."""

    def __init__(self, neighbour: Neighbour) -> None:
        self.name = neighbour.NAME
        self.start()

    def start(self) -> None:
        program = (ROOT / "molecule/shared/stub_pager.py").read_text()
        subprocess.run(["docker", "exec", "--detach", self.name, "python3", "-c", program, str(PORT), "/root/came"], check=True)

    def stop(self) -> None:
        subprocess.run(["docker", "exec", self.name, "pkill", "-f", "/root/came"], check=True)

    def came(self) -> list[dict[str, Any]]:
        done = subprocess.run(["docker", "exec", self.name, "cat", "/root/came"], capture_output=True, text=True, check=False)
        return [json.loads(line) for line in done.stdout.splitlines()]

    def events(self) -> list[str]:
        return [item["event"] for item in self.came()]


@pytest.fixture(scope="module")
def pager() -> Iterator[Pager]:
    with Neighbour() as neighbour:
        yield Pager(neighbour)


def told(head: Node) -> list[str]:
    """What the command got."""
    return [json.loads(line)["event"] for line in head.run("cat /root/told 2>/dev/null || true").splitlines()]


def test_check_says_it_and_installs_nothing(nodes: dict[str, Node], pager: Pager) -> None:
    check = Playbook("serve", "--check", "--diff", **EXTRA).unchanged()
    assert "notify: gx10-sim-1: install the notifier" in check.output
    for node in nodes.values():
        assert node.run("ls /etc/systemd/system/gx10-notify.* /var/lib/gx10/notify 2>/dev/null || true") == ""


def test_a_killed_raylet_is_told_with_its_restart(nodes: dict[str, Node], pager: Pager) -> None:
    Playbook("serve", **EXTRA).ok()
    head, worker = nodes[HEAD], nodes["gx10-sim-2"]
    # What served before was stopped first.
    assert eventually(lambda: pager.events()[-1:] == ["serving"], 30), pager.came()
    before = len(pager.came())
    generation, pid = head.status()["generation"], worker.run("pgrep -x raylet").strip()
    worker.run(f"kill -9 {pid}")
    # A zombie has the number, too, until it is waited for.
    assert eventually(lambda: not worker.run(f"ps -o stat= -p {pid} | grep -v Z || true").strip(), 5)
    assert eventually(lambda: pager.events()[before:][2:] == ["serving"], 300), pager.came()
    came = pager.came()[before:]
    assert [item["event"] for item in came] == ["failing", "restarting", "serving"]
    assert came[0]["reason"].startswith("gx10-sim-2: "), came[0]
    assert came[1]["text"].startswith("sim-tiny-tp2: restarting 1 of 3: gx10-sim-2: ")
    assert [item["sequence"] for item in came] == list(range(came[0]["sequence"], came[0]["sequence"] + 3))
    assert {item["dropped"] for item in came} == {0}
    assert came[2]["generation"] == generation + 1
    assert eventually(lambda: told(head) == pager.events(), 10), told(head)
    # The program has ended, and systemd looks for the next notice.
    assert eventually(lambda: head.run("systemctl is-active gx10-notify.service || true").strip() == "inactive", 30)
    assert head.run("systemctl is-active gx10-notify.path").strip() == "active"
    assert [node.run("ls /etc/systemd/system/gx10-notify.* 2>/dev/null || true") for node in nodes.values() if node is not head] == [""] * 3
    Playbook("serve", **EXTRA).unchanged()


def test_a_receiver_that_is_away_gets_all_of_it_later_and_the_command_at_once(nodes: dict[str, Node], pager: Pager) -> None:
    head = nodes[HEAD]
    before = len(pager.came())
    pager.stop()
    head.run("docker stop --time 90 sim-tiny-tp2")
    assert eventually(lambda: told(head)[-1] == "stopped", 30), told(head)
    waiting = "/var/lib/gx10/notify/queue/webhook"
    assert head.run(f"ls {waiting}").split(), "it was not away"
    pager.start()
    assert eventually(lambda: pager.events()[before:] == ["stopped"], 90), pager.came()
    assert head.run(f"ls {waiting}").split() == []


def test_nothing_is_left_when_nobody_is_told_any_more(nodes: dict[str, Node]) -> None:
    output = Playbook("serve", profile="sim-tiny-tp2").ok().output
    assert "notify: gx10-sim-1: remove the notifier: nobody is to be told any more" in output
    head = nodes[HEAD]
    assert head.run("ls /etc/systemd/system/gx10-notify.* /var/lib/gx10/notify 2>/dev/null || true") == ""
    assert head.run(f"systemctl list-units --all --no-legend {' '.join(UNITS)}").strip() == ""
    head.run("rm -f /root/told")
    Playbook("serve", profile="sim-tiny-tp2").unchanged()
