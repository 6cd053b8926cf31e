# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""A refusal that a user can act on. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import difflib
from collections.abc import Iterable


@dataclasses.dataclass(frozen=True)
class Problem:
    """One thing that is wrong: where, which key, what was found, what is needed, what to do.

    `code`: the kind of problem as a stable word (unknown-key, out-of-range), which a program or a search may rely on.
    """

    where: str
    key: str
    found: str
    wanted: str
    hint: str = ""
    code: str = ""

    def __str__(self) -> str:
        subject = f"{self.where}: {self.key}" if self.key else self.where
        text = f"{subject}: found {self.found}; wanted {self.wanted}"
        text = f"{text}. {self.hint}" if self.hint else text
        return f"{text} [{self.code}]" if self.code else text

    def as_dict(self) -> dict[str, str]:
        """The problem as plain data, for results that cross a process."""
        return dataclasses.asdict(self)


def show(value: object, limit: int = 80) -> str:
    """Show a value in a message: quoted if text, cut if long."""
    text = repr(value)
    return text if len(text) <= limit else text[: limit - 1] + "…"


def nearest(word: str, known: Iterable[str]) -> str:
    """Return "Did you mean 'x'?" for the closest known word, or an empty text."""
    close = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f"Did you mean {close[0]!r}?" if close else ""


def report(title: str, problems: Iterable[Problem]) -> str:
    """All problems as one message, in a stable order, each once."""
    lines = list(dict.fromkeys(str(problem) for problem in problems))
    noun = "problem" if len(lines) == 1 else "problems"
    return "\n".join([f"{title}: {len(lines)} {noun}. No host was touched.", *(f"  - {line}" for line in lines)])
