# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""One value of a flag or of a configuration class, read as the engine's parser reads it: numbers, sizes, texts, choices.

PRIVATE to the collection.
"""

from __future__ import annotations

import math
import operator
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ...common._problem import nearest, show
from ._engines import Dialect
from ._flags import Spec, Table

# Of choices in a message.
SHOWN = 12
# Of a name: one letter more or less makes another word of a shorter one.
SHORTEST = 5
FOLDS: Mapping[str, Callable[[str], str]] = {"lower": str.lower, "snake": lambda text: text.lower().replace("-", "_")}
BOUNDS: Sequence[tuple[str, str, Callable[[float, float], bool]]] = (
    *(("ge", "at least", operator.ge), ("gt", "more than", operator.gt)),
    *(("le", "at most", operator.le), ("lt", "less than", operator.lt)),
)


class Wrong(Exception):
    """A value that the engine would not take; `path`: below the flag."""

    def __init__(self, value: Any, wanted: str, hint: str = "", path: str = "", code: str = "wrong-type") -> None:
        super().__init__(wanted)
        self.found, self.wanted, self.hint, self.path, self.code = show(value), wanted, hint, path, code


def bounded(spec: Spec, value: Any, version: str) -> Any:
    """A number within what the engine's configuration class takes."""
    for key, word, within in BOUNDS:
        bound = spec.get(key)
        if isinstance(bound, int | float) and isinstance(value, int | float) and not within(value, bound):
            raise Wrong(value, f"{word} {bound} ({version})", code="out-of-range")
    return value


def kinds(kind: str) -> str:
    words = {"int": "an integer", "float": "a number", "size": "an integer", "size_or_auto": "an integer", "str": "a text"}
    return words.get(kind, kind.replace("|", " or "))


def integer(value: Any) -> int:
    try:
        if isinstance(value, str):
            return int(value)
    except ValueError:
        pass
    if isinstance(value, bool) or not isinstance(value, int):
        raise Wrong(value, "an integer")
    return value


def floating(value: Any) -> int | float:
    number = value
    if isinstance(value, str):
        try:
            number = float(value)
        except ValueError:
            number = None
    if isinstance(number, bool) or not isinstance(number, int | float) or not math.isfinite(number):
        raise Wrong(value, "a number")
    return number


def size(dialect: Dialect, value: Any) -> int:
    """An integer; as text it may have one of the engine's suffixes, with decimals before a decimal one only."""
    match = re.fullmatch(r"([0-9]{1,12}(?:\.[0-9]{1,12})?)([A-Za-z]{1,2})", value.strip()) if isinstance(value, str) else None
    if match is None:
        return integer(value)
    unit = dialect.sizes.get(match[2])
    if unit is None or ("." in match[1] and unit % 1000):
        raise Wrong(value, f"an integer, or one with {', '.join(dialect.sizes)} behind it (decimals only before powers of ten)")
    return int(float(match[1]) * unit) if "." in match[1] else int(match[1]) * unit


def texts(value: Any) -> Any:
    """No text that would be read as another flag, or that no process can be given."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str) and (item == "" or "\x00" in item):
            raise Wrong(item, "a text that is not empty")
        if isinstance(item, str) and item.startswith("-"):
            raise Wrong(item, "a text that does not start with '-': it would be read as a flag")
    return value


def guessed(value: Any) -> Any:
    """A text that is a number as that number: what a mod's flag takes is not known."""
    if isinstance(value, str):
        for convert in (integer, floating):
            try:
                return convert(value)
            except Wrong:
                pass
    return value


def choose(table: Table, spec: Spec, value: Any, warnings: list[str], at: str) -> Any:
    """A value that is one of the choices, as the table writes it where the engine folds what was written."""
    known = spec.get("choices")
    if known is None or any(str(choice) == str(value) for choice in known):
        return value
    fold = FOLDS.get(spec.get("folds", ""), str)
    for choice in known:
        if fold(str(choice)) == fold(str(value)):
            return choice
    names = [str(choice) for choice in known]
    near = nearest(str(value), names)
    if (spec.get("open") or table.borrowed is not None) and not any(_slip(fold(str(value)), fold(name)) for name in names):
        by = "a plugin" if spec.get("open") else "the image's other version"
        warnings.append(f"{at}: {show(value)} is none of {table.engine} {table.version}'s own; {by} must bring it. {near}".rstrip())
        return value
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    raise Wrong(value, f"one of {', '.join(names[:SHOWN])}{more} ({table.engine} {table.version})", near, code="not-a-choice")


def _slip(word: str, name: str) -> bool:
    """Is a word a name but for one letter that is missing, too much or another? One digit off is another version's name."""
    long, short = sorted((word, name), key=len, reverse=True)
    # What is longer by more is no such, and would take long: each letter is left out of the whole.
    if len(short) < SHORTEST or len(long) > len(short) + 1:
        return False
    if len(long) == len(short):
        others = [pair for pair in zip(long, short, strict=True) if pair[0] != pair[1]]
        return len(others) == 1 and not any(char.isdigit() for char in others[0])
    return any(long[:at] + long[at + 1 :] == short and not char.isdigit() for at, char in enumerate(long))
