"""Effective numbers as the sums they come from, and weights that keep the number of classes."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hilum.errors import ConfigError
from hilum.losses.class_balanced import Balance, class_balanced_weights, effective_number
from tests.oracles import label_losses as oracle


@given(counts=st.lists(st.integers(0, 300), min_size=1, max_size=6), beta=st.sampled_from([0.0, 0.5, 0.9, 0.999]))
def test_numbers_and_weights_are_the_papers(counts: list[int], beta: float) -> None:
    got = effective_number(np.array(counts, dtype=float), beta)
    np.testing.assert_allclose(got, [oracle.effective_number(count, beta) for count in counts], rtol=1e-9)
    if any(counts):
        weights = class_balanced_weights(np.array(counts), beta)
        np.testing.assert_allclose(weights, oracle.balanced_weights(counts, beta), rtol=1e-9)
        assert weights.sum() == pytest.approx(sum(count > 0 for count in counts))


def test_limits() -> None:
    counts = np.array([10.0, 1000.0])
    np.testing.assert_allclose(class_balanced_weights(counts, 0.0), [1, 1])  # nothing is weighed
    near = class_balanced_weights(counts, 1 - 1e-9)
    assert near[0] / near[1] == pytest.approx(100, rel=1e-5)  # inverse frequency
    assert (class_balanced_weights(np.zeros(3), 0.9) == 0).all()
    with pytest.raises(ConfigError, match=r"beta must be in \[0, 1\), not 1"):
        Balance(1.0)
