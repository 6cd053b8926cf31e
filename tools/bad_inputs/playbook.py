"""Bad extra variables through the real `ansible-playbook plan.yml -i inventories/sample`, a second each: by command only.

usage: .venv/bin/python -m tools.bad_inputs.playbook [--count N] [--seed S]

Exit code 1 if one is accepted, ends in a traceback, prints an argument spec, or is not said to have touched no host.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
from pathlib import Path
from random import Random
from typing import Any

from . import inventory

ROOT = Path(__file__).resolve().parents[2]
PLAN: dict[str, Any] = {"profile": "sim-tiny-tp2"}
# What cannot be an argument of a program.
MAX_ARGUMENT = 100_000
UNWANTED = ("Traceback", "argument_spec_data", "Validation of arguments failed", "Unexpected Exception")


def extra(random: Random) -> dict[str, Any]:
    """Variables of which one is wrong for every host."""
    kind = random.randrange(4)
    if kind == 0:
        key = random.choice(list(inventory.GROUP))
        return {**PLAN, key: random.choice(inventory.GROUP[key])}
    if kind == 1:
        # One address or rank on all hosts is wrong in any case.
        key = random.choice(list(inventory.NODE))
        return {**PLAN, key: random.choice(inventory.NODE[key])}
    if kind == 2:
        key = random.choice(["gx10_api_port", "gx10_env", "gx10_models_root", "override", "profile", "nodes", "mods_path", "gx10_rank"])
        return {**PLAN, key: random.choice(["{{ nope }}", "{{ 1 / 0 }}", "{{ [", "{% if %}", "{{ lookup('file', '/nope') }}"])}
    bad: list[tuple[str, Any]] = [
        *(("profile", value) for value in (None, "", "a/b", "../x", [1], 5, True, {}, "x" * 9000, "a\x1bb")),
        *(("override", value) for value in ("x", [1], 1, {"nope": 1})),
        *(("nodes", value) for value in (None, "", "nope", ["gx10"], 1)),
        *(("accept_untested", value) for value in ("maybe", [], 2)),
        *(("mods_path", value) for value in (1, [1], {})),
        *((name, 1) for name in ("prolife", "gx10_api_prot", "plan_document", "resolve_verb", "given", "mods")),
    ]
    return {**PLAN, **dict([random.choice(bad)])}


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools.bad_inputs.playbook", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=12)
    asked = parser.parse_args()
    counted = 0
    argv = [str(Path(sys.executable).parent / "ansible-playbook"), "playbooks/plan.yml", "-i", "inventories/sample", "-e"]
    environment = {**os.environ, "ANSIBLE_NOCOLOR": "1"}
    for number in range(asked.count):
        text = json.dumps(extra(Random(f"{asked.seed}:{number}")), default=str)[:MAX_ARGUMENT]
        done = subprocess.run([*argv, text], cwd=ROOT, env=environment, capture_output=True, text=True, errors="replace")
        output = done.stdout + done.stderr
        wrong = [word for word in UNWANTED if word in output]
        wrong += ["accepted"] if done.returncode == 0 else []
        wrong += [] if "No host was touched." in output else ["not said that no host was touched"]
        if wrong:
            counted += 1
            print(f"case {number}: {', '.join(wrong)}: {text[:200]}\n{output[-600:]}", file=sys.stderr)
    print(f"{asked.count} inputs, {counted} counted")
    return int(counted > 0)


if __name__ == "__main__":
    sys.exit(main())
