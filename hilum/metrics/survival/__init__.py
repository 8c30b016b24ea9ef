"""Time to an event: curves, the log-rank test, and how well a score tells early from late. NumPy in, numbers out.

A subject is a time (days from the film, >= 0) and an event code: 0 censored (still well when last seen), 1 the event,
2 or more a competing cause after which the event cannot happen. NaN in both means unknown and is left out. A score is
larger where the event is expected earlier. What is undefined is None, never NaN and never a warning.
"""

from __future__ import annotations

from hilum.metrics.survival.concordance import harrell_c, uno_c
from hilum.metrics.survival.curves import Curve, at_horizon, at_risk, cumulative_incidence, kaplan_meier
from hilum.metrics.survival.followed import label_at, median_follow_up
from hilum.metrics.survival.intervals import Discrimination, discrimination
from hilum.metrics.survival.log_rank import LogRank, log_rank
from hilum.metrics.survival.time_dependent import time_dependent_auroc

__all__ = [
    "Curve",
    "Discrimination",
    "LogRank",
    "at_horizon",
    "at_risk",
    "cumulative_incidence",
    "discrimination",
    "harrell_c",
    "kaplan_meier",
    "label_at",
    "log_rank",
    "median_follow_up",
    "time_dependent_auroc",
    "uno_c",
]
