# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A refusal that a user can act on. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import difflib
import itertools
from collections.abc import Iterable, Iterator, Mapping

# Of one message: more is not read, and what a file or a variable holds may be of any length.
MOST_PROBLEMS = 50
MOST_CHARACTERS = 500


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, which key, what was found, what is needed, what to do.

    `code`: the kind of problem as a stable word (unknown-key, out-of-range), which a program or a search may rely on: docs/problems.md.
    """

    where: str
    key: str
    found: str
    wanted: str
    hint: str = ""
    code: str = ""

    def __str__(self) -> str:
        code = f" [{self.code}]" if self.code else ""
        where, key, found, wanted, hint = _fit(self, MOST_CHARACTERS - len(code) - len(": : found ; wanted . "))
        subject = f"{where}: {key}" if key else where
        text = f"{subject}: found {found}; wanted {wanted}"
        return (f"{text}. {hint}" if hint else text) + code

    def as_dict(self) -> dict[str, str]:
        """The problem as plain data, for results that cross a process."""
        return dataclasses.asdict(self)


def _fit(problem: Problem, room: int) -> list[str]:
    """The parts of a message, the longest of them cut until all fit; of a path the end is kept."""
    parts = [problem.where[-room:], *(text[:room] for text in (problem.key, problem.found, problem.wanted, problem.hint))]
    parts = [printable(part) for part in parts]
    if sum(map(len, parts)) > room:
        most = next(most for most in range(room, 0, -1) if sum(min(len(part), most) for part in parts) <= room)
        cut = [part if len(part) <= most else part[: most - 1] + "…" for part in parts]
        return [parts[0] if len(parts[0]) <= most else "…" + parts[0][1 - most :], *cut[1:]]
    return parts


def printable(text: str) -> str:
    """A text that a terminal and JSON take: control characters, changes of direction and bytes that are not UTF-8 are written out."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def show(value: object, limit: int = 80) -> str:
    """Show a value in a message: quoted if text, cut if long. No more of it is looked at than is shown."""
    text = ""
    for piece in _pieces(value, limit):
        text += piece
        if len(text) > limit:
            return text[: limit - 1] + "…"
    return text


def _pieces(value: object, limit: int) -> Iterator[str]:
    if isinstance(value, Mapping):
        yield "{"
        for index, (key, item) in enumerate(value.items()):
            yield ", " if index else ""
            yield from itertools.chain(_pieces(key, limit), [": "], _pieces(item, limit))
        yield "}"
    elif isinstance(value, list | tuple):
        opened, closed = "[]" if isinstance(value, list) else "()"
        yield opened
        for index, item in enumerate(value):
            yield ", " if index else ""
            yield from _pieces(item, limit)
        yield closed
    elif isinstance(value, str):
        yield repr(value[: limit + 1])
    elif isinstance(value, int | float | None):
        # Python writes no integer of more than some thousand digits.
        yield repr(value) if not isinstance(value, int) or value.bit_length() <= 256 else f"an integer of {value.bit_length()} bits"
    else:
        yield f"a value of type {type(value).__name__}"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "Did you mean 'x'?" for the closest known word, or an empty text."""
    # No name is longer, and what is compared with a long one takes long.
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6) if len(word) <= 100 else []
    return f"Did you mean {close[0]!r}?" if close else ""


def beyond(said: Iterable[Problem], more: Iterable[Problem]) -> list[Problem]:
    """Those of `more` that are of no key, and below no key, of which something is said already: they would follow from it."""
    keys = {(problem.where, problem.key) for problem in said if problem.key}
    return [one for one in more if not any((one.where, above) in keys for above in _above(one.key))]


def _above(key: str) -> Iterator[str]:
    """A key and those that it is in: a.b[0] is in a.b and a."""
    yield key
    for index, char in enumerate(key):
        if index and char in ".[":
            yield key[:index]


def told(problems: Iterable[Problem | str]) -> list[str]:
    """The texts of problems in their order, each once, and no more of them than somebody reads."""
    lines = list(dict.fromkeys(str(problem) for problem in problems))
    more = len(lines) - MOST_PROBLEMS + 1
    return lines if more <= 1 else [*lines[: MOST_PROBLEMS - 1], f"and {more} more"]


def report(title: str, problems: Iterable[Problem]) -> str:
    """All problems as one message, in a stable order, each once."""
    problems = list(problems)
    count = len({str(problem) for problem in problems})
    noun = "problem" if count == 1 else "problems"
    return "\n".join([f"{title}: {count} {noun}. No host was touched.", *(f"  - {line}" for line in told(problems))])
