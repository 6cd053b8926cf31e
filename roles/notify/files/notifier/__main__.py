# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell what the head's supervisor has noted: ``python3 NOTIFIER_DIR CONFIG_JSON``. Standard library, Python >= 3.9.

systemd starts it when there is a notice; it ends when nothing waits any more. A command and a webhook have an outbox each, so that one
that is away keeps nothing from the other.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import time
from typing import Any

import spool
from command import Command
from outbox import BOUND, Outbox
from sender import Sender, say
from webhook import Webhook

LOOK = 0.5
# For the next one of a row: a failure is followed by a restart.
LINGER = 5.0
# Between words about a disk that is full.
FULL = 10.0


def main() -> int:
    """Until nothing waits."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding="utf-8") as file:
        config: dict[str, Any] = json.load(file)
    senders = begin(config)
    idle = time.monotonic()
    while time.monotonic() - idle < config.get("linger_seconds", LINGER):
        try:
            taken = spool.take(config["spool"], [sender.outbox for sender in senders])
        except OSError as error:
            # A full disk: what could not be taken stays where it is, and the oldest of it goes.
            say(f"{config['spool']}: cannot be taken: found {error.strerror}; wanted room in {config['queue']}. Tried again", error=True)
            taken = 1
            time.sleep(FULL)
        if taken or any(sender.outbox.names() for sender in senders):
            idle = time.monotonic()
        time.sleep(LOOK)
    return 0


def begin(config: dict[str, Any]) -> list[Sender]:
    """A sender for each that is told, and nothing left of one that is not any more."""
    targets: dict[str, Any] = {}
    if config.get("command"):
        targets["command"] = Command(config["command"])
    if config.get("url"):
        targets["webhook"] = Webhook(config["url"], config.get("headers") or {}, config.get("secret_file"))
    for name in ("command", "webhook"):
        if name not in targets:
            shutil.rmtree(os.path.join(config["queue"], name), ignore_errors=True)
    senders = []
    for name, target in targets.items():
        sender = Sender(name, target, Outbox(config["queue"], name, config.get("bound", BOUND)), config.get("pause_seconds", 1.0))
        sender.start()
        senders.append(sender)
    return senders


if __name__ == "__main__":
    sys.exit(main())
