"""The mean mask: a finding that always lies in one place is drawn there, whatever the film shows."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from hilum.evaluation.segmentation.films import MaskedFilms
from hilum.evaluation.segmentation.mean_mask import FILMS, SIDE, fit_mean_mask
from hilum.manifest import Manifest
from hilum.manifest.masks import Masks, read_masks


def test_a_fixed_place_is_found_and_a_wandering_one_is_not(masked_data: Path) -> None:
    manifest = Manifest.read(masked_data)
    films = MaskedFilms(manifest, read_masks(manifest, ("Mass", "Effusion")))
    train, val = (films.take(np.flatnonzero(manifest.table["split"] == split)) for split in ("train", "val"))
    found = fit_mean_mask(train, val, seed=0)
    assert found.maps.shape == (2, SIDE, SIDE)
    assert found.maps.max(axis=(1, 2)).tolist() == [1, 1]  # a rare finding's highest share is brought to 1
    edge = np.zeros((128, 96), bool)
    edge[-24:] = True
    drawn = found.mask(1, 128, 96)
    assert (drawn & edge).sum() * 2 / (drawn.sum() + edge.sum()) > 0.95
    mass = found.mask(0, 64, 64)
    scores = [
        2 * (mass & (plane == 1)).sum() / (mass.sum() + 324) for plane in (val.masks(row)[0] for row in range(12))
    ]
    assert max(scores) < 0.8


def test_unknown_masks_count_nowhere() -> None:
    stated = np.array([[1.0], [np.nan], [0.0]], np.float32)
    table = pd.DataFrame({"image": ["a.png", "b.png", "c.png"], "patient_id": ["a", "b", "c"]})
    films = MaskedFilms(Manifest.from_table(table, Path()), Masks(("Mass",), (((),),) * 3, stated))
    found = fit_mean_mask(films, films, seed=0)
    assert not found.maps.any()
    assert found.cuts[0].note
    assert FILMS >= 100
