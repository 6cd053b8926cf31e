# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What the head tells whoever wants to know: one small file for each transition of its group, in a bounded folder of the host.

Nothing here waits for a reader: role notify's program takes the files away, if it is there.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import time
from collections.abc import Mapping
from typing import Any

import group

# Beside the status file; mounted on the head.
FOLDER = "notices"
SPOOL, SEQUENCE = "spool", "sequence"
# Files of about 1 KiB: years of a group that is well, hours of one that is not and that nobody reads of.
BOUND = 1000
# Characters of a reason.
LONGEST = 1000
# A group that starts again at once does not wait; one whose node is away does.
PATIENCE = 30.0
SERVING, RESTARTING, FAILING, WEDGED, LATE, DOWN, STOPPED = "serving", "restarting", "failing", "wedged", "waiting", "down", "stopped"


@dataclasses.dataclass(frozen=True)
class Told:
    """What has been told. `ended`: the last generation whose end was."""

    last: tuple[str, int] = ("", 0)
    ended: int = 0


def news(state: group.Group, told: Told | None, now: float) -> tuple[list[str], Told]:
    """What is new in the group's state, in order, and all that is told then. Pure. `told`: None at the first look of a process.

    It is looked at between transitions: one that was passed by then is told by what it has left in the state.
    """
    events = []
    going_on = state.phase in (group.STARTING, group.SERVING)
    over = (state.generation - 1 if going_on else state.generation) if state.reason else 0
    # What was down before this process began was told by the one before it.
    silent = told is None and state.phase in (group.DOWN, group.STOPPED)
    told = told or Told()
    if over > told.ended:
        # A stop is nobody's failure, and is told as what it is.
        if state.kind != group.STOP and not silent:
            events.append(WEDGED if state.kind == group.WEDGE else FAILING)
        told = dataclasses.replace(told, ended=over)
    event = {group.SERVING: SERVING, group.DOWN: DOWN, group.STOPPED: STOPPED}.get(state.phase, "")
    if state.phase == group.STARTING and state.generation > 1:
        event = RESTARTING
    if state.phase == group.WAITING and state.generation and now - state.since >= PATIENCE:
        event = LATE
    if event and told.last != (event, state.generation):
        events.append(event)
        told = dataclasses.replace(told, last=(event, state.generation))
    return events, told


def document(event: str, part: Mapping[str, Any], state: group.Group, reason: str) -> dict[str, Any]:
    """One notice but for its number and time. `text` says all of it to people."""
    restarts = len(state.restarts)
    # Of a group that serves, the reason is that of the last end.
    why = "" if event == SERVING else reason[:LONGEST]
    if event == LATE:
        why = f"for {', '.join(group.missing(state)[:8])}; {why}"
    count = f" {restarts} of {state.limit}" if event == RESTARTING and restarts else ""
    about = {"profile": part["profile"], "node": part["node"], "launch": part["hash"]}
    numbers = {"generation": state.generation, "restarts": restarts, "limit": state.limit}
    text = f"{part['profile']}: {event}{count}{': ' + why if why else ''}"
    return {"event": event, **about, **numbers, "reason": why, "text": text}


class Notices:
    """The folder of one head. Where it is not mounted, nobody is told."""

    def __init__(self, part: Mapping[str, Any]) -> None:
        self.part = part
        self.folder = os.path.join(os.path.dirname(part["status_file"]), FOLDER)
        self._told: Told | None = None

    def see(self, found: group.Group | None, reason: str = "") -> None:
        """Tell what is new. With `reason`: this process ends for it, whatever the group knows of that; None: it has not come that far."""
        if not os.path.isdir(self.folder):
            return
        state = found or group.begin([self.part["node"]], 0, 0.0, 0.0)
        events, self._told = news(state, self._told, time.monotonic())
        if reason and self._told.last[0] != DOWN:
            events.append(DOWN)
            self._told = dataclasses.replace(self._told, last=(DOWN, state.generation))
        for event in events:
            # A full disk, or a folder that somebody broke, ends nothing that serves.
            with contextlib.suppress(OSError, ValueError):
                self._write(document(event, self.part, state, reason or state.reason))

    def _write(self, found: dict[str, Any]) -> None:
        spool = os.path.join(self.folder, SPOOL)
        os.makedirs(spool, mode=0o700, exist_ok=True)
        names = sorted(name for name in os.listdir(spool) if name.endswith(".json"))
        # The oldest go: what is now counts more. Their numbers are missing, so that a reader can tell.
        for name in names[: len(names) - BOUND + 1] if len(names) >= BOUND else []:
            with contextlib.suppress(FileNotFoundError):
                os.remove(os.path.join(spool, name))
        number = self._number(names)
        self._put(SEQUENCE, str(number))
        text = json.dumps({"sequence": number, "time": round(time.time(), 3), **found})
        self._put(os.path.join(SPOOL, f"{number:012d}.json"), text)

    def _number(self, names: list[str]) -> int:
        """The next one, also after a start of another launch or process."""
        last = 0
        with contextlib.suppress(OSError, ValueError), open(os.path.join(self.folder, SEQUENCE), encoding="ascii") as file:
            last = int(file.read(20))
        waiting = [int(stem) for stem in (name[: -len(".json")] for name in names) if stem.isdigit()]
        return max([last, *waiting]) + 1

    def _put(self, path: str, text: str) -> None:
        """Write a file in one step: whatever has a name in the spool is whole. Nobody waits for the disk."""
        temporary = os.path.join(self.folder, "new")
        with open(os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(temporary, os.path.join(self.folder, path))
