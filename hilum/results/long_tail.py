"""Macro values by how common the findings are, since a mean over all hides that the rare ones are hardly found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from hilum.metrics.bootstrap import RANKING, Bootstrap
from hilum.metrics.estimate import Estimate, percentile_interval
from hilum.metrics.prevalence import CUTS, PrevalenceBin, prevalence_bins


def long_tail_results(
    judged: Bootstrap, cuts: Sequence[float] = CUTS, training: Mapping[str, tuple[int, int]] | None = None
) -> dict[str, Any]:
    """Mean AUROC and AUPRC over the findings of each bin of prevalence, on the same draws as everything else.

    Args:
        judged: of K findings.
        cuts: rising shares inside (0, 1).
        training: finding -> films with and without it that a classifier learned from; where all findings have an
            entry, it is their prevalence there that counts, otherwise that on the judged films.

    Returns:
        Plain JSON values: `cuts`, `counted_on` ("training films" or "these films") and `bins`, rarest first, each with
        its `findings` and their mean `auroc`, `auprc`.
    """
    positive, n = ([getattr(one, name) for one in judged.counts] for name in ("n_positive", "n"))
    seen = [training[name] for name in judged.findings if name in training] if training is not None else []
    seen = seen if len(seen) == len(judged.findings) else []
    if seen:
        positive, n = [one[0] for one in seen], [sum(one) for one in seen]
    bins, _ = prevalence_bins(positive, n, cuts)
    where = "training films" if seen else "these films"
    return {"cuts": list(cuts), "counted_on": where, "bins": [_bin(judged, one) for one in bins]}


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
