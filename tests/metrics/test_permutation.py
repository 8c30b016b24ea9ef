"""Paired permutation tests: p from the swaps, patients as units, honest levels, undefined cases."""

from __future__ import annotations

import json

import numpy as np
import pytest
from scipy.stats import permutation_test as all_swaps
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from hilum.metrics.permutation import permutation_test, permute_findings, permute_items
from hilum.metrics.swaps import swap_blocks
from tests.metrics.drawn_films import drawn
from tests.oracles import statistics as oracle

M = 70


def two_findings(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    one, two = drawn(seed), drawn(seed + 100)
    tables = (np.stack([getattr(one, name), getattr(two, name)], axis=1) for name in ("labels", "first", "second"))
    return (*tables, one.patients)


@pytest.mark.parametrize(("metric", "measure"), [("auroc", roc_auc_score), ("auprc", average_precision_score)])
@pytest.mark.parametrize("ranks", [True, False])
def test_p_is_counted_over_one_and_the_same_swaps(metric, measure, ranks: bool) -> None:  # type: ignore[no-untyped-def]
    labels, first, second, patients = two_findings()
    found = permutation_test(labels, first, second, patients, metric=metric, permutations=M, seed=3, ranks=ranks)
    ids, row = np.unique(patients, return_inverse=True)
    coins = np.concatenate(list(swap_blocks(ids.size, M, 3)), axis=1)[:, :M]
    gaps, observed = [], []
    for k in range(2):
        known = ~np.isnan(labels[:, k])
        a, b = first[known, k], second[known, k]
        observed.append(measure(labels[known, k], a) - measure(labels[known, k], b))
        if ranks:
            a, b = rankdata(a), rankdata(b)
        gaps.append(oracle.swapped_gaps(measure, labels[known, k], a, b, coins[row[known]]))
    expected = [(1 + (np.abs(g) >= abs(o) - 1e-12).sum()) / (1 + M) for g, o in zip(gaps, observed, strict=True)]
    assert found.observed == pytest.approx(observed, abs=1e-12)
    assert found.p == pytest.approx(expected, abs=1e-12)
    macro, far = np.mean(observed), np.abs(np.mean(gaps, axis=0))
    assert found.observed_macro == pytest.approx(macro, abs=1e-12)
    assert found.p_macro == pytest.approx((1 + (far >= abs(macro) - 1e-12).sum()) / (1 + M), abs=1e-12)
    assert found.permutations == M
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["metric"] == metric


def test_copies_of_an_image_are_no_evidence() -> None:
    f = drawn(3, blank=0)
    rows = np.repeat(np.arange(80), 4)
    once = permutation_test(f.labels, f.first, f.second, f.patients)
    copied = f.take(rows)
    assert permutation_test(copied.labels, copied.first, copied.second, copied.patients).p == once.p


def test_the_level_is_kept_with_clustered_patients() -> None:
    rejected = 0
    for seed in range(300):
        rng = np.random.default_rng(seed)
        patients = np.repeat(np.arange(30), 3)
        labels = (rng.random(30) < 0.5).astype(float)[patients]
        first, second = (labels + rng.normal(size=30)[patients] + 0.1 * rng.normal(size=90) for _ in range(2))
        rejected += permutation_test(labels, first, second, patients, permutations=99, seed=seed).p[0] <= 0.05
    assert 3 <= rejected <= 27  # 15 expected; three standard errors


def test_a_better_model_is_found_and_p_is_never_zero() -> None:
    f = drawn(0, 400, strength=3.0)
    noise = np.random.default_rng(0).random(400)
    for metric in ("auroc", "auprc"):
        found = permutation_test(f.labels, f.first, noise, f.patients, metric=metric, permutations=200)
        assert found.p == (1 / 201,)
        same = permutation_test(f.labels, f.first, f.first, f.patients, metric=metric, permutations=200)
        assert (same.observed, same.p, same.p_macro) == ((0.0,), (1.0,), 1.0)


def test_undefined_says_why() -> None:
    f = drawn(1)
    labels = np.stack([f.labels, np.zeros(80), np.full(80, np.nan)], axis=1)
    scores = np.stack([f.first] * 3, axis=1), np.stack([f.second] * 3, axis=1)
    found = permutation_test(labels, *scores, f.patients, permutations=50)
    assert found.reasons == ("", "no positives", "no labels")
    assert found.p[1:] == found.observed[1:] == (None, None)
    assert found.p_macro == found.p[0]
    alone = permutation_test(labels[:, 1], f.first, f.second, f.patients, permutations=50)
    assert (alone.p_macro, alone.observed_macro, alone.reason_macro) == (None, None, "no finding is defined")
    one = permutation_test([1, 0], [0.9, 0.1], [0.1, 0.9], ["a", "a"], permutations=50)
    assert (one.observed, one.p, one.reason_macro) == ((1.0,), (None,), "one patient: nothing to swap against")
    for wrong in ({"permutations": 0}, {"metric": "f1"}):
        with pytest.raises(ValueError, match=r"permutations|metric"):
            permutation_test(f.labels, f.first, f.second, f.patients, **wrong)
    with pytest.raises(ValueError, match="must agree"):
        permutation_test(f.labels, f.first, f.second[1:], f.patients)


def test_items_and_findings_over_all_swaps_are_scipys() -> None:
    rng = np.random.default_rng(1)
    first, second = rng.normal(0.5, 1, 10), rng.normal(size=10)
    referee = all_swaps((first, second), lambda a, b: a.mean() - b.mean(), permutation_type="samples", vectorized=False)
    items = permute_items(first, second, np.arange(10), permutations=20_000)
    findings = permute_findings(list(first), list(second), permutations=20_000)
    assert items.observed == findings.observed == pytest.approx(referee.statistic, abs=1e-12)
    assert items.p == pytest.approx(referee.pvalue, abs=0.015)
    assert findings.p == pytest.approx(referee.pvalue, abs=0.015)


def test_items_of_a_patient_swap_together_and_categories_weigh_alike() -> None:
    rng = np.random.default_rng(2)
    first, second = rng.random(40), rng.random(40)
    first[:3] = np.nan
    patients, categories = rng.integers(12, size=40).astype(str), np.array(["a", "b"])[(np.arange(40) % 4 == 0) * 1]
    found = permute_items(first, second, patients, categories=categories, permutations=M, seed=5)
    gap, known = first - second, ~np.isnan(first)
    ids, row = np.unique(patients[known], return_inverse=True)
    coins = np.concatenate(list(swap_blocks(ids.size, M, 5)), axis=1)[:, :M]
    signed = gap[known, None] * (1 - 2.0 * coins[row])
    means = np.mean([signed[categories[known] == c].mean(axis=0) for c in "ab"], axis=0)
    observed = np.mean([gap[known & (categories == c)].mean() for c in "ab"])
    assert found.observed == pytest.approx(observed, abs=1e-12)
    assert found.p == pytest.approx((1 + (np.abs(means) >= abs(observed) - 1e-12).sum()) / (1 + M), abs=1e-12)
    assert (found.n, found.n_units) == (37, ids.size)


def test_few_findings_cannot_reach_a_small_p() -> None:
    found = permute_findings([0.9] * 5, [0.5] * 5, permutations=5000)
    assert found.p == pytest.approx(2**-4, abs=0.015)
    none = permute_findings([0.9, None], [None, 0.8])
    assert (none.p, none.reason) == (None, "nothing has a value on both sides")
    assert permute_findings([0.9, None], [0.8, 0.7]).reason == "one finding: nothing to swap against"
    assert permute_items([], [], []).p is None
    with pytest.raises(ValueError, match="on the other"):
        permute_findings([0.9], [])
    with pytest.raises(ValueError, match="one length"):
        permute_items([0.9], [0.8], [])
