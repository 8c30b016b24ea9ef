"""What the page draws of one endpoint: Kaplan-Meier, and cumulative incidence where competing causes exist."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.metrics.survival import Curve, cumulative_incidence, kaplan_meier
from hilum.results.survival.subjects import Subjects, check_subjects


@dataclass(frozen=True)
class Curves:
    """The curves of one endpoint by group ("low" and "high", or "all"); groups without a subject are left out."""

    survival: Mapping[str, Curve]  # a competing cause counts as censored
    incidence: Mapping[str, Curve]  # of the event; empty without competing causes
    competing: Mapping[str, Curve]  # of the competing causes; likewise


def survival_curves(table: pd.DataFrame, *, threshold: float | None, confidence: float = 0.95) -> Curves:
    """Curves of the low and the high risk group, or of all where there is no threshold.

    Args:
        table: as for `survival_results`.
        threshold: high risk is a score of at least this.
        confidence: coverage of the pointwise intervals.

    Raises:
        UserError: the table is not one of subjects (see `check_subjects`).
    """
    subjects = check_subjects(table)
    rows = groups(subjects, threshold)
    both = {0: "survival", 1: "incidence", 2: "competing"}
    found: dict[str, dict[str, Curve]] = {name: {} for name in both.values()}
    for group, here in rows.items():
        time, event = subjects.time[here], subjects.event[here]
        drawn = [kaplan_meier(time, event, confidence=confidence)]
        if subjects.competing:
            drawn += [cumulative_incidence(time, event, cause=cause, confidence=confidence) for cause in (1, 2)]
        for place, curve in enumerate(drawn):
            if curve is not None:
                found[both[place]][group] = curve
    return Curves(**found)


def groups(subjects: Subjects, threshold: float | None) -> dict[str, NDArray[np.bool_]]:
    """Rows with a known follow-up by group: "low" and "high", or "all" where there is no threshold."""
    if threshold is None:
        return {"all": subjects.known}
    high = subjects.high(threshold)
    return {"low": subjects.known & ~high, "high": subjects.known & high}


def curves_table(curves: Mapping[str, Curves]) -> pd.DataFrame:
    """All points of all curves (endpoint -> curves) as one table, to be written as Parquet and drawn elsewhere."""
    parts = [
        pd.DataFrame(
            {
                "endpoint": endpoint,
                "curve": kind,
                "group": group,
                "time": curve.time,
                "value": curve.value,
                "low": curve.low,
                "high": curve.high,
                "at_risk": curve.at_risk,
                "events": curve.events,
                "others": curve.others,
            }
        )
        for endpoint, drawn in curves.items()
        for kind in ("survival", "incidence", "competing")
        for group, curve in getattr(drawn, kind).items()
    ]
    return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()
