"""Garbage of each kind fails the gate, each with its own cause."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import foreign_template, wrong_rope, zeroed_block
from garbage import refused_by_the_gate


@pytest.mark.parametrize(
    ("base", "damage", "points"),
    [
        # The block is rank 3's part of the output layer, and nobody else's.
        ("sim-tiny-tp4", zeroed_block, "damaged weights on a rank"),
        ("sim-tiny-solo", foreign_template, "the chat template"),
        ("sim-tiny-solo", wrong_rope, "the positions: rope_theta"),
    ],
)
def test_garbage_fails_the_gate_with_its_cause(
    tmp_path: Path, nodes: dict[str, Any], base: str, damage: Callable[[Path], None], points: str
) -> None:
    refused_by_the_gate(tmp_path, nodes, base, damage, points)
