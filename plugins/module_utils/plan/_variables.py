# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""The collection's inventory variables: which there are, and each host's as plain data. PRIVATE to the collection."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from ..common import _document
from ..common._problem import Problem, nearest, printable, show
from ._site import SITE_DEFAULTS

# What is of one node.
NODE = ("gx10_fabric_address", "gx10_fabric_rails", "gx10_management_address", "gx10_rank", "gx10_env")
# Every name with this prefix is the collection's: one that is not known is a typo. All other names are the owner's.
PREFIX = "gx10_"
KNOWN = (*NODE, *SITE_DEFAULTS)
# A problem's key where it is one host's: HOST.VARIABLE, and what is below it.
OF_HOST = re.compile(r"(.+?)\.((?:gx10_|ansible_host).*)")
MAX_HOSTS = 1000
MAX_UNKNOWN = 40
NAMED = 3


def read(
    hostvars: Mapping[str, Any], hosts: Sequence[str], where: str
) -> tuple[dict[str, dict[str, Any]], set[tuple[str, str]], list[Problem]]:
    """Each host's variables as plain data within bounds; (host, variable) of those that have a problem, and are left out; the problems.

    A template that fails, and what no document could hold, is blamed on the variable; said once of all hosts that have it.
    """
    found: dict[str, dict[str, Any]] = {}
    problems: dict[Problem, list[str]] = {}
    unknown: dict[str, list[str]] = {}
    last: dict[str, tuple[Any, Any, list[Problem]]] = {}
    broken = set()
    for name in hosts:
        host = str(name)
        found[host] = {}
        try:
            variables = hostvars[name]
        # Of a file of variables that no password opens, none can be had.
        except Exception as error:
            problems.setdefault(failed(error, where, ""), []).append(host)
            broken |= {(host, key) for key in (*KNOWN, "ansible_host")}
            continue
        if not isinstance(variables, Mapping):
            problems.setdefault(Problem(where, "", show(variables), "a mapping of variables", code="wrong-type"), []).append(host)
            continue
        for key in list(variables):
            if key not in KNOWN and key != "ansible_host":
                if isinstance(key, str) and key.startswith(PREFIX):
                    unknown.setdefault(key, []).append(host)
                continue
            value, wrong = _value(variables, key, where, last)
            for problem in wrong:
                problems.setdefault(problem, []).append(host)
            if wrong:
                broken.add((host, key))
            else:
                found[host][key] = value
    known = _told(problems, found)
    wanted = "a variable of docs/inventory.md"
    typos = sorted(unknown)[:MAX_UNKNOWN]
    of_hosts = {key: f"{names(unknown[key])}: {printable(key)}" if len(unknown[key]) < len(found) else printable(key) for key in typos}
    known += [Problem(where, of_hosts[key], "an unknown variable", wanted, nearest(key, KNOWN), "unknown-key") for key in typos]
    return found, broken, known


def _value(
    variables: Mapping[str, Any], key: str, where: str, last: dict[str, tuple[Any, Any, list[Problem]]]
) -> tuple[Any, list[Problem]]:
    """One variable. Most are the group's, so that of the host before is not read again where it is equal."""
    try:
        raw = variables[key]
        if raw is not None and not isinstance(raw, str | int | float | list | Mapping):
            # What Ansible has in place of an undefined value raises here, and says why.
            str(raw)
        if key in last and type(last[key][0]) is type(raw) and last[key][0] == raw:
            return last[key][1:]
        value, problems = _document.plain(raw, where, key)
    # Whatever Ansible's templates raise.
    except RecursionError:
        return None, [Problem(where, key, "a value without an end", "a value", code="too-deep")]
    except Exception as error:
        return None, [failed(error, where, key)]
    last[key] = (raw, value, problems)
    return value, problems


def failed(error: Exception, where: str, key: str) -> Problem:
    """Why a variable cannot be had: its template, or a secret in it that no password opens."""
    reason = printable(str(error))[:200]
    if "vault" in reason.lower() or "decrypt" in reason.lower():
        hint = "It is asked for with --ask-vault-pass or --vault-password-file."
        return Problem(where, key, f"a secret that cannot be decrypted: {reason}", "the password of its vault", hint, "template-fails")
    return Problem(where, key, f"a template that fails: {reason}", "a value, or variables that are defined", code="template-fails")


def together(problems: Iterable[Problem], hosts: Sequence[str]) -> list[Problem]:
    """Problems of the inventory: what several hosts have alike is said once."""
    shown = {printable(host) for host in hosts}
    of: dict[Problem, list[str]] = {}
    for problem in problems:
        match = OF_HOST.fullmatch(problem.key)
        if match and match[1] in shown:
            of.setdefault(dataclasses.replace(problem, key=match[2]), []).append(match[1])
        else:
            of.setdefault(problem, [])
    return _told({problem: list(dict.fromkeys(having)) for problem, having in of.items()}, hosts)


def _told(problems: Mapping[Problem, Sequence[str]], hosts: Collection[str]) -> list[Problem]:
    """Problems with the hosts that have them; without hosts it is no host's."""
    return [
        problem if not of or (len(of) == len(hosts) and _of_group(problem, hosts)) else _of(problem, of) for problem, of in problems.items()
    ]


def _of_group(problem: Problem, hosts: Collection[str]) -> bool:
    """Of a problem that all hosts have: is it the group's? One host's own address is its own."""
    return len(hosts) > 1 or re.split(r"[.\[]", problem.key)[0] in SITE_DEFAULTS


def _of(problem: Problem, hosts: Sequence[str]) -> Problem:
    """A problem with the hosts that have it: HOST.KEY of one, else HOST, HOST: KEY."""
    key = f"{printable(hosts[0])}.{problem.key}".rstrip(".") if len(hosts) == 1 else f"{names(hosts)}: {problem.key}".removesuffix(": ")
    return dataclasses.replace(problem, key=key)


def names(hosts: Sequence[str]) -> str:
    """Some hosts of many."""
    more = f" and {len(hosts) - NAMED} more" if len(hosts) > NAMED else ""
    return ", ".join(map(printable, hosts[:NAMED])) + more


def mentions(text: str, name: str) -> bool:
    """Does a text have the name as a word?"""
    return bool(name) and re.search(rf"(?<![\w]){re.escape(name)}(?![\w])", text) is not None
