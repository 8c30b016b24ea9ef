"""Judge a score of risk on followed subjects: every number with its interval, its counts, or why it is not there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import ConfigError
from hilum.metrics.bootstrap import bootstrap
from hilum.metrics.survival import (
    Discrimination,
    at_horizon,
    at_risk,
    cumulative_incidence,
    discrimination,
    kaplan_meier,
    label_at,
    log_rank,
    median_follow_up,
)
from hilum.results.classification import plain, software_versions
from hilum.results.survival.curves import groups
from hilum.results.survival.plots import ticks
from hilum.results.survival.subjects import Subjects, check_subjects
from hilum.schema import ENDPOINTS

STEPS: Final = 12  # times at which AUROC is asked for the plot, beside the horizon
FEW: Final = 0.05  # curves are drawn while at least this share of the subjects is still watched
COHORT: Final = {"sex": "Sex", "site": "Site", "view_position": "View"}
UNKNOWN: Final = "unknown"
AT_THRESHOLD: Final = ("sensitivity", "specificity")


def survival_results(
    table: pd.DataFrame,
    *,
    endpoint: str,
    horizon: float,
    threshold: float | None,
    reduce: str,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    context: Mapping[str, Any],
    threshold_origin: str = "",
    horizon_origin: str = "",
) -> dict[str, Any]:
    """Judge the scores of one endpoint; several endpoints go on one page by `together`.

    Args:
        table: one row a subject: `image_id`, `patient_id`, `score` (larger means an earlier event), `time` (days from
            the film), `event` (0 censored, 1 event, 2 competing cause), blank in both where unknown; optionally
            `films` (how many a score comes from), `true_risk` (of a phantom), `sex`, `site`, `view_position`, `age`.
        endpoint: its name.
        horizon: days; the binary form, survival and Uno's C (its tau) are taken there.
        threshold: high risk is a score of at least this; None where there is none, and then no groups.
        reduce: the rule that made one row of several films.
        draws: bootstrap replicates.
        seed: of the draws.
        confidence: coverage of all intervals, in (0, 1).
        context: how the scores were made (title, command, encoder, data, ...); JSON-like, shown in this order.
        threshold_origin: who chose the threshold, on whom; a phrase.
        horizon_origin: likewise.

    Returns:
        Plain JSON values without NaN: `endpoints` (name -> entry), `bootstrap`, `versions`, `context`, `notes`.

    Raises:
        UserError: the table is not one of subjects (see `check_subjects`).
        ConfigError: the horizon is not a positive number of days.
    """
    subjects = check_subjects(table)
    if not (np.isfinite(horizon) and horizon > 0):
        raise ConfigError(f"must be a positive number of days, not {horizon}", where="horizon", fix="Give e.g. 365")
    entry = {
        "endpoint": endpoint,
        "definition": ENDPOINTS.get(endpoint, ""),
        "horizon": horizon,
        "horizon_origin": horizon_origin,
        "threshold": threshold,
        "threshold_origin": threshold_origin,
        "reduce": reduce,
        **_judged(subjects, horizon, threshold, {"draws": draws, "seed": seed, "confidence": confidence}),
    }
    return {
        "task": "survival",
        "endpoints": {endpoint: plain(entry)},
        "bootstrap": {"unit": "patient", "draws": draws, "seed": seed, "confidence": confidence},
        "versions": software_versions(),
        "context": plain(context),
        "notes": [],
    }


def together(results: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Several results of `survival_results` as one: their endpoints on one page, the rest from the first."""
    merged = {name: entry for part in results for name, entry in part["endpoints"].items()}
    return {**results[0], "endpoints": merged}


def _judged(
    subjects: Subjects, horizon: float, threshold: float | None, resampling: Mapping[str, Any]
) -> dict[str, Any]:
    """All numbers of one endpoint; `resampling` holds draws, seed and confidence."""
    until = _drawn_until(subjects, horizon)
    known, confidence = subjects.known, resampling["confidence"]
    followed = (subjects.time[known], subjects.event[known])
    at = [horizon, *_times(until)]
    options = {"tau": horizon, **resampling}
    score = discrimination(*followed, subjects.score[known], subjects.patients[known], at=at, **options)
    rows = {"all": known} if threshold is None else {"all": known, **groups(subjects, threshold)}
    at_risk_times = [tick.at for tick in ticks(until)]
    return {
        "counts": _counts(subjects, horizon),
        "competing": subjects.competing,
        "drawn_until": until,
        "at_risk_times": at_risk_times,
        "groups": {name: _group(subjects, here, horizon, at_risk_times, confidence) for name, here in rows.items()},
        "log_rank": _log_rank(subjects, threshold),
        "harrell": score.harrell.to_json(),
        "uno": score.uno.to_json(),
        "auroc": score.auroc[0].to_json(),
        "auroc_over_time": [
            {"time": time, **estimate.to_json()} for time, estimate in zip(at[1:], score.auroc[1:], strict=True)
        ],
        "binary": _binary(subjects, horizon, threshold, resampling),
        "true_risk": _true_risk(subjects, score, options),
        "cohort": _cohort(subjects),
        "notes": _notes(subjects, horizon, threshold),
    }


def _group(
    subjects: Subjects, rows: NDArray[np.bool_], horizon: float, at: Sequence[float], confidence: float
) -> dict[str, Any]:
    """One group: counts, survival and incidence at the horizon, numbers at risk."""
    time, event = subjects.time[rows], subjects.event[rows]
    found: dict[str, Any] = {
        "subjects": int(rows.sum()),
        "events": int((event == 1).sum()),
        "competing": int((event == 2).sum()),
        "censored": int((event == 0).sum()),
        "median_follow_up": median_follow_up(time, event),
        "survival": at_horizon(kaplan_meier(time, event, confidence=confidence), horizon).to_json(),
        "at_risk": at_risk(time, at).tolist(),
    }
    if subjects.competing:
        for name, cause in (("incidence", 1), ("competing_incidence", 2)):
            curve = cumulative_incidence(time, event, cause=cause, confidence=confidence)
            found[name] = at_horizon(curve, horizon).to_json()
    return found


def _log_rank(subjects: Subjects, threshold: float | None) -> dict[str, Any]:
    if threshold is None:
        return {"statistic": None, "p": None, "reason": "no threshold parts the subjects"}
    found = log_rank(subjects.time, subjects.event, np.where(subjects.high(threshold), "high", "low"))
    pairs = dict(zip(found.groups, zip(found.observed, found.expected, strict=True), strict=True))
    return {
        "statistic": found.statistic,
        "p": found.p,
        "degrees": found.degrees,
        "reason": found.reason,
        "observed_expected": {name: list(pairs[name]) for name in ("low", "high") if name in pairs},
    }


def _binary(
    subjects: Subjects, horizon: float, threshold: float | None, resampling: Mapping[str, Any]
) -> dict[str, Any]:
    """The plain binary form at the horizon: who was censored before it is left out, and counted."""
    label = label_at(subjects.time, subjects.event, horizon)
    name = "event"
    judged = bootstrap(
        label[:, None],
        subjects.score[:, None],
        subjects.patients,
        findings=(name,),
        operating_points={"threshold": [threshold]},
        **resampling,
    )
    n, positive = int((~np.isnan(label)).sum()), int((label == 1).sum())
    return {
        "n": n,
        "n_positive": positive,
        "left_out": int(np.isnan(label[subjects.known]).sum()),
        "prevalence": positive / n if n else None,
        "auroc": judged.estimate("auroc", name).to_json(),
        "auprc": judged.estimate("auprc", name).to_json(),
        **{metric: judged.estimate(f"{metric}@threshold", name).to_json() for metric in AT_THRESHOLD},
    }


def _true_risk(subjects: Subjects, score: Discrimination, options: Mapping[str, Any]) -> dict[str, Any] | None:
    """How well the risk that made the times tells them, and what the score lacks, on the same draws."""
    known, risk = subjects.known, _risk(subjects)
    if np.isnan(risk[known]).any():
        return None
    best = discrimination(subjects.time[known], subjects.event[known], risk[known], subjects.patients[known], **options)
    names = ("harrell", "uno")
    return {
        **{name: getattr(best, name).to_json() for name in names},
        "difference": {name: score.difference(best, name).to_json() for name in names},
    }


def _risk(subjects: Subjects) -> NDArray[np.float64]:
    """The true risk (N,), NaN where it is unknown."""
    if "true_risk" not in subjects.table.columns:
        return np.full(len(subjects.table), np.nan)
    return pd.to_numeric(subjects.table["true_risk"], errors="coerce").to_numpy(np.float64, na_value=np.nan)


def _counts(subjects: Subjects, horizon: float) -> dict[str, Any]:
    time, event = subjects.time[subjects.known], subjects.event[subjects.known]
    return {
        "subjects": int(subjects.known.sum()),
        "films": int(subjects.films[subjects.known].sum()),
        "unknown": int((~subjects.known).sum()),
        **{name: int((event == code).sum()) for name, code in (("events", 1), ("competing", 2), ("censored", 0))},
        "events_by_horizon": int(((event == 1) & (time <= horizon)).sum()),
        "competing_by_horizon": int(((event == 2) & (time <= horizon)).sum()),
        "lost_by_horizon": int(((event == 0) & (time < horizon)).sum()),
        "median_follow_up": median_follow_up(time, event),
        "longest_follow_up": float(time.max()) if time.size else None,
    }


def _cohort(subjects: Subjects) -> dict[str, Any]:
    """Subjects and events by sex, site and view, and their ages."""
    table = subjects.table[subjects.known]
    event = pd.Series(subjects.event[subjects.known], index=table.index)
    found: dict[str, Any] = {"age": None, "groups": {}}
    if "age" in table.columns:
        years = pd.to_numeric(table["age"], errors="coerce").dropna().to_numpy(np.float64)
        if years.size:
            low, median, high = np.quantile(years, (0.25, 0.5, 0.75)).tolist()
            found["age"] = {"median": median, "quartiles": [low, high], "unknown": len(table) - int(years.size)}
    for column, heading in COHORT.items():
        if column in table.columns:
            text = table[column].astype(object).where(table[column].notna(), "").astype(str).str.strip()
            level = text.where(text != "", UNKNOWN)
            names = sorted(level.unique(), key=lambda name: (name == UNKNOWN, name))
            found["groups"][heading] = [_level(name, event[level == name]) for name in names]
    return found


def _level(name: str, event: pd.Series) -> dict[str, Any]:
    codes = event.to_numpy(np.float64)
    return {
        "level": name,
        "subjects": int(codes.size),
        **{key: int((codes == code).sum()) for key, code in (("events", 1), ("competing", 2), ("censored", 0))},
    }


def _drawn_until(subjects: Subjects, horizon: float) -> float:
    """Where the plots end: while enough are watched, and at the horizon at least, if anybody was watched that long."""
    time = np.sort(subjects.time[subjects.known])
    if not time.size or time[-1] <= 0:
        return horizon
    enough = max(2, int(np.ceil(FEW * time.size)))
    shared = float(time[max(time.size - enough, 0)])
    return max(shared, min(horizon, float(time[-1])))


def _times(until: float) -> list[float]:
    """Times for AUROC, evenly spread up to the end of the plots; whole days where there is room for them."""
    spread = until * np.arange(1, STEPS + 1) / STEPS
    times: list[float] = np.unique(np.floor(spread) if until >= 2 * STEPS else spread).tolist()
    return times


def _notes(subjects: Subjects, horizon: float, threshold: float | None) -> list[str]:
    """What a reader must know of these numbers."""
    counts = _counts(subjects, horizon)
    notes = []
    if counts["unknown"]:
        notes.append(f"{counts['unknown']:,} subjects have no known follow-up and were left out.")
    if threshold is None:
        notes.append("There is no threshold, so nobody is called low or high risk.")
    elif subjects.known.any() and not 0 < subjects.high(threshold)[subjects.known].sum() < counts["subjects"]:
        notes.append("The threshold puts everybody in one group.")
    if counts["events"] < 10:
        notes.append(f"{counts['events']} events: every interval here rests on few people.")
    if subjects.competing:
        notes.append(
            "Kaplan-Meier and the log-rank test count a competing cause as censored: they speak of a world without it. "
            "Cumulative incidence speaks of this one."
        )
    without = int(np.isnan(_risk(subjects)[subjects.known]).sum())
    if 0 < without < counts["subjects"]:
        notes.append(f"{without:,} subjects have no true risk, so the score is not compared with it.")
    if counts["lost_by_horizon"]:
        notes.append(
            f"{counts['lost_by_horizon']:,} subjects were censored before {horizon:g} days: the binary form leaves "
            "them out, the time-dependent AUROC and Uno's C weigh the others up for them."
        )
    return notes
