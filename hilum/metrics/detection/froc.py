"""Free-response ROC: the share of true boxes hit against the false positives an image, as the threshold falls.

A found box at an IoU of 0.5 or more with a true one, matched as in `matching`, is a hit; every other is a false
positive, a second box on the same finding too. Images without the finding count in the mean.

Source: Bunch et al. 1978, https://doi.org/10.1117/12.955926
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.detection.matching import Ranked

Floats = NDArray[np.float64]


class FrocCurve(NamedTuple):
    """One point a threshold, from strict to lenient; all (G,)."""

    threshold: Floats  # score from which a box counts
    false_positives: Floats  # an image
    sensitivity: Floats  # share of true boxes


def froc_curve(ranked: Ranked) -> FrocCurve | None:
    """The curve of one category; None without a true box."""
    boxes, images = int(ranked.positives.sum()), ranked.positives.size
    if not boxes:
        return None
    ends = np.flatnonzero(np.append(ranked.score[1:] != ranked.score[:-1], True)[: ranked.score.size])
    hit = np.cumsum(ranked.hits[:, 0])[ends]
    return FrocCurve(ranked.score[ends], (ends + 1 - hit) / images, hit / boxes)


def threshold_at_rate(ranked: Ranked, rate: float) -> float | None:
    """The lowest score with at most `rate` false positives an image; None where even the best box is too many."""
    curve = froc_curve(ranked)
    if curve is None:
        return None
    allowed = np.flatnonzero(curve.false_positives <= rate + 1e-12)
    return float(curve.threshold[allowed[-1]]) if allowed.size else None
