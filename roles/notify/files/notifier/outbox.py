# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What is still to be told to one receiver: a bounded folder, in order, that outlives this process and the machine's next boot."""

from __future__ import annotations

import contextlib
import json
import os
from typing import Any

# Of a receiver that is away: more than a day of a group that restarts three times an hour and tells of each end, restart and success.
BOUND = 1000


class Outbox:
    """One receiver's. What is put in while it is full takes the oldest's place."""

    def __init__(self, root: str, name: str, bound: int = BOUND) -> None:
        self.folder, self.last, self.bound = os.path.join(root, name), os.path.join(root, f"{name}.last"), bound
        os.makedirs(self.folder, mode=0o700, exist_ok=True)
        # Of a write that a power loss or a full disk has cut: systemd, which looks whether the folder is empty, would start this for ever.
        for name in os.listdir(self.folder):
            if name.endswith(".new"):
                self._remove(name)

    def names(self) -> list[str]:
        """Files that wait, in order."""
        return sorted(name for name in os.listdir(self.folder) if name.endswith(".json"))

    def put(self, notice: dict[str, Any]) -> None:
        """Keep one, on the disk when it returns."""
        names = self.names()
        for name in names[: len(names) - self.bound + 1] if len(names) >= self.bound else []:
            self._remove(name)
        number = int(names[-1][: -len(".json")]) + 1 if names else 1
        self._write(os.path.join(self.folder, f"{number:012d}.json"), notice)

    def first(self) -> tuple[str, dict[str, Any]] | None:
        """The oldest, and how many before it were never told: their numbers are missing."""
        for name in self.names():
            try:
                with open(os.path.join(self.folder, name), encoding="utf-8") as file:
                    notice = json.load(file)
            except FileNotFoundError:
                continue
            except ValueError:
                # Cut by a power loss.
                self._remove(name)
                continue
            last = self._last()
            notice["dropped"] = max(0, notice["sequence"] - last - 1) if last else 0
            return name, notice
        return None

    def done(self, name: str, notice: dict[str, Any]) -> None:
        """It was told."""
        self._write(self.last, {"sequence": notice["sequence"]})
        self._remove(name)

    def refused(self, name: str) -> None:
        """It will not be told; the next one says that it was dropped."""
        self._remove(name)

    def _last(self) -> int:
        try:
            with open(self.last, encoding="utf-8") as file:
                return int(json.load(file)["sequence"])
        except (OSError, ValueError, KeyError, TypeError):
            return 0

    def _remove(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):
            os.remove(os.path.join(self.folder, name))

    @staticmethod
    def _write(path: str, value: dict[str, Any]) -> None:
        with open(os.open(f"{path}.new", os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w", encoding="utf-8") as file:
            json.dump(value, file)
            file.flush()
            os.fsync(file.fileno())
        os.replace(f"{path}.new", path)
