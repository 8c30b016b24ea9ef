"""Random views of a stored film: parameters are drawn first, from the sample's own generator, then applied.

Drawing and applying are separate functions so that a view can be replayed, and so that the numbers drawn
never depend on how they are applied. The generator is keyed by (seed, epoch, image, view) in the loader:
workers, devices and batch size do not matter.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from hilum.errors import ConfigError
from hilum.schema import IMAGE

Box = tuple[int, int, int, int]  # left, top, right, bottom, in pixels; right and bottom excluded
CROP_RATIO: Final = (3 / 4, 4 / 3)  # width / height of a random crop, as every ImageNet recipe has it
_TRIES: Final = 10


def draw_crop(
    rng: np.random.Generator,
    height: int,
    width: int,
    scale: tuple[float, float],
    ratio: tuple[float, float] = CROP_RATIO,
) -> Box:
    """Draw the box of a random resized crop (Szegedy 2014, as in torchvision: ten tries, then the centre).

    Args:
        rng: the sample's generator.
        height: of the film, pixels.
        width: of the film, pixels.
        scale: smallest and largest share of the film's area.
        ratio: smallest and largest width / height, drawn on a log scale.
    """
    low, high = math.log(ratio[0]), math.log(ratio[1])
    for _ in range(_TRIES):
        area = height * width * rng.uniform(*scale)
        aspect = math.exp(rng.uniform(low, high))
        columns, rows = round(math.sqrt(area * aspect)), round(math.sqrt(area / aspect))
        if 0 < columns <= width and 0 < rows <= height:
            top = int(rng.integers(0, height - rows + 1))
            left = int(rng.integers(0, width - columns + 1))
            return left, top, left + columns, top + rows
    return _centre_box(height, width, ratio)


def _centre_box(height: int, width: int, ratio: tuple[float, float]) -> Box:
    """The largest centred box whose aspect is within `ratio`."""
    aspect = min(max(width / height, ratio[0]), ratio[1])
    columns = min(width, round(height * aspect))
    rows = min(height, round(width / aspect))
    left, top = (width - columns) // 2, (height - rows) // 2
    return left, top, left + columns, top + rows


def crop_resize(
    film: np.ndarray, box: Box, size: int, resampling: Image.Resampling = Image.Resampling.BICUBIC
) -> np.ndarray:
    """Cut `box` out of a film (H, W) uint8 and resize it to (size, size) uint8: bicubic or as told, antialiased."""
    image = Image.fromarray(film).resize((size, size), resampling, box=box)
    return np.array(image)


def as_image(pixels: np.ndarray) -> Tensor:
    """(S, S) uint8 -> (1, S, S) uint8 tensor, as the loader stacks them."""
    return torch.from_numpy(np.ascontiguousarray(pixels))[None]


@dataclass(frozen=True)
class FineTuneDraw:
    """The numbers behind one fine-tuning view."""

    box: Box
    flip: bool
    degrees: float  # anticlockwise
    contrast: float  # factor about the mean grey
    brightness: float  # added, share of full range


@dataclass(frozen=True)
class FineTuneViews:
    """A weak augmentation for supervised fine-tuning; returns {"image": (1, size, size) uint8}.

    The flip is off: it moves the heart to the other side, which is a diagnosis.
    """

    size: int  # pixels a side of the view
    scale: tuple[float, float] = (0.6, 1.0)  # share of the film's area
    flip: float = 0.0  # probability
    rotate: float = 5.0  # largest angle, degrees
    contrast: float = 0.2  # largest departure of the factor from 1
    brightness: float = 0.1  # largest shift, share of full range

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        low, high = self.scale
        if not 0 < low <= high <= 1:
            raise ConfigError(f"scale is {self.scale}: two rising shares above 0 are needed", where="augment_set")
        for name in ("flip", "contrast", "brightness"):
            if not 0 <= getattr(self, name) <= 1:
                raise ConfigError(f"{name} is {getattr(self, name)} and must lie in [0, 1]", where="augment_set")

    def draw(self, rng: np.random.Generator, height: int, width: int) -> FineTuneDraw:
        """Draw the numbers of one view of a film of height x width pixels."""
        return FineTuneDraw(
            box=draw_crop(rng, height, width, self.scale),
            flip=bool(rng.random() < self.flip),
            degrees=float(rng.uniform(-self.rotate, self.rotate)),
            contrast=float(rng.uniform(1 - self.contrast, 1 + self.contrast)),
            brightness=float(rng.uniform(-self.brightness, self.brightness)),
        )

    def __call__(self, film: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """One view of a film (H, W) uint8."""
        draw = self.draw(rng, *film.shape)
        return {IMAGE: as_image(apply_fine_tune(film, draw, self.size))}


def apply_fine_tune(film: np.ndarray, draw: FineTuneDraw, size: int) -> np.ndarray:
    """Crop and resize, then turn, mirror and regrade: film (H, W) uint8 -> (size, size) uint8."""
    pixels = crop_resize(film, draw.box, size)
    if draw.degrees:
        turned = Image.fromarray(pixels).rotate(draw.degrees, Image.Resampling.BICUBIC)
        pixels = np.array(turned)
    if draw.flip:
        pixels = pixels[:, ::-1]
    mean = float(pixels.mean())
    levels = (np.arange(256) - mean) * draw.contrast + mean + 255 * draw.brightness
    table = np.rint(levels).clip(0, 255).astype(np.uint8)
    return np.asarray(table[pixels])
