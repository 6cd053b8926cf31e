"""What the hardware asks of Docker reaches the engine: the sample's options by the sample's syntax, read back from the kernel."""

from __future__ import annotations

import json
from typing import Any

import yaml
from sim import HEAD, ROOT

SITE = yaml.safe_load((ROOT / "inventories/sim/group_vars/gx10.yml").read_text())
SAMPLE = yaml.safe_load((ROOT / "inventories/sample/group_vars/gx10.yml").read_text())
# /proc/PID/limits names them so.
ROWS = {"memlock": "Max locked memory", "stack": "Max stack size"}


def limits(node: Any, pid: int) -> dict[str, list[str]]:
    """Soft and hard limit of the engine or Ray, as its kernel has them."""
    (container,) = node.containers(running=True)
    text = node.run(f"docker exec {container['Name'].strip('/')} cat /proc/{pid}/limits")
    return {name: next(line for line in text.splitlines() if line.startswith(row))[len(row) :].split()[:2] for name, row in ROWS.items()}


def test_the_engine_runs_with_the_inventorys_limits(nodes: dict[str, Any]) -> None:
    wanted = {text.split("=")[0]: text.split("=")[1].split(":") for text in SITE["gx10_container_options"]["ulimits"]}
    assert set(wanted) == {text.split("=")[0] for text in SAMPLE["gx10_container_options"]["ulimits"]}
    for node in nodes.values():
        # PID 1 is Docker's init; the engine and Ray inherit from it.
        assert limits(node, 1) == wanted, node.name
    head = nodes[HEAD]
    assert limits(head, head.status()["evidence"]["engine_pid"]) == wanted


def test_the_container_has_the_samples_devices_and_capabilities(nodes: dict[str, Any]) -> None:
    for node in nodes.values():
        (container,) = node.containers(running=True)
        host = container["HostConfig"]
        assert host["Runtime"] == SAMPLE["gx10_container_options"]["runtime"]
        assert host["CapDrop"] == ["ALL"]
        added = {name.removeprefix("CAP_") for name in host["CapAdd"]}
        assert added == {
            "CHOWN",
            "DAC_OVERRIDE",
            "FOWNER",
            "KILL",
            "NET_BIND_SERVICE",
            "SETGID",
            "SETUID",
            *SAMPLE["gx10_container_options"]["cap_add"],
        }
        assert [device["PathOnHost"] for device in host["Devices"]] == SAMPLE["gx10_container_options"]["devices"]


def test_each_node_keeps_its_own_interface_names(nodes: dict[str, Any]) -> None:
    """The engine's real environment through vLLM's real function: what the head would give to the workers."""
    names = {name: node.status()["evidence"]["interface"] for name, node in nodes.items()}
    assert names == {name: node.device() for name, node in nodes.items()}
    assert len(set(names.values())) > 1, "all nodes call their fabric interface the same"
    head = nodes[HEAD]
    own = {"NCCL_SOCKET_IFNAME", "GLOO_SOCKET_IFNAME", "UCX_NET_DEVICES"}
    assert own <= set(head.status()["evidence"]["own_env"])
    pid = head.status()["evidence"]["engine_pid"]
    program = (
        f"import json, os; os.environ.update(line.split('=', 1) for line in open('/proc/{pid}/environ').read().split(chr(0)) if line);"
        "from vllm.v1.executor.ray_env_utils import get_driver_env_vars; print('CARRIED', json.dumps(sorted(get_driver_env_vars(set()))))"
    )
    out = head.run(f'docker exec sim-tiny-tp4 python3 -c "{program}"')
    carried = set(json.loads(out.split("CARRIED ")[1].splitlines()[0]))
    assert "HF_HUB_OFFLINE" in carried
    assert not own & carried
