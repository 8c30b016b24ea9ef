"""Macro values by how common the findings are, since a mean over all hides that the rare ones are hardly found."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from hilum.metrics.bootstrap import RANKING, Bootstrap
from hilum.metrics.estimate import Estimate, percentile_interval
from hilum.metrics.prevalence import CUTS, PrevalenceBin, prevalence_bins


def long_tail_results(judged: Bootstrap, cuts: Sequence[float] = CUTS) -> dict[str, Any]:
    """Mean AUROC and AUPRC over the findings of each bin of prevalence, on the same draws as everything else.

    Args:
        judged: of K findings; a finding's prevalence is that on the judged films.
        cuts: rising shares inside (0, 1).

    Returns:
        Plain JSON values: `cuts` and `bins`, rarest first, each with its `findings` and their mean `auroc`, `auprc`.
    """
    bins, _ = prevalence_bins([one.n_positive for one in judged.counts], [one.n for one in judged.counts], cuts)
    return {"cuts": list(cuts), "bins": [_bin(judged, one) for one in bins]}


def _bin(judged: Bootstrap, one: PrevalenceBin) -> dict[str, Any]:
    defined = [k for k in one.findings if not judged.reasons[k]]
    return {
        "name": one.name,
        "findings": [judged.findings[k] for k in one.findings],
        "undefined": [judged.findings[k] for k in one.findings if judged.reasons[k]],
        **{metric: _mean(judged, metric, defined).to_json() for metric in RANKING},
    }


def _mean(judged: Bootstrap, metric: str, rows: Sequence[int]) -> Estimate:
    counts = [judged.counts[k] for k in rows]
    rest = (
        max((one.n for one in counts), default=0),
        max((one.n_patients for one in counts), default=0),
        sum(one.n_positive for one in counts),
    )
    if not rows:
        return Estimate(None, None, None, *rest, 0, "no finding of this bin is defined")
    points, replicates = judged.points[metric][list(rows)], judged.replicates[metric][list(rows)]
    known = ~np.isnan(replicates)
    mean = np.full(replicates.shape[1], np.nan)
    np.divide(np.where(known, replicates, 0.0).sum(axis=0), known.sum(axis=0), out=mean, where=known.any(axis=0))
    low, high, used = percentile_interval(mean, judged.confidence)
    if rest[1] < 2:
        low, high, used = None, None, 0
    return Estimate(float(points.mean()), low, high, *rest, used, "" if used else "no interval")
