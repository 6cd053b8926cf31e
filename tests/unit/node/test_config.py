"""A checkpoint's config.json as a node reads it: bounded, and never an error."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _look
from ansible_collections.gx10.serving.plugins.module_utils.plan import _sources


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'{"a": [0.5, 1e999, Infinity, NaN]}', {"a": [0.5, "1e999", "Infinity", "NaN"]}),
        *[(b'{"a": 1}', {"a": 1}), (b"[]", None), (b"{", None), (b"", None), (b"\xff\xfe", None), (b"[" * 60000, None)],
        # As large as may be, and one byte more.
        *[(b"{}" + b" " * (size - 2), found) for size, found in ((_look.CONFIG_BYTES, {}), (_look.CONFIG_BYTES + 1, None))],
    ],
)
def test_only_an_object_of_bounded_size_is_taken(tmp_path: Path, text: bytes, found: object) -> None:
    (tmp_path / "config.json").write_bytes(text)
    assert _look.config(str(tmp_path)) == found


def test_long_parts_stay_on_the_node_and_the_rest_is_told(tmp_path: Path) -> None:
    """As nvidia/MiniMax-M3-NVFP4 has it: 3 MB, nearly all of it names of layers that are not quantized."""
    names = [f"model.layers.{number}.block_sparse_moe.gate" for number in range(60_000)]
    quantized = {"quant_method": "modelopt", "weight_block_size": [128, 128], "ignore": names}
    config = {"num_attention_heads": 48, "layer_types": ["full_attention"] * 60, "quantization_config": quantized, "other": names}
    (tmp_path / "config.json").write_text(json.dumps(config))
    found = _look.config(str(tmp_path))
    assert found == {**{key: config[key] for key in ("num_attention_heads", "layer_types")}, "quantization_config": {
        "quant_method": "modelopt", "weight_block_size": [128, 128],
    }}  # fmt: skip


# The keys that a longer context stands in, as Qwen's cards say to write them; a number that nobody compares, as Nemotron-H has it.
FIELD = (
    b'{"max_position_embeddings": 32768, "num_attention_heads": 40, "time_step_limit": [0.0, Infinity],'
    b' "rope_scaling": {"type": "yarn", "factor": 4.0, "original_max_position_embeddings": 32768}}'
)


def test_both_readers_read_the_same(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_bytes(FIELD)
    read = _sources.read(None, checkpoints={"org/name": str(tmp_path)})["checkpoints"]["org/name"]
    assert read is not None and "problem" not in read
    assert read["config"] == _look.config(str(tmp_path))
    assert read["config"]["rope_scaling"]["factor"] == 4.0
    assert read["config"]["time_step_limit"] == [0.0, "Infinity"]


def test_what_is_no_file_is_none(tmp_path: Path) -> None:
    path = tmp_path / "config.json"
    assert _look.config(str(tmp_path)) is None
    path.symlink_to("nothing")
    assert _look.config(str(tmp_path)) is None
    path.unlink()
    # Nobody writes into it: a plain open would wait for ever.
    os.mkfifo(path)
    assert _look.config(str(tmp_path)) is None
    path.unlink()
    path.mkdir()
    assert _look.config(str(tmp_path)) is None
    assert _look.config("/dev/null") is None
