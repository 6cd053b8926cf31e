"""The committed tables of flags are what the published packages say."""

from __future__ import annotations

import engine_flags
import pytest


@pytest.mark.parametrize(("engine", "version"), engine_flags.committed())
def test_a_table_is_what_its_package_says(engine: str, version: str) -> None:
    committed = engine_flags.place(engine, version).read_text()
    assert engine_flags.table(engine, version) == committed, f"tools/engine-flags {engine} {version} writes it anew"


def test_what_the_packages_say_is_not_what_stands_in_for_their_dependencies() -> None:
    for engine, version in engine_flags.committed():
        text = engine_flags.place(engine, version).read_text()
        assert "stand_in" not in text and "<" not in text
