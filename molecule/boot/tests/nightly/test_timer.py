"""The nightly on a control node with systemd: installed by its playbook, started by its timer, its words in the journal.

The machine that runs this may have no systemd, so the control node is one more container of the nodes' image, with this checkout and
its Python at their own paths. Everything in it is real; Docker's socket is for inventories/sim, which asks who the nodes are.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
from sim import ROOT, Node, eventually

NAME = "gx10-sim-control"
PYTHON = str(ROOT / ".venv/bin/ansible-playbook")
PROFILE = "sim-tiny-solo"


def outside(*argv: str) -> str:
    return subprocess.run(["docker", *argv], check=True, capture_output=True, text=True).stdout


def inside(command: str) -> str:
    done = subprocess.run(
        ["docker", "exec", "--workdir", str(ROOT), NAME, "bash", "-c", command], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, f"{command}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout


@pytest.fixture(scope="module")
def control() -> Iterator[None]:
    """A control node: systemd, its own sshd and journal, and this checkout."""
    subprocess.run(["docker", "rm", "--force", NAME], check=False, capture_output=True)
    node = json.loads(outside("inspect", "gx10-sim-1"))[0]["HostConfig"]
    address = {"dhcp4": False, "addresses": ["172.31.240.9/24"]}
    netplan = {"network": {"version": 2, "renderer": "networkd", "ethernets": {"enP7s7": address}}}
    argv = ["run", "--detach", "--name", NAME, "--hostname", NAME, "--network", "gx10-sim-mgmt", "--ip", "172.31.240.9"]
    argv += ["--cgroupns", "host", "--tmpfs", "/run", "--tmpfs", "/run/lock", "--env", "SIM_PORTS=172.31.240.=enP7s7"]
    argv += ["--env", f"SIM_NETPLAN={json.dumps(netplan)}", "--volume", "/sys/fs/cgroup:/sys/fs/cgroup:rw"]
    argv += [word for capability in node["CapAdd"] for word in ("--cap-add", capability)]
    argv += [word for option in node["SecurityOpt"] for word in ("--security-opt", option)]
    argv += [word for bind in node["Binds"] if "/etc/gx10-sim" in bind for word in ("--volume", bind)]
    # /usr has the distribution's own Python in the container, too; a worktree may link the wheels.
    for path in {str(ROOT), str((ROOT / "wheels").resolve()), sys.base_prefix} - {"/usr"}:
        argv += ["--volume", f"{path}:{path}"]
    argv += ["--volume", "/var/run/docker.sock:/srv/docker.sock", "gx10-sim-node:latest"]
    outside(*argv)
    try:
        assert eventually(
            lambda: (
                "running"
                in subprocess.run(
                    ["docker", "exec", NAME, "systemctl", "is-system-running", "--wait"], capture_output=True, text=True, check=False
                ).stdout
            ),
            60,
        )
        # What a service of this node gets in its environment, as from /etc/systemd/system.conf.
        inside("systemctl set-environment DOCKER_HOST=unix:///srv/docker.sock")
        yield
    finally:
        outside("rm", "--force", "--volumes", NAME)


def test_the_timer_fires_and_leaves_its_report(control: None, nodes: dict[str, Node]) -> None:
    before = {name: sorted(node.run("docker image ls --no-trunc --quiet").split()) for name, node in nodes.items()}
    # By the node's clock; at least a minute ahead, on the second.
    at = inside("date --date='90 seconds' '+%Y-%m-%d %H:%M:%S'").strip()
    install = f"{PYTHON} install_nightly.yml -i inventories/sim"
    # As JSON: Ansible ends a value of key=value at its first space.
    output = inside(f"{install} -e '{json.dumps({'profile': PROFILE, 'calendar': at, 'delay': '0'})}'")
    assert f"Rebuilds {PROFILE}'s image next: " in output
    assert at in output
    assert inside("systemctl is-enabled gx10-rebuild.timer").strip() == "enabled"
    assert at in inside("systemctl list-timers --no-pager gx10-rebuild.timer")
    inside("test ! -e /var/log/gx10-rebuild.json")
    assert inside("systemctl show --property ExecMainStartTimestampMonotonic --value gx10-rebuild.service").strip() == "0"
    ends = time.monotonic() + 600
    while not inside("systemctl show --property ExecMainExitTimestamp --value gx10-rebuild.service").strip() and time.monotonic() < ends:
        time.sleep(2)
    journal = inside("journalctl --unit gx10-rebuild --no-pager --output cat")
    assert inside("systemctl show --property Result --value gx10-rebuild.service").strip() == "success", journal[-3000:]
    # It was the timer that started it, at its time.
    assert at in inside("systemctl show --property LastTriggerUSec --value gx10-rebuild.timer")
    report = json.loads(inside("cat /var/log/gx10-rebuild.json"))
    assert report["ok"], report
    assert report["image"].startswith("vllm-node-sim:"), report
    # Its words are in the journal: what it did, and the recap of every node.
    assert "its inputs are unchanged, so nothing was built." in journal
    for name in nodes:
        assert name in journal.split("PLAY RECAP")[1]
    assert {name: sorted(node.run("docker image ls --no-trunc --quiet").split()) for name, node in nodes.items()} == before
