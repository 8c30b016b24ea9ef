"""Judge a table of predictions: every number with its interval, its counts and the reason where there is none."""

from __future__ import annotations

import platform
from collections.abc import Callable, Mapping, Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.lookup import unknown_name
from hilum.metrics.bootstrap import AT_THRESHOLD, CALIBRATION, RANKING, Bootstrap, bootstrap
from hilum.metrics.delong import delong
from hilum.metrics.estimate import Estimate
from hilum.metrics.net_benefit import decision_curve
from hilum.metrics.prevalence import CUTS
from hilum.results.cohort import cohort
from hilum.results.long_tail import long_tail_results
from hilum.results.notes import draws_note
from hilum.results.predictions import Predictions, check_predictions
from hilum.results.subgroups import subgroup_results

Floats = NDArray[np.float64]

# where the operating point stands in the results -> its name in the bootstrap
OPERATING_POINTS: Final = {"at_validation_threshold": "validation", "at_0.5": "0.5"}
ACTED_AT: Final = (0.05, 0.1, 0.2, 0.5)  # risks at which net benefit is told
PACKAGES: Final = ("hilum", "torch", "numpy", "numba", "pandas", "scikit-learn")


def classification_results(
    predictions: pd.DataFrame,
    *,
    thresholds: Mapping[str, float | None],
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
    context: Mapping[str, Any],
    task: str = "classification",
    cuts: Sequence[float] = CUTS,
    training: Mapping[str, tuple[int, int]] | None = None,
    in_depth: bool = False,
) -> dict[str, Any]:
    """Judge predictions with a patient-level bootstrap.

    Args:
        predictions: one row an image: `image_id`, `patient_id`, `label.<Finding>` (1, 0 or blank),
            `score.<Finding>` (probability), and optionally `study_id`, `split` (one only), `view_position`,
            `age`, `sex`, `site`, `source`, `device` for the cohort table.
        thresholds: finding -> the threshold that validation chose; a finding without one is undefined there.
        draws: bootstrap replicates.
        seed: of the draws.
        confidence: coverage of the intervals, in (0, 1).
        context: how the predictions were made (title, command, encoder, data, origin of the thresholds, ...);
            any JSON-like values, shown on the page in this order.
        task: "classification", or "zero-shot" where no label was used.
        cuts: rising shares that part rare from common findings.
        training: finding -> films with and without it in training; its prevalence there is then what is cut.
        in_depth: also net benefit with intervals and AUROC by subgroup, which take a few seconds.

    Returns:
        Plain JSON values without NaN: `findings` (name -> counts, prevalence, threshold, `auroc`, `auprc`, `brier`,
        `ece`, `at_validation_threshold` and `at_0.5` with `f1`, `accuracy`, `sensitivity`, `specificity`, and `delong`,
        the interval of DeLong), `macro` (the same metrics), `long_tail`, `undefined` (findings that cannot be judged,
        with counts and reason), `unscored`, `cohort`, `bootstrap`, `versions`, `notes`, `context`; in depth also
        `net_benefit` of each finding and `subgroups`. A caller may add `notes`, `comparisons` (list of `compare(...)`)
        and `baselines` (`against_baselines(...)`).

    Raises:
        UserError: the table is not a table of predictions (see `check_predictions`).
        ConfigError: a threshold names a finding that has no score.
    """
    table = check_predictions(predictions)
    for name in thresholds:
        if name not in table.findings:
            raise unknown_name(name, list(table.findings), kind="finding", where="thresholds")
    judged = bootstrap(
        table.labels,
        table.scores,
        table.patients,
        findings=table.findings,
        operating_points={
            "validation": [thresholds.get(name) for name in table.findings],
            "0.5": [0.5] * len(table.findings),
        },
        draws=draws,
        seed=seed,
        confidence=confidence,
    )
    findings = {name: _finding(judged, table, k, thresholds.get(name)) for k, name in enumerate(table.findings)}
    resampling: dict[str, Any] = {"draws": draws, "seed": seed, "confidence": confidence}
    if in_depth:
        for k, name in enumerate(table.findings):
            findings[name]["net_benefit"] = _worth(table, k, draws, seed)
    return {
        "task": task,
        "findings": findings,
        "macro": {"findings": [name for name, row in findings.items() if not row["reason"]], **_metrics(judged.macro)},
        "undefined": [_undefined(name, row) for name, row in findings.items() if row["reason"]],
        "unscored": list(table.unscored),
        "cohort": cohort(table),
        "long_tail": long_tail_results(judged, cuts, training),
        "subgroups": subgroup_results(table, permutations=max(draws, 1), **resampling) if in_depth else None,
        "bootstrap": {"unit": "patient", **resampling},
        "notes": draws_note(draws),
        "versions": software_versions(),
        "context": plain(context),
    }


def _undefined(finding: str, row: Mapping[str, Any]) -> dict[str, Any]:
    """A finding that cannot be judged, and why."""
    return {"finding": finding} | {key: row[key] for key in ("reason", "n", "n_positive", "n_negative", "n_blank")}


def software_versions() -> dict[str, str]:
    """Python and the packages that the numbers depend on; one that is not installed is left out."""
    found = {"python": platform.python_version()}
    for name in PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def plain(value: Any) -> Any:
    """`value` as JSON values: paths as text, tuples and arrays as lists, NumPy numbers as numbers, NaN as None."""
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in (sorted(value) if isinstance(value, set | frozenset) else value)]
    if isinstance(value, np.ndarray | np.generic):
        return plain(value.tolist())
    if isinstance(value, float):
        return value if np.isfinite(value) else None
    if value is None or isinstance(value, str | bool | int):
        return value
    return value.as_posix() if isinstance(value, Path) else str(value)


def _finding(judged: Bootstrap, table: Predictions, k: int, threshold: float | None) -> dict[str, Any]:
    """Everything about one finding, as plain values."""
    label, score, name = table.labels[:, k], table.scores[:, k], table.findings[k]
    counts = judged.counts[k]
    return {
        "n": counts.n,
        "n_patients": counts.n_patients,
        "n_positive": counts.n_positive,
        "n_negative": counts.n - counts.n_positive,
        "n_blank": len(label) - counts.n,
        "prevalence": counts.n_positive / counts.n if counts.n else None,
        "reason": judged.reasons[k],
        "threshold": None if threshold is None else float(threshold),
        **_metrics(lambda metric: judged.estimate(metric, name)),
        "delong": _delong(label, score, table.patients, judged.confidence),
    }


def _delong(label: Floats, score: Floats, patients: NDArray[np.str_], confidence: float) -> dict[str, Any]:
    """DeLong's interval of AUROC, with the films of a patient as one cluster."""
    found = delong(label, score, patients, confidence=confidence)
    return {"low": found.low, "high": found.high, "reason": found.reason}


def _worth(table: Predictions, k: int, draws: int, seed: int) -> list[dict[str, Any]]:
    """Net benefit of acting on the score at several risks, and what it adds to acting on every film."""
    curve = decision_curve(table.labels[:, k], table.scores[:, k], table.patients, ACTED_AT, draws=draws, seed=seed)
    return [
        {"threshold": threshold, **model.to_json(), "over_everyone": gap.to_json()}
        for threshold, model, gap in zip(curve.thresholds, curve.model, curve.over_everyone, strict=True)
    ]


def _metrics(estimate: Callable[[str], Estimate]) -> dict[str, Any]:
    """All metrics of one finding, or of the macro value, nested as they stand in the results."""
    found: dict[str, Any] = {metric: estimate(metric).to_json() for metric in (*RANKING, *CALIBRATION)}
    for place, point in OPERATING_POINTS.items():
        found[place] = {metric: estimate(f"{metric}@{point}").to_json() for metric in AT_THRESHOLD}
    return found
