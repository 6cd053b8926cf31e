# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Run one node's part of a launch plan: ``python3 SUPERVISOR_DIR NODE_JSON``. Standard library, Python >= 3.9."""

from __future__ import annotations

import json
import sys

from supervisor import Supervisor


def main() -> int:
    """Read the node's part and supervise it; the exit code is the container's."""
    if len(sys.argv) != 2:
        print(__doc__, file=sys.stderr)
        return 2
    with open(sys.argv[1], encoding="utf-8") as file:
        return Supervisor(json.load(file)).run()


if __name__ == "__main__":
    sys.exit(main())
