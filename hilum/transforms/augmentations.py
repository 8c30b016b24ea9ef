"""What a film goes through when a classifier learns from it, by name: ours, those of the papers, or nothing.

`views.py` has ours ("weak"), which keeps what a diagnosis rests on; the others are here as published, flip included,
which moves the heart to the other side. Each gives one channel, uint8, as all views do; `normalise` does the rest on
the device. "none" is the encoder's own evaluation transform, float32.

| name | what | source |
|---|---|---|
| none | resize and crop of the encoder's preprocessing record | |
| weak | crop of 60 to 100 %, turn of 5 degrees, exposure | ours |
| mrm | crop of 8 to 100 %, bilinear, flip | MRM's and MaCo's fine-tuning |
| cxrbase | crop of 20 to 100 %, bicubic, flip | CXRBase, "Data processing" |
| chexfound | crop of 75 to 100 %, bicubic, flip | CheXFound's heads |
| medim | longest side to 240 of 224 pixels, black square, crop, SimCLR's grey jitter and blur | MedIM's probe |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal, Protocol

import numpy as np
from PIL import Image
from torch import Tensor

from hilum.config import override
from hilum.errors import ConfigError
from hilum.lookup import unknown_name
from hilum.schema import IMAGE, Preprocessing
from hilum.transforms.image import OwnRange, prepare_film
from hilum.transforms.intensity import NaturalGrey, check_range, check_shares, regrade
from hilum.transforms.views import FineTuneViews, as_image, crop_resize, draw_crop

Augment = Literal["none", "weak", "mrm", "cxrbase", "chexfound", "medim"]
_FILTERS: Final = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


class FilmViews(Protocol):
    """Any of the below: film (H, W) uint8 and its own generator -> {"image": (1, S, S) uint8, or (C, S, S) float32}."""

    def __call__(self, film: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """One view."""
        ...


@dataclass(frozen=True)
class CropFlip:
    """A random resized crop, perhaps mirrored."""

    size: int  # pixels a side of the view
    scale: tuple[float, float] = (0.08, 1.0)  # share of the film's area
    flip: float = 0.5  # probability
    interpolation: Literal["bilinear", "bicubic"] = "bicubic"

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        check_range("augment_set", "scale", self.scale, top=1)
        check_shares("augment_set", flip=self.flip)

    def __call__(self, film: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """One view of a film (H, W) uint8."""
        height, width = film.shape
        box = draw_crop(rng, height, width, self.scale)
        pixels = crop_resize(film, box, self.size, _FILTERS[self.interpolation])
        return {IMAGE: as_image(pixels[:, ::-1] if rng.random() < self.flip else pixels)}


@dataclass(frozen=True)
class FramedCrop:
    """The whole film on a black square, a crop of it without resizing, SimCLR's grey levels. No flip."""

    size: int  # pixels a side of the view
    frame: float = 240 / 224  # of the square, in sides of the view; MedIM has 256 / 224 for COVIDx
    grey: NaturalGrey = field(
        default_factory=lambda: NaturalGrey(jitter=0.8, brightness=0.4, contrast=0.4, blur=(0.5, 0.5, 0.5), solarize=0)
    )

    def __post_init__(self) -> None:
        """Refuse a square smaller than the crop."""
        if self.frame < 1:
            raise ConfigError(f"frame must be 1 or more, not {self.frame}", where="augment_set", fix="MedIM has 1.07")

    def __call__(self, film: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """One view of a film (H, W) uint8."""
        side = round(self.size * self.frame)
        top, left = (int(value) for value in rng.integers(0, side - self.size + 1, 2))
        pixels = framed(film, side)[top : top + self.size, left : left + self.size]
        return {IMAGE: as_image(regrade(pixels, self.grey.draw(rng, "first")))}


@dataclass(frozen=True)
class Plain:
    """No augmentation: what the encoder sees when it is used."""

    preprocessing: Preprocessing

    def __call__(self, film: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """The film as it is prepared for evaluation, (C, S, S) float32; nothing is drawn."""
        return {IMAGE: prepare_film(film, self.preprocessing)}


_KINDS: Final[dict[str, tuple[type[FineTuneViews | CropFlip | FramedCrop], dict[str, Any]]]] = {
    "weak": (FineTuneViews, {}),
    "mrm": (CropFlip, {"interpolation": "bilinear"}),
    "cxrbase": (CropFlip, {"scale": (0.2, 1.0)}),
    "chexfound": (CropFlip, {"scale": (0.75, 1.0)}),
    "medim": (FramedCrop, {}),
}
AUGMENTATIONS: Final = ("none", *_KINDS)


def augmentation(name: str, preprocessing: Preprocessing, options: Mapping[str, Any] | None = None) -> FilmViews:
    """The views of a name for an encoder.

    Args:
        name: one of `AUGMENTATIONS`.
        preprocessing: of the encoder: its size, and for "none" all of it.
        options: fields of the views that are to be others, e.g. {"scale": (0.5, 1.0)}.

    Raises:
        ConfigError: an unknown name or field, or a value without meaning.
    """
    if name not in AUGMENTATIONS:
        raise unknown_name(name, list(AUGMENTATIONS), kind="augmentation", where="augment")
    if name == "none":
        if options:
            raise ConfigError("the augmentation 'none' has no options", where="augment_set", fix="Leave it out")
        return Plain(preprocessing)
    kind, given = _KINDS[name]
    views: FilmViews = override(kind(preprocessing.size, **given), options or {}, where="augment_set")
    return OwnRange(views) if preprocessing.rescale == "minmax-film" else views


def framed(film: np.ndarray, side: int) -> np.ndarray:
    """The longest side to `side` by area, centred on black: (H, W) uint8 -> (side, side) uint8."""
    height, width = film.shape
    ratio = side / max(height, width)
    rows, columns = max(1, round(height * ratio)), max(1, round(width * ratio))
    shrinks = Image.Resampling.BOX if ratio < 1 else Image.Resampling.BILINEAR
    square = np.zeros((side, side), dtype=np.uint8)
    top, left = (side - rows) // 2, (side - columns) // 2
    square[top : top + rows, left : left + columns] = np.array(Image.fromarray(film).resize((columns, rows), shrinks))
    return square
