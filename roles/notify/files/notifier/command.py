# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Tell a command of the site's, with the notice as JSON on its standard input."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess

from sender import Later, Refused

SECONDS = 30.0
# sysexits.h: it may go well another time.
TEMPFAIL = 75


class Command:
    """An argv list, no shell."""

    def __init__(self, argv: list[str]) -> None:
        self.argv = argv

    def tell(self, body: bytes) -> None:
        """Run it once. Its words go into the journal."""
        what = os.path.basename(self.argv[0])
        try:
            process = subprocess.Popen(self.argv, stdin=subprocess.PIPE, start_new_session=True)
        except OSError as error:
            raise Refused(f"{self.argv[0]}: found {error.strerror}; wanted a program (gx10_notify_command)") from error
        try:
            process.communicate(body, timeout=SECONDS)
        except subprocess.TimeoutExpired as error:
            raise Later(f"{what} did not end within {SECONDS:.0f} s and was killed") from error
        finally:
            # With what it has started.
            with contextlib.suppress(OSError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        if process.returncode == TEMPFAIL:
            raise Later(f"{what} asks for another try (exit code {TEMPFAIL})")
        if process.returncode:
            raise Refused(f"{what}: found exit code {process.returncode}; wanted 0, or {TEMPFAIL} to be tried again")
