"""Averages with patient-level intervals against a slow bootstrap over the same draws."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap

from hilum.metrics.replicates import draw_blocks
from hilum.metrics.resample import Resample

PATIENTS = np.array([f"p{number % 9}" for number in range(40)])
RNG = np.random.default_rng(3)
VALUES = np.where(RNG.random(40) < 0.1, np.nan, RNG.normal(1, 2, 40))
GROUPS = np.array(["a", "b", "c"])[RNG.integers(0, 3, 40)]
DRAWS = 130  # more than one block


def slow(statistic) -> np.ndarray:  # type: ignore[no-untyped-def]
    """`statistic(rows)` in every draw, the rows of a drawn patient repeated as often as he is drawn."""
    ids = np.unique(PATIENTS)
    counts = np.concatenate(list(draw_blocks(len(ids), DRAWS, 7)), axis=1)[:, :DRAWS]
    found = []
    for draw in counts.T:
        times = draw[np.searchsorted(ids, PATIENTS)]
        found.append(statistic(np.repeat(np.arange(40), times)))
    return np.array(found)


def macro(rows: np.ndarray) -> float:
    means = [np.nanmean(VALUES[rows[GROUPS[rows] == g]]) for g in np.unique(GROUPS[rows])]
    return float(np.mean(means))


@pytest.mark.parametrize(
    ("name", "statistic"),
    [("mean", lambda r: np.nanmean(VALUES[r])), ("median", lambda r: np.nanmedian(VALUES[r])), ("macro", macro)],
)
def test_intervals_are_those_of_drawing_whole_patients(name: str, statistic) -> None:  # type: ignore[no-untyped-def]
    resample = Resample(PATIENTS, draws=DRAWS, seed=7)
    found = resample.macro(VALUES, GROUPS) if name == "macro" else getattr(resample, name)(VALUES)
    assert found.value == pytest.approx(statistic(np.arange(40)))
    low, high = np.quantile(slow(statistic), (0.025, 0.975))
    assert (found.low, found.high) == (pytest.approx(low), pytest.approx(high))
    assert (found.n, found.n_patients, found.draws) == (int((~np.isnan(VALUES)).sum()), 9, DRAWS)


def test_differences_are_paired() -> None:
    resample = Resample(PATIENTS, draws=DRAWS, seed=7)
    shifted = resample.difference(VALUES + 0.5, VALUES)
    assert (shifted.value, shifted.low, shifted.high) == pytest.approx((0.5, 0.5, 0.5))
    assert shifted.p == pytest.approx(2 / (DRAWS + 1))
    other = np.sin(np.arange(40.0))
    gap = resample.difference(VALUES, other, GROUPS)
    known = np.where(np.isnan(VALUES), np.nan, other)
    assert gap.value == pytest.approx(np.mean([np.nanmean((VALUES - known)[g == GROUPS]) for g in "abc"]))


def test_nothing_and_one_patient_say_so() -> None:
    resample = Resample(["p"] * 3, draws=20)
    assert resample.mean([1.0, 2.0, 3.0]).reason == "one patient: no interval"
    assert resample.median([np.nan] * 3).value is None
    assert resample.difference([1.0, np.nan, 2.0], [0.0, 1.0, np.nan]).reason == "one patient: no interval"
    assert resample.difference([np.nan] * 3, [1.0] * 3).value is None
    with pytest.raises(ValueError, match="one for each of 3 items"):
        resample.mean([1.0])
    with pytest.raises(ValueError, match="confidence"):
        Resample(["p"], confidence=1.0)


@pytest.mark.parametrize("name", ["mean", "macro", "difference"])
def test_bca_is_scipys_on_the_same_draws(name: str) -> None:
    """Scipy is given our draws; it leaves out one patient after the other by itself."""
    row = np.unique(PATIENTS, return_inverse=True)[1]
    other = np.sin(np.arange(40.0))
    known = np.where(np.isnan(VALUES), np.nan, other)

    def statistic(rows: np.ndarray) -> float:
        if name == "macro":
            return macro(rows)
        return float(np.nanmean((VALUES - known if name == "difference" else VALUES)[rows]))

    def of_people(people: np.ndarray) -> float:
        return statistic(np.concatenate([np.flatnonzero(row == person) for person in people]))

    begun = scipy_bootstrap((np.arange(9),), of_people, n_resamples=2, method="percentile", vectorized=False, rng=0)
    begun.bootstrap_distribution = slow(statistic)
    referee = scipy_bootstrap(
        (np.arange(9),), of_people, n_resamples=0, bootstrap_result=begun, method="BCa", vectorized=False
    ).confidence_interval
    resample = Resample(PATIENTS, draws=DRAWS, seed=7, interval="bca")
    found = {
        "mean": lambda: resample.mean(VALUES),
        "macro": lambda: resample.macro(VALUES, GROUPS),
        "difference": lambda: resample.difference(VALUES, other),
    }[name]()
    assert (found.low, found.high) == pytest.approx((referee.low, referee.high), abs=1e-9)


def test_medians_keep_percentiles_and_other_intervals_are_refused() -> None:
    by_percentile, by_bca = (Resample(PATIENTS, draws=DRAWS, interval=name) for name in ("percentile", "bca"))
    assert by_bca.median(VALUES) == by_percentile.median(VALUES)
    assert by_bca.mean(VALUES) != by_percentile.mean(VALUES)
    with pytest.raises(ValueError, match="percentile or bca"):
        Resample(PATIENTS, interval="t")
