"""Weak boxes from words: "PTB in the left upper field" becomes the upper third of the left lung.

Where a set has no boxes but short readings that name a place, the place itself can be pointed at. It is not where the
disease is outlined: a third of a lung is large, and a reader's "upper" is not a geometer's. Scores on such boxes are
called weak wherever they are shown, and compare maps with each other, not with scores on real boxes.
"""

from __future__ import annotations

from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.evaluation.mentions import Place, Zone
from hilum.manifest import Manifest

THIRDS: Final[dict[Zone, int]] = {"upper": 0, "middle": 1, "lower": 2}
CHEST: Final = (0.05, 0.10, 0.95, 0.85)  # left, top, right, bottom of the lungs as shares of a film without a mask
MASK_NAMES: Final = ("{image_id}.Lungs.png", "{image_id}.png", "{stem}.Lungs.png", "{stem}.png")


def zone_box(place: Place, lungs: NDArray[np.bool_] | None, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    """The box of a place on a frontal film, the patient's right on the left of the picture.

    Args:
        place: with a side; a zone is optional.
        lungs: (H, W) mask of both lungs in pixels of the film; None takes fixed shares of the film.
        shape: (H, W) of the film.

    Returns:
        (4,) left, top, width, height in pixels; None where the place has no side or the mask no lung there.
    """
    if place.side is None:
        return None
    box = _lung(place.side == "right", lungs, shape)
    if box is None or place.zone is None:
        return box
    left, top, width, height = box
    return np.array([left, top + THIRDS[place.zone] * height / 3, width, height / 3])


def lung_mask(folder: Path, manifest: Manifest, row: int, shape: tuple[int, int]) -> NDArray[np.bool_] | None:
    """The lung mask of a film, brought to its size; None where the folder has none of a name it could have.

    Args:
        folder: of PNG masks, named as the image id or the image file, with or without `.Lungs`.
        manifest: the films.
        row: of the film.
        shape: (H, W) of the film.
    """
    film = manifest.table.iloc[row]
    for name in MASK_NAMES:
        path = folder / name.format(image_id=film["image_id"], stem=Path(film["image"]).stem)
        if path.is_file():
            with Image.open(path) as picture:
                mask = picture.convert("L").resize((shape[1], shape[0]), Image.Resampling.NEAREST)
            found: NDArray[np.bool_] = np.asarray(mask) > 0
            return found
    return None


def _lung(right: bool, lungs: NDArray[np.bool_] | None, shape: tuple[int, int]) -> NDArray[np.float64] | None:
    """The bounding box of one lung; the two are divided at the middle of their common bounding box."""
    height, width = shape
    if lungs is None:
        left, top, end, bottom = (share * side for share, side in zip(CHEST, (width, height) * 2, strict=True))
        middle = width / 2
        return np.array([left if right else middle, top, (middle - left) if right else (end - middle), bottom - top])
    columns = np.flatnonzero(lungs.any(axis=0))
    if not columns.size:
        return None
    middle = (columns[0] + columns[-1] + 1) // 2
    half = lungs.copy()
    half[:, middle:] &= not right
    half[:, :middle] &= right
    rows, columns = np.flatnonzero(half.any(axis=1)), np.flatnonzero(half.any(axis=0))
    if not rows.size:
        return None
    return np.array([columns[0], rows[0], columns[-1] + 1 - columns[0], rows[-1] + 1 - rows[0]], dtype=np.float64)
