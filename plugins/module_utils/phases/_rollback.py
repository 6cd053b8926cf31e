# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What to go back to. Whoever is root on one node writes that node's records, and must not so decide what the others run: a record only
names a profile, a plan's hash and an image. The plan is the control node's own copy of one that passed a gate, or planned anew.

PRIVATE to the collection.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..common import _schema
from ..common._problem import Problem, show
from ..node._types import Engine
from ..plan._inventory import LEFT_OUT
from ..plan._inventory import left as left_out
from ..plan._resolve import other_format
from ..plan._types import Plan
from ._engine_actions import changes
from ._gate import record_differs, said, served_record
from ._types import Record

HASH = r"sha256:[0-9a-f]{64}"
FORMS = {"plan.profile": r"\w[\w.-]{0,127}", "plan.hash": HASH, "image_id": HASH}
SCHEMA = Path(__file__).parents[1] / "plan" / "schemas" / "plan.json"


def choose(infos: Mapping[str, Engine]) -> Record:
    """What to go back to: the last good record if something else is served or failed, else the one before; empty if none."""
    current = served_record(infos)
    # A node that did not take part in the last launch has an older one's record.
    newest = max((info["good"] for info in infos.values()), key=lambda good: good["at"], default=None)
    goods: list[Record] = [newest["last"], newest["previous"]] if newest else []
    if not current:
        # Nothing is served: stopped, or it never came up. What ran last is what the user wants back.
        return goods[0] if goods else {}
    differing = [good for good in goods if record_differs(good, current)]
    return differing[0] if differing else {}


def named(record: Record) -> tuple[Any, ...]:
    """Profile, plan's hash and image of a record, whatever their form."""
    plan: Any = record["plan"]
    return plan.get("profile"), plan.get("hash"), record["image_id"]


def misformed(record: Record, infos: Mapping[str, Engine]) -> list[str]:
    """What a record names in no form that it can have."""
    return [
        str(Problem(_source(record, infos), key, show(value), f"text like {form}", code="wrong-form"))
        for (key, form), value in zip(FORMS.items(), named(record))
        if not isinstance(value, str) or not re.fullmatch(form, value)
    ]


def differing(record: Record, plan: Plan, infos: Mapping[str, Engine]) -> list[str]:
    """Nodes of the plan whose records name something else; one without any, as a new one, says nothing."""
    hint = "ansible-playbook serve.yml -e profile=NAME serves a profile as this control node has it, and writes all records anew."
    wanted = f"{said(record)}, as on {_source(record, infos)}"
    found = []
    for node in plan["nodes"]:
        goods = _goods(infos, node["name"])
        if goods and named(record) not in map(named, goods):
            told = " or ".join(said(good) for good in goods)
            found.append(str(Problem(f"{node['name']}: what passed a gate", "", told, wanted, hint, "records-differ")))
    return found


def unconfirmed(record: Record, plan: Plan, infos: Mapping[str, Engine]) -> list[str]:
    """Why a plan made anew, for want of a copy, is not the one that a record names; empty if it is.

    Nobody but the nodes says then which image passed the gate, so that each must.
    """
    silent = [node["name"] for node in plan["nodes"] if not _goods(infos, node["name"])]
    wanted = f"{said(record)}, as on {_source(record, infos)}"
    found = [str(Problem(f"{name}: what passed a gate", "", "no record", wanted, code="no-record")) for name in silent]
    if record["plan"].get("hash") == plan["hash"]:
        return found
    strange = other_format(record) or _schema.accept(record["plan"], SCHEMA.read_text(encoding="utf-8"), "record")[1]
    told = ["its record cannot be read"] if strange else changes(record, plan, record["image_id"], "")
    hint = "Roll back from the control node that served it, which has a copy; or serve the profile as it is now: serve.yml -e profile=NAME."
    wanted = "no difference, or this control node's own copy of the plan that passed"
    return [*found, str(Problem(plan["profile"], "", f"planned otherwise now: {'; '.join(told)}", wanted, hint, "plan-differs"))]


def _goods(infos: Mapping[str, Engine], name: str) -> list[Record]:
    good = infos[name]["good"] if name in infos else None
    return [one for one in (good["last"], good["previous"]) if one] if good else []


def _source(record: Record, infos: Mapping[str, Engine]) -> str:
    """The node whose record it is."""
    return next(name for name in infos if record in _goods(infos, name))


def passed_by(plan: Mapping[str, Any], gone: Sequence[str]) -> list[str]:
    """Those of the nodes that do not answer of which a plan does not know: it was made without them, and is so again.

    One that answers takes part, whatever the plan says: a record that a node has forged shall leave nobody out.
    """
    ranks, idle = plan.get("nodes"), plan.get("idle")
    names = [node.get("name") for node in ranks if isinstance(node, dict)] if isinstance(ranks, list) else []
    return [name for name in gone if name not in names and name not in (idle if isinstance(idle, list) else [])]


def among(plan: Plan, hosts: Sequence[str], gone: Sequence[str], without: Sequence[str]) -> Plan:
    """This control node's own copy of a plan on the nodes that there are now: on those that it does not use, what runs is ended."""
    ranks, left = [node["name"] for node in plan["nodes"]], [*without, *passed_by(plan, gone)]
    told = [text for text in plan["warnings"] if LEFT_OUT not in text]
    return {**plan, "idle": [name for name in hosts if name not in [*ranks, *left]], "warnings": [*told, *left_out(left)]}


def needed(plan: Plan, without: Sequence[str]) -> list[str]:
    """Nodes that a plan needs, and that are to be left out."""
    hint = f"ansible-playbook serve.yml -e profile={plan['profile']} -e without=NODE plans it for the others."
    return [
        str(
            Problem(
                "command line", "without", f"{node['name']}, rank {node['rank']} of what passed a gate", "other nodes", hint, "exclusive"
            )
        )
        for node in plan["nodes"]
        if node["name"] in without
    ]


def kept_name(record: Record) -> str:
    """The file of the control node's copy of what a record names, which is not `misformed`."""
    _profile, plan, image = named(record)
    return f"{plan.removeprefix('sha256:')}-{image.removeprefix('sha256:')[:16]}.json"


def kept_file(record: Record) -> dict[str, str]:
    """The control node's copy of what has passed a gate, as a file for the module node_files. A site's environment stands in it."""
    text = json.dumps({"plan": record["plan"], "image_id": record["image_id"]}, indent=1, sort_keys=True)
    return {"path": kept_name(record), "content": base64.b64encode(f"{text}\n".encode()).decode(), "mode": "0600"}


def kept(record: Record, folder: str) -> Record:
    """The control node's own copy of what a record names; empty if it has none."""
    try:
        found: Record = json.loads((Path(folder).expanduser() / kept_name(record)).read_text(encoding="utf-8"))
        return found if named(found) == named(record) else {}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
