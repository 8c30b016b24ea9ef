"""The door of every metric: which images are judged, and whether the input can be used at all."""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

NO_LABELS: Final = "no labels"
NO_POSITIVES: Final = "no positives"
NO_NEGATIVES: Final = "no negatives"


def judged(
    labels: ArrayLike, scores: ArrayLike, counts: ArrayLike | None = None
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]:
    """Check one finding's labels and scores and keep the images that count.

    Args:
        labels: (N,) 1 present, 0 absent, NaN blank.
        scores: (N,) any real number or infinity; larger means more likely present.
        counts: (N,) whole numbers >= 0, how often each image is taken; all 1 when absent.

    Returns:
        positive (M,), scores (M,), counts (M,) of the images with a label and a count above 0.

    Raises:
        ValueError: shapes differ, a label is not 1, 0 or NaN, a judged score is NaN, or a count is not a
            whole number.
    """
    label = np.asarray(labels, dtype=np.float64)
    score = np.asarray(scores, dtype=np.float64)
    weight = np.ones(label.shape, dtype=np.int64) if counts is None else whole_counts(counts)
    if label.ndim != 1 or label.shape != score.shape or label.shape != weight.shape:
        raise ValueError(
            f"labels, scores and counts must be vectors of one length, got {label.shape}, {score.shape}, {weight.shape}"
        )
    known = ~np.isnan(label)
    if not np.isin(label[known], (0.0, 1.0)).all():
        raise ValueError("labels must be 1, 0 or NaN (blank); settle uncertain labels by a policy first")
    keep = known & (weight > 0)
    if np.isnan(score[keep]).any():
        raise ValueError("a score is NaN; every image with a label needs a score")
    return label[keep] == 1.0, score[keep], weight[keep]


def whole_counts(counts: ArrayLike) -> NDArray[np.int64]:
    """`counts` as int64; raises ValueError unless they are whole numbers >= 0."""
    given = np.asarray(counts)
    whole = given.astype(np.int64)
    if (whole < 0).any() or (whole != given).any():
        raise ValueError("counts must be whole numbers >= 0")
    return whole


def undefined_reason(n_positive: int, n_negative: int) -> str:
    """Why a finding cannot be judged; empty when it has both classes."""
    if n_positive + n_negative == 0:
        return NO_LABELS
    if n_positive == 0:
        return NO_POSITIVES
    return NO_NEGATIVES if n_negative == 0 else ""
