"""DeLong against the pair-by-pair formula, and against scipy's Brunner-Munzel, whose variance is the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from scipy.stats import brunnermunzel, norm

from hilum.metrics.bootstrap import bootstrap
from hilum.metrics.delong import delong, delong_test
from hilum.metrics.ranking import auroc
from tests.metrics.drawn_films import Films, drawn, films, quick
from tests.oracles import statistics as oracle

Z = norm.ppf(0.975)


@pytest.mark.parametrize("by_patient", [False, True])
@given(f=films)
@quick
def test_interval_and_paired_test_equal_the_sums_over_pairs(by_patient: bool, f: Films) -> None:
    f = f.take(~np.isnan(f.labels))
    ids = f.patients if by_patient else np.arange(len(f.labels)).astype(str)
    classes = [set(ids[f.labels == value]) for value in (0, 1)]
    assume(min(map(len, classes)) >= 2)
    given_ids = f.patients if by_patient else None
    values, covariance = oracle.delong_covariance(f.labels, [f.first, f.second], given_ids)
    one = delong(f.labels, f.first, given_ids)
    assert one.value == pytest.approx(values[0], abs=1e-12)
    assert one.value == pytest.approx(auroc(f.labels, f.first), abs=1e-12)
    reach = Z * np.sqrt(max(covariance[0, 0], 0.0))
    if one.low is None:
        assert reach < 1e-6
    else:
        assert (one.low, one.high) == pytest.approx((max(values[0] - reach, 0), min(values[0] + reach, 1)), abs=1e-9)
    two = delong_test(f.labels, f.first, f.second, given_ids)
    variance = covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1]
    assert two.value == pytest.approx(values[0] - values[1], abs=1e-12)
    if two.low is None:
        assert variance < 1e-12
    else:
        assert two.p == pytest.approx(2 * norm.sf(abs(values[0] - values[1]) / np.sqrt(variance)), abs=1e-9)


@pytest.mark.parametrize("seed", range(4))
def test_variance_is_brunner_and_munzels(seed: int) -> None:
    f = drawn(seed, blank=0)
    positive, negative = f.first[f.labels == 1], f.first[f.labels == 0]
    z = abs(brunnermunzel(positive, negative).statistic)
    found = delong(f.labels, f.first)
    assert (found.high - found.low) / 2 == pytest.approx(Z * abs(found.value - 0.5) / z, abs=1e-9)


def test_clusters_of_one_image_change_nothing_and_copies_do_not_narrow() -> None:
    f = drawn(1, blank=0)
    alone = delong(f.labels, f.first)
    single = delong(f.labels, f.first, np.arange(len(f.labels)))
    assert (single.low, single.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
    rows = np.repeat(np.arange(len(f.labels)), 3)
    copied = delong(f.labels[rows], f.first[rows], rows)
    assert (copied.low, copied.high) == pytest.approx((alone.low, alone.high), abs=1e-12)
    assert delong(f.labels[rows], f.first[rows]).low > alone.low
    assert (copied.n, copied.n_patients) == (3 * alone.n, alone.n)


def test_close_to_the_bootstrap_of_patients() -> None:
    f = drawn(2, 600)
    found = delong(f.labels, f.first, f.patients)
    drawn_ends = bootstrap(f.labels[:, None], f.first[:, None], f.patients, findings=["Mass"]).estimate("auroc", "Mass")
    assert (found.low, found.high) == pytest.approx((drawn_ends.low, drawn_ends.high), abs=0.01)


def test_undefined_says_why() -> None:
    assert delong([0, 0], [0.1, 0.2]).reason == "no positives"
    assert delong([], []).reason == "no labels"
    assert delong_test([1], [0.1], [0.2]).reason == "no negatives"
    one = delong([1, 0, 0], [0.9, 0.1, 0.95])
    assert (one.value, one.low) == (0.5, None)
    assert "positives of fewer than two patients" in one.reason
    assert "negatives of fewer" in delong([1, 1, 0, 0], [3, 2, 1, 0], ["a", "b", "c", "c"]).reason
    perfect = delong([1, 1, 0, 0], [3, 2, 1, 0])
    assert (perfect.value, perfect.low, perfect.reason) == (1.0, None, "the variance is zero: no interval")
    same = delong_test([1, 1, 0, 0], [3, 1, 2, 0], [30, 10, 20, 0])
    assert (same.value, same.p, same.low) == (0.0, 1.0, None)
    tied = delong([1, 1, 0, 0], [1, 1, 1, 1])
    assert (tied.value, tied.low) == (0.5, None)
    with pytest.raises(ValueError, match="one for each"):
        delong([1, 0], [1, 0], ["a"])
