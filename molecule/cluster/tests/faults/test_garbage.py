"""Garbage fails the gate; `make proofs` does it with weights and positions, too."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from damage import foreign_template
from garbage import refused_by_the_gate


def test_a_foreign_chat_template_fails_the_gate_with_its_cause(tmp_path: Path, nodes: dict[str, Any]) -> None:
    refused_by_the_gate(tmp_path, nodes, "sim-tiny-solo", foreign_template, "the chat template")
