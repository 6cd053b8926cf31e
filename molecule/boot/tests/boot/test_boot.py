"""The nodes as machines: systemd, netplan, Docker and devices as on a GX10, nodes of unequal names, and a reboot. In file order."""

from __future__ import annotations

import json
import re
import subprocess
from typing import Any

import pytest
import yaml
from sim import HEAD, INVENTORY, ROOT, Node, Playbook, ask, eventually

FABRIC = {"gx10-sim-1": "enp1s0f0np0", "gx10-sim-2": "enp1s0f0np0", "gx10-sim-3": "enP2p1s0f1np1", "gx10-sim-4": "enp1s0f0np0"}
NETPLAN = "/etc/netplan/40-cx7.yaml"
OPTIONS = yaml.safe_load((INVENTORY / "group_vars/gx10.yml").read_text())["gx10_container_options"]


def links(node: Node) -> dict[str, tuple[int, list[str]]]:
    """By interface: its MTU and its IPv4 addresses, in the kernel's order."""
    found = json.loads(node.run("ip -j -4 address show"))
    return {link["ifname"]: (link["mtu"], [entry["local"] for entry in link["addr_info"]]) for link in found if link["ifname"] != "lo"}


def facts(node: Node) -> dict[str, Any]:
    """What a reboot may not change."""
    return {
        "links": links(node),
        "netplan": node.run(f"cat {NETPLAN}"),
        "machine": node.run("cat /etc/machine-id"),
        "devices": node.run("stat -c '%n %F %t:%T %a' /dev/infiniband/* /dev/loop*"),
        "docker": node.run("docker info --format '{{.ID}} {{.Driver}} {{json .Runtimes.nvidia}}'"),
        "images": sorted(node.run("docker image ls --no-trunc --quiet").split()),
        "containers": [(item["Id"], item["Image"], item["Config"]["Labels"]) for item in node.containers()],
        "units": node.run("systemctl is-enabled docker ssh systemd-networkd nftables"),
    }


def booted(node: Node) -> str:
    """When its systemd started. The kernel's boot ID would not tell: containers have the host's."""
    return node.run("systemctl show --property UserspaceTimestamp --value").strip()


def up(name: str) -> bool:
    """Whether the node has booted with no failed unit; asked from outside, as its sshd is a unit, too."""
    argv = ["docker", "exec", name, "systemctl", "is-system-running"]
    return subprocess.run(argv, capture_output=True, text=True, check=False).stdout.strip() == "running"


def test_every_node_runs_without_a_failed_unit(nodes: dict[str, Node]) -> None:
    for node in nodes.values():
        assert node.run("systemctl is-system-running").strip() == "running", node.run("systemctl --failed")
        assert node.run("cat /proc/1/comm").strip() == "systemd"
        for unit in ("docker", "ssh", "systemd-networkd", "systemd-journald", "systemd-udevd", "nftables"):
            assert node.run(f"systemctl is-active {unit}").strip() == "active", unit


def test_what_only_runs_while_something_is_distributed_does_not_start_at_boot(nodes: dict[str, Node]) -> None:
    for node in nodes.values():
        done = node.host.run("systemctl is-enabled nginx docker-registry")
        assert done.stdout.split() == ["disabled", "disabled"], done.stderr
        assert node.run("pgrep -c 'nginx|docker-registry' || true").strip() == "0"


def test_the_nodes_are_machines_of_their_own(nodes: dict[str, Node]) -> None:
    assert len({node.run("cat /etc/machine-id") for node in nodes.values()}) == len(nodes)


def test_each_node_has_configured_its_own_network(nodes: dict[str, Node]) -> None:
    for number, (name, node) in enumerate(nodes.items(), 1):
        found = links(node)
        fabric = FABRIC[name]
        assert found[fabric][1][-1] == f"172.31.241.{10 + number}"
        assert found["enP7s7"] == (1500, [f"172.31.240.{10 + number}"])
        # Docker's own addresses of the fabric, from .138, are gone; and all that is left is netplan's.
        configured = yaml.safe_load(node.run(f"cat {NETPLAN}"))["network"]["ethernets"]
        assert {port: (entry["mtu"], [value.split("/")[0] for value in entry["addresses"]]) for port, entry in configured.items()} == found
        for port in found:
            assert re.search(r"State:.*\(configured\)", node.run(f"networkctl --no-pager status {port}")), f"{name}: {port}"
            assert f"/run/systemd/network/10-netplan-{port}.network" in node.run(f"networkctl --no-pager status {port}")


def test_one_node_has_other_names_and_positions(nodes: dict[str, Node]) -> None:
    odd, usual = links(nodes["gx10-sim-3"]), links(nodes["gx10-sim-4"])
    assert FABRIC["gx10-sim-3"] not in usual
    assert odd[FABRIC["gx10-sim-3"]] == (9000, ["172.31.243.13", "172.31.241.13"])
    # Another device that could carry as much, and is not the fabric.
    assert odd["enp1s0f1np1"] == (9000, ["172.31.242.13"])
    assert usual["enP2p1s0f0np0"] == (9000, ["172.31.242.14"])


@pytest.mark.parametrize("prefix", ["172.31.241", "172.31.242"])
def test_a_frame_of_9000_bytes_passes_between_all_nodes(nodes: dict[str, Node], prefix: str) -> None:
    for name, node in nodes.items():
        for peer in range(1, len(nodes) + 1):
            node.run(f"ping -q -c 1 -W 2 -M do -s 8972 {prefix}.{10 + peer}")
        # Proof that the question can be answered with no.
        assert node.host.run(f"ping -q -c 1 -W 2 -M do -s 8973 {prefix}.{11 if name != HEAD else 12}").rc != 0


def test_netplan_apply_takes_a_change_and_takes_it_back(nodes: dict[str, Node]) -> None:
    node, port = nodes["gx10-sim-3"], FABRIC["gx10-sim-3"]
    before = links(node)
    node.run(f"cp -p {NETPLAN} /root/netplan.before && sed -i 's/9000/8000/' {NETPLAN} && netplan apply")
    try:
        assert eventually(lambda: links(node)[port][0] == 8000, 10)
    finally:
        node.run(f"mv /root/netplan.before {NETPLAN} && netplan apply")
    assert eventually(lambda: links(node) == before, 10), links(node)
    assert node.run("systemctl is-system-running").strip() == "running"


def test_no_driver_answers_the_inert_devices(nodes: dict[str, Node]) -> None:
    for node in nodes.values():
        devices = node.run("ls /dev/infiniband").split()
        assert devices == ["rdma_cm", "uverbs0", "uverbs1", "uverbs2", "uverbs3"]
        for device in devices:
            assert "No such device or address" in node.host.run(f"head -c 1 /dev/infiniband/{device}").stderr


def test_the_nvidia_runtime_is_the_stub_and_it_runs(nodes: dict[str, Node]) -> None:
    node = nodes[HEAD]
    assert node.run("docker info --format '{{.Runtimes.nvidia.Path}}'").strip() == "/usr/local/sbin/stub-nvidia-runtime"
    run = "docker run --rm --network none --runtime nvidia gx10-sim-base:latest echo it ran"
    assert node.run(run).strip() == "it ran"
    # And not beside it: without the stub there is no such container.
    node.run("mv /usr/local/sbin/stub-nvidia-runtime /usr/local/sbin/stub-nvidia-runtime.gone")
    try:
        assert node.host.run(run).rc != 0
    finally:
        node.run("mv /usr/local/sbin/stub-nvidia-runtime.gone /usr/local/sbin/stub-nvidia-runtime")


def test_nobody_can_lift_memlock_here(nodes: dict[str, Node]) -> None:
    """Why the virtual cluster's ulimits differ from the sample's: the kernel refuses the sample's, and takes the largest below."""
    run = "docker run --rm --network none --ulimit {} gx10-sim-base:latest grep -i 'locked memory' /proc/self/limits"
    limit = next(value for value in OPTIONS["ulimits"] if value.startswith("memlock"))
    size = limit.split(":")[-1]
    assert node_limit(nodes[HEAD]) == size
    assert nodes[HEAD].run(run.format(limit)).split()[3:5] == [size, size]
    refused = nodes[HEAD].host.run(run.format("memlock=-1:-1"))
    assert "operation not permitted" in refused.stderr


def node_limit(node: Node) -> str:
    """The hard limit of locked memory that the node's Docker engine has, in bytes."""
    return node.run("grep -i 'locked memory' /proc/$(pgrep -x dockerd)/limits").split()[4]


def test_the_page_cache_is_the_hosts(nodes: dict[str, Node]) -> None:
    for node in nodes.values():
        done = node.host.run("sudo sh -c 'echo 3 >/proc/sys/vm/drop_caches'")
        assert done.rc != 0
        assert "Read-only file system" in done.stderr


def test_the_inventory_gives_each_node_what_the_twin_compares() -> None:
    """tests/unit/test_twin.py reads the files of inventories/sim; these are the variables that Ansible makes of them."""
    argv = [str(ROOT / ".venv/bin/ansible-inventory"), "-i", str(INVENTORY), "--list"]
    found = json.loads(subprocess.run(argv, capture_output=True, text=True, check=True, cwd=ROOT).stdout)["_meta"]["hostvars"]
    plugin = yaml.safe_load((INVENTORY / "docker.yml").read_text())
    wanted = set(plugin["compose"]) | set(yaml.safe_load((INVENTORY / "group_vars/gx10.yml").read_text()))
    for name, variables in found.items():
        # docker_*: the plugin's own; ansible_local: Ansible's, empty before facts are gathered.
        assert {key for key in variables if not key.startswith("docker_")} - {"ansible_local"} == wanted, name
        # As `ansible-inventory` prints a text that no template may be made of.
        assert variables["gx10_fabric_address"] == {"__ansible_unsafe": f"172.31.241.{10 + int(name[-1])}"}


def test_a_reboot_loses_nothing_and_the_group_serves_again(nodes: dict[str, Node]) -> None:
    """`docker restart` of a node: its systemd ends everything and boots again, with Docker's interfaces in any order."""
    name = "gx10-sim-2"
    node = nodes[name]
    Playbook("serve", profile="sim-tiny-tp2").ok()
    head = nodes[HEAD]
    before, started, generation = facts(node), booted(node), head.status()["generation"]
    assert before["containers"]
    subprocess.run(["docker", "restart", "-t", "60", name], check=True, capture_output=True)
    assert eventually(lambda: up(name), 60)
    assert booted(node) != started
    assert facts(node) == before
    # The journal outlives it, and says how the boot before ended.
    assert "Stopped docker.service" in node.run("journalctl --unit docker --no-pager")
    # In the same containers, by Docker and the supervisors alone; who asks is told why.
    assert eventually(lambda: (head.status()["phase"], head.status()["generation"]) == ("serving", generation + 1), 300), head.status()
    assert ask().strip()
    assert head.status()["evidence"]["ended"].startswith(f"{name}: "), head.status()
    assert f"healed  generation {generation + 1} since " in Playbook("status").ok().output
    # Proven again, since a container has started again, and not started anew.
    Playbook("serve", profile="sim-tiny-tp2").ok()
    assert [item[0] for item in facts(node)["containers"]] == [item[0] for item in before["containers"]]
    # After a stop nothing comes back.
    Playbook("stop").ok()
    subprocess.run(["docker", "restart", "-t", "60", name], check=True, capture_output=True)
    assert eventually(lambda: up(name), 60)
    assert node.containers() == []
