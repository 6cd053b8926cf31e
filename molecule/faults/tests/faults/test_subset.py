"""The subset of the fault matrix that `make test` can bear: each fault is proven to have taken effect, and heals without anybody."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tools.faults import catalogue, table
from tools.faults.cluster import Cluster
from tools.faults.driver import Driver


@pytest.fixture(scope="module")
def driver() -> Iterator[Driver]:
    cluster = Cluster(2)
    yield Driver(cluster)
    cluster.close()


@pytest.mark.parametrize(("name", "moment"), catalogue.SUBSET)
def test_the_group_outlives_it(driver: Driver, name: str, moment: str) -> None:
    row = driver.row(catalogue.BY_NAME[name], moment)
    print(" | ".join(table.cells(catalogue.BY_NAME[name], row)), row.proof)
    assert row.broken == ()
    # How long it takes is the machine's, which does much else.
    assert [text for text in table.remarks(row) if "late: " not in text] == []
    assert not row.mended_by
