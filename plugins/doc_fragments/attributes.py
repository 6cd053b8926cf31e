# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every module of the collection says of itself."""

from __future__ import annotations


class ModuleDocFragment:
    """Each module says how far it supports these; C(info) is for those that only read."""

    DOCUMENTATION = r"""
attributes:
  check_mode:
    description: Can run in check mode and tell what it would change, without changing anything.
    support: full
  diff_mode:
    description: Returns the texts that changed, or would change, where C(--diff) asks for them.
    support: none
"""

    INFO = r"""
attributes:
  check_mode:
    description: It only reads, in check mode as otherwise.
    support: full
  diff_mode:
    description: There is nothing that could differ.
    support: N/A
"""
