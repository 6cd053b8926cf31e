"""Generated bad inputs through the entries that read them: no traceback, no hang, no flood of memory, and nothing wrong accepted.

usage: .venv/bin/python -m tools.bad_inputs [--count N] [--seed S] [--only KIND] [--case N] [--write]

Every case is made from the seed and its number alone; --case runs one again and shows what came of it. Exit code 1 if anything was counted.
--write puts the table into docs/bad-inputs.md.
"""

from __future__ import annotations

import argparse
import collections
import datetime
import importlib
import multiprocessing
import pkgutil
import resource
import shutil
import sys
import tempfile
import time
import traceback
from collections.abc import Iterator
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random

from .case import Case

ROOT = Path(__file__).resolve().parents[2]
SECONDS = 2.0
MIB = 200
PROBLEMS, CHARACTERS = 50, 500
# Of address space: what floods memory ends alone.
BYTES = 3 * 1024**3
COUNTED = ("traceback", "hang", "memory", "accepted", "refused", "unsaid", "many", "long")


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


def judge(one: Case, folder: Path) -> tuple[list[str], str]:
    """What is to be counted of a case, and what came of it."""
    peak()
    before = peak()
    start = time.process_time()
    try:
        problems = one.run(folder)
    except MemoryError:
        return ["memory"], "MemoryError"
    except BaseException:
        return ["traceback"], traceback.format_exc()
    found = []
    # Of processor time: others work on this machine, too. What waits is ended by the one who waits for it.
    if time.process_time() - start > SECONDS:
        found.append("hang")
    if peak() - before > MIB * 1024:
        found.append("memory")
    if one.oracle == "refuse" and not problems:
        found.append("accepted")
    if one.oracle == "accept" and problems:
        found.append("refused")
    if one.says and not any(one.says in problem for problem in problems):
        found.append("unsaid")
    if len(problems) > PROBLEMS:
        found.append("many")
    if any(len(problem) > CHARACTERS for problem in problems):
        found.append("long")
    for problem in problems:
        problem.encode()
    return found, "\n".join(problem[:2000] for problem in problems[:60]) or "accepted"


def work(seed: int, numbers: list[int], only: str, answers: Connection) -> None:
    """In a process of its own: one answer a case, (number, kind, what is counted, what came of it)."""
    resource.setrlimit(resource.RLIMIT_AS, (BYTES, BYTES))
    for number in numbers:
        one = case(seed, number)
        if only and only not in one.kind:
            answers.send((number, "", [], ""))
            continue
        about = one.about.encode("utf-8", "backslashreplace").decode()[:200]
        answers.send((number, one.kind, None, about))
        folder = Path(tempfile.mkdtemp(prefix="bad-input-"))
        try:
            counted, outcome = judge(one, folder)
            answers.send((number, one.kind, counted, f"{about}\n{outcome}"))
        finally:
            shutil.rmtree(folder, ignore_errors=True)


def run(seed: int, count: int, only: str = "", first: int = 0) -> Iterator[tuple[int, str, list[str], str]]:
    """(number, kind, what is counted, what came of it) of each case; a worker that hangs or dies is replaced."""
    context = multiprocessing.get_context("fork")
    numbers = list(range(first, first + count))
    while numbers:
        ours, theirs = context.Pipe(duplex=False)
        worker = context.Process(target=work, args=(seed, numbers, only, theirs), daemon=True)
        worker.start()
        theirs.close()
        kind, about = "?", ""
        try:
            while numbers:
                # Generously: a busy machine is no hang.
                if not ours.poll(SECONDS * 10):
                    yield numbers.pop(0), kind, ["hang"], about
                    break
                number, kind, counted, about = ours.recv()
                if counted is not None:
                    numbers.remove(number)
                    if kind:
                        yield number, kind, counted, about
        except EOFError:
            yield numbers.pop(0), kind, ["traceback"], f"the process died: {about}"
        finally:
            worker.kill()
            worker.join()


def table(rows: dict[str, collections.Counter[str]]) -> list[str]:
    """The counts by kind, in Markdown."""
    head = ("kind", "inputs", *COUNTED)
    total: collections.Counter[str] = sum(rows.values(), collections.Counter())
    lines = [f"| {' | '.join(head)} |", f"|{'---|' * len(head)}"]
    for kind, counts in [*sorted(rows.items()), ("**all**", total)]:
        lines.append(f"| {kind} | {' | '.join(str(counts[word]) for word in head[1:])} |")
    return lines


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
        for number, kind, counted, about in run(asked.seed, 1, first=asked.case):
            print(f"{number}: {kind}: {', '.join(counted) or 'good'}: {about}")
        return 0
    rows: dict[str, collections.Counter[str]] = collections.defaultdict(collections.Counter)
    shown = 0
    for number, kind, counted, about in run(asked.seed, asked.count, asked.only):
        rows[kind]["inputs"] += 1
        rows[kind].update(counted)
        if counted and shown < asked.show:
            shown += 1
            said = about.splitlines()
            lines = said[:1] + said[-4:] if "traceback" in counted else said[:4]
            print("\n".join([f"case {number} ({kind}): {', '.join(counted)}", *(line[:300] for line in lines)]), file=sys.stderr)
    lines = table(rows)
    print("\n".join(lines))
    if asked.write:
        command = f".venv/bin/python -m tools.bad_inputs --count {asked.count} --seed {asked.seed} --write"
        text = PAGE.format(
            seconds=SECONDS, mib=MIB, problems=PROBLEMS, characters=CHARACTERS, command=command,
            date=datetime.datetime.now(datetime.UTC).date(), table="\n".join(lines),
        )  # fmt: skip
        (ROOT / "docs/bad-inputs.md").write_text(text)
    return int(any(counts[word] for counts in rows.values() for word in COUNTED))


if __name__ == "__main__":
    sys.exit(main())
