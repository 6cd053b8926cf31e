"""Generated bad inputs through the entries that read them: no traceback, no hang, no flood of memory, and nothing wrong accepted.

usage: .venv/bin/python -m tools.bad_inputs [--count N] [--seed S] [--only KIND] [--case N] [--write]

Every case is made from the seed and its number alone; --case runs one again and shows what came of it. Exit code 1 if anything was counted.
--write puts the table into docs/bad-inputs.md.
"""

from __future__ import annotations

import argparse
import collections
import dataclasses
import datetime
import importlib
import json
import multiprocessing
import pkgutil
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from .case import Case

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 2.0
# Of real time, after which a case waits for what never comes: a busy machine is no hang.
WAIT = 90.0
MIB = 200
PROBLEMS, CHARACTERS = 50, 500
# Of address space: what floods memory ends alone.
BYTES = 3 * 1024**3
COUNTED = ("traceback", "hang", "memory", "accepted", "refused", "unsaid", "many", "long")


@dataclasses.dataclass(frozen=True)
class Verdict:
    """What came of a case. `found`: words of COUNTED; `seconds` of processor time, `mib` of memory beyond what was there before."""

    kind: str
    found: list[str]
    outcome: str
    seconds: float
    mib: float


def makers() -> list[str]:
    """The modules that make cases: those with a function `cases`."""
    found = [
        importlib.import_module(f"{__package__}.{item.name}")
        for item in pkgutil.iter_modules([str(Path(__file__).parent)])
        if item.name != "__main__"
    ]
    return [module.__name__ for module in found if hasattr(module, "cases")]


def case(seed: int, number: int) -> Case:
    """The case of this number: each module in turn, and the first case that it makes from the number's own randomness."""
    names = makers()
    cases: Iterator[Case] = importlib.import_module(names[number % len(names)]).cases(Random(f"{seed}:{number}"))
    return next(cases)


def peak() -> int:
    """The most memory of this process since the last call, in KiB."""
    status = Path("/proc/self/status").read_text()
    Path("/proc/self/clear_refs").write_text("5")
    return int(status.partition("VmHWM:")[2].split()[0])


def judge(one: Case, folder: Path) -> Verdict:
    """What came of a case."""
    peak()
    before = peak()
    start = time.process_time()
    problems: list[str] = []
    found, outcome = [], ""
    try:
        problems = one.run(folder)
        # A result crosses a process as JSON.
        json.dumps(problems, ensure_ascii=False).encode()
        outcome = "\n".join(problem[:2000] for problem in problems[:60]) or "accepted"
    except MemoryError:
        found, outcome = ["memory"], "MemoryError"
    except BaseException:
        found, outcome = ["traceback"], traceback.format_exc()
    # Of processor time: others work on this machine, too. What waits is ended by the one who waits for it.
    seconds, mib = time.process_time() - start, max(0, peak() - before) / 1024
    told = not found
    found += [
        word
        for word, wrong in (
            ("hang", seconds > SECONDS),
            ("memory", mib > MIB and "memory" not in found),
            ("accepted", told and one.oracle == "refuse" and not problems),
            ("refused", told and one.oracle == "accept" and problems),
            ("unsaid", told and one.says and not any(one.says in problem for problem in problems)),
            ("many", len(problems) > PROBLEMS),
            ("long", any(len(problem) > CHARACTERS for problem in problems)),
        )
        if wrong
    ]
    about = one.about.encode("utf-8", "backslashreplace").decode()[:200]
    return Verdict(one.kind, found, f"{about}\n{outcome}", seconds, mib)


def work(seed: int, numbers: list[int], only: str, answers: Connection) -> None:
    """In a process of its own: of each case its number and kind before, and what came of it (None: not asked for) after."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    for number in numbers:
        one = case(seed, number)
        answers.send((number, one.kind))
        verdict = None
        if only in one.kind:
            folder = Path(tempfile.mkdtemp(prefix="bad-input-"))
            try:
                verdict = judge(one, folder)
            finally:
                shutil.rmtree(folder, ignore_errors=True)
        answers.send((number, verdict))


def run(seed: int, count: int, only: str = "", first: int = 0) -> Iterator[tuple[int, Verdict]]:
    """The number of each case, and what came of it; a worker that hangs or dies is replaced."""
    context = multiprocessing.get_context("fork")
    numbers = list(range(first, first + count))
    while numbers:
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(seed, numbers, only, theirs), daemon=True)
        worker.start()
        theirs.close()
        kind = "?"
        try:
            while numbers:
                if not ours.poll(WAIT):
                    yield numbers.pop(0), Verdict(kind, ["hang"], "it waits", SECONDS, 0.0)
                    break
                number, said = ours.recv()
                if isinstance(said, str):
                    kind = said
                    continue
                numbers.remove(number)
                if said is not None:
                    yield number, said
        except EOFError:
            yield numbers.pop(0), Verdict(kind, ["traceback"], "the process died", 0.0, 0.0)
        finally:
            worker.kill()
            worker.join()


@dataclasses.dataclass
class Row:
    """All cases of a kind."""

    inputs: int = 0
    counts: collections.Counter[str] = dataclasses.field(default_factory=collections.Counter)
    seconds: float = 0.0
    mib: float = 0.0

    def add(self, other: Row) -> None:
        self.inputs += other.inputs
        self.counts.update(other.counts)
        self.seconds, self.mib = max(self.seconds, other.seconds), max(self.mib, other.mib)

    def cells(self) -> list[str]:
        return [str(self.inputs), *(str(self.counts[word]) for word in COUNTED), f"{self.seconds:.1f}", f"{self.mib:.0f}"]


def table(rows: Mapping[str, Row]) -> list[str]:
    """The counts by kind, in Markdown."""
    head = ("kind", "inputs", *COUNTED, "most s", "most MiB")
    whole = Row()
    for row in rows.values():
        whole.add(row)
    cells = [[kind, *row.cells()] for kind, row in [*sorted(rows.items()), ("**all**", whole)]]
    return [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in cells)]


PAGE = """\
# Bad inputs

Inputs that are made, not written: each from a seed and its number, by the modules of `tools/bad_inputs`, through the functions that the
playbooks call. What must come of an input is known from how it was made. Counted are: a *traceback*; a *hang* of more than {seconds:g} s;
growth of *memory* beyond {mib} MiB; a wrong input *accepted*; a right one *refused* (what is broken beside it is not its own); a pointer
*unsaid*; *many* problems at once (more than {problems}); a *long* one (more than {characters} characters).

Written by `{command}` on {date}.

{table}
"""


def main() -> int:
    parser = argparse.ArgumentParser(prog="tools.bad_inputs", description=__doc__.partition("\n")[0])
    parser.add_argument("--count", type=int, default=15_000)
    parser.add_argument("--seed", type=int, default=12)
    parser.add_argument("--only", default="", help="kinds that contain this text")
    parser.add_argument("--case", type=int, help="this case alone, with what came of it")
    parser.add_argument("--show", type=int, default=20, help="how many of what was counted are shown")
    parser.add_argument("--write", action="store_true")
    asked = parser.parse_args()
    if asked.case is not None:
        for number, verdict in run(asked.seed, 1, first=asked.case):
            print(f"{number}: {verdict.kind}: {', '.join(verdict.found) or 'good'}: {verdict.outcome}")
        return 0
    rows: dict[str, Row] = collections.defaultdict(Row)
    shown = 0
    for number, verdict in run(asked.seed, asked.count, asked.only):
        rows[verdict.kind].add(Row(1, collections.Counter(verdict.found), verdict.seconds, verdict.mib))
        if verdict.found and shown < asked.show:
            shown += 1
            said = verdict.outcome.splitlines()
            tail = said[:1] + said[-4:] if "traceback" in verdict.found else said[:4]
            print(
                "\n".join([f"case {number} ({verdict.kind}): {', '.join(verdict.found)}", *(line[:300] for line in tail)]), file=sys.stderr
            )
    lines = table(rows)
    print("\n".join(lines))
    if asked.write:
        command = f".venv/bin/python -m tools.bad_inputs --count {asked.count} --seed {asked.seed} --write"
        text = PAGE.format(
            seconds=SECONDS, mib=MIB, problems=PROBLEMS, characters=CHARACTERS, command=command,
            date=datetime.datetime.now(datetime.UTC).date(), table="\n".join(lines),
        )  # fmt: skip
        (ROOT / "docs/bad-inputs.md").write_text(text)
    return int(any(row.counts for row in rows.values()))


if __name__ == "__main__":
    sys.exit(main())
