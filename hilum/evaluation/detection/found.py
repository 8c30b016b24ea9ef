"""Films to boxes: a detector's output as the table that judging starts from, in pixels of the stored films."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from hilum.errors import ManifestError
from hilum.evaluation.detection.geometry import clipped, from_shares, placed_by
from hilum.evaluation.detection.truth import BoxedFilms
from hilum.evaluation.features import Runner, run_films
from hilum.films import FilmStore
from hilum.heads.detection import Detector
from hilum.metrics.detection.tables import BOX, FOUND
from hilum.schema import Preprocessing


def find_boxes(
    model: Detector, films: BoxedFilms, store: FilmStore, preprocessing: Preprocessing, runner: Runner, *, most: int
) -> pd.DataFrame:
    """The boxes a detector finds.

    Args:
        model: on the runner's device, in evaluation mode.
        films: the films and the names of the findings; their true boxes are not looked at.
        store: the same films, decoded.
        preprocessing: of the detector.
        runner: where the films run.
        most: boxes of a film, best first over all findings.

    Returns:
        Columns `FOUND`, a row a box, best first on each film; without boxes that lie off the film.

    Raises:
        ManifestError: a score or box is not finite.
    """

    def network(images: Tensor) -> Tensor:
        logits, boxes = model(images)
        return torch.cat([logits.sigmoid(), boxes], dim=2)

    table, parts = films.manifest.table, [(np.zeros(0, np.int64), np.zeros(0, np.int64), np.zeros((0, 4)), np.zeros(0))]
    outputs = run_films(network, store, preprocessing, runner, title="looking for boxes")
    for row, output in enumerate(one for batch in outputs for one in batch.double().numpy()):
        if not np.isfinite(output).all():
            raise ManifestError(
                f"the detector has no finite boxes for image {table['image_id'].iloc[row]!r}",
                fix="Look at the film and the weights",
            )
        shape = (int(films.shapes[row, 0]), int(films.shapes[row, 1]))
        query, kind, score = _best(output[:, :-4], most)
        on_input = from_shares(output[query, -4:], preprocessing.size)
        boxes = clipped(placed_by(shape, preprocessing).back(on_input, shape), shape)
        there = (boxes[:, 2:] > 0).all(axis=1)
        parts.append((np.full(int(there.sum()), row), kind[there], boxes[there], score[there]))
    rows, kinds, boxes, scores = (np.concatenate(column) for column in zip(*parts, strict=True))
    ids = {name: table[name].to_numpy()[rows] for name in ("image_id", "patient_id")}
    category = np.array(films.findings, dtype=object)[kinds]
    found = pd.DataFrame({**ids, "category": category, **dict(zip(BOX, boxes.T, strict=True)), "score": scores})
    return found[list(FOUND)]


def _best(scores: NDArray[np.float64], most: int) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.float64]]:
    """Query, finding and score of the `most` best of (Q, K), best first."""
    order = np.argsort(-scores, axis=None, kind="stable")[:most]
    query, kind = np.unravel_index(order, scores.shape)
    return query, kind, scores.reshape(-1)[order]
