"""Random views of a film and of the boxes on it: mirrored, enlarged or shrunk, and cut, boxes with them.

As in detectors since SSD and in MaCo's protocol: the film is scaled by a factor about its usual place on the square; an
enlarged one is cut at random, a shrunk one put at random on black. Grey levels are left alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hilum.evaluation.detection.geometry import Placement, as_shares, clipped, placed_by
from hilum.schema import IMAGE, Preprocessing
from hilum.transforms.views import as_image

BOXES: Final = "boxes"  # batch key: (B, M, 5) centre x, y, width, height as shares, category; NaN rows fill up
LEAST: Final = 1.0  # pixels of the square: a box with a shorter side after the cut is gone


@dataclass(frozen=True)
class BoxDraw:
    """The numbers behind one view."""

    factor: float  # above 1: enlarged
    shift: tuple[float, float]  # in [0, 1]: where along the room there is, across and down
    flip: bool


@dataclass(frozen=True)
class BoxViews:
    """A film and its boxes on a square; returns {"image": (1, size, size) uint8, "boxes": (most, 5) float32}."""

    preprocessing: Preprocessing  # how the encoder puts a whole film on its square
    most: int  # rows of the boxes
    flip: float = 0.0  # probability
    scale: tuple[float, float] = (0.8, 1.2)  # smallest and largest factor

    @property
    def size(self) -> int:
        """Pixels a side."""
        return self.preprocessing.size

    def draw(self, rng: np.random.Generator) -> BoxDraw:
        """Draw the numbers of one view."""
        factor = float(rng.uniform(*self.scale))
        across, down = rng.random(2)
        return BoxDraw(factor, (float(across), float(down)), bool(rng.random() < self.flip))

    def __call__(
        self, film: NDArray[np.uint8], rng: np.random.Generator, truth: NDArray[np.float64]
    ) -> dict[str, Tensor]:
        """One view of a film (H, W) uint8 and its boxes (M, 5): left, top, width, height in pixels, category."""
        return self.apply(film, truth, self.draw(rng))

    def apply(self, film: NDArray[np.uint8], truth: NDArray[np.float64], draw: BoxDraw) -> dict[str, Tensor]:
        """The view that the numbers describe."""
        height, width = film.shape
        place = moved(placed_by((height, width), self.preprocessing), self.size, draw)
        pixels = render(film, place, self.size)
        boxes = place.forward(truth[:, :4], (height, width))
        if draw.flip:
            pixels = pixels[:, ::-1]
            boxes[:, 0] = self.size - boxes[:, 0] - boxes[:, 2]
        boxes = clipped(boxes, (self.size, self.size))
        there = (boxes[:, 2:] >= LEAST).all(axis=1)
        found = np.full((self.most, 5), np.nan, np.float32)
        rows = np.column_stack([as_shares(boxes, self.size), truth[:, 4]])[there]
        found[: len(rows)] = rows
        return {IMAGE: as_image(pixels), BOXES: torch.from_numpy(found)}


def moved(place: Placement, size: int, draw: BoxDraw) -> Placement:
    """The placement scaled and shifted by the draw, its edges at whole pixels."""
    room = size * (1 - draw.factor)  # negative: how much is cut off
    left, right = (edge * draw.factor + draw.shift[0] * room for edge in (place.left, place.right))
    top, bottom = (edge * draw.factor + draw.shift[1] * room for edge in (place.top, place.bottom))
    left, top = round(left), round(top)
    return Placement(left, top, max(left + 1, round(right)), max(top + 1, round(bottom)))


def render(film: NDArray[np.uint8], place: Placement, size: int) -> NDArray[np.uint8]:
    """The square (size, size) uint8 with the film at a placement of whole pixels; bicubic, black around it."""
    height, width = film.shape
    square = np.zeros((size, size), np.uint8)
    left, top = max(0, int(place.left)), max(0, int(place.top))
    right, bottom = min(size, int(place.right)), min(size, int(place.bottom))
    if right <= left or bottom <= top:
        return square
    across, down = width / (place.right - place.left), height / (place.bottom - place.top)
    source = ((left - place.left) * across, (top - place.top) * down,
              min(width, (right - place.left) * across), min(height, (bottom - place.top) * down))  # fmt: skip
    part = Image.fromarray(film).resize((right - left, bottom - top), Image.Resampling.BICUBIC, box=source)
    square[top:bottom, left:right] = np.array(part)
    return square
