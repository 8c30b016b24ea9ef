"""Large and small crops of one film, and which patches of the large ones are hidden: the views of DINOv2.

Paper: DINOv2, https://arxiv.org/abs/2304.07193; for chest films CheXFound, https://arxiv.org/abs/2502.05142
Crops carry one channel. The three channels of a grey film are equal, and every change below treats them alike, so
the encoder that wants three repeats and standardises the one it gets: the same numbers at a third of the bytes.

Departures: on a grey film saturation, hue and random grayscale do nothing and are not drawn; the style `radiograph`
mirrors nothing and changes grey levels as detectors and readers do (intensity.py says why).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Final, Literal

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from hilum.errors import ConfigError
from hilum.transforms.block_masks import block_mask, mask_counts
from hilum.transforms.intensity import Crop, Grey, NaturalGrey, RadiographGrey, check_range, check_shares, regrade
from hilum.transforms.place import Place
from hilum.transforms.views import Box, crop_resize, draw_crop

GLOBAL_CROPS: Final = "global_crops"  # (2, 1, S, S) uint8 a film
LOCAL_CROPS: Final = "local_crops"  # (L, 1, s, s) uint8
CROP_MASKS: Final = "crop_masks"  # (2, P) bool, True where a patch of a global crop is hidden from the student
_MASKS: Final = 0x6D61736B  # "mask": sets these draws apart from all others keyed by (seed, step)


@dataclass(frozen=True)
class CropRecipe:
    """How the crops of one film are cut and regraded."""

    global_size: int = 224  # S, pixels a side
    local_size: int = 96  # s
    global_scale: tuple[float, float] = (0.32, 1.0)  # share of the film's area
    local_scale: tuple[float, float] = (0.05, 0.32)
    locals: int = 8  # L; 0 leaves the two global crops
    flip: float = 0.0  # probability; off: a mirrored chest has its heart on the other side, which is a diagnosis
    style: Literal["radiograph", "natural"] = "radiograph"  # which of the two below regrades the crops
    radiograph: RadiographGrey = field(default_factory=RadiographGrey)
    natural: NaturalGrey = field(default_factory=NaturalGrey)
    blur_quirk: bool = False  # natural: blur with one minus the probability, as the released code does

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        if self.style not in ("radiograph", "natural"):
            raise ConfigError(f"style is {self.style!r} and must be radiograph or natural", where="crops")
        if self.blur_quirk and self.style != "natural":
            raise ConfigError("blur_quirk is a slip of the style natural", where="crops", fix="Set style=natural")
        if self.locals < 0:
            raise ConfigError(f"locals is {self.locals} and must not be negative", where="crops")
        for name, size in (("global_size", self.global_size), ("local_size", self.local_size)):
            if size < 8:  # the blur looks four pixels past the rim
                raise ConfigError(f"{name} is {size} pixels and must be 8 at least", where="crops")
        check_range("crops", "global_scale", self.global_scale, top=1)
        check_range("crops", "local_scale", self.local_scale, top=1)
        check_shares("crops", flip=self.flip)

    @property
    def crops(self) -> tuple[Crop, ...]:
        """What each crop is, in the order they are drawn."""
        local: Crop = "local"
        return ("first", "second", *[local] * self.locals)

    def draw(self, rng: np.random.Generator, height: int, width: int) -> list[CropDraw]:
        """Draw the numbers of all crops of a film of height x width pixels."""
        return [self._draw(rng, height, width, crop) for crop in self.crops]

    def _draw(self, rng: np.random.Generator, height: int, width: int, crop: Crop) -> CropDraw:
        return CropDraw(
            size=self.local_size if crop == "local" else self.global_size,
            box=draw_crop(rng, height, width, self.local_scale if crop == "local" else self.global_scale),
            flip=bool(rng.random() < self.flip),
            grey=self.radiograph.draw(rng)
            if self.style == "radiograph"
            else self.natural.draw(rng, crop, blur_quirk=self.blur_quirk),
        )


# DINOv2's own augmentation, as both the paper and the released code of CheXFound use it.
NATURAL: Final[dict[str, object]] = {"style": "natural", "flip": 0.5}


@dataclass(frozen=True)
class CropDraw:
    """The numbers behind one crop."""

    size: int  # pixels a side
    box: Box
    flip: bool
    grey: Grey


def apply_crop(film: np.ndarray, draw: CropDraw) -> np.ndarray:
    """Cut, resize, mirror, regrade: film (H, W) uint8 -> (size, size) uint8."""
    pixels = crop_resize(film, draw.box, draw.size)
    return regrade(pixels[:, ::-1] if draw.flip else pixels, draw.grey)


@dataclass(frozen=True)
class CropViews:
    """All crops of a film and the hidden patches of its global ones.

    How many patches each global crop loses is drawn for the whole global batch at once, from (seed, step) alone:
    exactly the asked share of its crops is masked and their ratios cover the range evenly, whatever the devices,
    loader processes and micro-batches. Which patches, like everything else, comes from the film's own generator.
    """

    recipe: CropRecipe
    patch_size: int  # pixels a side of a patch
    mask_probability: float = 0.5  # share of the global crops that lose patches
    mask_ratio: tuple[float, float] = (0.1, 0.5)  # smallest and largest share of patches that a masked crop loses
    draws_over: Literal["batch", "device"] = "batch"  # whose crops share the draw of how many patches are lost

    def __post_init__(self) -> None:
        """Refuse crops that patches do not tile and values without meaning."""
        for name, size in (("global_size", self.recipe.global_size), ("local_size", self.recipe.local_size)):
            if self.patch_size < 1 or size % self.patch_size:
                raise ConfigError(
                    f"{name} is {size} pixels, which patches of {self.patch_size} do not tile",
                    where="crops",
                    fix=f"Choose a multiple of {max(self.patch_size, 1)}",
                )
        check_shares("crops", mask_probability=self.mask_probability)
        check_range("crops", "mask_ratio", self.mask_ratio, top=1)

    @property
    def grid(self) -> tuple[int, int]:
        """Rows and columns of patches of a global crop."""
        side = self.recipe.global_size // self.patch_size
        return side, side

    def __call__(self, film: np.ndarray, rng: np.random.Generator, place: Place | None = None) -> dict[str, Tensor]:
        """Film (H, W) uint8 -> global crops (2, 1, S, S), local crops (L, 1, s, s) uint8 and masks (2, P) bool.

        Args:
            film: as stored.
            rng: the film's own generator.
            place: where the film stands in its global batch; without it the film is a batch of its own.
        """
        draws = self.recipe.draw(rng, *film.shape)
        masks = [block_mask(self.grid, count, rng) for count in self.counts(rng, place)]
        crops = [apply_crop(film, draw) for draw in draws]
        size = self.recipe.local_size
        return {
            GLOBAL_CROPS: _stack(crops[:2]),
            LOCAL_CROPS: _stack(crops[2:]) if crops[2:] else torch.empty((0, 1, size, size), dtype=torch.uint8),
            CROP_MASKS: torch.from_numpy(np.stack(masks).reshape(2, -1)),
        }

    def counts(self, rng: np.random.Generator, place: Place | None) -> tuple[int, int]:
        """How many patches the two global crops of a film lose at most."""
        patches, settings = self.grid[0] * self.grid[1], (self.mask_probability, self.mask_ratio)
        if place is None:
            alone = mask_counts(rng, 2, patches, probability=settings[0], ratio=settings[1])
            return int(alone[0]), int(alone[1])
        batch = batch_counts(replace(place, index=0), patches, *settings)
        return int(batch[place.index]), int(batch[place.count + place.index])


@lru_cache(maxsize=2)  # all films of a step ask for the same draw
def batch_counts(first: Place, patches: int, probability: float, ratio: tuple[float, float]) -> npt.NDArray[np.int64]:
    """How many patches every global crop of a step's batch loses: (2 * films,), all first crops, then all second.

    Args:
        first: the place of the batch's first film.
        patches: of a global crop.
        probability: share of the crops that lose any.
        ratio: smallest and largest share of patches that these lose.
    """
    counts = mask_counts(first.generator(_MASKS), 2 * first.count, patches, probability=probability, ratio=ratio)
    counts.setflags(write=False)  # shared by all who ask
    return counts


def _stack(crops: list[np.ndarray]) -> Tensor:
    return torch.from_numpy(np.stack(crops))[:, None]
