"""The baseline of boxes: where a finding usually lies, said of every film, as sure as the finding is frequent.

Findings of the chest have their places, so a detector must beat what needs no film at all: of each finding the mean of
the training boxes, in shares of the film, with the share of training films that have it as score.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pandas as pd

from hilum.evaluation.detection.truth import BoxedFilms
from hilum.metrics.detection.tables import FOUND

Prior = dict[str, dict[str, Any]]  # finding -> box: left, top, width, height as shares of the film; frequency


def centre_prior(films: BoxedFilms) -> Prior:
    """The mean box and the frequency of each finding that has boxes on the films."""
    prior: Prior = {}
    for number, finding in enumerate(films.findings):
        parts = [
            boxes[boxes[:, 4] == number, :4] / np.array([width, height, width, height])
            for boxes, (height, width) in zip(films.boxes, films.shapes, strict=True)
        ]
        shares = np.concatenate(parts)
        if len(shares):
            frequency = sum(len(part) > 0 for part in parts) / len(films)
            prior[finding] = {"box": [float(value) for value in shares.mean(axis=0)], "frequency": frequency}
    return prior


def prior_table(prior: Mapping[str, Mapping[str, Any]], films: BoxedFilms) -> pd.DataFrame:
    """The prior's boxes on each film: a row a film and finding."""
    rows = [
        (
            film.image_id,
            film.patient_id,
            finding,
            *(np.array(said["box"]) * [width, height, width, height]),
            said["frequency"],
        )
        for film, (height, width) in zip(films.manifest.table.itertuples(), films.shapes, strict=True)
        for finding, said in prior.items()
    ]
    return pd.DataFrame(rows, columns=FOUND)
