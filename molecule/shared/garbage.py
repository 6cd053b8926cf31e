"""Checkpoints that load, are whole, and answer every request with status 200: the gate refuses each with its own reason."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path

from sim import HEAD, ROOT, Node, Playbook, ask

TINY = ROOT / ".sim/checkpoints/tiny-qwen3"
CAUSES = ("damaged weights on a rank", "the chat template", "the positions: rope_theta")


def refused_by_the_gate(folder: Path, nodes: dict[str, Node], base: str, damage: Callable[[Path], None], points: str) -> None:
    """Serve `base` with a damaged copy of its checkpoint: whole, loadable, and refused by the gate with this one cause."""
    repo = f"gx10/tiny-{damage.__name__.replace('_', '-')}"
    shutil.copytree(TINY, folder / "checkpoint")
    damage(folder / "checkpoint")
    profile = (ROOT / f"model_profiles/{base}.yml").read_text().replace("gx10/tiny-qwen3", repo)
    (folder / "garbage.yml").write_text(profile)
    where = {"profile": "garbage", "model_profiles_path": str(folder), "gx10_weights_sources": {repo: str(folder / "checkpoint")}}
    try:
        output = Playbook("serve", **where).refused().output
        ask()  # raises unless it answers 200, and that is not enough
        assert re.search(r"failed: gx10-sim-1: probe: questions|failed: gx10-sim-1: probe: recall", output)
        assert [cause for cause in CAUSES if f"points to {cause}" in output] == [points]
        assert "do not start again by themselves" in output
        (container,) = nodes[HEAD].containers(running=True)
        assert nodes[HEAD].host.run(f"test -e /var/lib/gx10/run{container['Name']}/refused").rc == 0, "its supervisor would start it again"
    finally:
        Playbook("stop").ok()
        for node in nodes.values():
            node.run(f"rm -rf /srv/models/{repo}")
