"""One film to the tensor an encoder was trained on, and the normalisation that all paths share.

Films stay uint8 and one channel until they are on the device: a batch is then 12 times smaller than what
the encoder eats, and the arithmetic below runs there. Resizing is Pillow's: bicubic with the support scaled
to the output (antialiased), which is what the encoders' own pipelines used on images from disk.
"""

from __future__ import annotations

from typing import Final

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor

from hilum.schema import Preprocessing

_FILTERS: Final = {"bicubic": Image.Resampling.BICUBIC, "bilinear": Image.Resampling.BILINEAR}


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
    """The evaluation transform: resize and crop by the record's rule, rescale where it says so, repeat grey, normalise.

    Args:
        film: (H, W) uint8, or floating in [0, 1].
        preprocessing: the encoder's record.

    Returns:
        (C, size, size) float32.
    """
    grey = film.astype(np.float32) / 255 if film.dtype == np.uint8 else film.astype(np.float32)
    square = _to_square(grey, preprocessing).clip(0, 1)  # bicubic overshoots at edges
    std = torch.tensor(preprocessing.std).view(-1, 1, 1)
    mean = torch.tensor(preprocessing.mean).view(-1, 1, 1)
    plane = torch.from_numpy(square)[None]
    if preprocessing.rescale == "minmax":
        plane = minmax(plane)
    return (plane - mean) / std


def resize(grey: np.ndarray, height: int, width: int, preprocessing: Preprocessing) -> np.ndarray:
    """Resize (H, W) float32 to (height, width) with the record's filter, antialiased or not."""
    if grey.shape == (height, width):
        return grey
    if preprocessing.antialias:
        image = Image.fromarray(np.ascontiguousarray(grey))
        return np.array(image.resize((width, height), _FILTERS[preprocessing.interpolation]))
    plain = F.interpolate(
        torch.from_numpy(grey)[None, None],
        size=(height, width),
        mode=preprocessing.interpolation,
        align_corners=False,
    )
    return plain[0, 0].numpy()


def _to_square(grey: np.ndarray, preprocessing: Preprocessing) -> np.ndarray:
    """(H, W) -> (size, size) by the rule: squeeze, shortest side and centre crop, or letterbox on black."""
    size = preprocessing.size
    height, width = grey.shape
    if preprocessing.resize == "squeeze":
        return resize(grey, size, size, preprocessing)
    if preprocessing.resize == "shortest":
        scale = size / min(height, width)
        rows, columns = max(size, int(height * scale)), max(size, int(width * scale))
        grown = resize(grey, rows, columns, preprocessing)
        top, left = (rows - size) // 2, (columns - size) // 2
        return grown[top : top + size, left : left + size]
    scale = size / max(height, width)
    rows, columns = max(1, round(height * scale)), max(1, round(width * scale))
    boxed = np.zeros((size, size), dtype=np.float32)
    top, left = (size - rows) // 2, (size - columns) // 2
    boxed[top : top + rows, left : left + columns] = resize(grey, rows, columns, preprocessing)
    return boxed
