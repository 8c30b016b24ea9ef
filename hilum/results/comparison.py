"""Paired differences on the same films and the same draws: between two runs, and between a model and its baselines."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.errors import UserError
from hilum.metrics.bootstrap import RANKING, Bootstrap, bootstrap, difference
from hilum.results.predictions import Predictions, check_predictions


def compare(
    first_name: str,
    first: pd.DataFrame,
    second_name: str,
    second: pd.DataFrame,
    *,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """Paired patient-level difference, first minus second, of AUROC and AUPRC.

    Args:
        first_name: what to call the first run.
        first: its predictions.
        second_name: what to call the second run.
        second: its predictions of the same films, in any order.
        draws: bootstrap replicates, the same for both.
        seed: of the draws.
        confidence: coverage of the intervals.

    Returns:
        Plain JSON values: `first`, `second` (names) and, under "auroc" and "auprc", `macro` and `findings`
            with
        `first`, `second` (estimates) and `difference` (value, low, high, p, draws, reason). An entry for
        `results["comparisons"]`.

    Raises:
        UserError: the two tables are not of the same films, patients, findings and labels.
    """
    one, two = check_predictions(first), check_predictions(second)
    scores = _aligned(one, two, second_name)
    left, right = (_run(one, values, draws, seed, confidence) for values in (one.scores, scores))
    return {"first": first_name, "second": second_name} | {metric: _pair(left, right, metric) for metric in RANKING}


def against_baselines(
    predictions: pd.DataFrame,
    baselines: Mapping[str, NDArray[np.float64]],
    *,
    notes: Mapping[str, str] | None = None,
    draws: int = 1000,
    seed: int = 0,
    confidence: float = 0.95,
) -> dict[str, Any]:
    """AUROC of each baseline beside the model's, and the paired difference, model minus baseline.

    Args:
        predictions: the model's table.
        baselines: name -> probabilities (N, K), rows as in the table, columns in the order of its score
            columns.
        notes: name -> one sentence for the reader.
        draws: bootstrap replicates, the same for all.
        seed: of the draws.
        confidence: coverage of the intervals.

    Returns:
        Plain JSON values: name -> `macro` and `findings` (each with `auroc` and `difference`) and `note`;
            goes to
        `results["baselines"]`.

    Raises:
        UserError: the table is not a table of predictions.
        ValueError: the scores of a baseline have another shape than the table.
    """
    table = check_predictions(predictions)
    model = _run(table, table.scores, draws, seed, confidence)
    found: dict[str, Any] = {}
    for name, scores in baselines.items():
        pair = _pair(model, _run(table, scores, draws, seed, confidence), "auroc")
        found[name] = {
            "macro": _baseline_entry(pair["macro"]),
            "findings": {finding: _baseline_entry(entry) for finding, entry in pair["findings"].items()},
            "note": (notes or {}).get(name, ""),
        }
    return found


def _run(table: Predictions, scores: NDArray[np.float64], draws: int, seed: int, confidence: float) -> Bootstrap:
    return bootstrap(
        table.labels, scores, table.patients, findings=table.findings, draws=draws, seed=seed, confidence=confidence
    )


def _pair(left: Bootstrap, right: Bootstrap, metric: str) -> dict[str, Any]:
    def entry(finding: str | None) -> dict[str, Any]:
        first, second = (
            run.macro(metric) if finding is None else run.estimate(metric, finding) for run in (left, right)
        )
        gap = difference(left, right, metric, finding)
        return {"first": first.to_json(), "second": second.to_json(), "difference": gap.to_json()}

    return {"macro": entry(None), "findings": {finding: entry(finding) for finding in left.findings}}


def _baseline_entry(pair: dict[str, Any]) -> dict[str, Any]:
    return {"auroc": pair["second"], "difference": pair["difference"]}


def _aligned(one: Predictions, two: Predictions, name: str) -> NDArray[np.float64]:
    """The second table's scores in the first one's order of rows and findings."""
    ids, others = (table.table["image_id"].astype(str) for table in (one, two))
    where = f"predictions of {name}"
    if set(ids) != set(others):
        differing = sorted(set(ids) ^ set(others))
        raise UserError(
            f"{len(differing)} films are in one table only, the first is {differing[0]!r}",
            where=where,
            fix="Compare runs on the same films",
        )
    if set(one.findings) != set(two.findings):
        differing = sorted(set(one.findings) ^ set(two.findings))
        raise UserError(
            f"the findings differ: {', '.join(differing)}", where=where, fix="Compare runs on the same findings"
        )
    rows = pd.Index(others).get_indexer(pd.Index(ids))
    columns = [two.findings.index(finding) for finding in one.findings]
    labels = two.labels[rows][:, columns]
    if not np.array_equal(labels, one.labels, equal_nan=True) or (two.patients[rows] != one.patients).any():
        raise UserError(
            "labels or patients of the same films differ between the two tables",
            where=where,
            fix="Evaluate both runs on the same manifest",
        )
    return two.scores[rows][:, columns]
