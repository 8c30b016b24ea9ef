"""Swaps and what they do to AUROC and AUPRC, against scikit-learn in every one of them."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
from scipy.stats import permutation_test as all_swaps
from sklearn.metrics import average_precision_score, roc_auc_score

from hilum.metrics import swaps
from hilum.metrics.replicates import LANES
from hilum.metrics.swaps import pool, precision_gaps, ranking_gaps, sign_gaps, swap_blocks
from tests.oracles import statistics as oracle

MEASURES = {"auroc": (ranking_gaps, roc_auc_score), "auprc": (precision_gaps, average_precision_score)}


def coins(n_patients: int, permutations: int, seed: int) -> np.ndarray:
    return np.concatenate(list(swap_blocks(n_patients, permutations, seed)), axis=1)[:, :permutations]


def test_more_permutations_change_none_of_the_first_and_coins_are_fair() -> None:
    few, many = coins(31, 70, 2), coins(31, 500, 2)
    np.testing.assert_array_equal(few, many[:, :70])
    assert (coins(31, 70, 3) != few).any()
    assert coins(400, 640, 0).mean() == pytest.approx(0.5, abs=0.005)
    assert set(np.unique(many)) == {0, 1}
    assert next(swap_blocks(5, 3, 0))[:, 3:].sum() == 0


@pytest.mark.parametrize("metric", MEASURES)
@pytest.mark.parametrize("digits", [1, 9])
def test_every_swap_equals_scikit_learn(metric: str, digits: int) -> None:
    rng = np.random.default_rng(digits)
    positive = rng.random(50) < 0.3
    first, second = (np.round(rng.normal(positive * shift), digits) for shift in (1.0, 0.3))
    patient = rng.integers(20, size=50)
    gaps, measure = MEASURES[metric]
    found = gaps([pool(positive, first, second, patient)] * 2, 20, LANES + 2, 4)
    expected = oracle.swapped_gaps(measure, positive, first, second, coins(20, LANES + 2, 4)[patient])
    np.testing.assert_allclose(found, [expected, expected], atol=1e-12)


@pytest.mark.parametrize("metric", MEASURES)
def test_over_all_swaps_the_law_is_scipys(metric: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rng = np.random.default_rng(5)
    positive = np.array([1, 1, 1, 0, 0, 0, 0, 0], dtype=bool)
    first, second = np.round(rng.normal(positive), 1), np.round(rng.normal(size=8), 1)
    gaps, measure = MEASURES[metric]

    def every_swap(n_patients: int, permutations: int, seed: int) -> Iterator[np.ndarray]:
        table = (np.arange(2**n_patients) >> np.arange(n_patients)[:, None]) & 1
        yield from (table[:, i : i + LANES].astype(np.uint8) for i in range(0, permutations, LANES))

    monkeypatch.setattr(swaps, "swap_blocks", every_swap)
    found = gaps([pool(positive, first, second, np.arange(8))], 8, 256, 0)[0]
    referee = all_swaps(
        (first, second),
        lambda a, b: measure(positive, a) - measure(positive, b),
        permutation_type="samples",
        vectorized=False,
        n_resamples=np.inf,
    )
    np.testing.assert_allclose(np.sort(found), np.sort(referee.null_distribution), atol=1e-9)
    observed = measure(positive, first) - measure(positive, second)
    assert (np.abs(found) >= abs(observed) - 1e-12).mean() == pytest.approx(referee.pvalue, abs=1e-9)


def test_signs() -> None:
    gains = np.arange(12.0).reshape(2, 6)
    expected = gains @ (1 - 2.0 * coins(6, 100, 1))
    np.testing.assert_allclose(sign_gaps(gains, 100, 1), expected, atol=1e-12)
