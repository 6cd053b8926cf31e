# Copyright (c) 2026 GX10 Serving contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""Prompts of varied English filler, as long as wanted to the token, as the server itself counts."""

from __future__ import annotations

import math
import random
import secrets
from collections.abc import Callable

NEEDLE = "IMPORTANT: The secret access code for Project Aurora is {code}. Remember this exactly."
QUESTION = "Based on the text above, what is the secret access code for Project Aurora? Reply with just the code itself, nothing else."
TASKS = {
    "sweep": "Continue the narrative above in the same style, without an end.",
    "soak": "Continue the narrative above in the same style, without an end.",
    "repetition": "Write a long and varied essay about the people above: who they are, what moves them, and how their ways cross.",
    "needle": QUESTION,
}
# One token each in every tokenizer that we know, with the space before it.
PAD = " a"
ROUNDS = 24

_WHO = "cat team librarian carpenter chef engineer child gardener researcher fox doctor pilot captain detective astronaut baker".split()
_DID = "walked discovered spoke decided remembered repaired carried painted measured followed borrowed answered".split()
_WHAT = "letter photograph door lantern bridge notebook garden printing mistake engine river map clock recipe window harbour".split()
_HOW = "slowly quietly suddenly carefully gladly again together early late alone".split()
_WHERE = "mountain market station library island kitchen valley workshop museum village forest harbour".split()


class Prompt:
    """Filler that begins with a salt of its own, so that no prefix of it is in the server's cache. A depth puts a needle into it."""

    def __init__(self, kind: str, salt: str, depth: float | None = None) -> None:
        self._random = random.Random(salt)
        self._words: list[str] = []
        self._salt = salt
        self._depth = depth
        self._task = TASKS[kind]
        self.code = ""
        if depth is not None:
            self.code = "-".join(self._random.choice(_WHAT).upper() for _word in range(2)) + f"-{self._random.randrange(1000, 10000)}"
        self.words = 0
        self.pad = 0

    def _more(self) -> None:
        choose = self._random.choice
        sentence = f"The {choose(_WHO)} {choose(_DID)} {choose(_HOW)} near the {choose(_WHERE)} with a {choose(_WHAT)}."
        self._words += sentence.split()

    def text(self) -> str:
        while len(self._words) < self.words:
            self._more()
        words = self._words[: self.words]
        if self._depth is not None:
            at = round(self._depth * len(words))
            while 0 < at < len(words) and not words[at - 1].endswith("."):
                at -= 1
            words = [*words[:at], NEEDLE.format(code=self.code), *words[at:]]
        return f"Story {self._salt}. {' '.join(words)}{PAD * self.pad}\n\n{self._task}"


def salt() -> str:
    return secrets.token_hex(8)


def fit(prompts: list[Prompt], wanted: int, count: Callable[[list[str]], list[int]]) -> None:
    """Size each prompt to `wanted` tokens, with the fewest questions to the server; raises ValueError where that cannot be."""
    open_ones = list(prompts)
    rate = 1.25  # tokens of a word, to begin with
    for prompt in open_ones:
        prompt.words = max(0, math.floor(wanted / rate))
    last: list[int] = []
    for _round in range(ROUNDS):
        last = count([prompt.text() for prompt in open_ones])
        rest = []
        for prompt, found in zip(open_ones, last):
            if found == wanted:
                continue
            rest.append(prompt)
            if found < wanted and wanted - found <= 8:
                prompt.pad += wanted - found
                continue
            if found > wanted and prompt.pad >= found - wanted:
                prompt.pad -= found - wanted
                continue
            if prompt.words == 0 and found > wanted:
                raise ValueError(f"input: found {wanted} tokens; wanted {found} or more: salt and question alone have as many")
            rate = max(0.5, found / max(1, prompt.words)) if prompt.words > 50 else rate
            prompt.pad = 0
            step = math.trunc((wanted - found) / rate) or (1 if found < wanted else -1)
            prompt.words = max(0, prompt.words + step)
        open_ones = rest
        if not open_ones:
            return
    raise ValueError(f"input: found {last[-1]} tokens after {ROUNDS} tries; wanted {wanted}. Another length may do")
