"""The same place on every film: what a segmenter must beat that claims to see.

The mean of the training masks of each finding is a map of where it usually lies; it is cut like a model's
probabilities, by the validation films, and drawn on every film alike. On lungs and hearts this scores surprisingly
well, and a Dice that is no higher has not looked at the film.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray

from hilum.evaluation.segmentation.choose import Cut, choose_cut, count_film, joined
from hilum.evaluation.segmentation.films import MaskedFilms
from hilum.manifest.masks import UNKNOWN, resize_nearest

SIDE: Final = 64  # pixels of the map; places are not known more exactly
FILMS: Final = 500  # of a split, drawn by lot: the mean changes little beyond


@dataclass(frozen=True)
class MeanMask:
    """One map a finding, and how it is cut."""

    maps: NDArray[np.float32]  # (K, SIDE, SIDE): share of films on which the place is inside
    cuts: tuple[Cut, ...]

    def mask(self, finding: int, height: int, width: int) -> NDArray[np.bool_]:
        """What is drawn on a film of this size: (height, width) bool."""
        return self.cuts[finding].mask(stretched(self.maps[finding : finding + 1], height, width)[0])


def fit_mean_mask(train: MaskedFilms, val: MaskedFilms, seed: int) -> MeanMask:
    """Maps from training films, cuts from validation films.

    Args:
        train: films of which masks are known.
        val: likewise.
        seed: of the lot that draws `FILMS` of either.
    """
    maps = _mean(_some(train, seed))
    rows = []
    chosen = _some(val, seed)
    for row in range(len(chosen)):
        truth = resize_nearest(chosen.masks(row), (SIDE, SIDE))
        rows.append(count_film(maps, truth))
    sweep = joined(rows)
    return MeanMask(maps, tuple(choose_cut(sweep, k) for k in range(len(maps))))


def stretched(maps: NDArray[np.float32], height: int, width: int) -> NDArray[np.float32]:
    """Maps (K, S, S) on a film: (K, height, width), bilinear."""
    grown = F.interpolate(torch.from_numpy(maps)[None], size=(height, width), mode="bilinear", align_corners=False)
    found: NDArray[np.float32] = grown[0].numpy()
    return found


def _mean(films: MaskedFilms) -> NDArray[np.float32]:
    """Share of films on which each place is inside, over those where it is known; scaled to at most 1."""
    inside, known = (np.zeros((len(films.findings), SIDE, SIDE)) for _ in range(2))
    for row in range(len(films)):
        truth = resize_nearest(films.masks(row), (SIDE, SIDE))
        inside += truth == 1
        known += truth != UNKNOWN
    share = np.divide(inside, known, out=np.zeros_like(inside), where=known > 0)
    top = share.max(axis=(1, 2), keepdims=True)  # a rare finding's map would lie below every threshold
    scaled: NDArray[np.float32] = np.divide(share, top, out=np.zeros_like(share), where=top > 0).astype(np.float32)
    return scaled


def _some(films: MaskedFilms, seed: int) -> MaskedFilms:
    if len(films) <= FILMS:
        return films
    return films.take(np.sort(np.random.default_rng(seed).permutation(len(films))[:FILMS]))
