"""The search for near hashes against comparing all with all."""

from __future__ import annotations

import numpy as np
import pytest

from hilum.auditing.neighbours import near_pairs


def all_with_all(hashes: np.ndarray, distance: int) -> list[tuple[int, int]]:
    bits = np.unpackbits(hashes, axis=1).astype(int)
    return [
        (i, j) for i in range(len(bits)) for j in range(i + 1, len(bits)) if np.abs(bits[i] - bits[j]).sum() <= distance
    ]


@pytest.mark.parametrize("distance", [0, 1, 7, 20, 40])
def test_exact(distance: int) -> None:
    rng = np.random.default_rng(distance)
    chances = rng.random(256)  # skewed bits, as films have
    hashes = np.packbits(rng.random((150, 256)) < chances, axis=1)
    for copy in range(60):
        bits = np.unpackbits(hashes[copy])
        bits[rng.choice(256, int(rng.integers(0, 45)), replace=False)] ^= 1
        hashes[90 + copy] = np.packbits(bits)
    found = [tuple(pair) for pair in near_pairs(hashes, distance).tolist()]
    assert found == all_with_all(hashes, distance)


def test_many_equal_hashes_outgrow_the_first_guess() -> None:
    hashes = np.zeros((60, 32), dtype=np.uint8)
    assert len(near_pairs(hashes, 3)) == 60 * 59 // 2


def test_too_few() -> None:
    assert near_pairs(np.zeros((1, 32), np.uint8), 3).shape == (0, 2)
    assert near_pairs(np.zeros((0, 32), np.uint8), 3).shape == (0, 2)
