"""Means over seeds and their tests, against slow formulas: scikit-learn in every swap, sums by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy.stats import rankdata
from sklearn.metrics import average_precision_score, roc_auc_score

from hilum.benchmarking.over_seeds import Standing, difference, permutation_p, places, standing
from hilum.metrics.bootstrap import Counts
from hilum.metrics.permutation import permute_items
from hilum.metrics.swaps import swap_blocks
from hilum.results.judgement import Judgement, open_judgement
from hilum.results.judgements.scores import Scores

RNG = np.random.default_rng(0)
N, K = 60, 2
PATIENTS = np.array([f"p{k // 2:02d}" for k in range(N)])
LABELS = (RNG.random((N, K)) < (0.4, 0.3)).astype(float)
LABELS[::9, 1] = np.nan
NAMES = ("Mass", "Edema")
BOTH = np.array([True, True])


def run(skill: float, seed: int) -> Judgement:
    noise = np.random.default_rng(seed).normal(size=(N, K))
    scores = 1 / (1 + np.exp(-noise - skill * np.nan_to_num(LABELS)))
    items = np.array([f"film{k}" for k in range(N)])
    evidence = Scores(items, PATIENTS, NAMES, LABELS, scores, dict.fromkeys(NAMES, 0.5))
    return Judgement("classification", "run", Path(), {}, evidence)


def encoder(name: str, skill: float, seeds: tuple[int, ...], metric: str = "auroc") -> Standing:
    return standing(name, seeds, [run(skill, 10 * seed + len(name)) for seed in seeds], metric, draws=200)


def scores_of(one: Standing, seed: int) -> np.ndarray:
    evidence = one.runs[seed].evidence
    assert isinstance(evidence, Scores)
    return evidence.scores


@pytest.mark.parametrize(("metric", "measure"), [("auroc", roc_auc_score), ("auprc", average_precision_score)])
def test_the_mean_over_seeds_is_a_mean_in_every_draw(metric: str, measure: object) -> None:
    one = encoder("a", 1.0, (0, 1, 2), metric)
    single = [run.replicates(metric, 200, 0) for run in one.runs]
    assert np.allclose(one.values, np.mean([part.values for part in single], axis=0), equal_nan=True)
    known = ~np.isnan(LABELS)
    by_hand = [
        [measure(LABELS[known[:, k], k], scores_of(one, s)[known[:, k], k]) for k in range(K)]  # type: ignore[operator]
        for s in range(3)
    ]
    assert one.points == pytest.approx(np.mean(by_hand, axis=0), abs=1e-12)
    assert one.spread(BOTH) == pytest.approx(np.std(np.mean(by_hand, axis=1), ddof=1), abs=1e-12)
    macro = one.macro(BOTH)
    assert macro.value == pytest.approx(np.mean(by_hand), abs=1e-12)
    assert macro.low is not None
    assert macro.low < np.mean(by_hand) < (macro.high or 0)
    assert (macro.n, macro.n_patients) == (N, N // 2)


def test_one_run_has_no_spread_and_one_patient_no_interval() -> None:
    alone = encoder("a", 1.0, (0,))
    assert alone.spread(BOTH) is None
    assert alone.macro(np.array([False, False])).value is None


@pytest.mark.parametrize("metric", ["auroc", "auprc"])
@pytest.mark.parametrize("seeds", [(0,), (0, 1)])
def test_the_permutation_swaps_all_seeds_together(metric: str, seeds: tuple[int, ...]) -> None:
    """Slow: every swap by scikit-learn, on ranks, averaged over seeds and findings."""
    one, two = encoder("a", 1.2, seeds, metric), encoder("bb", 0.6, seeds, metric)
    measure = roc_auc_score if metric == "auroc" else average_precision_score
    ids, patient = np.unique(PATIENTS, return_inverse=True)
    coins = np.concatenate(list(swap_blocks(ids.size, 50, 0)), axis=1)[:, :25]
    gaps = []
    for swap in coins.T:
        found = []
        for seed in range(len(seeds)):
            for k in range(K):
                known = ~np.isnan(LABELS[:, k])
                left, right = (rankdata(scores_of(side, seed)[known, k]) for side in (one, two))
                turned = swap[patient[known]] == 1
                first, second = np.where(turned, right, left), np.where(turned, left, right)
                truth = LABELS[known, k]
                found.append(measure(truth, first) - measure(truth, second))
        gaps.append(np.mean(found))
    observed = float((one.points - two.points).mean())
    expected = (1 + (np.abs(gaps) >= abs(observed) - 1e-12).sum()) / 26
    assert permutation_p(one, two, metric, BOTH, permutations=25) == pytest.approx(expected)
    assert permutation_p(two, one, metric, BOTH, permutations=25) == pytest.approx(expected)


def test_the_difference_is_paired() -> None:
    one, two = encoder("a", 1.2, (0, 1)), encoder("bb", 0.6, (0, 1))
    gap = difference(one, two, BOTH)
    assert gap.value == pytest.approx(one.points.mean() - two.points.mean())
    assert difference(one, one, BOTH).to_json()["value"] == 0
    assert difference(one, one, BOTH).low == 0
    assert difference(one, two, np.array([False, False])).value is None


def test_encoders_with_other_seeds_are_still_compared() -> None:
    one, two = encoder("a", 1.2, (0, 1)), encoder("bb", 0.6, (1,))
    p = permutation_p(one, two, "auroc", BOTH, permutations=200)
    assert p is not None
    assert 1 / 201 <= p <= 1
    assert permutation_p(one, two, "ece", BOTH, permutations=200) is None  # no such test


def test_means_over_items_are_permuted_as_means_over_seeds(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    category = np.array(["left", "right"] * (N // 2))
    values = [rng.random(N) for _ in range(4)]

    def judged(number: int) -> Judgement:
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "results.json").write_text('{"task": "grounding"}')
        ids = [str(k) for k in range(N)]
        table = {"item_id": ids, "image_id": ids, "patient_id": PATIENTS, "category": category}
        pd.DataFrame({**table, "value.iou": values[number]}).to_parquet(folder / "items.parquet")
        return open_judgement(folder)

    one, two = (
        standing(name, (0, 1), [judged(number) for number in part], "iou", draws=100)
        for name, part in (("a", (0, 1)), ("b", (2, 3)))
    )
    means = [np.mean(part, axis=0) for part in (values[:2], values[2:])]
    expected = permute_items(*means, PATIENTS, categories=category, permutations=99).p
    assert permutation_p(one, two, "iou", BOTH, permutations=99) == expected
    half = permute_items(*(mean[::2] for mean in means), PATIENTS[::2], permutations=99).p
    assert permutation_p(one, two, "iou", np.array([True, False]), permutations=99) == half


def test_what_rests_on_one_patient_has_no_interval_and_no_p() -> None:
    """One film alone has a mask: every draw gives its value, which is no certainty."""
    one, two = encoder("a", 1.2, (0,)), encoder("bb", 0.6, (0,))
    alone = [replace(side, counts=(Counts(1, 1, 1),) * K) for side in (one, two)]
    macro, gap = alone[0].macro(BOTH), difference(alone[0], alone[1], BOTH)
    assert (macro.value, macro.low, macro.reason) == (one.macro(BOTH).value, None, "one patient: no interval")
    assert (gap.low, gap.p, gap.reason) == (None, None, "one patient: no interval")


def test_places_over_the_draws() -> None:
    good, bad = encoder("a", 4.0, (0, 1)), encoder("bb", 0.0, (0, 1))
    assert places([good, bad], BOTH, higher=True) == [(1.0, 1.0, 1.0), (2.0, 2.0, 0.0)]
    assert places([good, bad], BOTH, higher=False) == [(2.0, 2.0, 0.0), (1.0, 1.0, 1.0)]
    assert places([good, good], BOTH, higher=True)[0] == (1.0, 1.0, 1.0)  # equals share the place
