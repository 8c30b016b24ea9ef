"""PNG and JPEG to a film: grey, 8 or 16 bit, in [0, 1].

Colour becomes luma (ITU-R BT.601, exact where R = G = B), transparency is laid over black, an EXIF orientation is
applied. 16-bit files carry no word about their depth, so full scale is the smallest of 10, 12, 14 and 16 bits that
holds the largest value: a 12-bit film saved in a 16-bit PNG is not black.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from hilum.dicom.film import Film, check_size
from hilum.errors import ImageError

_DEEP_MODES = ("I;16", "I;16L", "I;16B", "I;16N", "I")
_EXIF_ORIENTATION = 0x0112
# EXIF orientation -> (quarter turns counter-clockwise, then mirror left-right)
_TURNS = {2: (0, True), 3: (2, False), 4: (2, True), 5: (3, True), 6: (3, False), 7: (1, True), 8: (1, False)}


def read_raster(path: Path, kind: Literal["png", "jpeg"]) -> Film:
    """Decode a PNG or JPEG file.

    Returns:
        The film; `header` has `format` and `bits` (depth of full scale).

    Raises:
        ImageError: too large, animated, or damaged. Pillow's own errors pass; `read_film` wraps them.
    """
    with Image.open(path, formats=(kind.upper(),)) as image:
        width, height = image.size
        bands = 4 if image.mode in _DEEP_MODES else len(image.getbands())
        check_size(path, height, width, bands)
        if getattr(image, "n_frames", 1) > 1:
            raise ImageError("an animated PNG is not a film", where=path)
        grey: NDArray[Any] | None = _fast_jpeg(path) if kind == "jpeg" and image.mode in ("L", "RGB") else None
        if grey is None:
            image.load()
            grey = _grey(image)
        orientation = image.getexif().get(_EXIF_ORIENTATION, 1)
    if grey.shape != (height, width):
        raise ImageError(f"decoded to {grey.shape}, its header says {(height, width)}", where=path)
    if orientation in _TURNS:
        turns, mirror = _TURNS[orientation]
        grey = np.rot90(grey, turns)
        grey = np.ascontiguousarray(grey[:, ::-1] if mirror else grey)
    bits = 8 if grey.dtype == np.uint8 else _depth(grey)
    pixels = grey.astype(np.float32) / np.float32(2**bits - 1)
    return Film(pixels, None, {"format": kind, "bits": bits})


def _fast_jpeg(path: Path) -> NDArray[np.uint8] | None:
    """Luma through libjpeg-turbo; None where it objects, so that Pillow gives the verdict."""
    try:
        return np.asarray(simplejpeg.decode_jpeg(path.read_bytes(), colorspace="GRAY"))[:, :, 0]
    except ValueError:
        return None


def _grey(image: Image.Image) -> NDArray[Any]:
    if image.mode in _DEEP_MODES:
        values = np.asarray(image).astype(np.int32)
        return np.clip(values, 0, 65535)
    if image.mode in ("LA", "RGBA", "PA") or "transparency" in image.info:
        layered = image.convert("RGBA")
        alpha = np.asarray(layered)[:, :, 3].astype(np.float32) / 255
        return np.rint(np.asarray(layered.convert("RGB").convert("L")) * alpha).astype(np.uint8)
    if image.mode not in ("L", "1"):
        image = image.convert("RGB")
    return np.asarray(image.convert("L"))


def _depth(values: NDArray[Any]) -> int:
    largest = int(values.max())
    return next(bits for bits in (10, 12, 14, 16) if largest < 2**bits)
