"""Patient-level bootstrap of classification metrics, per finding and macro, and paired differences.

Images of one patient are not independent, so patients are drawn, with all their images, and every finding and
every compared model sees the same draws. A replicate that lacks a positive or a negative of a finding says
nothing about it: it is skipped for that finding, and `Estimate.draws` states how many were used.

The macro value is the mean over the findings that are defined; in each replicate, the mean over those still
defined in it. Findings without both classes are undefined for every metric, so that all columns of a table
speak of the same ones.

Source: Efron 1979 (percentile bootstrap); Field and Welsh 2007 (resampling whole clusters).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.metrics.estimate import Difference, Estimate, percentile_interval, two_sided_share
from hilum.metrics.judged import undefined_reason
from hilum.metrics.ranking import auroc, average_precision
from hilum.metrics.replicates import LANES, Sorted, draw_blocks, rank_block, sort_finding

RANKING: Final = ("auroc", "auprc")
AT_THRESHOLD: Final = ("f1", "accuracy", "sensitivity", "specificity")
NO_THRESHOLD: Final = "no threshold"
NOT_PAIRED: Final = "a paired difference needs the same patients, labels, draws and seed on both sides"

Floats = NDArray[np.float64]
_Metric = Callable[[Floats, Floats], float | None]


@dataclass(frozen=True)
class Counts:
    """What a number rests on."""

    n: int  # images with a label
    n_patients: int  # patients of these images
    n_positive: int  # images with the finding


@dataclass(frozen=True)
class Bootstrap:
    """Point values and replicates of every metric; ask it for estimates.

    Metrics are "auroc", "auprc" and, for each operating point, "f1@NAME", "accuracy@NAME",
    "sensitivity@NAME", "specificity@NAME". NaN inside the arrays marks "undefined"; estimates say None and a
    reason instead.
    """

    findings: tuple[str, ...]
    counts: tuple[Counts, ...]  # one a finding
    macro_counts: Counts  # over the defined findings: images judged for any of them, positive for any of them
    reasons: tuple[str, ...]  # one a finding: why it is undefined, or ""
    points: Mapping[str, Floats]  # metric -> (K,)
    replicates: Mapping[str, Floats]  # metric -> (K, draws)
    draws: int
    confidence: float
    pairing: str  # digest of patients, labels, draws and seed: what two paired results must share

    def estimate(self, metric: str, finding: str) -> Estimate:
        """One finding's metric with its percentile interval."""
        row = self.findings.index(finding)
        reason = self.reasons[row] or (NO_THRESHOLD if np.isnan(self.points[metric][row]) else "")
        return self._estimate(self.points[metric][row], self.replicates[metric][row], self.counts[row], reason)

    def macro(self, metric: str) -> Estimate:
        """The mean over the defined findings with its percentile interval."""
        points = self.points[metric]
        reason = "no finding is defined" if np.isnan(points).all() else ""
        return self._estimate(
            _mean_defined(points[:, None])[0],
            _mean_defined(self.replicates[metric]),
            self.macro_counts,
            reason,
        )

    def _estimate(self, value: float, replicates: Floats, counts: Counts, reason: str) -> Estimate:
        n, n_patients, n_positive = counts.n, counts.n_patients, counts.n_positive
        if reason:
            return Estimate(None, None, None, n, n_patients, n_positive, 0, reason)
        low, high, used = percentile_interval(replicates, self.confidence)
        if n_patients < 2:
            low, high, used, reason = None, None, 0, "one patient: no interval"
        elif low is None:
            reason = "no usable draw: no interval"
        return Estimate(float(value), low, high, n, n_patients, n_positive, used, reason)


def bootstrap(
    labels: ArrayLike,
    scores: ArrayLike,
    patients: ArrayLike,
    *,
    findings: Sequence[str],
    operating_points: Mapping[str, Sequence[float | None]] | None = None,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> Bootstrap:
    """Judge scores with a patient-level bootstrap.

    The result depends neither on the order of the rows nor, for the first replicates, on how many draws
    follow.

    Args:
        labels: (N, K) 1, 0, or NaN (blank, left out).
        scores: (N, K) larger means more likely present.
        patients: (N,) patient ids; images of one id are drawn together.
        findings: K names.
        operating_points: name -> K thresholds (None where a finding has none); positive means score >=
            threshold.
        draws: replicates.
        seed: of the draws.
        confidence: coverage of the intervals, in (0, 1).

    Raises:
        ValueError: shapes differ, labels are not 1, 0 or NaN, or a judged score is NaN.
    """
    label, score = np.asarray(labels, dtype=np.float64), np.asarray(scores, dtype=np.float64)
    ids, patient = np.unique(np.asarray(patients, dtype=str), return_inverse=True)
    names = tuple(findings)
    if label.shape != score.shape or label.shape != (patient.size, len(names)):
        raise ValueError(
            f"labels {label.shape} and scores {score.shape} must be ({patient.size}, {len(names)} findings)"
        )
    if not 0 < confidence < 1 or draws < 0:
        raise ValueError(f"confidence must lie in (0, 1) and draws be >= 0, got {confidence} and {draws}")
    thresholds = {name: _thresholds(values, names) for name, values in (operating_points or {}).items()}

    known, positive = ~np.isnan(label), label == 1
    judged = [(int(known[:, k].sum()), int(positive[:, k].sum())) for k in range(len(names))]
    reasons = tuple(undefined_reason(present, n - present) for n, present in judged)
    defined = np.array([not reason for reason in reasons], dtype=bool)
    cells = _Cells(known, positive, score, patient, ids.size, thresholds)
    points = {
        "auroc": _per_finding(auroc, label, score),
        "auprc": _per_finding(average_precision, label, score),
        **{name: value[:, 0] for name, value in cells.metrics(np.ones((ids.size, 1)), defined).items()},
    }
    ranked = {
        k: sort_finding(positive[known[:, k], k], score[known[:, k], k], patient[known[:, k]])
        for k in map(int, np.flatnonzero(defined))
    }
    return Bootstrap(
        findings=names,
        counts=tuple(_counts(known[:, [k]], positive[:, [k]], patient) for k in range(len(names))),
        macro_counts=_counts(known[:, defined], positive[:, defined], patient),
        reasons=reasons,
        points=points,
        replicates=_replicates(ranked, cells, defined, ids.size, draws=draws, seed=seed),
        draws=draws,
        confidence=confidence,
        pairing=_digest(ids, cells.rows[: 2 * len(names)], draws, seed),
    )


def difference(first: Bootstrap, second: Bootstrap, metric: str, finding: str | None = None) -> Difference:
    """Paired difference `first - second` of a finding's metric, or of the macro value if none is named.

    Raises:
        ValueError: the two do not share patients, labels, findings, draws and seed.
    """
    if first.pairing != second.pairing or first.findings != second.findings:
        raise ValueError(NOT_PAIRED)
    one, two = (run.macro(metric) if finding is None else run.estimate(metric, finding) for run in (first, second))
    if one.value is None or two.value is None:
        return Difference(None, None, None, None, 0, one.reason or two.reason)
    if finding is None:
        gap = _mean_defined(first.replicates[metric]) - _mean_defined(second.replicates[metric])
    else:
        row = first.findings.index(finding)
        gap = first.replicates[metric][row] - second.replicates[metric][row]
    low, high, used = percentile_interval(gap, first.confidence)
    share = two_sided_share(gap)
    if one.low is None or two.low is None:
        low, high, share, used = None, None, None, 0
    return Difference(one.value - two.value, low, high, share, used, one.reason or two.reason)


class _Cells:
    """Films called positive, summed per patient; a replicate's cells are then one exact matrix product."""

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
        self.no_threshold = [np.isnan(threshold) for threshold in points.values()]
        marks = [positive, known & ~positive]
        for threshold in points.values():
            called = score >= threshold  # False where the threshold or a blank image's score is NaN
            marks += [positive & called, known & ~positive & called]
        table = np.concatenate(marks, axis=1).T
        self.rows = np.array(
            [np.bincount(patient[row], minlength=n_patients) for row in table], dtype=np.float64
        ).reshape(len(table), n_patients)  # (K (2 + 2 T), P): positives, negatives, then TP and FP a point

    def metrics(self, counts: Floats, defined: NDArray[np.bool_]) -> dict[str, Floats]:
        """Threshold metrics (K, R) of replicates given as counts (P, R); NaN where undefined."""
        sums = (self.rows @ counts).reshape(2 + 2 * len(self.names), self.findings, counts.shape[1])
        positives, negatives = sums[0], sums[1]
        usable = (positives > 0) & (negatives > 0) & defined[:, None]
        found: dict[str, Floats] = {}
        for place, name in enumerate(self.names):
            tp, fp = sums[2 + 2 * place], sums[3 + 2 * place]
            fine = usable & ~self.no_threshold[place][:, None]
            found[f"f1@{name}"] = _divide(2 * tp, tp + fp + positives, fine)
            found[f"accuracy@{name}"] = _divide(tp + negatives - fp, positives + negatives, fine)
            found[f"sensitivity@{name}"] = _divide(tp, positives, fine)
            found[f"specificity@{name}"] = _divide(negatives - fp, negatives, fine)
        return found


def _replicates(
    ranked: Mapping[int, Sorted],
    cells: _Cells,
    defined: NDArray[np.bool_],
    n_patients: int,
    *,
    draws: int,
    seed: int,
) -> dict[str, Floats]:
    """Every metric in every replicate, metric -> (K, draws); NaN where undefined."""
    shape = (defined.size, draws)
    found = {"auroc": np.full(shape, np.nan), "auprc": np.full(shape, np.nan)}
    found.update({metric: np.full(shape, np.nan) for metric in cells.metric_names})
    roc, precision = np.empty(LANES), np.empty(LANES)
    for block, counts in enumerate(draw_blocks(n_patients, draws, seed)):
        here = slice(block * LANES, min((block + 1) * LANES, draws))
        lanes = here.stop - here.start
        for k, order in ranked.items():
            rank_block(counts, order.patient, order.start, order.middle, roc, precision)
            found["auroc"][k, here] = roc[:lanes]
            found["auprc"][k, here] = precision[:lanes]
        if cells.metric_names:
            for metric, values in cells.metrics(counts[:, :lanes].astype(np.float64), defined).items():
                found[metric][:, here] = values
    return found


def _divide(part: Floats, whole: Floats, where: NDArray[np.bool_]) -> Floats:
    found = np.full(part.shape, np.nan)
    np.divide(part, whole, out=found, where=where)
    return found


def _mean_defined(values: Floats) -> Floats:
    """Mean over the first axis (K, R) -> (R,), leaving NaN out; NaN where nothing is left."""
    fine = ~np.isnan(values)
    left = fine.sum(axis=0)
    return _divide(np.where(fine, values, 0.0).sum(axis=0), left.astype(np.float64), left > 0)


def _per_finding(metric: _Metric, labels: Floats, scores: Floats) -> Floats:
    found = [metric(labels[:, k], scores[:, k]) for k in range(labels.shape[1])]
    return np.array([np.nan if value is None else value for value in found], dtype=np.float64)


def _thresholds(values: Sequence[float | None], findings: Sequence[str]) -> Floats:
    if len(values) != len(findings):
        raise ValueError(f"an operating point needs one threshold for each of {len(findings)} findings")
    return np.array([np.nan if value is None else value for value in values], dtype=np.float64)


def _counts(known: NDArray[np.bool_], positive: NDArray[np.bool_], patient: NDArray[np.intp]) -> Counts:
    any_known = known.any(axis=1)
    return Counts(int(any_known.sum()), int(np.unique(patient[any_known]).size), int(positive.any(axis=1).sum()))


def _digest(ids: NDArray[np.str_], labels_per_patient: Floats, draws: int, seed: int) -> str:
    text = "\n".join(ids.tolist()).encode() + labels_per_patient.tobytes() + f"{draws} {seed}".encode()
    return hashlib.sha256(text).hexdigest()
