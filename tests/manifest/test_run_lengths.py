"""Run lengths: COCO's against pycocotools, SIIM's pairs against a walk over the pixels, faults by their words."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from pycocotools import mask as coco

from hilum.errors import ManifestError
from hilum.manifest.run_lengths import Pairs, Runs, mask_of_counts, mask_of_pairs, unpack_counts

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=40))


def pairs_of(mask: np.ndarray, form: Pairs) -> str:
    """Column by column; relative: pixels since the last run, from 0; absolute: first pixel, from 1."""
    words, last, start = [], 0, None
    flat = [*mask.T.ravel().tolist(), False]
    for place, inside in enumerate(flat):
        if inside and start is None:
            start = place
        if not inside and start is not None:
            words += [start - last if form == "relative" else start + 1, place - start]
            last, start = place, None
    return " ".join(map(str, words)) or " -1"


@settings(max_examples=60, deadline=None)
@given(MASKS, st.booleans())
def test_coco_counts_are_pycocotools(mask: np.ndarray, tall: bool) -> None:
    drawn = np.asfortranarray((np.repeat(mask, 60, axis=0) if tall else mask).astype(np.uint8))
    packed = coco.encode(drawn)
    text = packed["counts"].decode()
    np.testing.assert_array_equal(Runs(text, "coco", tuple(packed["size"]), "x").mask(), drawn.astype(bool))
    np.testing.assert_array_equal(mask_of_counts(unpack_counts(text), drawn.shape, where="x"), drawn == 1)


@settings(max_examples=60, deadline=None)
@given(MASKS, st.sampled_from(["relative", "absolute"]))
def test_pairs_come_back(mask: np.ndarray, form: Pairs) -> None:
    np.testing.assert_array_equal(mask_of_pairs(pairs_of(mask, form), mask.shape, form, where="x"), mask)


def test_pairs_as_siim_writes_them() -> None:
    mask = mask_of_pairs("3 2 1 1", (3, 4), "relative", where="x")
    assert [tuple(map(int, place)) for place in np.argwhere(mask.T)] == [(1, 0), (1, 1), (2, 0)]
    for empty in ("-1", " -1", ""):
        assert not mask_of_pairs(empty, (3, 4), "relative", where="x").any()


@pytest.mark.parametrize(
    ("text", "form", "said"),
    [
        ("3 2 1", "relative", "not pairs"),
        ("a b", "relative", "no whole numbers"),
        ("10 3", "relative", "--runs absolute"),
        ("0 3", "absolute", "--runs relative"),
        ("3 -2", "relative", "leave the image"),
    ],
)
def test_wrong_pairs_are_refused(text: str, form: Pairs, said: str) -> None:
    with pytest.raises(ManifestError, match=said) as fault:
        mask_of_pairs(text, (3, 4), form, where="masks.csv, ImageId 1.2.3")
    assert "1.2.3" in str(fault.value)


def test_counts_that_do_not_fill_the_image_are_refused() -> None:
    with pytest.raises(ManifestError, match="cover 5 pixels and the mask has 2 x 3"):
        mask_of_counts((2, 3), (2, 3), where="x")
