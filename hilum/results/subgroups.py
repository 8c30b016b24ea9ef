"""Is the model worse for some people, machines or sites? AUROC by subgroup, and the largest gap tested.

One attribute at a time: sex, age band, view, source, site, device, where the table of predictions has them. Levels with
few films of a class are listed with their numbers but take no part in the gap, since any gap could be theirs. The p of
a gap deals the levels out again, so it allows for having picked the largest; Holm's correction is over all gaps of a
page.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.metrics.estimate import Estimate
from hilum.metrics.multiplicity import holm
from hilum.metrics.subgroups import SubgroupGap, subgroup_gaps
from hilum.results.cohort import GROUPS, UNKNOWN
from hilum.results.predictions import Predictions

AGE_BAND: Final = "Age band"
BANDS: Final = {"under 18": 18.0, "18–39": 40.0, "40–59": 60.0, "60–79": 80.0, "80 and over": np.inf}  # years
FEWEST: Final = 5  # films with and films without the finding that a level needs to be judged
MOST_LEVELS: Final = 12  # more levels than these are pooled, the rarest first
POOLED: Final = "others"
WORK: Final = 2_000_000  # films x findings x attributes beyond which fewer draws are taken
FEWER: Final = 200  # draws then


def subgroup_results(
    predictions: Predictions, *, draws: int = 1000, permutations: int = 1000, seed: int = 0, confidence: float = 0.95
) -> dict[str, Any]:
    """AUROC of every finding in every level of every attribute.

    Args:
        predictions: the checked table.
        draws: bootstrap replicates.
        permutations: of the test of the largest gap.
        seed: of both.
        confidence: coverage of the intervals.

    Returns:
        Plain JSON values: `attributes` (heading -> `levels` with films and patients, `findings` with an estimate a
        level, `best`, `worst`, `gap`, `p`, `holm`), `draws`, `permutations` and `fewest`. An attribute with one level
        is left out.
    """
    attributes = {name: levels for name, levels in _attributes(predictions.table).items() if _several(levels)}
    if predictions.labels.size * len(attributes) > WORK:
        draws, permutations = min(draws, FEWER), min(permutations, FEWER)
    how: dict[str, Any] = {"draws": draws, "permutations": max(permutations, 1), "seed": seed, "confidence": confidence}
    found = {name: _attribute(predictions, levels, how) for name, levels in attributes.items()}
    rows = [row for entry in found.values() for row in entry["findings"].values()]
    for row, corrected in zip(rows, holm([row["gap"]["p"] for row in rows]), strict=True):
        row["holm"] = corrected
    return {"attributes": found, "draws": draws, "permutations": how["permutations"], "fewest": FEWEST}


def age_bands(years: pd.Series[Any]) -> NDArray[np.str_]:
    """The band (N,) of each age in years; "unknown" where there is none."""
    known = pd.to_numeric(years, errors="coerce").to_numpy(np.float64, na_value=np.nan)
    place = np.searchsorted(list(BANDS.values()), known, side="right")
    names = np.array([*BANDS, UNKNOWN])
    return np.asarray(names[np.where(np.isnan(known), len(BANDS), np.minimum(place, len(BANDS) - 1))])


def _attributes(table: pd.DataFrame) -> dict[str, NDArray[np.str_]]:
    """Heading -> level of each film (N,)."""
    found: dict[str, NDArray[np.str_]] = {}
    for column, heading in GROUPS.items():
        if column in table.columns:
            text = table[column].astype(object).where(table[column].notna(), "").astype(str).str.strip()
            found[heading] = _pooled(np.where(text == "", UNKNOWN, text).astype(str))
        if column == "sex" and "age" in table.columns:
            found[AGE_BAND] = age_bands(table["age"])
    if "age" in table.columns and AGE_BAND not in found:
        found[AGE_BAND] = age_bands(table["age"])
    return found


def _pooled(levels: NDArray[np.str_]) -> NDArray[np.str_]:
    names, counts = np.unique(levels, return_counts=True)
    if names.size <= MOST_LEVELS:
        return levels
    kept = names[np.argsort(-counts, kind="stable")[: MOST_LEVELS - 1]]
    return np.where(np.isin(levels, kept), levels, POOLED)


def _several(levels: NDArray[np.str_]) -> bool:
    return len(set(levels.tolist()) - {UNKNOWN}) > 1


def _attribute(predictions: Predictions, levels: NDArray[np.str_], how: dict[str, Any]) -> dict[str, Any]:
    names = _ordered(levels)
    return {
        "levels": [
            {
                "level": name,
                "images": int((levels == name).sum()),
                "patients": int(np.unique(predictions.patients[levels == name]).size),
            }
            for name in names
        ],
        "findings": {
            finding: _finding(predictions, k, levels, names, how) for k, finding in enumerate(predictions.findings)
        },
    }


def _finding(
    predictions: Predictions, k: int, levels: NDArray[np.str_], names: list[str], how: dict[str, Any]
) -> dict[str, Any]:
    label, score = predictions.labels[:, k], predictions.scores[:, k]
    enough = [
        name
        for name in names
        if name != UNKNOWN and all(((label == value) & (levels == name)).sum() >= FEWEST for value in (0, 1))
    ]
    judged = np.where(np.isin(levels, enough), levels, "")
    gaps: SubgroupGap = subgroup_gaps(label, score, predictions.patients, judged, **how)
    there = dict(zip(gaps.groups, gaps.estimates, strict=True))
    return {
        "levels": {
            name: (there[name] if name in there else _too_few(predictions, k, levels == name)).to_json()
            for name in names
        },
        "best": gaps.best,
        "worst": gaps.worst,
        "gap": gaps.gap.to_json(),
    }


def _too_few(predictions: Predictions, k: int, here: NDArray[np.bool_]) -> Estimate:
    label = predictions.labels[here, k]
    known = ~np.isnan(label)
    patients = int(np.unique(predictions.patients[here][known]).size)
    return Estimate(None, None, None, int(known.sum()), patients, int((label == 1).sum()), 0, "too few")


def _ordered(levels: NDArray[np.str_]) -> list[str]:
    """Age bands by age, other levels by number of films; "others" and "unknown" last."""
    names, counts = np.unique(levels, return_counts=True)
    if set(names.tolist()) <= {*BANDS, UNKNOWN}:
        return [name for name in (*BANDS, UNKNOWN) if name in names]
    order = sorted(zip(names.tolist(), counts.tolist(), strict=True), key=lambda pair: (-pair[1], pair[0]))
    return sorted((name for name, _ in order), key=lambda name: (name == UNKNOWN, name == POOLED))
