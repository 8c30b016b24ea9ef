"""Every film and finding of a split measured: one row an item, from which all results are made."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from hilum.evaluation.segmentation.choose import Cut
from hilum.evaluation.segmentation.films import MaskedFilms
from hilum.evaluation.segmentation.mean_mask import MeanMask
from hilum.manifest.masks import UNKNOWN, resize_nearest
from hilum.metrics.segmentation import (
    Pixels,
    count_pixels,
    dice_all,
    dice_positive,
    iou_positive,
    surface_distance,
)
from hilum.results.segmentation import PIXELS, PLACE, VALUE

DISTANCES: Final = {True: "hd95_mm", False: "hd95_pixels"}  # whether the manifest says how large a pixel is


def measured_items(
    films: MaskedFilms,
    probabilities: Iterable[NDArray[np.floating[Any]]],
    cuts: dict[str, Cut],
    place: MeanMask | None = None,
) -> pd.DataFrame:
    """One row a film and finding whose mask is known.

    Args:
        films: the films.
        probabilities: (K, H, W) of each, in order, on its own pixels.
        cuts: how each finding's probabilities become a mask.
        place: the mean mask, counted beside; None: left out.

    Returns:
        `item_id`, `image_id`, `patient_id`, `category`, `value.<metric>` (NaN: undefined for this item),
        `pixels.<count>`, and `mean_mask.<count>` where it was asked for.
    """
    in_mm = any(films.spacing(row) is not None for row in range(len(films)))
    rows: list[dict[str, Any]] = []
    for row, maps in enumerate(probabilities):
        truth = resize_nearest(films.masks(row), (maps.shape[1], maps.shape[2]))
        spacing = films.spacing(row) if in_mm else (1.0, 1.0)
        for k, finding in enumerate(films.findings):
            known = truth[k] != UNKNOWN
            if not known.any():
                continue
            drawn, true = cuts[finding].mask(maps[k]), truth[k] == 1
            usual = {}
            if place is not None:
                mask = place.mask(k, *drawn.shape) & known
                usual = dict(zip(PLACE, (int((mask & true).sum()), int(mask.sum())), strict=True))
            distance = None if spacing is None else surface_distance(drawn & known, true, spacing)
            rows.append(
                {
                    "row": row,
                    "category": finding,
                    **dict(zip(PIXELS, count_pixels(drawn, true, known), strict=True)),
                    **usual,
                    VALUE + DISTANCES[in_mm]: np.nan if distance is None else distance,
                }
            )
    return _with_scores(films, pd.DataFrame(rows), DISTANCES[in_mm])


def _with_scores(films: MaskedFilms, counted: pd.DataFrame, distance: str) -> pd.DataFrame:
    """Ids and the scores that follow from counts."""
    pixels = Pixels(*(counted[name].to_numpy(np.float64) for name in PIXELS))
    table = films.manifest.table.iloc[counted["row"].to_numpy()]
    images = table["image_id"].astype(str).to_numpy()
    return pd.DataFrame(
        {
            "item_id": [f"{image}:{name}" for image, name in zip(images, counted["category"], strict=True)],
            "image_id": images,
            "patient_id": table["patient_id"].astype(str).to_numpy(),
            "category": counted["category"],
            f"{VALUE}dice_positive": dice_positive(pixels),
            f"{VALUE}dice_all": dice_all(pixels),
            f"{VALUE}iou": iou_positive(pixels),
            VALUE + distance: counted[VALUE + distance],
            **{name: counted[name].astype(np.int64) for name in (*PIXELS, *PLACE) if name in counted},
        }
    )
