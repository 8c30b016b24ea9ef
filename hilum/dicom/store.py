"""One film to one 8-bit PNG at training size: the task that `hilum prepare` runs in its worker processes."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from hilum.dicom.deidentify import deidentified
from hilum.dicom.read import read_film

Fit = Literal["squeeze", "pad", "shortest"]
FITS: tuple[str, ...] = get_args(Fit)


def store_film(request: dict[str, Any]) -> dict[str, Any]:
    """Decode, resize, write, and report.

    Args:
        request: `path` and `target` (files), `size` (None: the film's own), `fit`, and `key` (hex; needed for DICOM).

    Returns:
        JSON values for the manifest: sizes, spacing, sha256 of the stored pixels, and the header's facts without
        anything that names a person.

    Raises:
        ImageError: the file is no readable film.
        OSError: the target cannot be written.
    """
    film = read_film(request["path"])
    height, width = film.pixels.shape
    size = request["size"]
    pixels = in_8_bits(film.pixels) if size is None else fitted(film.pixels, size, request["fit"])
    write_png(Path(request["target"]), pixels)
    facts: dict[str, Any] = {
        "width": pixels.shape[1],
        "height": pixels.shape[0],
        "orig_width": width,
        "orig_height": height,
        "sha256": pixel_digest(pixels),
        "spacing_mm": "",
    }
    if film.spacing_mm is not None:
        new_height, new_width = (height, width) if size is None else scaled_size(height, width, size, request["fit"])
        row, column = film.spacing_mm[0] * height / new_height, film.spacing_mm[1] * width / new_width
        facts["spacing_mm"] = f"{row:.6g},{column:.6g}"
    if film.header["format"] == "dicom":
        facts |= deidentified(film.header, bytes.fromhex(request["key"]))
        facts["voi"] = film.header["voi"]
    return facts


def scaled_size(height: int, width: int, size: int, fit: str) -> tuple[int, int]:
    """(height, width) of the picture itself after resizing, without padding."""
    if fit == "squeeze":
        return size, size
    scale = size / (max if fit == "pad" else min)(height, width)
    return max(1, round(height * scale)), max(1, round(width * scale))


def fitted(pixels: NDArray[np.float32], size: int, fit: str) -> NDArray[np.uint8]:
    """Resize a film and round it to 8 bits.

    Bicubic, antialiased when shrinking; films smaller than `size` grow to it.

    - squeeze: both sides to `size`. The default and CXRBase's rule: every film fills the square, so borders say
      nothing about its aspect ratio, which differs between machines, views and diagnoses.
    - pad: the longer side to `size`, black around it. Keeps shapes, but the black bars tell the aspect ratio.
    - shortest: the shorter side to `size`, nothing cut; training crops the rest.

    Args:
        pixels: (H, W) in [0, 1].
        size: pixels.
        fit: squeeze, pad or shortest.

    Returns:
        (H', W') uint8.
    """
    height, width = scaled_size(pixels.shape[0], pixels.shape[1], size, fit)
    scaled = pixels
    if scaled.shape != (height, width):
        image = Image.fromarray(np.ascontiguousarray(pixels, dtype=np.float32))
        scaled = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
    eight = in_8_bits(scaled)
    if fit != "pad":
        return eight
    square = np.zeros((size, size), dtype=np.uint8)
    top, left = (size - height) // 2, (size - width) // 2
    square[top : top + height, left : left + width] = eight
    return square


def in_8_bits(pixels: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A film rounded to 8 bits: (H, W) in [0, 1], or a little beyond after a resize -> (H, W) uint8."""
    eight: NDArray[np.uint8] = np.rint(np.clip(pixels, 0.0, 1.0) * 255.0).astype(np.uint8)
    return eight


def write_png(target: Path, pixels: NDArray[np.uint8]) -> None:
    """Write a grey PNG under its name only once it is whole; compression level 1 (fast; 5 % larger)."""
    partial = target.with_name(f"{target.name}.{os.getpid()}.partial")
    try:
        Image.fromarray(pixels).save(partial, format="PNG", compress_level=1)
        os.replace(partial, target)
    except BaseException:
        partial.unlink(missing_ok=True)
        raise


def pixel_digest(pixels: NDArray[np.uint8]) -> str:
    """sha256 of an 8-bit picture's pixels, row by row, after its height and width: the same for any file format."""
    total = hashlib.sha256(f"{pixels.shape[0]} {pixels.shape[1]}\n".encode())
    total.update(np.ascontiguousarray(pixels).tobytes())
    return total.hexdigest()
