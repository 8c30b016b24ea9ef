"""Where a film lies on the square that a network sees, and boxes moved there and back.

A placement is the rectangle of the whole film in pixels of the square; it may reach beyond it (cut off) or leave a rim
(black). The rules are those of the encoder's own transform, to the pixel.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilum.schema import Preprocessing
from hilum.transforms.framing import fit

Floats = NDArray[np.float64]
Rule = Literal["squeeze", "shortest", "pad", "square"]


class Placement(NamedTuple):
    """Edges of the film in pixels of the square."""

    left: float
    top: float
    right: float
    bottom: float

    def forward(self, boxes: Floats, shape: tuple[int, int]) -> Floats:
        """Boxes (M, 4) left, top, width, height: pixels of the film (H, W) -> pixels of the square."""
        across, down = self._scale(shape)
        moved: Floats = boxes * np.array([across, down, across, down]) + np.array([self.left, self.top, 0, 0])
        return moved

    def back(self, boxes: Floats, shape: tuple[int, int]) -> Floats:
        """The inverse of `forward`."""
        across, down = self._scale(shape)
        moved: Floats = (boxes - np.array([self.left, self.top, 0, 0])) / np.array([across, down, across, down])
        return moved

    def _scale(self, shape: tuple[int, int]) -> tuple[float, float]:
        return (self.right - self.left) / shape[1], (self.bottom - self.top) / shape[0]


def placement(shape: tuple[int, int], size: int, rule: Rule) -> Placement:
    """Where `prepare_film` puts a film (H, W) on its square.

    Args:
        shape: (H, W) of the film.
        size: pixels a side of the square.
        rule: `resize` of a plain preprocessing record: squeeze, shortest (side, then the centre), or pad (letterbox).
    """
    return placed_by(shape, Preprocessing(size=size, resize=rule))


def placed_by(shape: tuple[int, int], preprocessing: Preprocessing) -> Placement:
    """Where an encoder sees a film (H, W), whatever its record says: a crop cuts edges off, a second resize scales."""
    how = fit(shape, preprocessing)
    top, left, rows, columns = how.cut
    down, across = how.rows / rows, how.columns / columns
    film = (
        how.left - left * across,
        how.top - top * down,
        how.left + (shape[1] - left) * across,
        how.top + (shape[0] - top) * down,
    )
    return Placement(*(edge * preprocessing.size / how.window for edge in film))


def clipped(boxes: Floats, shape: tuple[int, int]) -> Floats:
    """Boxes (M, 4) without what lies outside a picture (H, W); sides become 0 where nothing is left."""
    ends = np.concatenate([boxes[:, :2], boxes[:, :2] + boxes[:, 2:]], axis=1)
    ends = ends.clip(0, np.array([shape[1], shape[0]] * 2, dtype=np.float64))
    return np.concatenate([ends[:, :2], ends[:, 2:] - ends[:, :2]], axis=1)


def as_shares(boxes: Floats, size: int) -> Floats:
    """Boxes (M, 4) left, top, width, height in pixels -> centre, width and height as shares of the square's side."""
    centred = np.concatenate([boxes[:, :2] + boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)
    return centred / size


def from_shares(shares: Floats, size: int) -> Floats:
    """The inverse of `as_shares`."""
    boxes = shares * size
    return np.concatenate([boxes[:, :2] - boxes[:, 2:] / 2, boxes[:, 2:]], axis=1)
