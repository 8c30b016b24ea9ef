"""One film to the tensor an encoder was trained on, and the normalisation that all paths share.

Films stay uint8 and one channel until they are on the device: a batch is then 12 times smaller than what
the encoder eats, and the arithmetic below runs there. That shortcut is for training views alone: what is judged goes
through `prepare_film`, whose steps are those of the encoder's own pipeline (`released/pixels.py`).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Concatenate, Final, Generic, ParamSpec

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.schema import Preprocessing
from hilum.transforms.framing import Fit, fit
from hilum.transforms.resampling import resized

P = ParamSpec("P")

_EMPTY: Final = float("nan")  # the rim of a letterbox until its grey is known


def normalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """Stored grey values to the encoder's input range; a float batch is taken as normalised already.

    Args:
        images: (B, 1, H, W) uint8, or (B, C, H, W) floating, returned as it is.
        preprocessing: mean and std on the [0, 1] scale, the number of channels, and the rescaling.

    Returns:
        (B, C, H, W) float32: (value / 255 - mean) / std, grey repeated over the channels; with `rescale="minmax"` each
        film's own [0, 1] in place of value / 255.
    """
    if images.is_floating_point():
        return images
    std = images.new_tensor(preprocessing.std, dtype=torch.float32).view(-1, 1, 1)
    mean = images.new_tensor(preprocessing.mean, dtype=torch.float32).view(-1, 1, 1)
    if preprocessing.rescale == "minmax":
        return torch.addcmul(-mean / std, minmax(images.float()), 1 / std)
    return torch.addcmul(-mean / std, images.float(), 1 / (255 * std))


def minmax(images: Tensor) -> Tensor:
    """Each film stretched to its own [0, 1]: (..., C, H, W) floating -> the same shape; a constant film gives 0."""
    low, high = images.amin(dim=(-3, -2, -1), keepdim=True), images.amax(dim=(-3, -2, -1), keepdim=True)
    return (images - low) / torch.where(high > low, high - low, 1)


def denormalise(images: Tensor, preprocessing: Preprocessing) -> Tensor:
    """The inverse of `normalise`, to look at: (B, C, H, W) normalised -> (B, C, H, W) on the [0, 1] scale."""
    std = images.new_tensor(preprocessing.std).view(-1, 1, 1)
    mean = images.new_tensor(preprocessing.mean).view(-1, 1, 1)
    return images * std + mean


def prepare_film(film: np.ndarray, preprocessing: Preprocessing) -> Tensor:
    """The evaluation transform: the steps of the record, in its order.

    A pipeline on 8-bit pictures (`eight_bit`) has no answer to a finer film, such as the window of a DICOM file: it is
    rounded to 8 bits first, as saving it as PNG would.

    Args:
        film: (H, W) uint8, or floating in [0, 1].
        preprocessing: the encoder's record.

    Returns:
        (C, size, size) float32.
    """
    square = _square(stretched(film, preprocessing), preprocessing)
    plane = torch.from_numpy(square)[None]
    if preprocessing.reduce == "resize":  # values beyond [0, 1] stay: encoders were trained on them
        plane = _plainly_resized(plane, preprocessing.size)
    if preprocessing.rescale == "minmax":
        plane = minmax(plane)
    std = torch.tensor(preprocessing.std).view(-1, 1, 1)
    mean = torch.tensor(preprocessing.mean).view(-1, 1, 1)
    if preprocessing.fill == "mean":
        plane = torch.where(plane.isnan(), (mean * 255).round() / 255, plane)
    return (plane - mean) / std


def stretched(film: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """The film as the record's first resize takes it: stretched to its own range, rounded to 8 bits, or as it is.

    Args:
        film: (H, W) uint8, or floating in [0, 1].
        preprocessing: the encoder's record.

    Returns:
        (H, W) uint8 where `eight_bit`, else float32 in [0, 1].
    """
    if preprocessing.rescale == "minmax-film":
        return to_own_range(film) if preprocessing.eight_bit else _unit_range(film).astype(np.float32)
    if preprocessing.eight_bit:
        return film if film.dtype == np.uint8 else np.rint(film.clip(0, 1) * 255).astype(np.uint8)
    return film.astype(np.float32) / 255 if film.dtype == np.uint8 else film.astype(np.float32)


@dataclass(frozen=True)
class OwnRange(Generic[P]):
    """Training views of films that the record stretches to their own range first (`rescale="minmax-film"`)."""

    views: Callable[Concatenate[np.ndarray, P], dict[str, Tensor]]

    def __call__(self, film: np.ndarray, *args: P.args, **kwargs: P.kwargs) -> dict[str, Tensor]:
        """Views of the stretched film; everything else is handed on."""
        return self.views(to_own_range(film), *args, **kwargs)


def to_own_range(film: np.ndarray) -> np.ndarray:
    """A film's darkest grey to 0 and its brightest to 255, as BioViL does it: (H, W) any type -> (H, W) uint8."""
    return (_unit_range(film) * 255).astype(np.uint8)


def _unit_range(film: np.ndarray) -> np.ndarray:
    """(H, W) -> float64 in [0, 1]; a constant film gives 0."""
    grey = film.astype(np.float64)
    grey -= grey.min()
    grey /= grey.max() or 1.0
    return grey


def resize(grey: np.ndarray, height: int, width: int, preprocessing: Preprocessing) -> np.ndarray:
    """Resize (H, W) float32 or uint8 to (height, width) with the record's kernel, antialiased or not."""
    if grey.shape == (height, width):
        return grey
    if preprocessing.antialias:
        return resized(grey, height, width, preprocessing.interpolation, outside=preprocessing.mean[0])
    plain = F.interpolate(
        torch.from_numpy(grey)[None, None],
        size=(height, width),
        mode=preprocessing.interpolation,
        align_corners=False,
    )
    return plain[0, 0].numpy()


def _square(grey: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """(H, W) -> float32 (window, window) in [0, 1] by the rule, cut off or between rims."""
    how = fit((grey.shape[0], grey.shape[1]), preprocessing)
    top, left, rows, columns = how.cut
    grown = resize(
        np.ascontiguousarray(grey[top : top + rows, left : left + columns]), how.rows, how.columns, preprocessing
    )
    inside = grown.astype(np.float32) / 255 if grown.dtype == np.uint8 else grown.clip(0, 1)  # bicubic overshoots
    square = np.full((how.window, how.window), _EMPTY if preprocessing.fill == "mean" else 0.0, dtype=np.float32)
    target, source = _overlap(how)
    square[target] = inside[source]
    return square


def _overlap(how: Fit) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
    """Rows and columns of the window that the film covers, and those of the resized film that lie there."""
    target, source = [], []
    for start, length in ((how.top, how.rows), (how.left, how.columns)):
        low, high = max(0, start), min(how.window, start + length)
        target.append(slice(low, high))
        source.append(slice(low - start, high - start))
    return (target[0], target[1]), (source[0], source[1])


def _plainly_resized(plane: Tensor, size: int) -> Tensor:
    """(1, S, S) -> (1, size, size), bicubic as torchvision did on tensors: not antialiased, overshoot kept."""
    if plane.shape[-1] == size:
        return plane
    return F.interpolate(plane[None], size=(size, size), mode="bicubic", align_corners=False)[0]
