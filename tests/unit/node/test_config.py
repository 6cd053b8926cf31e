"""A checkpoint's config.json as a node reads it: bounded, and never an error."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from ansible_collections.gx10.serving.plugins.module_utils.node import _look


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (b'{"a": [0.5, 1e999, Infinity, NaN]}', {"a": ["0.5", "1e999", "Infinity", "NaN"]}),
        *[(b'{"a": 1}', {"a": 1}), (b"[]", None), (b"{", None), (b"", None), (b"\xff\xfe", None), (b"[" * 60000, None)],
        # As large as may be, and one byte more.
        *[(b"{}" + b" " * size, found) for size, found in ((65534, {}), (65535, None))],
    ],
)
def test_only_a_small_object_is_taken(tmp_path: Path, text: bytes, found: object) -> None:
    (tmp_path / "config.json").write_bytes(text)
    assert _look.config(str(tmp_path)) == found


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
