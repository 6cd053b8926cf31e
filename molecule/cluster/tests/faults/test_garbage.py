"""Checkpoints that load, are whole, and answer every request with status 200: the gate refuses each with its own reason."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from damage import foreign_template, wrong_rope, zeroed_block
from sim import ROOT, Playbook, ask

TINY = ROOT / ".sim/checkpoints/tiny-qwen3"
CAUSES = ("damaged weights on a rank", "the chat template", "the positions: rope_theta")


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
    repo = f"gx10/tiny-{damage.__name__.replace('_', '-')}"
    shutil.copytree(TINY, tmp_path / "checkpoint")
    damage(tmp_path / "checkpoint")
    profile = (ROOT / f"model_profiles/{base}.yml").read_text().replace("gx10/tiny-qwen3", repo)
    (tmp_path / "garbage.yml").write_text(profile)
    where = {"profile": "garbage", "model_profiles_path": str(tmp_path), "gx10_weights_sources": {repo: str(tmp_path / "checkpoint")}}
    try:
        output = Playbook("serve", **where).refused().output
        ask()  # raises unless it answers 200, and that is not enough
        assert re.search(r"failed: gx10-sim-1: probe: questions|failed: gx10-sim-1: probe: recall", output)
        assert [cause for cause in CAUSES if f"points to {cause}" in output] == [points]
    finally:
        Playbook("stop").ok()
        for node in nodes.values():
            node.run(f"rm -rf /srv/models/{repo}")
