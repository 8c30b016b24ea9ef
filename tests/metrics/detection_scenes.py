"""Random tables of true and found boxes, with everything that makes matching hard: near misses, doubles, strays."""

from __future__ import annotations

import numpy as np
import pandas as pd

from hilum.metrics.detection.tables import FOUND, TRUTH


def random_scenes(
    seed: int,
    *,
    images: int = 8,
    patients: int = 4,
    categories: tuple[str, ...] = ("Effusion", "Mass"),
    ties: bool = True,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """(found, truth); scores may be equal on different images, never on one image."""
    rng = np.random.default_rng(seed)
    found, truth = [], []
    for number in range(images):
        image, patient, before = f"i{number:02d}", f"p{rng.integers(patients)}", len(truth)
        for category in categories:
            real = [[*rng.integers(0, 60, 2), *rng.integers(8, 40, 2)] for _ in range(rng.integers(0, 3))]
            truth += [[image, patient, category, *map(float, box)] for box in real]
            near = [np.array(box) + rng.integers(-6, 7, 4) for box in real for _ in range(rng.integers(0, 3))]
            far = [[*rng.integers(0, 60, 2), *rng.integers(8, 40, 2)] for _ in range(rng.integers(0, 4))]
            boxes = [np.maximum(box, [0, 0, 1, 1]) for box in [*near, *far]]
            scores = rng.permutation(30)[: len(boxes)] / 30 if ties else rng.random(len(boxes))
            found += [[image, patient, category, *map(float, b), s] for b, s in zip(boxes, scores, strict=True)]
        if len(truth) == before:
            truth.append([image, patient, "", *[np.nan] * 4])
    return pd.DataFrame(found, columns=FOUND), pd.DataFrame(truth, columns=TRUTH)
