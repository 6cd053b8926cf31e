# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The extra variables of a verb: which it takes, and what they hold as typed values. PRIVATE to the collection.

Which there are stands in the argument specs of playbooks and roles, and nowhere else.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Mapping
from pathlib import Path
from typing import Any, TypedDict

from ..common import _document
from ..common._problem import Problem, nearest, printable, show
from . import _variables
from ._site import truth

ROOT = Path(__file__).resolve().parents[3]
WHERE = "command line"
# Of a text: a path, a name, a revision.
MAX_TEXT = 4096
WANTED = {"str": "text", "path": "a path", "bool": "true or false", "dict": "a mapping", "list": "a list of texts, or one text"}


class Option(TypedDict, total=False):
    """Of an argument spec: what is used of it here."""

    type: str
    required: bool
    default: Any
    choices: list[str]
    description: str


@functools.cache
def options(verb: str) -> Mapping[str, Option]:
    """What a verb takes: the argument spec of its playbook, or of the plan that it imports."""
    own = ROOT / "playbooks" / f"{verb}.meta.yml"
    found: Mapping[str, Option] = _specs(own if own.is_file() else ROOT / "playbooks" / "resolve.meta.yml")[verb]["options"]
    return found


@functools.cache
def roles() -> frozenset[str]:
    """What an owner may set of the roles: what is not handed to them by the verbs in any case."""
    specs = [spec["options"] for path in ROOT.glob("roles/*/meta/argument_specs.yml") for spec in _specs(path).values()]
    required = {name for spec in specs for name, option in spec.items() if option.get("required")}
    # The plan's are the verbs' own arguments by other names.
    return frozenset(name for spec in specs for name in spec if name not in required and not name.startswith("plan_"))


@functools.cache
def takers(name: str) -> list[str]:
    """The verbs that take an extra variable."""
    files = [spec for path in sorted(ROOT.glob("playbooks/*.meta.yml")) for spec in _specs(path).items()]
    return sorted(verb for verb, spec in files if name in spec["options"])


def _specs(path: Path) -> dict[str, Any]:
    import yaml

    found: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))["argument_specs"]
    return found


def read(
    verb: str,
    lookup: Callable[[str], Any],
    extra: Collection[str],
    groups: Collection[str],
    owners: Callable[[], str],
) -> tuple[dict[str, Any], list[Problem]]:
    """The arguments of a verb as typed values, and all problems. An argument with a problem has its default, or none.

    `lookup` gives a variable's value or raises KeyError. `extra`: names of the extra variables. `groups`: those of the inventory.
    `owners`: all names and templates of the inventory as one text, asked for where a name is not known otherwise.
    """
    spec = options(verb)
    found: dict[str, Any] = {}
    problems: list[Problem] = []
    for name, option in spec.items():
        found[name] = option.get("default")
        try:
            raw = lookup(name)
        except KeyError:
            if option.get("required"):
                hint = f"ansible-playbook {verb}.yml -e {name}=…"
                problems.append(Problem(WHERE, name, "nothing", _wanted(option), hint, "missing"))
            continue
        except Exception as error:
            problems.append(_variables.failed(error, WHERE, name))
            continue
        value, wrong = _typed(name, raw, option)
        problems += wrong
        if not wrong:
            found[name] = value
    if "profile" in spec and "model" in spec and not problems and bool(found["profile"]) == bool(found["model"]):
        both = bool(found["model"])
        text = "both profile and model" if both else "neither profile nor model"
        wanted = "one: -e profile=NAME for what a profile serves, or -e model=ORG/NAME"
        problems.append(Problem(WHERE, "", text, wanted, code="exclusive" if both else "missing"))
    if found.get("nodes") and found["nodes"] not in {*groups, spec["nodes"]["default"]}:
        wanted = f"a group of the inventory: {', '.join(sorted(set(groups) - {'all', 'ungrouped'}))}"
        problems.append(Problem(WHERE, "nodes", show(found["nodes"]), wanted, nearest(found["nodes"], groups), "not-a-choice"))
        found["nodes"] = spec["nodes"]["default"]
    unread = [name for name in extra if name not in spec and name not in _variables.KNOWN and not name.startswith("ansible_")]
    # An unknown one of the collection's is told with the group's, where it is looked at.
    unread = [name for name in unread if not (name.startswith(_variables.PREFIX) and "nodes" in spec)]
    text = owners() if unread and not set(unread) <= roles() else ""
    for name in sorted(set(unread) - roles()):
        if not _variables.mentions(text, name):
            wanted = f"one of {', '.join(spec)}, an inventory variable, or one of ansible_*"
            others = takers(name)
            hint = nearest(name, [*spec, *_variables.KNOWN]) or (f"It is of {', '.join(others)}." if others else "")
            shown = printable(name) if len(name) <= 100 else show(name)
            problems.append(Problem(WHERE, shown, "an extra variable that nobody reads", wanted, hint, "unknown-key"))
    return found, problems


def _wanted(option: Option) -> str:
    return option["description"][:1].lower() + option["description"][1:].rstrip(".")


def _typed(name: str, raw: Any, option: Option) -> tuple[Any, list[Problem]]:
    """A value as its option has it; key=value on the command line makes every value a text."""
    try:
        value, problems = _document.plain(raw, WHERE, name)
    # Whatever Ansible's templates raise within it.
    except Exception as error:
        return None, [_variables.failed(error, WHERE, name)]
    kind = option.get("type", "str")
    if value is None and not problems and not option.get("required") and "default" not in option:
        # As not given: {{ … | default(none) }} of a playbook that imports this one.
        return None, []
    if kind == "bool":
        value = truth(value)
    elif kind == "list":
        value = [value] if isinstance(value, str) else value
        whole = isinstance(value, list) and all(isinstance(item, str) and item and len(item) <= MAX_TEXT for item in value)
        value = value if whole else None
    elif kind == "dict":
        value = value if isinstance(value, dict) else None
    else:
        value = value if isinstance(value, str) and len(value) <= MAX_TEXT else None
    if value is None:
        # key=value makes a text of it.
        hint = f"""As JSON: -e '{{"{name}": {{"args": {{"max-num-seqs": 8}}}}}}'""" if kind == "dict" and isinstance(raw, str) else ""
        problems = problems or [Problem(WHERE, name, show(raw), WANTED[kind], hint, "wrong-type")]
    elif "choices" in option and value not in option["choices"]:
        wanted = " or ".join(choice or "nothing" for choice in option["choices"])
        problems.append(Problem(WHERE, name, show(value), wanted, nearest(value, option["choices"]), "not-a-choice"))
    elif option.get("required") and value == "" and name != "profile":
        problems.append(Problem(WHERE, name, "an empty text", _wanted(option), code="missing"))
    return value, problems
