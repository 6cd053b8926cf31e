#!/usr/bin/env python3
"""CPU seconds to resolve every profile in one process. usage: .venv/bin/python benchmarks/validate_profiles.py"""

from __future__ import annotations

import time

from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources

NODES = {f"n{rank}": {"ansible_host": f"10.0.0.{rank + 1}", "gx10_fabric_address": f"10.0.1.{rank + 1}"} for rank in range(4)}


def main() -> None:
    """Resolve all profiles and print the CPU time of each and of all."""
    total = 0.0
    for name in sorted(_sources.read(None)["profiles"]):
        started = time.process_time()
        result = _resolve.resolve(_sources.read(name), NODES, list(NODES), None, True)
        used = time.process_time() - started
        total += used
        print(f"{name:<28} {used * 1000:6.0f} ms  {'plan' if result['plan'] else 'refused'}")
    print(f"{'all profiles':<28} {total * 1000:6.0f} ms of CPU")


if __name__ == "__main__":
    main()
