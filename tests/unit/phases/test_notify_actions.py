"""The notifier is on the head as the plan says, and nowhere else; what a node has is seen as it is."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _manifest, _notifier
from ansible_collections.gx10.serving.plugins.module_utils.phases import _notify_actions
from conftest import ROOT, hostvars
from worlds import as_planned, decide, done

PROGRAM = ROOT / "roles/notify/files/notifier"
NOTHING = {"hash": "", "active": False}


def plan_of(resolve: Any, **site: Any) -> Any:
    return resolve("sim-tiny-tp2", variables=hostvars(3, **{f"gx10_notify_{key}": value for key, value in site.items()}))["plan"]


@pytest.mark.parametrize(
    ("there", "does"),
    [
        ({}, [("gx10-1", "install")]),
        ({"gx10-1": "wanted"}, []),
        ({"gx10-1": {"hash": "sha256:other", "active": True}}, [("gx10-1", "replace")]),
        ({"gx10-1": "stopped"}, [("gx10-1", "start")]),
        ({"gx10-1": "wanted", "gx10-3": "wanted"}, [("gx10-3", "remove")]),
        ({"gx10-2": {"hash": "sha256:other", "active": True}}, [("gx10-1", "install"), ("gx10-2", "remove")]),
    ],
)
def test_the_head_alone_tells(resolve: Any, there: dict[str, Any], does: list[tuple[str, str]]) -> None:
    plan = plan_of(resolve, command=["/bin/cat"])
    names = {"wanted": {"hash": plan["notify"]["hash"], "active": True}, "stopped": {"hash": plan["notify"]["hash"], "active": False}}
    seen = as_planned(plan)
    for name, world in seen["worlds"].items():
        found = there.get(name, NOTHING)
        world["engine"]["notifier"] = names[found] if isinstance(found, str) else found
    decision = decide(plan, seen)
    assert [(node, do) for _phase, node, do in done(decision)] == does
    assert decision["notify"]["install"] == any(do != "remove" for _node, do in does)
    assert decision["notify"]["fresh"] == (("gx10-1", "install") in does)
    assert decision["notify"]["remove"] == [node for node, do in does if do == "remove"]
    # Nobody's engine is touched for it.
    assert decision["engine"]["actions"] == [] and decision["proven"]


def test_what_was_installed_goes_when_nobody_is_told_and_stays_with_a_plan_of_before(resolve: Any) -> None:
    plan = plan_of(resolve)
    seen = as_planned(plan)
    assert done(decide(plan, seen)) == []
    seen["worlds"]["gx10-1"]["engine"]["notifier"] = {"hash": "sha256:x", "active": False}
    assert done(decide(plan, seen)) == [("notify", "gx10-1", "remove")]
    looks = {name: world["engine"] for name, world in seen["worlds"].items()}
    del plan["notify"]
    assert _notify_actions.decide(plan, looks) == {"install": False, "fresh": False, "remove": [], "actions": []}


def installed(folder: Path, texts: dict[str, str]) -> dict[str, str]:
    """As the role does it."""
    units, own = folder / "units", folder / "state/notify/installed"
    units.mkdir()
    own.mkdir(parents=True)
    for item in _manifest.tree(str(PROGRAM)):
        target = own / "program" / item["path"]
        target.parent.mkdir(exist_ok=True)
        target.write_bytes((PROGRAM / item["path"]).read_bytes())
    (own / "config.json").write_text(texts["config.json"])
    for name in ("gx10-notify.path", "gx10-notify.service"):
        (units / name).write_text(texts[name])
    return {"state_dir": str(folder / "state"), "units": str(units)}


def test_a_look_sees_what_the_role_has_installed_and_every_change_of_it(resolve: Any, tmp_path: Path) -> None:
    plan = plan_of(resolve, url="https://a.example.org/x")
    asked: list[list[str]] = []

    def run(argv: list[str]) -> tuple[int, str, str]:
        asked.append(argv)
        return 3, "", ""

    assert _notifier.look(run, str(tmp_path), str(tmp_path)) == NOTHING
    assert asked == [], "systemd was asked for nothing"
    where = installed(tmp_path, plan["notify"]["texts"])
    assert _notifier.look(run, **where) == {"hash": plan["notify"]["hash"], "active": False}
    assert _notifier.look(lambda _argv: (0, "", ""), **where)["active"]
    (tmp_path / "state/notify/secret").write_text("of no account")
    (tmp_path / "state/notify/queue").mkdir()
    assert _notifier.look(run, **where)["hash"] == plan["notify"]["hash"]
    for path in ("units/gx10-notify.path", "units/gx10-notify.service", "state/notify/installed/config.json",
                 "state/notify/installed/program/webhook.py"):  # fmt: skip
        before = (tmp_path / path).read_text()
        (tmp_path / path).write_text(before + "\n# otherwise\n")
        assert _notifier.look(run, **where)["hash"] not in ("", plan["notify"]["hash"]), path
        (tmp_path / path).unlink()
        assert _notifier.look(run, **where)["hash"] not in ("", plan["notify"]["hash"]), path
        (tmp_path / path).write_text(before)
    assert _notifier.look(run, **where)["hash"] == plan["notify"]["hash"]
