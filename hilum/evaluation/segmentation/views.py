"""Film and masks through the same crop, turn and flip; and back from the network's square to the film's own pixels.

The square holds the whole film, letterboxed on black or squeezed, so that every pixel of a film gets an answer. Masks
follow by their nearest pixel; what lies outside the film is unknown.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Final, Literal

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from PIL import Image
from torch import Tensor

from hilum.manifest.masks import UNKNOWN, resize_nearest
from hilum.schema import IMAGE, Preprocessing
from hilum.transforms.affine import letterbox
from hilum.transforms.framing import fit
from hilum.transforms.views import as_image

TRUTH: Final = "truth"  # batch key: (B, K, S, S) uint8 of 0, 1 and UNKNOWN
Resize = Literal["pad", "squeeze"]


@dataclass(frozen=True)
class Frame:
    """Where a film of (height, width) lies in the square."""

    top: int
    left: int
    rows: int
    columns: int

    @classmethod
    def of(cls, height: int, width: int, size: int, resize: Resize) -> Frame:
        """The frame of a record that keeps the whole film (`Preprocessing.whole`): masks lie where their film does."""
        how = fit((height, width), Preprocessing(size=size, resize=resize))
        return cls(how.top, how.left, how.rows, how.columns)

    def lift(self, maps: Tensor, height: int, width: int) -> Tensor:
        """Maps on the square (K, S, S) -> on the film (K, height, width), bilinear."""
        inside = maps[:, self.top : self.top + self.rows, self.left : self.left + self.columns]
        if tuple(inside.shape[1:]) == (height, width):
            return inside
        return F.interpolate(inside[None], size=(height, width), mode="bilinear", align_corners=False)[0]


def square_masks(masks: NDArray[np.uint8], height: int, width: int, size: int, resize: Resize) -> NDArray[np.uint8]:
    """Masks of a film (K, h, w), of any size -> (K, S, S), unknown outside a film of (height, width)."""
    frame = Frame.of(height, width, size, resize)
    square = np.full((len(masks), size, size), UNKNOWN, np.uint8)
    inside = resize_nearest(masks, (frame.rows, frame.columns))
    square[:, frame.top : frame.top + frame.rows, frame.left : frame.left + frame.columns] = inside
    return square


@dataclass(frozen=True)
class MaskDraw:
    """The numbers behind one view."""

    box: tuple[int, int, int, int]  # left, top, right, bottom, pixels of the film
    flip: bool
    degrees: float  # anticlockwise
    contrast: float  # factor about the mean grey
    brightness: float  # added, share of full range


@dataclass(frozen=True)
class MaskViews:
    """An augmentation of film and masks; returns {"image": (1, S, S) uint8, "truth": (K, S, S) uint8}."""

    size: int  # S, pixels a side
    resize: Resize = "pad"
    crop: float = 0.6  # smallest share of the film's area that a view keeps; 1: always the whole film
    flip: float = 0.5  # probability
    rotate: float = 10.0  # largest angle, degrees
    contrast: float = 0.2  # largest departure of the factor from 1
    brightness: float = 0.1  # largest shift, share of full range

    def draw(self, rng: np.random.Generator, height: int, width: int) -> MaskDraw:
        """Draw the numbers of one view of a film of height x width pixels; crops keep its shape."""
        side = math.sqrt(rng.uniform(self.crop, 1.0))
        rows, columns = max(1, round(height * side)), max(1, round(width * side))
        top, left = int(rng.integers(0, height - rows + 1)), int(rng.integers(0, width - columns + 1))
        return MaskDraw(
            box=(left, top, left + columns, top + rows),
            flip=bool(rng.random() < self.flip),
            degrees=float(rng.uniform(-self.rotate, self.rotate)),
            contrast=float(rng.uniform(1 - self.contrast, 1 + self.contrast)),
            brightness=float(rng.uniform(-self.brightness, self.brightness)),
        )

    def __call__(
        self, film: NDArray[np.uint8], rng: np.random.Generator, truth: NDArray[np.uint8]
    ) -> dict[str, Tensor]:
        """One view of a film (H, W) uint8 and its masks (K, h, w) uint8 of 0, 1 and UNKNOWN."""
        draw = self.draw(rng, *film.shape)
        pixels, masks = apply_view(film, truth, draw, self.size, self.resize)
        return {IMAGE: as_image(pixels), TRUTH: torch.from_numpy(masks)}


def apply_view(
    film: NDArray[np.uint8], truth: NDArray[np.uint8], draw: MaskDraw, size: int, resize: Resize
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Crop, bring to the square, turn, mirror: film (H, W) and masks (K, h, w) -> (S, S) and (K, S, S); regrade."""
    left, top, right, bottom = draw.box
    cut = np.ascontiguousarray(film[top:bottom, left:right])
    pixels = letterbox(cut, size) if resize == "pad" else _squeezed(cut, size)
    fitted = resize_nearest(truth, film.shape)[:, top:bottom, left:right]
    masks = square_masks(fitted, bottom - top, right - left, size, resize)
    if draw.degrees:
        pixels = _turned(pixels, draw.degrees, Image.Resampling.BICUBIC, 0)
        masks = np.stack([_turned(mask, draw.degrees, Image.Resampling.NEAREST, UNKNOWN) for mask in masks])
    if draw.flip:
        pixels, masks = pixels[:, ::-1], masks[:, :, ::-1]
    mean = float(pixels.mean())
    levels = (np.arange(256) - mean) * draw.contrast + mean + 255 * draw.brightness
    table = np.rint(levels).clip(0, 255).astype(np.uint8)
    return np.asarray(table[pixels]), np.ascontiguousarray(masks)


def _squeezed(film: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    if film.shape == (size, size):
        return film
    return np.array(Image.fromarray(film).resize((size, size), Image.Resampling.BICUBIC))


def _turned(pixels: NDArray[np.uint8], degrees: float, resample: Image.Resampling, fill: int) -> NDArray[Any]:
    return np.array(Image.fromarray(np.ascontiguousarray(pixels)).rotate(degrees, resample, fillcolor=fill))
