"""Whole films, letterboxed, turned and scaled about their centre: the views of MaCo's released code.

Numbers are drawn first and applied later, as in views.py.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hilum.schema import IMAGE, MASK_NOISE
from hilum.transforms.views import as_image


@dataclass(frozen=True)
class AffineDraw:
    """The numbers behind one view."""

    flip: bool
    degrees: float  # anticlockwise
    factor: float  # above 1: the film is enlarged


@dataclass(frozen=True)
class AffineViews:
    """A letterboxed film, perhaps mirrored, turned and scaled, and the noise that decides which patches are hidden."""

    image_size: int  # pixels a side of the view
    patches: int  # L, draws of noise
    rotate: float = 20.0  # largest angle, degrees
    scale: tuple[float, float] = (0.8, 1.2)  # smallest and largest factor
    flip: float = 0.5  # probability

    def draw(self, rng: np.random.Generator) -> AffineDraw:
        """Draw the numbers of one view."""
        return AffineDraw(
            flip=bool(rng.random() < self.flip),
            degrees=float(rng.uniform(-self.rotate, self.rotate)),
            factor=float(rng.uniform(*self.scale)),
        )

    def __call__(self, film: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Film (H, W) uint8 -> image (1, S, S) uint8 and mask noise (L,) float32 in [0, 1)."""
        draw = self.draw(rng)
        noise = rng.random(self.patches, dtype=np.float32)
        pixels = apply_affine(letterbox(film, self.image_size), draw)
        return {IMAGE: as_image(pixels), MASK_NOISE: torch.from_numpy(noise)}


def letterbox(film: np.ndarray, size: int) -> np.ndarray:
    """The longest side to `size`, bicubic and antialiased, centred on black: (H, W) uint8 -> (size, size) uint8."""
    height, width = film.shape
    ratio = size / max(height, width)
    rows, columns = max(1, round(height * ratio)), max(1, round(width * ratio))
    square = Image.new("L", (size, size))
    shrunk = Image.fromarray(film).resize((columns, rows), Image.Resampling.BICUBIC)
    square.paste(shrunk, ((size - columns) // 2, (size - rows) // 2))
    return np.array(square)


def apply_affine(pixels: np.ndarray, draw: AffineDraw) -> np.ndarray:
    """Mirror, then turn and scale about the centre, bilinear, black outside: (S, S) uint8 -> same."""
    if draw.flip:
        pixels = pixels[:, ::-1]
    if draw.degrees == 0 and draw.factor == 1:
        return pixels
    centre = pixels.shape[0] / 2
    # Pillow asks where each pixel of the result comes from: the inverse turn, divided by the factor
    cos = math.cos(math.radians(draw.degrees)) / draw.factor
    sin = math.sin(math.radians(draw.degrees)) / draw.factor
    source = (cos, -sin, centre - (cos - sin) * centre, sin, cos, centre - (sin + cos) * centre)
    image = Image.fromarray(np.ascontiguousarray(pixels))
    return np.array(image.transform(image.size, Image.Transform.AFFINE, source, Image.Resampling.BILINEAR))
