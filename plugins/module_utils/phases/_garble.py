# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a text language? Shares between 0 and 1 that tell loops and mixed scripts. PRIVATE to the collection."""

from __future__ import annotations

import unicodedata

# Letters that any English text may hold: names, units and formulas.
EXPECTED = ("LATIN", "GREEK")


def repetition(text: str, size: int = 12) -> float:
    """Share of the character n-grams that occurred before: 1 - distinct / all ("seq-rep-n" of Welleck et al. 2019, arXiv:1908.04319).

    In characters, not words, so that "!!!!!!" and scripts without spaces are measured, too. A text shorter than an n-gram has none.
    """
    total = len(text) - size + 1
    return 1 - len({text[at : at + size] for at in range(total)}) / total if total > 0 else 0.0


def foreign(text: str, expected: tuple[str, ...] = EXPECTED) -> float:
    """Share of characters, spaces and punctuation aside, that an English text does not have: other scripts, U+FFFD, no character at all.

    Digits and symbols are counted as nobody's. 1.0 where a text has characters, but no letter.
    """
    letters, strange = 0, 0
    for char in text:
        category = unicodedata.category(char)
        if category[0] == "L":
            letters += 1
            strange += not unicodedata.name(char, "").startswith(expected)
        elif char == "\ufffd" or category in ("Cn", "Co", "Cs") or (category == "Cc" and char not in "\n\t\r"):
            letters += 1
            strange += 1
    return strange / letters if letters else float(bool(text.strip()))
