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


def test_every_measured_row_is_within_five_percent(tool: Any) -> None:
    rows = list(tool.rows())
    assert len({row.profile for row in rows}) == 9
    assert len([row for row in rows if row.off is not None]) == 10
    assert [row for row in rows if not row.met] == []
    assert not tool.Row("p", "x", 100, 105.1).met and tool.Row("p", "x", 100, 104.9).met and tool.Row("p", "x", None, 1).met


def test_the_page_says_of_how_many_a_kv_cache_was_measured(tool: Any) -> None:
    measured = [row.profile for row in tool.rows() if "of KV cache" in row.what and row.measured is not None]
    head = tool.PAGE.read_text().partition("## vLLM")[0].replace("\n", " ")
    assert "The reports give only three of nine configurations a measured KV cache: qwen397-mtp2, nex-n2-pro and nex-n2-pro-mtp2" in head
    assert set(measured) == {"qwen397-mtp2", "nex-n2-pro", "nex-n2-pro-mtp2"}


def test_a_remark_is_no_measurement_and_stands_beside_its_estimate(tool: Any) -> None:
    (row,) = [row for row in tool.rows() if row.profile == tool.REMARK[0] and "requests" in row.what]
    assert (row.measured, row.off) == (None, None)
    assert "remarks beside max-num-seqs that the cache holds six (the estimate: -30.3 %)" in row.part()


def test_one_configuration_sets_the_reserve(tool: Any) -> None:
    assert {row.profile for row in tool.rows() if "sets" in row.part()} == {"nex-n2-pro"}


def test_the_page_is_written(tool: Any) -> None:
    assert tool.PAGE.read_text() == tool.page(), "run tools/memory --write"
