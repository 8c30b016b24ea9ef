"""Every entry of METRICS keeps the one contract: properties over labels, ties, blanks and counts."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.metrics import (
    accuracy_score,
    average_precision_score,
    brier_score_loss,
    f1_score,
    recall_score,
    roc_auc_score,
)

from hilum.metrics import METRICS

RANKING = ("auroc", "auprc")
AT_THRESHOLD = ("sensitivity", "specificity", "f1", "accuracy")
BLANK = float("nan")

films = st.lists(
    st.tuples(
        st.sampled_from([0.0, 1.0, BLANK]),
        st.integers(0, 20).map(lambda i: i / 20),  # coarse: many ties
        st.integers(0, 3),
    ),
    max_size=30,
)
quick = settings(max_examples=60, deadline=None)


def metric(name: str) -> Callable[..., float | None]:
    module, attribute = METRICS[name].split(":")
    return getattr(import_module(module), attribute)


def columns(rows: list[tuple[float, float, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    table = np.array(rows, dtype=float).reshape(-1, 3)
    return table[:, 0], table[:, 1], table[:, 2].astype(int)


@pytest.mark.parametrize("name", METRICS)
@given(rows=films, data=st.data())
@quick
def test_contract(name: str, rows: list[tuple[float, float, int]], data: st.DataObject) -> None:
    f = metric(name)
    labels, scores, counts = columns(rows)
    value = f(labels, scores, counts)
    assert value is None or (type(value) is float and 0 <= value <= 1)  # never NaN, bounded

    order = data.draw(st.permutations(range(len(rows))))
    shuffled = f(labels[list(order)], scores[list(order)], counts[list(order)])
    assert shuffled == (None if value is None else pytest.approx(value, abs=1e-12))

    repeated = f(np.repeat(labels, counts), np.repeat(scores, counts))
    assert repeated == (None if value is None else pytest.approx(value, abs=1e-12))

    known = ~np.isnan(labels)
    assert f(labels[known], scores[known], counts[known]) == value

    if not known.any() or not counts[known].any():
        assert value is None


@pytest.mark.parametrize("name", RANKING)
@given(rows=films)
@quick
def test_ranking_sees_only_the_order(name: str, rows: list[tuple[float, float, int]]) -> None:
    labels, scores, counts = columns(rows)
    assert metric(name)(labels, np.exp(3 * scores) - 7, counts) == metric(name)(labels, scores, counts)


@given(rows=films)
@quick
def test_flipping_labels_and_scores(rows: list[tuple[float, float, int]]) -> None:
    labels, scores, counts = columns(rows)
    value = metric("auroc")(labels, scores, counts)
    flipped = None if value is None else pytest.approx(value, abs=1e-12)
    assert metric("auroc")(1 - labels, -scores, counts) == flipped
    assert metric("auroc")(1 - labels, scores, counts) == (
        None if value is None else pytest.approx(1 - value, abs=1e-12)
    )
    scores = np.where(scores == 0.5, 0.55, scores)  # at the threshold itself the rule is not symmetric
    one = metric("sensitivity")(labels, scores, counts)
    assert metric("specificity")(1 - labels, 1 - scores, counts) == one
    assert metric("accuracy")(1 - labels, 1 - scores, counts) == metric("accuracy")(labels, scores, counts)


@given(rows=films)
@quick
def test_agreement_with_scikit_learn(rows: list[tuple[float, float, int]]) -> None:
    labels, scores, counts = columns([row for row in rows if row[0] == row[0] and row[2]])
    if not 0 < labels.sum() < labels.size:
        return
    called, weight = scores >= 0.5, {"sample_weight": counts}
    expected = {
        "auroc": roc_auc_score(labels, scores, **weight),
        "auprc": average_precision_score(labels, scores, **weight),
        "sensitivity": recall_score(labels, called, **weight),
        "specificity": recall_score(labels, called, pos_label=0, **weight),
        "f1": f1_score(labels, called, **weight),
        "accuracy": accuracy_score(labels, called, **weight),
        "brier": brier_score_loss(labels, scores, **weight),
    }
    for name, value in expected.items():
        assert metric(name)(labels, scores, counts) == pytest.approx(value, abs=1e-12), name
