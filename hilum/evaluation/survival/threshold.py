"""Where high risk begins: chosen on the subjects of validation, stored with the model, never moved by test.

`median` calls half of the validation subjects high risk. `youden` is the score that maximises sensitivity + specificity
- 1 for the event within the horizon, over the subjects whose state at the horizon is known. The paper parts its
groups (Figure 5) without saying where.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hilum.metrics.ranking import passed
from hilum.metrics.survival import label_at

Rule = Literal["median", "youden"]


def risk_threshold(
    scores: NDArray[np.float64], time: NDArray[np.float64], event: NDArray[np.float64], rule: Rule, horizon: float
) -> tuple[float, str]:
    """The threshold (high risk: score >= threshold), and a sentence on how it was chosen.

    Where the horizon parts nobody (no event before it, or nobody known to be free of it), `youden` has nothing to
    choose by and the median stands in, which the sentence says.

    Args:
        scores: (N,) of validation subjects, higher means an earlier event.
        time: (N,) days.
        event: (N,) 0, 1, 2.
        rule: median or youden.
        horizon: days.
    """
    median = float(np.median(scores))
    by_median = f"median score of {len(scores)} validation subjects"
    if rule == "median":
        return median, by_median
    score, tp, fp = passed(label_at(time, event, horizon), scores)
    if not (tp.size and tp[-1] and fp[-1]):
        return median, f"{by_median}, since none of them parts at the horizon"
    best = int((tp / tp[-1] - fp / fp[-1]).argmax())
    return float(score[best]), f"largest Youden index on {int(tp[-1] + fp[-1])} validation subjects at {horizon:g} days"
