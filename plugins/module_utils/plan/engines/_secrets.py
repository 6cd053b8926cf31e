# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Is a variable or a flag's value a secret? By its name, or by a form that only secrets have. PRIVATE to the collection."""

from __future__ import annotations

import re

# Whatever the value.
NAMED = re.compile(
    r"PASSWORD|PASSWD|PASSPHRASE|SECRET|CREDENTIAL|API_?KEY|ACCESS_KEY|PRIVATE_KEY|(API|ACCESS|AUTH|HF|HUB|SESSION)_TOKEN", re.IGNORECASE
)
# Of a variable's words, where the value is a text: numbers are counts of tokens, ratios and switches (SGLANG_USE_AITER_FP8_PER_TOKEN).
WORDS = frozenset(("PASS", "TOKEN", "TOKENS", "KEY", "PWD", "PAT", "JWT", "AUTH", "AUTHORIZATION", "BEARER", "COOKIE"))
NUMBER = re.compile(r"[+-]?[0-9.]*|true|false|yes|no|on|off", re.IGNORECASE)
# The hub's switch; the shell's folder; files that hold one are none.
HARMLESS = re.compile(r"HF_HUB_DISABLE_IMPLICIT_TOKEN|(OLD)?PWD|\w+_(PATH|FILE|DIR)")
# A flag's own word for one; models have tokens of another kind (pad_token, image_token).
FLAG = re.compile(r"(hf|hub|auth|access|api|bearer|session)?_?token", re.IGNORECASE)
VALUE = re.compile(
    r"(?<![A-Za-z0-9_])(hf_[A-Za-z0-9]{16}|gh[opsur]_[A-Za-z0-9]{16}|github_pat_\w{16}|glpat-[\w-]{16}|xox[abeoprs]-[\w-]{8}"
    r"|sk-(?=[\w-]{0,40}[0-9])[\w-]{16}|A[KS]IA[A-Z0-9]{12}|eyJ[\w-]{10,400}\.[\w-]{10,4000}\.)"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY|://[^/@\s]+@|(account|sharedaccess)key=|[\"'](password|passwd|secret|token|api_?key)[\"']\s*:\s*[\"']",
    re.IGNORECASE,
)


def variable(name: str, value: object) -> bool:
    """Is a variable a secret by its name?"""
    if HARMLESS.fullmatch(name):
        return False
    words = name.upper().split("_")
    # A tokenizer is no token.
    told = any(word in WORDS or (word.endswith("TOKEN") and word != "TIKTOKEN") for word in words)
    return bool(NAMED.search(name)) or (told and not NUMBER.fullmatch(str(value)))


def part(name: str, value: object) -> bool:
    """Is a part of a flag's value a secret by its name? `name`: its key, with - or _."""
    name = name.replace("-", "_")
    return isinstance(value, str) and value != "" and bool(NAMED.search(name) or FLAG.fullmatch(name))


def text(value: object) -> bool:
    """Has a text the form of a secret, whatever it is called?"""
    return VALUE.search(str(value)) is not None
