"""The findings of CXRBase's sets are those with a printed number; the others have a stroke."""

from __future__ import annotations

import pytest

from hilum.tables.cxrbase import BOXES, SETS, table_1, table_2
from hilum.tables.cxrbase_sets import without
from hilum.tables.data_sets import DATA_SETS


@pytest.mark.parametrize("head", [head for head in SETS if not head.startswith("PD")])
def test_classification(head: str) -> None:
    table = table_1()
    row = next(row for row in table.rows if row.setting == f"{head} AUC")
    printed = {c.key for c, n in zip(table.columns, row.numbers, strict=True) if n.value is not None}
    assert printed == {"Mean", *DATA_SETS[SETS[head]].findings}


@pytest.mark.parametrize("head", [head for head in BOXES if not head.startswith("PD")])
def test_localisation(head: str) -> None:
    table = table_2()
    row = next(row for row in table.rows if row.setting == head)
    printed = {c.key for c, n in zip(table.columns, row.numbers, strict=True) if n.value is not None}
    assert printed == {"Mean", *DATA_SETS[BOXES[head]].findings}


def test_only_the_fourteen_can_be_left_out() -> None:
    assert len(without("Edema")) == 13
    with pytest.raises(AssertionError):
        without("Gout")
