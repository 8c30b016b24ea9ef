"""The cohort table: whose films were judged. Counts of patients and images by sex, view, site, and of each finding."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd

from hilum.results.predictions import Predictions

GROUPS: Final = {  # column -> heading; shown where the table has the column
    "sex": "Sex",
    "view_position": "View",
    "site": "Site",
    "source": "Collection",
    "device": "Device",
}
UNKNOWN: Final = "unknown"


def cohort(predictions: Predictions) -> dict[str, Any]:
    """Describe the judged films.

    Returns:
        Plain JSON values: `patients`, `studies` (None without study ids), `images`, `age` (years, one value a
        patient: the median over their films; None without the column), `groups` (heading -> levels with their
        patients and images; a blank cell counts as "unknown") and `findings` (finding -> images and patients
        with it, images without it, images with no label).
    """
    table = predictions.table
    return {
        "patients": int(np.unique(predictions.patients).size),
        "studies": int(table["study_id"].nunique()) if "study_id" in table.columns else None,
        "images": len(table),
        "age": _age(table) if "age" in table.columns else None,
        "groups": {heading: _levels(table, column) for column, heading in GROUPS.items() if column in table.columns},
        "findings": {
            finding: {
                "positive_images": int((predictions.labels[:, k] == 1).sum()),
                "positive_patients": int(np.unique(predictions.patients[predictions.labels[:, k] == 1]).size),
                "negative_images": int((predictions.labels[:, k] == 0).sum()),
                "blank_images": int(np.isnan(predictions.labels[:, k]).sum()),
            }
            for k, finding in enumerate(predictions.findings)
        },
    }


def _age(table: pd.DataFrame) -> dict[str, Any]:
    years = pd.to_numeric(table["age"], errors="coerce").groupby(table["patient_id"].astype(str)).median()
    known = years.dropna().to_numpy(dtype=float)
    unknown = int(years.isna().sum())
    if not known.size:
        return {"median": None, "quartiles": None, "range": None, "unknown_patients": unknown}
    low, median, high = (float(value) for value in np.quantile(known, (0.25, 0.5, 0.75)))
    return {
        "median": median,
        "quartiles": [low, high],
        "range": [float(known.min()), float(known.max())],
        "unknown_patients": unknown,
    }


def _levels(table: pd.DataFrame, column: str) -> list[dict[str, Any]]:
    """Levels by number of images, "unknown" last; a patient with films at two levels counts at both."""
    text = table[column].astype(object).where(table[column].notna(), "").astype(str).str.strip()
    level = text.where(text != "", UNKNOWN)
    grouped = table["patient_id"].astype(str).groupby(level).agg(["nunique", "size"])
    rows = [
        {"level": str(name), "patients": int(row["nunique"]), "images": int(row["size"])}
        for name, row in grouped.iterrows()
    ]
    return sorted(rows, key=lambda row: (row["level"] == UNKNOWN, -row["images"], row["level"]))
