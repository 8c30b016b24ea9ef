"""Random streams keyed by what they are for, so that no draw depends on those before it.

A stream is named by integers (seed, patient, study, ...) and one word. Adding a draw somewhere therefore never
moves another patient, another study or another finding: the phantom of (seed, patient, study, view) is always
the same film.
"""

from __future__ import annotations

from zlib import crc32

import numpy as np

CHRONIC = 1_000_003  # stands for "every study of this patient" where a study index is asked for


def stream(word: str, *keys: int) -> np.random.Generator:
    """The generator named by `word` and the non-negative integers `keys`."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence([crc32(word.encode()), *keys])))


def pixel_key(word: str, *keys: int) -> int:
    """A 63-bit integer for the counter-based noise of the pixel kernels."""
    return int(np.random.SeedSequence([crc32(word.encode()), *keys]).generate_state(1, np.uint64)[0] >> np.uint64(1))
