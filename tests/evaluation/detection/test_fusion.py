"""Weighted box fusion: the paper's means and confidences, and what must not matter."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from hilum.evaluation.detection.fusion import fuse_boxes


def test_two_readers_of_one_place_and_one_of_another() -> None:
    boxes = np.array([[0.0, 0, 10, 10], [2, 0, 10, 10], [50, 50, 5, 5]])
    fused = fuse_boxes(boxes, np.array([0.9, 0.3, 0.6]), readers=3)
    np.testing.assert_allclose(fused.boxes, [[0.5, 0, 10, 10], [50, 50, 5, 5]])  # weighted by confidence
    np.testing.assert_allclose(fused.scores, [0.6 * 2 / 3, 0.6 / 3])  # mean, times how many of three agree
    assert fused.members.tolist() == [2, 1]


def test_boxes_join_the_fused_box_not_the_first() -> None:
    """The third box overlaps the mean of the first two enough, and the first one by itself too little."""
    boxes = np.array([[0.0, 0, 10, 10], [2, 0, 10, 10], [3.5, 0, 10, 10]])
    fused = fuse_boxes(boxes, np.array([1.0, 0.9, 0.8]), readers=3, alike=0.55)
    assert fused.members.tolist() == [3]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 8))
def test_order_bounds_and_nothing_lost(seed: int, count: int) -> None:
    rng = np.random.default_rng(seed)
    boxes, scores = rng.uniform(1, 20, (count, 4)), rng.choice([0.5, 1.0], count)
    fused, order = fuse_boxes(boxes, scores, readers=3), rng.permutation(count)
    other = fuse_boxes(boxes[order], scores[order], readers=3)
    np.testing.assert_allclose(fused.boxes, other.boxes)
    np.testing.assert_allclose(fused.scores, other.scores)
    assert fused.members.sum() == count
    assert ((fused.scores > 0) & (fused.scores <= 1)).all()
    assert (np.diff(fused.scores) <= 0).all()
    assert (fused.boxes >= boxes.min(axis=0) - 1e-9).all()
    assert (fused.boxes <= boxes.max(axis=0) + 1e-9).all()


def test_one_reading_stays_and_nothing_is_nothing() -> None:
    box = np.array([[1.0, 2, 3, 4]])
    assert fuse_boxes(np.repeat(box, 3, axis=0), np.ones(3), readers=3).boxes == pytest.approx(box)
    empty = fuse_boxes(np.zeros((0, 4)), np.zeros(0), readers=2)
    assert empty.boxes.shape == (0, 4)
    assert empty.scores.size == 0
