"""Gaps between groups: the table, the paired interval, and p under dealt names."""

from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.metrics import average_precision_score, roc_auc_score

from hilum.metrics.bootstrap import bootstrap
from hilum.metrics.subgroups import _dealt_again, subgroup_gaps
from tests.metrics.drawn_films import drawn


def test_groups_gap_and_interval_by_hand() -> None:
    f = drawn(0, 200)
    found = subgroup_gaps(f.labels, f.first, f.patients, f.groups, draws=150, permutations=20, seed=4)
    assert found.groups == ("F", "M", "O")
    values = {}
    for name, estimate in zip(found.groups, found.estimates, strict=True):
        inside = (f.groups == name) & ~np.isnan(f.labels)
        values[name] = roc_auc_score(f.labels[inside], f.first[inside])
        assert estimate.value == pytest.approx(values[name], abs=1e-12)
        assert (estimate.n, estimate.n_patients) == (inside.sum(), np.unique(f.patients[inside]).size)
    assert (found.best, found.worst) == (max(values, key=values.get), min(values, key=values.get))
    assert found.gap.value == pytest.approx(max(values.values()) - min(values.values()), abs=1e-12)
    replicates = [
        bootstrap(
            np.where(f.groups == name, f.labels, np.nan)[:, None],
            f.first[:, None],
            f.patients,
            findings=["x"],
            draws=150,
            seed=4,
        ).replicates["auroc"][0]
        for name in (found.best, found.worst)
    ]
    ends = np.quantile(replicates[0] - replicates[1], (0.025, 0.975))
    assert (found.gap.low, found.gap.high) == pytest.approx(tuple(ends), abs=1e-12)
    assert json.loads(json.dumps(found.to_json(), allow_nan=False))["permutations"] == 20


@pytest.mark.parametrize(("metric", "measure"), [("auroc", roc_auc_score), ("auprc", average_precision_score)])
def test_every_dealing_equals_scikit_learn(metric, measure) -> None:  # type: ignore[no-untyped-def]
    rng = np.random.default_rng(1)
    patients = np.repeat(np.arange(40), 2).astype(str)
    positive = np.repeat(rng.random(40) < 0.5, 2)  # all images of a patient alike, and of one group
    groups = np.repeat(np.array(["F", "M", "O"])[rng.integers(3, size=40)], 2)
    score = np.round(rng.normal(positive), 1)
    found = _dealt_again(positive, score, patients, groups, metric, 70, 9)
    ids, unit = np.unique(np.stack([patients, groups]), axis=1, return_inverse=True)
    names, ill = np.unique(ids[1], return_inverse=True)[1], np.bincount(unit.ravel(), weights=positive) > 0
    rng = np.random.default_rng(9)
    expected = []
    for lanes in (64, 6):
        dealt = np.empty((lanes, names.size), dtype=int)
        for stratum in (ill, ~ill):
            dealt[:, stratum] = rng.permuted(np.tile(names[stratum], (lanes, 1)), axis=1)
        for row in dealt[:, unit.ravel()]:
            values = [measure(positive[row == g], score[row == g]) for g in range(3)]
            expected.append(max(values) - min(values))
        assert [np.bincount(row[ill], minlength=3).tolist() for row in dealt] == [
            np.bincount(names[ill], minlength=3).tolist()
        ] * lanes
    np.testing.assert_allclose(found, expected, atol=1e-12)


def test_a_real_gap_is_found_and_the_level_is_kept_whatever_the_prevalence() -> None:
    rejected = 0
    for seed in range(200):
        rng = np.random.default_rng(seed)
        groups = np.repeat(np.array(["F", "M"])[rng.integers(2, size=60)], 2)
        labels = (rng.random(120) < np.where(groups == "F", 0.6, 0.2)).astype(float)
        scores = labels + rng.normal(size=120)
        patients = np.repeat(np.arange(60), 2)
        rejected += subgroup_gaps(labels, scores, patients, groups, draws=1, permutations=59, seed=seed).gap.p <= 0.05
    assert 1 <= rejected <= 20  # 10 expected; three standard errors
    scores = np.where(groups == "F", 3 * labels, 0) + rng.normal(size=120)
    assert subgroup_gaps(labels, scores, patients, groups, draws=100, permutations=99).gap.p == 0.01


def test_undefined_and_unknown_groups_are_said() -> None:
    labels, scores = np.array([1.0, 0, 1, 0, 0, np.nan, 1]), np.arange(7) / 7
    groups = np.array(["a", "a", "b", "b", "c", "a", None], dtype=object)
    found = subgroup_gaps(labels, scores, np.arange(7), groups, draws=20, permutations=9)
    assert (found.groups, found.unknown) == (("a", "b", "c"), 1)
    assert found.estimates[2].reason == "no positives"
    assert {found.best, found.worst} <= {"a", "b"}
    only = subgroup_gaps(labels, scores, np.arange(7), ["a"] * 7, draws=20, permutations=9)
    assert (only.gap.value, only.gap.p, only.gap.reason) == (None, None, "fewer than two groups have both classes")
    assert only.estimates[0].value is not None
    with pytest.raises(ValueError, match="permutations"):
        subgroup_gaps(labels, scores, np.arange(7), groups, permutations=0)
    with pytest.raises(ValueError, match="one an image"):
        subgroup_gaps(labels, scores, np.arange(7), groups[1:])
