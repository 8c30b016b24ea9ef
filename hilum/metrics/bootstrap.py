"""Patient-level bootstrap of classification metrics, per finding and macro, and paired differences.

Images of one patient are not independent, so patients are drawn, with all their images, and every finding and
every compared model sees the same draws. A replicate that lacks a positive or a negative of a finding says
nothing about it: it is skipped for that finding, and `Estimate.draws` states how many were used.

The macro value is the mean over the findings that are defined; in each replicate, the mean over those still
defined in it. Findings without both classes are undefined for every metric, so that all columns of a table
speak of the same ones.

Intervals are percentiles of the replicates, or BCa: percentiles moved for bias and skewness, which matters for rare
findings and near 1. BCa leaves out each patient in turn (of more than a thousand, a thousand random groups).

"ece" and "brier" need probabilities; a finding with a score outside [0, 1] has none, and they are undefined for it.

Source: Efron 1979 (percentile bootstrap); Efron 1987 (BCa); Field and Welsh 2007 (resampling whole clusters).
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from hilum.metrics.calibration import brier, expected_calibration_error
from hilum.metrics.calibration_lanes import Rising, calibration_block, sort_rising
from hilum.metrics.cells import AT_THRESHOLD, Cells, divide
from hilum.metrics.cores import on_all_cores
from hilum.metrics.estimate import Difference, Estimate, interval_of, two_sided_share
from hilum.metrics.jackknife import jackknife_blocks, jackknife_groups
from hilum.metrics.judged import undefined_reason
from hilum.metrics.ranking import auroc, average_precision
from hilum.metrics.replicates import LANES, Sorted, draw_blocks, rank_block, sort_finding

__all__ = ["AT_THRESHOLD", "CALIBRATION", "RANKING", "Bootstrap", "Counts", "bootstrap", "difference"]

RANKING: Final = ("auroc", "auprc")
CALIBRATION: Final = ("ece", "brier")
ECE_BINS: Final = 10  # as in `calibration.expected_calibration_error`
NO_THRESHOLD: Final = "no threshold"
NO_PROBABILITIES: Final = "scores outside [0, 1] are no probabilities"
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

    Metrics are "auroc", "auprc", "ece", "brier" and, for each operating point, "f1@NAME", "accuracy@NAME",
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
    jackknife: Mapping[str, Floats] = field(default_factory=dict)  # metric -> (K, groups); empty: percentile intervals

    @property
    def interval(self) -> str:
        """How the intervals are made, in words for a page."""
        groups = next((values.shape[1] for values in self.jackknife.values()), 0)
        if not groups:
            return "percentile intervals"
        if groups == self.macro_counts.n_patients:
            return f"BCa intervals, each of {groups:,} patients left out in turn"
        return f"BCa intervals, {groups:,} groups of patients left out in turn"

    def estimate(self, metric: str, finding: str) -> Estimate:
        """One finding's metric with its percentile interval."""
        row = self.findings.index(finding)
        jackknife = self.jackknife[metric][row] if self.jackknife else None
        reason = self.reasons[row] or ("" if not np.isnan(self.points[metric][row]) else _why(metric))
        return self._estimate(
            self.points[metric][row], self.replicates[metric][row], jackknife, self.counts[row], reason
        )

    def macro(self, metric: str) -> Estimate:
        """The mean over the defined findings with its interval."""
        points = self.points[metric]
        reason = "no finding is defined" if np.isnan(points).all() else ""
        if reason and not all(self.reasons):
            reason = _why(metric)
        return self._estimate(
            _mean_defined(points[:, None])[0],
            _mean_defined(self.replicates[metric]),
            _mean_defined(self.jackknife[metric]) if self.jackknife else None,
            self.macro_counts,
            reason,
        )

    def _estimate(
        self, value: float, replicates: Floats, jackknife: Floats | None, counts: Counts, reason: str
    ) -> Estimate:
        n, n_patients, n_positive = counts.n, counts.n_patients, counts.n_positive
        if reason:
            return Estimate(None, None, None, n, n_patients, n_positive, 0, reason)
        if n_patients < 2:
            return Estimate(float(value), None, None, n, n_patients, n_positive, 0, "one patient: no interval")
        low, high, used, reason = interval_of(value, replicates, jackknife, self.confidence)
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
    interval: Literal["percentile", "bca"] = "percentile",
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
        interval: "percentile" or "bca".

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

    if interval not in ("percentile", "bca"):
        raise ValueError(f"interval must be percentile or bca, got {interval!r}")
    known, positive = ~np.isnan(label), label == 1
    judged = [(int(known[:, k].sum()), int(positive[:, k].sum())) for k in range(len(names))]
    reasons = tuple(undefined_reason(present, n - present) for n, present in judged)
    defined = np.array([not reason for reason in reasons], dtype=bool)
    with np.errstate(invalid="ignore"):
        probable = defined & (~known | ((score >= 0) & (score <= 1))).all(axis=0)
    cells = Cells(known, positive, score, patient, ids.size, thresholds)
    orders = [
        _Orders(k, sort_finding(*films), sort_rising(*films) if probable[k] else None)
        for k in map(int, np.flatnonzero(defined))
        for films in [(positive[known[:, k], k], score[known[:, k], k], patient[known[:, k]])]
    ]
    points = {
        "auroc": _per_finding(auroc, label, score, np.ones_like(defined)),
        "auprc": _per_finding(average_precision, label, score, defined),
        "ece": _per_finding(expected_calibration_error, label, score, probable),
        "brier": _per_finding(brier, label, score, probable),
        **{name: value[:, 0] for name, value in cells.metrics(np.ones((ids.size, 1)), defined).items()},
    }
    jackknife: Mapping[str, Floats] = {}
    if interval == "bca":
        groups = jackknife_groups(ids.size)
        jackknife = _replicates(orders, cells, defined, jackknife_blocks(ids.size), groups)
    return Bootstrap(
        findings=names,
        counts=tuple(_counts(known[:, [k]], positive[:, [k]], patient) for k in range(len(names))),
        macro_counts=_counts(known[:, defined], positive[:, defined], patient),
        reasons=reasons,
        points=points,
        replicates=_replicates(orders, cells, defined, draw_blocks(ids.size, draws, seed), draws),
        draws=draws,
        confidence=confidence,
        pairing=_digest(ids, cells.labels_per_patient, draws, seed),
        jackknife=jackknife,
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
    gap, left = (
        _of_one(tables[0], metric, row) - _of_one(tables[1], metric, row) if tables[0] and tables[1] else None
        for row in [None if finding is None else first.findings.index(finding)]
        for tables in ((first.replicates, second.replicates), (first.jackknife, second.jackknife))
    )
    value = one.value - two.value
    if gap is None or min(one.n_patients, two.n_patients) < 2:
        return Difference(value, None, None, None, 0, one.reason or two.reason)
    low, high, used, reason = interval_of(value, gap, left, first.confidence)
    return Difference(value, low, high, two_sided_share(gap), used, reason)


class _Orders(NamedTuple):
    """One finding's films, sorted for each kind of metric."""

    finding: int
    ranked: Sorted
    rising: Rising | None  # None where the scores are no probabilities


def _replicates(
    orders: Sequence[_Orders],
    cells: Cells,
    defined: NDArray[np.bool_],
    blocks: Iterable[NDArray[np.uint8]],
    draws: int,
) -> dict[str, Floats]:
    """Every metric in every replicate, metric -> (K, draws); NaN where undefined."""
    shape = (defined.size, draws)
    found = {name: np.full(shape, np.nan) for name in (*RANKING, *CALIBRATION, *cells.metric_names)}

    for block, counts in enumerate(blocks):
        here = slice(block * LANES, min((block + 1) * LANES, draws))
        lanes = here.stop - here.start

        def judge(order: _Orders, counts: NDArray[np.uint8] = counts) -> Floats:
            values = np.full((4, LANES), np.nan)
            rank_block(counts, *order.ranked, values[0], values[1])
            if order.rising is not None:
                calibration_block(counts, *order.rising, ECE_BINS, values[2], values[3])
                values[2:, np.isnan(values[0])] = np.nan  # a replicate without both classes says nothing
            return values

        for order, values in zip(orders, on_all_cores(judge, orders), strict=True):
            for name, row in zip((*RANKING, *CALIBRATION), values, strict=True):
                found[name][order.finding, here] = row[:lanes]
        if cells.metric_names:
            for metric, values in cells.metrics(counts[:, :lanes].astype(np.float64), defined).items():
                found[metric][:, here] = values
    return found


def _of_one(table: Mapping[str, Floats], metric: str, row: int | None) -> Floats:
    """Replicates of a finding, or of the macro value where `row` is None."""
    return _mean_defined(table[metric]) if row is None else table[metric][row]


def _why(metric: str) -> str:
    """Why a metric of a finding with both classes is undefined."""
    return NO_PROBABILITIES if metric in CALIBRATION else NO_THRESHOLD


def _mean_defined(values: Floats) -> Floats:
    """Mean over the first axis (K, R) -> (R,), leaving NaN out; NaN where nothing is left."""
    fine = ~np.isnan(values)
    left = fine.sum(axis=0)
    return divide(np.where(fine, values, 0.0).sum(axis=0), left.astype(np.float64), left > 0)


def _per_finding(metric: _Metric, labels: Floats, scores: Floats, where: NDArray[np.bool_]) -> Floats:
    found = [metric(labels[:, k], scores[:, k]) if where[k] else None for k in range(labels.shape[1])]
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
