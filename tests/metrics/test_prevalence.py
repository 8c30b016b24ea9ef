"""Findings in bins of prevalence."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.metrics.prevalence import prevalence_bins
from tests.metrics.drawn_films import quick


def test_cuts_names_and_places() -> None:
    bins, unknown = prevalence_bins([5, 10, 99, 100, 700, 0], 1000)
    assert [b.name for b in bins] == ["< 1 %", "1–10 %", "≥ 10 %"]
    assert [b.findings for b in bins] == [(0, 5), (1, 2), (3, 4)]  # at a cut: the bin above
    assert unknown == ()
    bins, unknown = prevalence_bins([5, 0, 1], [100, 0, 1], cuts=(0.055,))
    assert [(b.name, b.findings) for b in bins] == [("< 5.5 %", (0,)), ("≥ 5.5 %", (2,))]
    assert unknown == (1,)
    assert [b.name for b in prevalence_bins([1], 2, cuts=())[0]] == ["all"]


@given(counts=st.lists(st.integers(0, 50), max_size=12), cuts=st.sets(st.sampled_from([0.01, 0.1, 0.3, 0.7])))
@quick
def test_each_finding_is_in_one_bin_and_the_bin_holds_its_share(counts: list[int], cuts: set[float]) -> None:
    bins, unknown = prevalence_bins(counts, 50, sorted(cuts))
    assert sorted(k for b in bins for k in b.findings) == list(range(len(counts)))
    assert unknown == ()
    assert len(bins) == len(cuts) + 1
    for b in bins:
        assert all(b.low <= counts[k] / 50 < b.high for k in b.findings)


def test_refused() -> None:
    for cuts in ((0.1, 0.01), (0.0,), (1.0,), (0.1, 0.1)):
        with pytest.raises(ValueError, match="cuts"):
            prevalence_bins([1], 10, cuts)
    with pytest.raises(ValueError, match="between 0 and n"):
        prevalence_bins([11], 10)
    with pytest.raises(ValueError, match="between 0 and n"):
        prevalence_bins(np.zeros((2, 2)), 10)
