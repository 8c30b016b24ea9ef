"""What validation films decide: which weights are kept (macro AUROC), and the thresholds (max F1)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from hilum.errors import ManifestError
from hilum.metrics.operating_point import best_f1_threshold
from hilum.metrics.ranking import auroc

DEFAULT_THRESHOLD = 0.5


def macro_auroc(targets: NDArray[np.floating], scores: NDArray[np.floating]) -> float | None:
    """Mean AUROC over the findings that have both classes; None when none has, or a score is not finite.

    Args:
        targets: (N, K) of 1, 0, NaN.
        scores: (N, K), larger means more likely present.
    """
    if not np.isfinite(scores).all():
        return None
    each = [auroc(targets[:, column], scores[:, column]) for column in range(targets.shape[1])]
    defined = [value for value in each if value is not None]
    return float(np.mean(defined)) if defined else None


def choose_thresholds(
    targets: NDArray[np.floating], scores: NDArray[np.floating], findings: Sequence[str]
) -> tuple[dict[str, float], dict[str, str]]:
    """The threshold of the largest F1 on validation films for each finding, and notes where there is none.

    A finding without a positive or without a negative among these films cannot choose; it keeps 0.5, and the
    note says so.

    Args:
        targets: (N, K) of 1, 0, NaN.
        scores: (N, K) probabilities.
        findings: the K names.
    """
    thresholds, notes = {}, {}
    for column, finding in enumerate(findings):
        chosen = best_f1_threshold(targets[:, column], scores[:, column])
        thresholds[finding] = DEFAULT_THRESHOLD if chosen is None else chosen
        if chosen is None:
            missing = "positives" if not (targets[:, column] == 1).any() else "negatives"
            notes[finding] = f"no {missing} in validation: the threshold is {DEFAULT_THRESHOLD}, not chosen"
    return thresholds, notes


def check_choosable(targets: NDArray[np.floating], *, split: str = "val") -> None:
    """Refuse validation films on which no AUROC is defined: nothing could be chosen by them.

    Raises:
        ManifestError: no finding has both classes.
    """
    if not any((column == 1).any() and (column == 0).any() for column in targets.T):
        raise ManifestError(
            f"the {split} split ({len(targets)} films) has both classes of no finding: nothing can be chosen",
            where="labels",
            fix="Give the val split labelled films with and without the finding",
        )
