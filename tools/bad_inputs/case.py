"""A bad input, and the entries that it goes through: the same functions that the lookup and the filters call."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from pathlib import Path
from random import Random
from typing import Any, Literal

from ansible_collections.gx10.serving.plugins.module_utils.plan import _resolve, _sources

# A plan on four nodes that is right, as what is changed of it must be what is refused.
PROFILE = "sim-tiny-tp2"
HOSTVARS: Mapping[str, Mapping[str, Any]] = {
    f"gx10-{number}": {"ansible_host": f"192.168.1.1{number}", "gx10_fabric_address": f"192.168.177.1{number}"} for number in range(1, 5)
}


@dataclasses.dataclass(frozen=True)
class Case:
    """One input. `run` gets an empty folder and returns the texts of all problems; none means that the input was accepted.

    `oracle`: what must come of it, known from how it was made. `says`: what one of the problems must contain. `about`: for people.
    """

    kind: str
    run: Callable[[Path], list[str]]
    oracle: Literal["refuse", "accept", "any"] = "any"
    says: str = ""
    about: str = ""


@functools.cache
def read(name: str | None = PROFILE) -> Mapping[str, Any]:
    """The collection's own sources; not to be changed."""
    return _sources.read(name)


def plan(sources: Mapping[str, Any], hostvars: Mapping[str, Any] = HOSTVARS, **more: Any) -> list[str]:
    """Resolve, as the filter does. `more`: override, accept_untested, settings."""
    found = _resolve.resolve(sources, hostvars, list(hostvars), **more)  # type: ignore[arg-type]
    if found["plan"] is None and not found["problems"]:
        raise AssertionError("neither a plan nor a problem")
    return found["problems"]


def text(random: Random) -> str:
    """A text that many a check does not expect."""
    return random.choice(
        [
            *("", " ", "x", "x" * 300, "x" * 70_000, "0", "-1", "1.5", "1e999", "nan", "true", "null", "~", "[1]", '{"a": 1}'),
            *(
                "a\nb",
                "a\x00b",
                "a\x1bb",
                "a\u202eb",
                "\ud800",
                "é" * 50,
                "١٢٣",
                "{{ 1 }}",
                "{x!r:>9999}",
                "%s",
                "../../etc",
                "--flag",
                "~nobody/x",
            ),
            "".join(chr(random.randrange(1, 0x2FFF)) for _ in range(random.randrange(1, 20))),
        ]
    )


def value(random: Random, depth: int = 3) -> Any:
    """Any value that a file, JSON or Ansible can bring."""
    kind = random.randrange(12 if depth else 8)
    if kind < 3:
        return text(random)
    if kind < 5:
        return random.choice([0, 1, -1, 2, 64, 65, 10**6, 2**63, 10**30, 10**4400, -(10**4400)])
    if kind == 5:
        return random.choice([0.0, -0.5, 0.9, 1.0, 2.0, 1e300, 1e-300, float("nan"), float("inf"), float("-inf")])
    if kind < 8:
        return random.choice([None, True, False])
    if kind < 10:
        return [value(random, depth - 1) for _ in range(random.randrange(4))]
    if kind == 10:
        return {random.choice(["a", "repo", "method", "name", text(random)]): value(random, depth - 1) for _ in range(random.randrange(4))}
    return random.choice([nested(100), nested(3000), ["x"] * 50_000, {str(number): number for number in range(20_000)}])


def nested(levels: int) -> Any:
    """Lists in mappings in lists."""
    inner: Any = 1
    for level in range(levels):
        inner = [inner] if level % 2 else {"a": inner}
    return inner
