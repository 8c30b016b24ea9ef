"""The patient-level bootstrap: equality with scikit-learn, clustering, undefined cases, pairing, speed."""

from __future__ import annotations

import time

import numpy as np
import pytest
from scipy.stats import bootstrap as scipy_bootstrap
from sklearn.metrics import accuracy_score, average_precision_score, f1_score, recall_score, roc_auc_score

from hilum.metrics import cores
from hilum.metrics.bootstrap import Bootstrap, bootstrap, difference
from hilum.metrics.calibration import brier, expected_calibration_error
from hilum.metrics.ranking import auroc
from hilum.metrics.replicates import draw_blocks

NAMES = ("Effusion", "Mass", "Hernia")


def make(seed: int = 0, n: int = 120, n_patients: int = 70) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = (rng.random((n, 3)) < (0.4, 0.2, 0.5)).astype(float)
    labels[rng.random((n, 3)) < 0.1] = np.nan
    scores = np.round(np.clip(rng.normal(0.4 + 0.2 * np.nan_to_num(labels), 0.2), 0, 1), 2)
    return labels, scores, np.array([f"p{i}" for i in rng.integers(n_patients, size=n)])


def run(labels: np.ndarray, scores: np.ndarray, patients: np.ndarray, **options: object) -> Bootstrap:
    points = {"0.5": (0.5, 0.5, 0.5), "validation": (0.3, 0.45, None)}
    return bootstrap(
        labels, scores, patients, **{"findings": NAMES, "operating_points": points, "draws": 100} | options
    )


def test_every_replicate_equals_scikit_learn() -> None:
    labels, scores, patients = make()
    result = run(labels, scores, patients, seed=5)
    ids, row = np.unique(patients, return_inverse=True)
    weights = np.concatenate(list(draw_blocks(ids.size, 100, 5)), axis=1)[row]
    for k in range(3):
        known = ~np.isnan(labels[:, k])
        label, score = labels[known, k], scores[known, k]
        for r in range(0, 100, 13):
            weight = {"sample_weight": weights[known, r]}
            called = score >= (0.3, 0.45, 0.5)[k]
            name = "0.5" if k == 2 else "validation"
            expected = {
                "auroc": roc_auc_score(label, score, **weight),
                "auprc": average_precision_score(label, score, **weight),
                f"f1@{name}": f1_score(label, called, **weight),
                f"accuracy@{name}": accuracy_score(label, called, **weight),
                f"sensitivity@{name}": recall_score(label, called, **weight),
                f"specificity@{name}": recall_score(label, called, pos_label=0, **weight),
            }
            for metric, value in expected.items():
                assert result.replicates[metric][k, r] == pytest.approx(value, abs=1e-12), (metric, k, r)


def test_same_seed_same_result_whatever_the_order_of_rows() -> None:
    labels, scores, patients = make()
    order = np.random.default_rng(1).permutation(len(patients))
    one, two = run(labels, scores, patients), run(labels[order], scores[order], patients[order])
    for metric in one.points:
        np.testing.assert_array_equal(one.replicates[metric], two.replicates[metric])
        assert one.macro(metric) == two.macro(metric)
    assert one.pairing == two.pairing
    assert run(labels, scores, patients, seed=1).macro("auroc") != one.macro("auroc")


def test_macro_is_the_mean_of_the_defined_findings_in_the_same_replicate() -> None:
    labels, scores, patients = make()
    labels[:, 2] = np.where(labels[:, 2] == 1, 0, labels[:, 2])
    result = run(labels, scores, patients)
    two = [result.estimate("auroc", name).value for name in NAMES[:2]]
    macro = result.macro("auroc")
    assert macro.value == pytest.approx(np.mean(two), abs=1e-15)
    expected = result.replicates["auroc"][:2].mean(axis=0)
    assert (macro.low, macro.high) == pytest.approx(tuple(np.quantile(expected, [0.025, 0.975])), abs=1e-15)
    assert macro.n == int((~np.isnan(labels[:, :2])).any(axis=1).sum())


@pytest.mark.parametrize(("value", "reason"), [(0.0, "no positives"), (1.0, "no negatives"), (np.nan, "no labels")])
def test_a_finding_without_both_classes_is_undefined_with_its_counts(value: float, reason: str) -> None:
    labels, scores, patients = make()
    labels[:, 1] = value
    result = run(labels, scores, patients)
    n = 0 if np.isnan(value) else 120
    for metric in result.points:
        estimate = result.estimate(metric, "Mass")
        assert (estimate.value, estimate.low, estimate.high, estimate.draws) == (None, None, None, 0)
        assert (estimate.reason, estimate.n) == (reason, n)
        assert estimate.n_positive == (120 if value == 1 else 0)
    assert result.macro("auroc").value is not None


def test_draws_without_a_positive_are_skipped_and_counted() -> None:
    labels, scores, patients = make()
    labels[:, 1] = 0
    labels[np.flatnonzero(patients == patients[0])[:1], 1] = 1  # one positive patient of about 60
    result = run(labels, scores, patients, draws=1000)
    estimate = result.estimate("auroc", "Mass")
    assert estimate.n_positive == 1
    assert estimate.draws == pytest.approx(1000 * (1 - np.exp(-1)), abs=60)
    assert estimate.draws == int((~np.isnan(result.replicates["f1@0.5"][1])).sum())
    assert result.macro("auroc").draws == 1000


def test_a_missing_threshold_is_said() -> None:
    result = run(*make())
    assert result.estimate("f1@validation", "Hernia").reason == "no threshold"
    assert result.estimate("f1@0.5", "Hernia").value is not None
    two = [result.estimate("f1@validation", name).value for name in NAMES[:2]]
    assert result.macro("f1@validation").value == pytest.approx(np.mean(two))


def test_copies_of_a_patients_image_do_not_narrow_the_interval() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((100, 1)) < 0.4).astype(float)
    scores = rng.normal(labels)
    patients = np.arange(100)
    once = bootstrap(labels, scores, patients, findings=["Mass"], draws=300).estimate("auroc", "Mass")
    thrice = bootstrap(
        np.repeat(labels, 3, axis=0),
        np.repeat(scores, 3, axis=0),
        np.repeat(patients, 3),
        findings=["Mass"],
        draws=300,
    ).estimate("auroc", "Mass")
    assert (thrice.value, thrice.low, thrice.high) == pytest.approx((once.value, once.low, once.high), abs=1e-15)
    assert (thrice.n, thrice.n_patients) == (300, 100)


def test_intervals_cover_the_truth_about_as_often_as_they_say() -> None:
    truth, covered = 0.7602499389, 0  # Phi(1 / sqrt(2)): unit-variance scores one apart
    for seed in range(200):
        rng = np.random.default_rng(seed)
        labels = (rng.random((150, 1)) < 0.5).astype(float)
        estimate = bootstrap(
            labels, rng.normal(labels), np.arange(150), findings=["Mass"], draws=200, seed=seed
        ).estimate("auroc", "Mass")
        assert estimate.low is not None
        assert estimate.high is not None
        covered += estimate.low <= truth <= estimate.high
    assert 180 <= covered <= 199


def test_paired_difference() -> None:
    labels, scores, patients = make()
    worse = np.round(0.5 * scores + 0.5 * np.random.default_rng(9).random(scores.shape), 2)
    first, second = run(labels, scores, patients), run(labels, worse, patients)
    found = difference(first, second, "auroc", "Effusion")
    known = ~np.isnan(labels[:, 0])
    expected = auroc(labels[known, 0], scores[known, 0]) - auroc(labels[known, 0], worse[known, 0])
    assert found.value == pytest.approx(expected, abs=1e-15)
    gap = first.replicates["auroc"][0] - second.replicates["auroc"][0]
    assert (found.low, found.high) == pytest.approx(tuple(np.quantile(gap, [0.025, 0.975])), abs=1e-15)
    back = difference(second, first, "auroc", "Effusion")
    assert (back.value, back.low, back.high, back.p) == pytest.approx(
        (-found.value, -found.high, -found.low, found.p), abs=1e-15
    )
    macro = difference(first, second, "auroc")
    assert macro.value == pytest.approx(first.macro("auroc").value - second.macro("auroc").value, abs=1e-15)
    same = difference(first, first, "auroc")
    assert (same.value, same.low, same.high, same.p) == (0, 0, 0, 1)


def test_unpaired_results_are_refused_and_undefined_ones_say_why() -> None:
    labels, scores, patients = make()
    first = run(labels, scores, patients)
    for other in (
        run(labels, scores, patients, seed=1),
        run(labels, scores, patients, draws=99),
        run(1 - labels, scores, patients),
        run(labels[1:], scores[1:], patients[1:]),
    ):
        with pytest.raises(ValueError, match="paired difference"):
            difference(first, other, "auroc")
    labels[:, 0] = 0
    empty = run(labels, scores, patients)
    assert difference(empty, empty, "auroc", "Effusion").reason == "no positives"
    assert difference(empty, empty, "auroc", "Effusion").value is None


def test_corner_sizes() -> None:
    labels, scores = np.array([[1.0], [0.0]]), np.array([[0.9], [0.1]])
    one = bootstrap(labels, scores, ["a", "a"], findings=["Mass"], draws=10).estimate("auroc", "Mass")
    assert (one.value, one.low, one.reason) == (1.0, None, "one patient: no interval")
    none = bootstrap(labels, scores, ["a", "b"], findings=["Mass"], draws=0).estimate("auroc", "Mass")
    assert (none.value, none.low, none.draws) == (1.0, None, 0)
    nobody = bootstrap(np.empty((0, 1)), np.empty((0, 1)), [], findings=["Mass"], draws=0)
    assert nobody.macro("auroc").reason == "no finding is defined"


def test_wrong_shapes_are_refused() -> None:
    labels, scores, patients = make()
    with pytest.raises(ValueError, match="findings"):
        bootstrap(labels, scores, patients, findings=NAMES[:2])
    with pytest.raises(ValueError, match="one threshold"):
        bootstrap(labels, scores, patients, findings=NAMES, operating_points={"0.5": [0.5]})
    with pytest.raises(ValueError, match="confidence"):
        bootstrap(labels, scores, patients, findings=NAMES, confidence=95)
    with pytest.raises(ValueError, match="uncertain"):
        bootstrap(np.full_like(labels, -1), scores, patients, findings=NAMES)


def test_every_replicate_of_calibration_is_that_of_its_films() -> None:
    labels, scores, patients = make()
    result = run(labels, scores, patients, seed=5)
    ids, row = np.unique(patients, return_inverse=True)
    weights = np.concatenate(list(draw_blocks(ids.size, 100, 5)), axis=1)[row]
    for k in range(3):
        for name, metric in (("ece", expected_calibration_error), ("brier", brier)):
            assert result.estimate(name, NAMES[k]).value == metric(labels[:, k], scores[:, k])
            for r in range(0, 100, 13):
                expected = metric(labels[:, k], scores[:, k], weights[:, r])
                assert result.replicates[name][k, r] == pytest.approx(expected, abs=1e-12)


def test_scores_that_are_no_probabilities_have_no_calibration_and_say_so() -> None:
    labels, scores, patients = make()
    scores[:, 1] = 10 * scores[:, 1]
    result = run(labels, scores, patients)
    for name in ("ece", "brier"):
        found = result.estimate(name, "Mass")
        assert (found.value, found.low, found.reason) == (None, None, "scores outside [0, 1] are no probabilities")
        two = [result.estimate(name, other).value for other in ("Effusion", "Hernia")]
        assert result.macro(name).value == pytest.approx(np.mean(two), abs=1e-15)
    assert result.estimate("auroc", "Mass").value is not None
    nothing = run(labels, scores + 1, patients)
    assert nothing.macro("ece").reason == "scores outside [0, 1] are no probabilities"


def test_bca_is_scipys_on_the_same_draws() -> None:
    """Scipy is given our draws; it leaves out one patient after the other by itself."""
    labels, scores, patients = make(3)
    labels = np.nan_to_num(labels)
    worse = np.round(0.5 * scores + 0.5 * np.random.default_rng(9).random(scores.shape), 2)
    result, other = (run(labels, table, patients, interval="bca") for table in (scores, worse))
    row = np.unique(patients, return_inverse=True)[1]
    rows = [np.flatnonzero(row == person) for person in range(row.max() + 1)]

    def macro(people: np.ndarray, table: np.ndarray) -> float:
        drawn = np.concatenate([rows[person] for person in people])
        return float(np.mean([roc_auc_score(labels[drawn, k], table[drawn, k]) for k in range(3)]))

    statistics = {
        "macro": (lambda people: macro(people, scores), result.replicates["auroc"].mean(axis=0)),
        "difference": (
            lambda people: macro(people, scores) - macro(people, worse),
            (result.replicates["auroc"] - other.replicates["auroc"]).mean(axis=0),
        ),
    }
    for name, (statistic, replicates) in statistics.items():
        everyone = (np.arange(len(rows)),)
        begun = scipy_bootstrap(everyone, statistic, n_resamples=2, method="percentile", vectorized=False, rng=0)
        begun.bootstrap_distribution = replicates
        referee = scipy_bootstrap(
            everyone, statistic, n_resamples=0, bootstrap_result=begun, method="BCa", vectorized=False
        ).confidence_interval
        found = result.macro("auroc") if name == "macro" else difference(result, other, "auroc")
        assert (found.low, found.high) == pytest.approx((referee.low, referee.high), abs=1e-9)
    assert result.interval == f"BCa intervals, each of {len(rows)} patients left out in turn"
    assert run(labels, scores, patients).interval == "percentile intervals"


def test_bca_of_many_patients_leaves_out_groups_and_says_so() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((2500, 1)) < 0.1).astype(float)
    scores = rng.normal(labels)
    found = bootstrap(labels, scores, np.arange(2500), findings=["Mass"], draws=200, interval="bca")
    assert found.interval == "BCa intervals, 1,000 groups of patients left out in turn"
    assert found.jackknife["auroc"].shape == (1, 1000)
    with pytest.raises(ValueError, match="percentile or bca"):
        bootstrap(labels, scores, np.arange(2500), findings=["Mass"], interval="t")


def test_bca_of_a_perfect_score_and_of_one_positive_patient() -> None:
    labels = np.array([[1.0], [1], [0], [0], [0]])
    perfect = bootstrap(labels, labels, np.arange(5), findings=["Mass"], draws=200, interval="bca")
    assert (perfect.macro("auroc").low, perfect.macro("auroc").high) == (1.0, 1.0)
    lone = bootstrap(
        np.array([[1.0], [0], [0], [0]]),
        np.array([[0.5], [0.4], [0.6], [0.1]]),
        np.arange(4),
        findings=["Mass"],
        draws=200,
        interval="bca",
    ).macro("auroc")
    assert lone.low is not None  # the draws without the positive are left out, the others have an interval
    assert lone.draws < 200


@pytest.mark.parametrize("interval", ["percentile", "bca"])
def test_the_number_of_cores_changes_no_bit(interval: str, monkeypatch: pytest.MonkeyPatch) -> None:
    results = []
    for count in (1, 2, 5):
        monkeypatch.setattr(cores, "_cores", lambda count=count: count)
        cores._pool.cache_clear()
        results.append(run(*make(), interval=interval))
    for metric in results[0].replicates:
        for other in results[1:]:
            np.testing.assert_array_equal(results[0].replicates[metric], other.replicates[metric])


def test_fourteen_findings_take_less_than_half_a_second() -> None:
    rng = np.random.default_rng(0)
    labels = (rng.random((5000, 14)) < 0.2).astype(float)
    scores, patients = rng.random(labels.shape), np.arange(5000)
    names = [str(k) for k in range(14)]
    bootstrap(labels[:50], scores[:50], patients[:50], findings=names, draws=1)
    seconds = []
    for _ in range(3):
        began = time.process_time()  # of all threads: what else the machine does is not our matter
        bootstrap(labels, scores, patients, findings=names, draws=1000)
        seconds.append(time.process_time() - began)
    assert min(seconds) < 0.5
