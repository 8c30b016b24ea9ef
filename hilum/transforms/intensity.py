"""Grey levels of a crop, redrawn at random: what may change about a film without changing what it shows.

Two recipes share one set of numbers (`Grey`) and one way to apply them (`regrade`): `NaturalGrey` is DINOv2's colour
augmentation, of which brightness, contrast, blur and solarize are all that acts on a grey film; `RadiographGrey` is
ours, made of what differs between two detectors, workstations and exposures. Every change but blur maps level to
level, so it is composed on the 256 levels and applied as one look-up table.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
import numpy.typing as npt

from hilum.errors import ConfigError

Crop = Literal["first", "second", "local"]  # the two global crops, which DINOv2 treats differently, and all local ones
Levels = npt.NDArray[np.float64]  # (256,) what each stored level becomes, in [0, 255]

FULL: Final = 255.0
SOLARIZE_FROM: Final = 128  # levels at or above it are inverted
_RADIUS: Final = 4  # of the blur, pixels: a kernel of nine


@dataclass(frozen=True)
class Grey:
    """The numbers behind the grey levels of one crop; the defaults change nothing."""

    window: tuple[float, float] | None = None  # centre and width, shares of full range
    gamma: float = 1.0  # exponent on the [0, 1] scale
    brightness: float = 1.0  # factor
    contrast: float = 1.0  # factor about the mean grey
    contrast_first: bool = False  # the two are drawn in either order
    blur: float = 0.0  # sigma, pixels; 0: none
    solarize: bool = False


@dataclass(frozen=True)
class NaturalGrey:
    """DINOv2's numbers. Its saturation, hue and random grayscale are left out: they do nothing to a grey film."""

    jitter: float = 0.8  # probability of brightness and contrast together
    brightness: float = 0.4  # largest departure of the factor from 1
    contrast: float = 0.4
    blur: tuple[float, float, float] = (1.0, 0.1, 0.5)  # probability for the first, second and local crops
    sigma: tuple[float, float] = (0.1, 2.0)  # pixels
    solarize: float = 0.2  # probability, second global crop alone

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        check_shares("natural", jitter=self.jitter, solarize=self.solarize)
        check_shares("natural", brightness=self.brightness, contrast=self.contrast)
        check_shares("natural", **dict(zip(("blur_first", "blur_second", "blur_local"), self.blur, strict=True)))
        check_range("natural", "sigma", self.sigma)

    def draw(self, rng: np.random.Generator, crop: Crop, *, blur_quirk: bool = False) -> Grey:
        """Draw the numbers of one crop; `blur_quirk` blurs with one minus the probability, as the released code."""
        chance = self.blur[("first", "second", "local").index(crop)]
        jittered = rng.random() < self.jitter
        return Grey(
            brightness=_factor(rng, self.brightness) if jittered else 1.0,
            contrast=_factor(rng, self.contrast) if jittered else 1.0,
            contrast_first=bool(jittered and rng.random() < 0.5),
            blur=_sigma(rng, 1 - chance if blur_quirk else chance, self.sigma),
            solarize=bool(crop == "second" and rng.random() < self.solarize),
        )


@dataclass(frozen=True)
class RadiographGrey:
    """What differs between two films of one chest, each with its reason; all crops are treated alike.

    Weak enough to keep findings: on real films 1.7 % of a crop's pixels lose their level to the ends of the scale, half
    of what DINOv2's numbers cost, and 0.3 % of the crops lose nearly all of their contrast.
    No solarize: bright bone turned dark is the other photometric interpretation, which preparation has just put right,
    and a threshold in mid-grey cuts an edge through every lung.
    """

    jitter: float = 0.8  # probability of gamma, brightness and contrast together
    gamma: float = 0.25  # largest |log exponent|: display curves of vendors differ by about this
    brightness: float = 0.2  # largest departure of the factor from 1: exposure and its automatic control
    contrast: float = 0.2  # the same about the mean grey: tube voltage, grid, scatter of a heavier patient
    window: float = 0.5  # probability; the other half of the crops keeps the levels the film is read at later
    window_width: tuple[float, float] = (0.8, 1.2)  # share of full range: readers narrow and widen the window
    window_shift: float = 0.05  # of the centre, share of full range; with the width it hides 15 % of either end at most
    blur: float = 0.3  # probability
    sigma: tuple[float, float] = (0.1, 1.0)  # pixels: another focal spot or a breath; 2 would wipe out a pleural line

    def __post_init__(self) -> None:
        """Refuse values without meaning."""
        check_shares("radiograph", jitter=self.jitter, window=self.window, blur=self.blur)
        check_shares("radiograph", brightness=self.brightness, contrast=self.contrast, window_shift=self.window_shift)
        check_range("radiograph", "window_width", self.window_width)
        check_range("radiograph", "sigma", self.sigma)
        if not (math.isfinite(self.gamma) and self.gamma >= 0):
            raise ConfigError(f"gamma is {self.gamma} and must not be negative", where="radiograph")

    def draw(self, rng: np.random.Generator) -> Grey:
        """Draw the numbers of one crop."""
        windowed = rng.random() < self.window
        centre, width = 0.5 + rng.uniform(-self.window_shift, self.window_shift), rng.uniform(*self.window_width)
        jittered = rng.random() < self.jitter
        return Grey(
            window=(float(centre), float(width)) if windowed else None,
            gamma=math.exp(rng.uniform(-self.gamma, self.gamma)) if jittered else 1.0,
            brightness=_factor(rng, self.brightness) if jittered else 1.0,
            contrast=_factor(rng, self.contrast) if jittered else 1.0,
            contrast_first=bool(jittered and rng.random() < 0.5),
            blur=_sigma(rng, self.blur, self.sigma),
        )


def regrade(pixels: np.ndarray, grey: Grey) -> np.ndarray:
    """Window, gamma, brightness and contrast, then blur, then solarize: (S, S) uint8 -> (S, S) uint8."""
    levels = np.arange(256.0)
    if grey.window is not None:
        levels = windowed(levels, *grey.window)
    if grey.gamma != 1:
        levels = FULL * (levels / FULL) ** grey.gamma
    if grey.contrast_first:
        levels = brightened(contrasted(levels, grey.contrast, pixels), grey.brightness)
    else:
        levels = contrasted(brightened(levels, grey.brightness), grey.contrast, pixels)
    pixels = np.rint(levels).astype(np.uint8)[pixels]
    if grey.blur:
        pixels = blurred(pixels, grey.blur)
    return np.where(pixels < SOLARIZE_FROM, pixels, 255 - pixels) if grey.solarize else pixels


def windowed(levels: Levels, centre: float, width: float) -> Levels:
    """Spread the window, shares of full range, over all levels; what lies outside is clipped."""
    return ((levels - FULL * (centre - width / 2)) / width).clip(0, FULL)


def brightened(levels: Levels, factor: float) -> Levels:
    """Multiply and clip (torchvision's adjust_brightness)."""
    return levels if factor == 1 else (levels * factor).clip(0, FULL)


def contrasted(levels: Levels, factor: float, pixels: np.ndarray) -> Levels:
    """Stretch about the mean grey of the crop as it is by now, and clip (torchvision's adjust_contrast).

    Args:
        levels: what has been done to the levels so far.
        factor: of the stretch; below 1 flattens.
        pixels: (S, S) uint8, the crop as stored.
    """
    if factor == 1:
        return levels
    mean = np.bincount(pixels.ravel(), minlength=256) @ levels / pixels.size
    return ((levels - mean) * factor + mean).clip(0, FULL)


def blurred(pixels: np.ndarray, sigma: float) -> np.ndarray:
    """Gaussian blur with a kernel of nine, mirrored at the rim (torchvision's): (H, W) uint8, sides > 4 -> same."""
    height, width = pixels.shape
    offsets = np.arange(-_RADIUS, _RADIUS + 1)
    kernel = np.exp(-0.5 * (offsets / sigma) ** 2)
    kernel = (kernel / kernel.sum()).astype(np.float32)
    padded = np.pad(pixels, _RADIUS, mode="reflect").astype(np.float32)
    rows = sum(weight * padded[at : at + height] for at, weight in enumerate(kernel))
    both = sum(weight * rows[:, at : at + width] for at, weight in enumerate(kernel))
    return np.asarray(np.rint(both).clip(0, FULL).astype(np.uint8))


def check_shares(where: str, **values: float) -> None:
    """Every value is a probability or a share: in [0, 1]."""
    for name, value in values.items():
        if not 0 <= value <= 1:
            raise ConfigError(f"{name} is {value} and must lie in [0, 1]", where=where)


def check_range(where: str, name: str, values: tuple[float, float], *, top: float = math.inf) -> None:
    """A smallest and a largest value, above 0 and up to `top`."""
    if not 0 < values[0] <= values[1] <= top:
        limit = "" if top == math.inf else f" and at most {top:g}"
        raise ConfigError(f"{name} is {values}: two rising values above 0{limit} are needed", where=where)


def _factor(rng: np.random.Generator, strength: float) -> float:
    return float(rng.uniform(1 - strength, 1 + strength))


def _sigma(rng: np.random.Generator, probability: float, limits: tuple[float, float]) -> float:
    """Sigma of a blur that happens with `probability`, else 0."""
    return float(rng.uniform(*limits)) if rng.random() < probability else 0.0
