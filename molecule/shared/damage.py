"""Three ways to spoil the tiny checkpoint so that it still loads and answers. Each proves that the file is another one."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

from safetensors.numpy import load_file, save_file

RANKS = 4


def zeroed_block(folder: Path) -> None:
    """The last of four ranks' rows of the output layer are zero: a block that was never written."""
    name = "lm_head.weight"
    path = folder / json.loads((folder / "model.safetensors.index.json").read_text())["weight_map"][name]
    tensors, size = load_file(path), path.stat().st_size
    rows = len(tensors[name]) // RANKS
    assert tensors[name][-rows:].any()
    tensors[name][-rows:] = 0
    save_file(tensors, path, metadata={"format": "pt"})
    assert not load_file(path)[name][-rows:].any()
    assert path.stat().st_size == size, "only the content differs"


def foreign_template(folder: Path) -> None:
    """The chat template of another family of models."""

    def change(text: str) -> str:
        config = json.loads(text)
        config["chat_template"] = "{% for message in messages %}[INST] {{ message.content }} [/INST]{% endfor %}"
        return json.dumps(config)

    _rewrite(folder / "tokenizer_config.json", change)


def wrong_rope(folder: Path) -> None:
    """Another base of the rotary positions: 1000, where the model was trained with 10000."""
    _rewrite(folder / "config.json", lambda text: text.replace('"rope_theta": 10000.0', '"rope_theta": 1000.0'))


def _rewrite(path: Path, change: Callable[[str], str]) -> None:
    before = path.read_text()
    path.write_text(change(before))
    assert path.read_text() != before, f"{path} is as it was"
