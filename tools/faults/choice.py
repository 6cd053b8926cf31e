"""Which faults at which moments, in which order. Pure."""

from __future__ import annotations

import fnmatch
from collections.abc import Collection, Iterator, Sequence
from random import Random

from . import catalogue
from .catalogue import Fault

Choice = tuple[Fault, str]
# What is most telling first: an idle group, then one at work, then one that starts.
TELLING = (catalogue.IDLE, catalogue.STREAMS, catalogue.LOADING)


class Wrong(Exception):
    """Nothing is called so; the text says what is."""


def chosen(names: Sequence[str], moments: Sequence[str]) -> list[Choice]:
    """The faults of these names (patterns; none: all) at these moments (none: all), served alike together, most telling first."""
    found = list(catalogue.FAULTS) if not names else [fault for name in names for fault in _named(name)]
    wanted = [moment for moment in TELLING if not moments or moment in [_moment(word) for word in moments]]
    served = (catalogue.USUAL, catalogue.SMALL, catalogue.THREE)
    pairs = [(fault, moment) for moment in wanted for fault in dict.fromkeys(found) if moment in fault.moments and not fault.without]
    return sorted(pairs, key=lambda pair: (pair[0].on == "control", served.index(pair[0].served)))


def left(pairs: Sequence[Choice], done: Collection[tuple[str, str]]) -> list[Choice]:
    """Those of which no row is kept."""
    return [(fault, moment) for fault, moment in pairs if (fault.name, moment) not in done]


def randomly(count: int, seed: int) -> Iterator[Choice]:
    """Faults that the group outlives alone, in any order, and the same for a seed. None that waits for the watch: that is minutes each."""
    possible = [
        fault
        for fault in catalogue.FAULTS
        if fault.outcome != catalogue.DOWN
        and fault.served == catalogue.USUAL
        and fault.on != "control"
        and fault.hold <= 20
        and not fault.without
    ]
    random = Random(seed)
    for _number in range(count):
        fault = random.choice(possible)
        yield fault, random.choice([moment for moment in fault.moments if moment != catalogue.LOADING] or list(fault.moments))


def _named(name: str) -> list[Fault]:
    found = [fault for fault in catalogue.FAULTS if fnmatch.fnmatchcase(fault.name, name)]
    if not found:
        raise Wrong(f"FAULTS: found {name!r}; wanted names or patterns (*) of {', '.join(catalogue.BY_NAME)}")
    return found


def _moment(word: str) -> str:
    found = [moment for moment in catalogue.MOMENTS if word and (moment.startswith(word) or moment.endswith(word))]
    if len(found) != 1:
        raise Wrong(f"MOMENTS: found {word!r}; wanted {', '.join(catalogue.MOMENTS)}, or their first letters")
    return found[0]
