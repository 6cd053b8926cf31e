"""The fault matrix: faults done to a group that serves on the virtual cluster, each proven to have taken effect, and what came of it.

usage: .venv/bin/python -m tools.faults [--faults NAME,…] [--moments loading,idle,streams] [--nodes 2|4] [--minutes N] [--again] [--keep]
       .venv/bin/python -m tools.faults --random N --seed S | --list | --table

The cluster must be up (make sim-up). Rows are kept in docs/faults.jsonl as they are measured, so that a run that was ended goes on where it
was; --again measures rows that are kept already. docs/faults.md is written from them at the end, or by --table. Exit code 1 if an
invariant was broken.
"""

from __future__ import annotations

import argparse
import json
import shlex
import sys
import time
from typing import Any

from . import catalogue, choice, table
from .cluster import ROOT, Cluster, Failed
from .driver import Driver, commit

ROWS, PAGE, RANDOM = ROOT / "docs/faults.jsonl", ROOT / "docs/faults.md", ROOT / "docs/faults-random.json"


def kept() -> list[table.Row]:
    return [table.from_line(line) for line in ROWS.read_text().splitlines()] if ROWS.exists() else []


def write_page() -> None:
    about = json.loads(RANDOM.read_text()) if RANDOM.exists() else None
    PAGE.write_text(table.put(PAGE.read_text(), table.page(kept(), about)))


def say(row: table.Row) -> None:
    fault = catalogue.BY_NAME[row.fault]
    print(" | ".join(table.cells(fault, row)), flush=True)
    print(f"    proven by: {row.proof or row.unproven}", flush=True)


def matrix(driver: Driver, pairs: list[choice.Choice], *, minutes: float) -> bool:
    """Rows until all are measured or the time is over; False if one is broken."""
    deadline, good = time.monotonic() + minutes * 60, True
    for number, (fault, moment) in enumerate(pairs, 1):
        if time.monotonic() > deadline:
            print(f"{len(pairs) - number + 1} rows are left: the time is over")
            break
        print(f"[{number}/{len(pairs)}] {fault.name}, {moment}", flush=True)
        row = driver.row(fault, moment)
        with ROWS.open("a") as file:
            file.write(table.to_line(row) + "\n")
        say(row)
        good = good and not row.broken
    return good


def randomly(driver: Driver, count: int, seed: int, command: str) -> bool:
    """Faults in any order; what the supervisors hold before and after."""

    def held() -> dict[str, Any]:
        looks = driver.cluster.looks()
        return {name: looks[name]["supervisors"] for name in driver.group.nodes}

    print(f"seed {seed}", flush=True)
    driver.ready(catalogue.USUAL)
    before, rows, began = held(), [], time.monotonic()
    for number, (fault, moment) in enumerate(choice.randomly(count, seed), 1):
        print(f"[{number}/{count}] {fault.name}, {moment}", flush=True)
        rows.append(driver.row(fault, moment))
        say(rows[-1])
    about = {
        "command": command,
        "date": rows[0].date,
        "commit": commit(),
        "seed": seed,
        "count": count,
        "minutes": round((time.monotonic() - began) / 60, 1),
        "before": before,
        "after": held(),
        "rows": [[row.fault, row.moment, row.outcome, list(row.broken), row.unproven] for row in rows],
    }
    RANDOM.write_text(json.dumps(about, indent=1, ensure_ascii=False) + "\n")
    return not any(row.broken for row in rows)


def words(text: str) -> list[str]:
    return [word for word in text.replace(" ", ",").split(",") if word]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", default="", help="names or patterns")
    parser.add_argument("--moments", default="")
    parser.add_argument("--nodes", type=int, default=2)
    parser.add_argument("--minutes", type=float, default=600, help="begin no row after so long")
    parser.add_argument("--again", action="store_true")
    parser.add_argument("--keep", action="store_true", help="leave the group serving")
    parser.add_argument("--random", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--list", action="store_true")
    parser.add_argument("--table", action="store_true")
    args = parser.parse_args()
    try:
        pairs = choice.chosen(words(args.faults), words(args.moments))
        if args.table:
            write_page()
            return 0
        done = {key[:2] for key, row in table.latest(kept()).items() if key[2] == args.nodes and not row.unproven}
        pairs = pairs if args.again else choice.left(pairs, done)
        if args.list:
            print("\n".join(f"{fault.name}, {moment}: {fault.words}" for fault, moment in pairs))
            return 0
        driver = Driver(Cluster(args.nodes))
        try:
            if args.random:
                return 0 if randomly(driver, args.random, args.seed, f"tools.faults {shlex.join(sys.argv[1:])}") else 1
            return 0 if matrix(driver, pairs, minutes=args.minutes) else 1
        finally:
            if not args.keep:
                driver.cluster.close()
            write_page()
    except (choice.Wrong, Failed) as error:
        print(error, file=sys.stderr)
        return 2


if __name__ == "__main__":
    sys.exit(main())
