"""Curves of a metric against label fraction."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import trapezoid

from hilum.metrics.label_efficiency import label_efficiency, log_area
from tests.metrics.drawn_films import quick

curves = st.dictionaries(
    st.integers(1, 100).map(lambda i: i / 100), st.integers(0, 100).map(lambda i: i / 100), min_size=2, max_size=6
)


@given(curve=curves, data=st.data())
@quick
def test_area_is_the_mean_over_log_fraction(curve: dict[float, float], data: st.DataObject) -> None:
    fractions = np.array(sorted(curve))
    values = np.array([curve[f] for f in fractions])
    along = np.log10(fractions)
    area = log_area(fractions, values)
    assert area == pytest.approx(trapezoid(values, along) / np.ptp(along), abs=1e-9)
    assert values.min() - 1e-12 <= area <= values.max() + 1e-12
    order = list(data.draw(st.permutations(range(len(values)))))
    assert log_area(fractions[order], values[order]) == area
    assert log_area(fractions / 2, values) == pytest.approx(area, abs=1e-9)  # of half the films: the same curve


@given(curve=curves, target=st.floats(0, 1))
@quick
def test_the_fraction_found_reaches_the_target_and_none_below_does(curve: dict[float, float], target: float) -> None:
    fractions = np.array(sorted(curve))
    values = np.array([curve[f] for f in fractions])
    found = label_efficiency(fractions, values, target)
    if values.max() < target:
        assert found.fraction is None
        assert "not reached" in found.fraction_reason
        return
    assert found.fraction is not None
    at = np.interp(np.log(found.fraction), np.log(fractions), values)
    assert at >= target - 1e-9
    assert (values[fractions < found.fraction - 1e-12] < target).all()


def test_halfway_between_one_and_ten_percent() -> None:
    found = label_efficiency([1.0, 0.01, 0.1], [0.9, 0.6, 0.8], target=0.7)
    assert found.fraction == pytest.approx(10**-1.5)
    assert found.area == pytest.approx((0.7 + 0.85) / 2)
    assert label_efficiency([0.01, 0.1], [0.6, 0.8], target=0.5).fraction == 0.01


def test_undefined_and_refused() -> None:
    lone = label_efficiency([0.1, 1.0], [0.7, np.nan], target=0.7)
    assert (lone.area, lone.reason, lone.fraction) == (None, "fewer than two fractions have a value", 0.1)
    assert label_efficiency([], [], target=0.5).fraction_reason == "no fraction has a value"
    assert label_efficiency([0.1], [0.5]).fraction_reason == "no target was asked for"
    assert log_area([0.1, 1.0], [0.7, np.nan]) is None
    for fractions in ([0.0, 1.0], [0.1, 0.1], [0.5, 2.0]):
        with pytest.raises(ValueError, match="fractions must lie"):
            label_efficiency(fractions, [0.5, 0.6])
    with pytest.raises(ValueError, match="one length"):
        label_efficiency([0.1], [0.5, 0.6])
