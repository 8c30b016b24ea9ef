"""Runs of several seeds: averaged in every draw, so that the difference of two methods stays paired."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.metrics.bootstrap import Bootstrap, bootstrap, difference
from hilum.metrics.over_runs import mean_over_runs, spread


def judged(seed: int, *, strength: float = 1.0, draws: int = 200, interval: str = "percentile") -> Bootstrap:
    rng = np.random.default_rng(0)
    labels = (rng.random((120, 2)) < 0.4).astype(float)
    noise = np.random.default_rng(seed).normal(size=labels.shape)
    patients = np.repeat(np.arange(60), 2).astype(str)
    return bootstrap(labels, strength * labels + noise, patients, findings=("a", "b"), draws=draws, interval=interval)


def test_points_and_draws_are_means() -> None:
    runs = [judged(1), judged(2), judged(3)]
    together = mean_over_runs(runs)
    assert together.macro("auroc").value == pytest.approx(np.mean([run.macro("auroc").value for run in runs]))
    np.testing.assert_allclose(
        together.replicates["auroc"][1, 7], np.mean([run.replicates["auroc"][1, 7] for run in runs])
    )
    assert spread(runs, "auroc") == pytest.approx(np.std([run.macro("auroc").value for run in runs], ddof=1))
    assert spread(runs[:1], "auroc") is None


def test_a_difference_of_means_is_paired() -> None:
    strong = mean_over_runs([judged(seed, strength=3.0) for seed in (1, 2)])
    weak = mean_over_runs([judged(seed) for seed in (1, 2)])
    gap = difference(strong, weak, "auroc")
    assert gap.low is not None
    assert gap.low > 0


def test_runs_of_other_films_are_refused() -> None:
    with pytest.raises(ValueError, match="same patients"):
        mean_over_runs([judged(1), judged(2, draws=100)])
    with pytest.raises(ValueError, match="same patients"):
        mean_over_runs([])


def test_runs_with_bca_intervals_keep_them_and_do_not_mix() -> None:
    runs = [judged(seed, interval="bca") for seed in (1, 2)]
    together = mean_over_runs(runs)
    np.testing.assert_allclose(together.jackknife["auroc"], np.mean([run.jackknife["auroc"] for run in runs], axis=0))
    assert together.macro("auroc").low != mean_over_runs([judged(1), judged(2)]).macro("auroc").low
    with pytest.raises(ValueError, match="same patients"):
        mean_over_runs([runs[0], judged(2)])
