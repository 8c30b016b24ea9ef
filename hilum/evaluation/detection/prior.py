"""The baseline of boxes: where a finding usually lies, said of every film, as sure as the finding is frequent.

Findings of the chest have their places, so a detector must beat what needs no film at all: of each finding the mean of
the training boxes, in shares of the film, with the share of training films that have it as score. The mean of boxes in
two lungs lies between them, on neither; so the boxes are also averaged in each half of the film by itself, and the one
of the two that has the higher AP50 on the training films is the baseline.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.evaluation.detection.truth import BoxedFilms
from hilum.metrics.detection.bootstrap import detection_points
from hilum.metrics.detection.tables import BOX, FOUND

Floats = NDArray[np.float64]
Prior = dict[str, list[dict[str, Any]]]  # finding -> box: left, top, width, height as shares of the film; frequency


def centre_prior(films: BoxedFilms) -> Prior:
    """Of each finding that has boxes on the films, the mean box or that of each half, with their frequencies."""
    counts = [len(boxes) for boxes in films.boxes]
    row = np.repeat(np.arange(len(films)), counts)
    boxes = np.concatenate([np.zeros((0, 5)), *films.boxes])
    shares = boxes[:, :4] / films.shapes[row][:, [1, 0, 1, 0]]
    right = shares[:, 0] + shares[:, 2] / 2 >= 0.5
    whole, halves = Prior(), Prior()
    for number, finding in enumerate(films.findings):
        here = boxes[:, 4] == number
        if here.any():
            whole[finding] = _means(shares, row, [here], len(films))
            halves[finding] = _means(shares, row, [here & ~right, here & right], len(films))
    truth = films.truth()
    first, second = (detection_points(prior_table(p, films), truth, films.findings)["ap50"] for p in (whole, halves))
    return {
        name: (halves if second[k] > first[k] else whole)[name]
        for k, name in enumerate(films.findings)
        if name in whole
    }


def prior_table(prior: Mapping[str, Sequence[Mapping[str, Any]]], films: BoxedFilms) -> pd.DataFrame:
    """The prior's boxes on each film, in the form of found boxes."""
    said = [(finding, entry["frequency"], *entry["box"]) for finding, entries in prior.items() for entry in entries]
    row = np.repeat(np.arange(len(films)), len(said))
    shares = np.tile(np.array([entry[2:] for entry in said], dtype=np.float64).reshape(-1, 4), (len(films), 1))
    sides = films.shapes[row][:, [1, 0, 1, 0]].reshape(-1, 4)
    ids = {name: films.manifest.table[name].to_numpy()[row] for name in ("image_id", "patient_id")}
    table = pd.DataFrame(ids).assign(
        category=[entry[0] for entry in said] * len(films), **dict(zip(BOX, (shares * sides).T, strict=True))
    )
    return table.assign(score=np.array([entry[1] for entry in said] * len(films), dtype=np.float64))[list(FOUND)]


def _means(
    shares: Floats, row: NDArray[np.int64], parts: Sequence[NDArray[np.bool_]], films: int
) -> list[dict[str, Any]]:
    """Mean box of each part that has any, and on what share of the films it is."""
    return [
        {"box": shares[part].mean(axis=0).tolist(), "frequency": len(set(row[part])) / films}
        for part in parts
        if part.any()
    ]
