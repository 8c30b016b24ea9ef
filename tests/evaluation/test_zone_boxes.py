"""Weak boxes: thirds of one lung, the patient's right on the left of the picture."""

from __future__ import annotations

import numpy as np

from hilum.evaluation.mentions import Place
from hilum.evaluation.zone_boxes import zone_box

LUNGS = np.zeros((100, 80), bool)
LUNGS[10:70, 8:30] = LUNGS[16:76, 50:70] = True


def test_thirds_of_the_lung_that_is_named() -> None:
    assert zone_box(Place("right", None), LUNGS, LUNGS.shape).tolist() == [8, 10, 22, 60]  # type: ignore[union-attr]
    assert zone_box(Place("right", "upper"), LUNGS, LUNGS.shape).tolist() == [8, 10, 22, 20]  # type: ignore[union-attr]
    assert zone_box(Place("left", "middle"), LUNGS, LUNGS.shape).tolist() == [50, 36, 20, 20]  # type: ignore[union-attr]
    assert zone_box(Place("left", "lower"), LUNGS, LUNGS.shape).tolist() == [50, 56, 20, 20]  # type: ignore[union-attr]


def test_without_a_mask_shares_of_the_film_stand_in() -> None:
    right, left = (zone_box(Place(side, "upper"), None, (100, 200)) for side in ("right", "left"))  # type: ignore[arg-type]
    np.testing.assert_allclose(right, [10, 10, 90, 25])
    np.testing.assert_allclose(left, [100, 10, 90, 25])


def test_no_side_or_no_lung_is_no_box() -> None:
    assert zone_box(Place(None, "upper"), LUNGS, LUNGS.shape) is None
    assert zone_box(Place("left", None), np.zeros((9, 9), bool), (9, 9)) is None
    one = LUNGS.copy()
    one[:, 40:] = False
    assert zone_box(Place("left", None), one, one.shape) is not None  # half of what is there
