"""What of a film is compared: exact pixels, a 256-bit difference hash, a small high-pass picture.

The hash finds candidates among millions, the small picture thins them out, and `hilum.auditing.compare` decides.
Measured on real films (public sets): a hash within 20 bits and small pictures that correlate at 0.88 or more keep every
film that was resized or saved again as JPEG and about 97 % of those cropped by 2 %, and leave three of the 15 million
pairs of 5,518 films.
"""

from __future__ import annotations

import base64
import hashlib
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from scipy.ndimage import gaussian_filter

from hilum.dicom.read import read_film
from hilum.dicom.store import pixel_digest

HASH_BITS = 256
SIDE = 32  # pixels a side of the small picture
SIGMA = 2.0  # of the blur that is taken away, in its pixels: what is left are edges, not the common shape of a chest
BLANK_SHARE = 0.98  # of the pixels within one grey level of each other: no film
_STEP = 32.0  # int8 steps a standard deviation


def fingerprint(request: dict[str, Any]) -> dict[str, Any]:
    """The task for worker processes: one film to JSON values.

    Args:
        request: `path` of the film.

    Returns:
        `sha256` of the 8-bit pixels and `file_sha256` (a manifest may hold either), `hash` (64 hex digits), `small`
        (base64 of SIDE x SIDE int8), `blank`.
    """
    pixels = read_film(request["path"]).pixels
    eight = np.rint(pixels * 255.0).astype(np.uint8)
    return {
        "sha256": pixel_digest(eight),
        "file_sha256": hashlib.sha256(Path(request["path"]).read_bytes()).hexdigest(),
        "hash": np.packbits(difference_hash(pixels)).tobytes().hex(),
        "small": base64.b64encode(small_picture(pixels).tobytes()).decode(),
        "blank": is_blank(eight),
    }


def difference_hash(pixels: NDArray[np.float32]) -> NDArray[np.bool_]:
    """(256,) bits: is a cell of a 16 x 17 grid of means brighter than its left neighbour?"""
    grid = _shrunk(pixels, 17, 16)
    return np.asarray((grid[:, 1:] > grid[:, :-1]).ravel())


def small_picture(pixels: NDArray[np.float32]) -> NDArray[np.int8]:
    """(SIDE * SIDE,) edges of the film, mean 0, in steps of 1 / 32 standard deviation."""
    small = _shrunk(pixels, SIDE, SIDE)
    edges = small - gaussian_filter(small, SIGMA)
    edges = (edges - edges.mean()) / max(float(edges.std()), 1e-6)
    steps: NDArray[np.int8] = np.clip(np.rint(edges.ravel() * _STEP), -127, 127).astype(np.int8)
    return steps


def is_blank(eight: NDArray[np.uint8]) -> bool:
    """True if nearly all pixels have one value (to one grey level): black, white, or a single grey."""
    counts = np.bincount(eight.ravel(), minlength=257)
    windows = counts[:-2] + counts[1:-1] + counts[2:] if len(counts) > 2 else counts
    return bool(windows.max() >= BLANK_SHARE * eight.size)


def _shrunk(pixels: NDArray[np.float32], width: int, height: int) -> NDArray[np.float32]:
    return np.asarray(Image.fromarray(pixels).resize((width, height), Image.Resampling.BOX), dtype=np.float32)
