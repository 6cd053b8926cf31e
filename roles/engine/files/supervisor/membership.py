# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Wait until exactly the planned nodes are in Ray. A program of its own, since it must import Ray:

    python3 membership.py '{"addresses": ["10.0.0.1", …], "gpus": 4, "seconds": 180}' FILE

Adds one JSON line to FILE each time the answer changes: {"ok", "missing", "unexpected", "twice", "gpus"}. Exit code 0
when it matches, 1 when the time ran out.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any


def compare(nodes: list[dict[str, Any]], addresses: list[str], gpus: int) -> dict[str, Any]:
    """Compare Ray's node table (``ray.nodes()``) with the plan."""
    alive = [node for node in nodes if node["Alive"]]
    present = sorted(node["NodeManagerAddress"] for node in alive)
    found = int(sum(node["Resources"].get("GPU", 0) for node in alive))
    missing = sorted(set(addresses) - set(present))
    unexpected = sorted(set(present) - set(addresses))
    twice = sorted({address for address in present if present.count(address) > 1})
    ok = not missing and not unexpected and not twice and found == gpus
    return {"ok": ok, "missing": missing, "unexpected": unexpected, "twice": twice, "gpus": found}


def main() -> int:
    """Poll Ray's node table until it equals the plan."""
    import ray

    wanted = json.loads(sys.argv[1])
    deadline = time.monotonic() + wanted["seconds"]
    ray.init(address="auto", log_to_driver=False, logging_level="ERROR", configure_logging=False)
    last = None
    while True:
        answer = compare(ray.nodes(), wanted["addresses"], wanted["gpus"])
        if answer != last:
            with open(sys.argv[2], "a", encoding="utf-8") as file:
                print(json.dumps(answer), file=file)
            last = answer
        if answer["ok"]:
            return 0
        if time.monotonic() >= deadline:
            return 1
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
