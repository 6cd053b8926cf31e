"""docs/memory.md: the estimate beside what the reports measured."""

from __future__ import annotations

import importlib.util
from importlib.machinery import SourceFileLoader
from typing import Any

import pytest
from conftest import ROOT

SPEC = importlib.util.spec_from_loader("memory_table", SourceFileLoader("memory_table", str(ROOT / "tools/memory")))


@pytest.fixture(scope="module")
def tool() -> Any:
    assert SPEC and SPEC.loader
    module = importlib.util.module_from_spec(SPEC)
    import sys

    sys.modules["memory_table"] = module
    SPEC.loader.exec_module(module)
    return module


def test_every_measured_row_is_within_five_percent_or_named(tool: Any) -> None:
    rows = list(tool.rows())
    assert len({row.profile for row in rows}) == 9
    assert len([row for row in rows if row.off is not None]) == 11
    # What is named as unmet is, and nothing else.
    assert {row.profile for row in rows if not row.met} == set(tool.UNMET)


def test_one_configuration_sets_the_reserve(tool: Any) -> None:
    assert {row.profile for row in tool.rows() if "sets" in row.part()} == {"nex-n2-pro"}


def test_the_page_is_written(tool: Any) -> None:
    assert tool.PAGE.read_text() == tool.page(), "run tools/memory --write"
