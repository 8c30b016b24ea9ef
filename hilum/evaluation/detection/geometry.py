"""Where a film lies on the square that a network sees, and boxes moved there and back.

A placement is the rectangle of the whole film in pixels of the square; it may reach beyond it (cut off) or leave a rim
(black). The rules are those of the encoder's own transform, to the pixel.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hilum.schema import Preprocessing

Floats = NDArray[np.float64]


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


def placement(shape: tuple[int, int], size: int, rule: str) -> Placement:
    """Where `prepare_film` puts a film (H, W) on its square.

    Args:
        shape: (H, W) of the film.
        size: pixels a side of the square.
        rule: `resize` of the preprocessing record: squeeze, shortest (side, then the centre), or pad (letterbox).
    """
    if rule == "squeeze":
        return Placement(0, 0, size, size)
    height, width = shape
    if rule == "shortest":
        scale = size / min(height, width)
        rows, columns = max(size, int(height * scale)), max(size, int(width * scale))
        left, top = -((columns - size) // 2), -((rows - size) // 2)
    else:
        scale = size / max(height, width)
        rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
        left, top = (size - columns) // 2, (size - rows) // 2
    return Placement(left, top, left + columns, top + rows)


def placed_by(shape: tuple[int, int], preprocessing: Preprocessing) -> Placement:
    """Where an encoder sees a film (H, W)."""
    return placement(shape, preprocessing.size, preprocessing.resize)


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
