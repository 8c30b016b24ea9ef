"""Splits by patient, drawn so that nobody moves when the table grows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

import numpy as np
import pandas as pd

from hilum.errors import ConfigError
from hilum.manifest.rules import same_patient
from hilum.schema import SPLITS


def assign_splits(
    patient_ids: Iterable[str], *, seed: int, fractions: tuple[float, float, float] = (0.7, 0.1, 0.2)
) -> np.ndarray:
    """Draw a split for each row, by patient.

    The draw is a keyed hash of the patient id alone, so adding, removing or re-ordering rows moves nobody.
    Spellings that differ in case or outer spaces are one patient. Parts meet `fractions` in expectation, not
    exactly.

    Args:
        patient_ids: N ids, one a row.
        seed: another seed is another draw.
        fractions: shares of train, val and test; they add up to 1.

    Returns:
        (N,) array of "train", "val", "test".

    Raises:
        ConfigError: fractions are not three shares that add up to 1.
    """
    if len(fractions) != len(SPLITS) or min(fractions) < 0 or abs(sum(fractions) - 1) > 1e-6:
        raise ConfigError(
            f"split fractions {fractions} are not shares of train, val and test",
            where="--fractions",
            fix="Give three numbers from 0 to 1 that add up to 1, e.g. 0.7,0.1,0.2",
        )
    codes, unique = pd.factorize(np.asarray([same_patient(i) for i in patient_ids], dtype=object))
    draws = keyed_draws(unique, f"hilum split {seed}")
    parts = np.searchsorted(np.cumsum(fractions[:2]), draws, side="right")
    return np.array(SPLITS, dtype=object)[parts][codes]


def keyed_draws(names: Iterable[str], key: str) -> np.ndarray:
    """A number in [0, 1) for each name, which depends on the name and the key alone: (N,) float64."""
    secret = hashlib.sha256(key.encode()).digest()
    words = [hashlib.blake2b(name.encode(), key=secret, digest_size=8).digest() for name in names]
    return np.array([int.from_bytes(word, "big") / 2**64 for word in words])
