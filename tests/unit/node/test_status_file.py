"""What an engine's container leaves in place of its status: it is root in that folder, and the node's root reads it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _look

HEALTHY: dict[str, Any] = {
    "phase": "serving",
    "reason": "",
    "generation": 2,
    "phases": [{"name": "serving", "at": 1.5}],
    "restarts": "1 of 3 within an hour",
    "evidence": {"members": ["10.0.0.1"], "mods": ["m"], "ended": "gx10-2: killed", "ended_at": 1.5, "other": [None]},
}
# Whoever asks what a group does computes with these.
WRONG: list[tuple[str, Any]] = [
    *[("phase", {}), ("reason", 1), ("generation", "2"), ("generation", 1e30), ("restarts", 3), ("phases", 7), ("evidence", [])],
    *[("phases", [one]) for one in (1, {}, {"name": "failing"}, {"name": "failing", "at": "x"}, {"name": [], "at": 1})],
    *[("evidence", {"ended": 5}), ("evidence", {"ended_at": 1e30}), ("evidence", {"ended_at": "x"})],
    *[("evidence", {key: "x"}) for key in ("mods", "members")],
    *[("evidence", {"members": [1]}), ("evidence", {"mods": {}})],
]


def link(to: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(to)


def sparse(path: Path) -> None:
    path.touch()
    os.truncate(path, 100 * 1024**3)


def text(value: str) -> Callable[[Path], None]:
    def leave(path: Path) -> None:
        path.write_text(value)

    return leave


@pytest.mark.parametrize(
    "leave",
    [
        os.mkfifo,
        link("/dev/zero"),
        link("../secret.json"),
        sparse,
        os.mkdir,
        text("[" * 200_000),
        *[text('{"a":' * depth + "1" + "}" * depth) for depth in (900, 1200, 1400, 3000)],
        text("{"),
        text("[]"),
        *[text(json.dumps({**HEALTHY, key: value})) for key, value in WRONG],
    ],
)
def test_what_is_no_status_counts_as_none(tmp_path: Path, leave: Callable[[Path], None]) -> None:
    (tmp_path / "secret.json").write_text(json.dumps(HEALTHY))
    folder = tmp_path / "run"
    folder.mkdir()
    leave(folder / "status.json")
    assert os.path.lexists(folder / "status.json")
    assert _look.status(str(folder)) == {}


def test_a_status_is_told_and_its_texts_command_no_terminal(tmp_path: Path) -> None:
    path = tmp_path / "status.json"
    path.write_text(json.dumps(HEALTHY))
    assert _look.status(str(tmp_path)) == HEALTHY
    path.write_text(json.dumps({**HEALTHY, "reason": "a\u001b]52;c;ZXZpbA==\u0007", "evidence": {"k\u009b": ["\u202e"]}}))
    found = _look.status(str(tmp_path))
    assert found["reason"] == r"a\x1b]52;c;ZXZpbA==\x07"
    assert found["evidence"] == {r"k\x9b": [r"\u202e"]}
