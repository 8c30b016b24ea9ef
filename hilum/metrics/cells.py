"""Metrics at operating points in every replicate at once: films called positive are summed per patient.

A replicate is a count per patient, so its true and false positives are one exact product of whole numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

AT_THRESHOLD: Final = ("f1", "accuracy", "sensitivity", "specificity")


class Cells:
    """Positives, negatives and what each operating point calls positive, per patient.

    Args:
        known: (N, K) where a label is.
        positive: (N, K) where it is 1.
        score: (N, K) larger means more likely present.
        patient: (N,) row of each image's patient.
        n_patients: P.
        points: name of an operating point -> (K,) thresholds, NaN where a finding has none.
    """

    def __init__(
        self,
        known: NDArray[np.bool_],
        positive: NDArray[np.bool_],
        score: Floats,
        patient: NDArray[np.intp],
        n_patients: int,
        points: Mapping[str, Floats],
    ) -> None:
        self.names, self.findings = tuple(points), known.shape[1]
        self.metric_names = [f"{metric}@{name}" for name in points for metric in AT_THRESHOLD]
        self._no_threshold = [np.isnan(threshold) for threshold in points.values()]
        marks = [positive, known & ~positive]
        for threshold in points.values():
            called = score >= threshold  # False where the threshold or a blank image's score is NaN
            marks += [positive & called, known & ~positive & called]
        table = np.concatenate(marks, axis=1).T
        self.rows = np.array(
            [np.bincount(patient[row], minlength=n_patients) for row in table], dtype=np.float64
        ).reshape(len(table), n_patients)  # (K (2 + 2 T), P): positives, negatives, then TP and FP a point

    @property
    def labels_per_patient(self) -> Floats:
        """(2 K, P) positives, then negatives, of each finding."""
        return self.rows[: 2 * self.findings]

    def metrics(self, counts: Floats, defined: NDArray[np.bool_]) -> dict[str, Floats]:
        """Threshold metrics (K, R) of replicates given as counts (P, R); NaN where undefined."""
        sums = (self.rows @ counts).reshape(2 + 2 * len(self.names), self.findings, counts.shape[1])
        positives, negatives = sums[0], sums[1]
        usable = (positives > 0) & (negatives > 0) & defined[:, None]
        found: dict[str, Floats] = {}
        for place, name in enumerate(self.names):
            tp, fp = sums[2 + 2 * place], sums[3 + 2 * place]
            fine = usable & ~self._no_threshold[place][:, None]
            found[f"f1@{name}"] = divide(2 * tp, tp + fp + positives, fine)
            found[f"accuracy@{name}"] = divide(tp + negatives - fp, positives + negatives, fine)
            found[f"sensitivity@{name}"] = divide(tp, positives, fine)
            found[f"specificity@{name}"] = divide(negatives - fp, negatives, fine)
        return found


def divide(part: Floats, whole: Floats, where: NDArray[np.bool_]) -> Floats:
    """`part / whole` where asked, NaN elsewhere."""
    found = np.full(part.shape, np.nan)
    np.divide(part, whole, out=found, where=where)
    return found
