"""Holm and Benjamini-Hochberg against statsmodels and scipy, and what they promise."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import false_discovery_control

from hilum.metrics.multiplicity import benjamini_hochberg, holm
from tests.metrics.drawn_films import quick

ps = st.lists(st.floats(0, 1), min_size=1, max_size=12)


@pytest.mark.parametrize(("adjust", "method"), [(holm, "holm"), (benjamini_hochberg, "fdr_bh")])
def test_equal_to_statsmodels(adjust, method: str) -> None:  # type: ignore[no-untyped-def]
    referee = pytest.importorskip("statsmodels.stats.multitest", reason="statsmodels, the referee, is not installed")
    p = np.round(np.random.default_rng(0).random(40) ** 3, 3).tolist()  # small ones, and ties
    assert adjust(p) == pytest.approx(referee.multipletests(p, method=method)[1].tolist(), abs=1e-12)


@given(p=ps)
@quick
def test_equal_to_scipy_and_to_holms_steps(p: list[float]) -> None:
    assert benjamini_hochberg(p) == pytest.approx(false_discovery_control(p).tolist(), abs=1e-12)
    steps = [max((len(p) - sum(r < q for r in p)) * q for q in p if q <= value) for value in p]
    assert holm(p) == pytest.approx([min(step, 1.0) for step in steps], abs=1e-12)


@pytest.mark.parametrize("adjust", [holm, benjamini_hochberg])
@given(p=ps, data=st.data())
@quick
def test_order_bounds_and_missing_tests(adjust, p: list[float], data: st.DataObject) -> None:  # type: ignore[no-untyped-def]
    found = np.array(adjust(p))
    assert ((found >= np.array(p)) & (found <= 1)).all()
    assert (np.diff(found[np.argsort(p, kind="stable")]) >= 0).all()
    order = data.draw(st.permutations(range(len(p))))
    assert adjust([p[i] for i in order]) == pytest.approx(found[list(order)].tolist(), abs=1e-12)
    assert adjust([None, *p, float("nan")]) == [None, *adjust(p), None]


def test_holm_is_never_smaller_and_one_test_needs_no_adjustment() -> None:
    p = [0.01, 0.04, 0.03, 0.005]
    assert holm(p) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert benjamini_hochberg(p) == pytest.approx([0.02, 0.04, 0.04, 0.02])
    assert holm([0.2]) == benjamini_hochberg([0.2]) == [0.2]
    assert holm([]) == []
    assert benjamini_hochberg([None]) == [None]


def test_what_is_no_p_value_is_refused() -> None:
    with pytest.raises(ValueError, match=r"outside \[0, 1\]"):
        holm([0.5, 1.2])
