"""The draws and the compiled pass."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.metrics.replicates import LANES, draw_blocks, rank_block, sort_finding
from tests.oracles import ranking as oracle


def test_each_replicate_draws_as_many_patients_as_there_are() -> None:
    blocks = list(draw_blocks(37, draws=100, seed=1))
    counts = np.concatenate(blocks, axis=1)
    assert counts.shape == (37, 2 * LANES)
    assert (counts[:, :100].sum(axis=0) == 37).all()
    assert (counts[:, 100:] == 0).all()


def test_more_draws_change_none_of_the_first_and_another_seed_changes_all() -> None:
    few = np.concatenate(list(draw_blocks(21, draws=70, seed=3)), axis=1)[:, :70]
    many = np.concatenate(list(draw_blocks(21, draws=500, seed=3)), axis=1)[:, :70]
    other = np.concatenate(list(draw_blocks(21, draws=70, seed=4)), axis=1)[:, :70]
    np.testing.assert_array_equal(few, many)
    assert (few != other).any(axis=0).all()


def test_counts_are_those_of_drawing_with_replacement() -> None:
    counts = np.concatenate(list(draw_blocks(200, draws=2048, seed=0)), axis=1).astype(float)
    assert counts.var() == pytest.approx(1 - 1 / 200, rel=0.01)  # binomial(200, 1 / 200)
    assert counts.mean(axis=1).std() < 0.04  # no patient is favoured


@pytest.mark.parametrize("digits", [1, 2, 9])
def test_one_pass_equals_the_pairwise_oracle_in_every_lane(digits: int) -> None:
    rng = np.random.default_rng(digits)
    n, n_patients = 40, 11
    positive, score = rng.random(n) < 0.3, np.round(rng.random(n), digits)
    patient = rng.integers(n_patients, size=n)
    (counts,) = draw_blocks(n_patients, draws=LANES, seed=0)
    roc, precision = np.empty(LANES), np.empty(LANES)
    rank_block(counts, *sort_finding(positive, score, patient), roc, precision)
    for lane in range(LANES):
        written = oracle.written_out(positive.astype(float), score, counts[patient, lane])
        expected = oracle.auroc(*written), oracle.average_precision(*written)
        if expected[0] is None:
            assert np.isnan(roc[lane])
            assert np.isnan(precision[lane])
        else:
            assert (roc[lane], precision[lane]) == (
                pytest.approx(expected[0], abs=1e-14),
                pytest.approx(expected[1], abs=1e-14),
            )
