"""The sample's Docker options, word for word: the container that the role creates has them. Runs last: nothing serves after it."""

from __future__ import annotations

from typing import Any

import yaml
from sim import HEAD, ROOT, Playbook

SAMPLE = yaml.safe_load((ROOT / "inventories/sample/group_vars/gx10.yml").read_text())


def test_the_role_creates_a_container_with_the_samples_options(nodes: dict[str, Any]) -> None:
    head = nodes[HEAD]
    output = Playbook("serve", profile="sim-tiny-solo", gx10_container_options=SAMPLE["gx10_container_options"]).output
    (container,) = head.containers()
    assert container["Name"] == "/sim-tiny-solo"
    limits = {limit["Name"]: (limit["Soft"], limit["Hard"]) for limit in container["HostConfig"]["Ulimits"]}
    assert limits == {"memlock": (-1, -1), "stack": (67108864, 67108864)}
    if not container["State"]["Running"]:
        # Root without CAP_SYS_RESOURCE cannot raise a hard limit; the kernel's refusal shows that the limit was asked for.
        assert "error setting rlimit" in output, output[-3000:]
