"""Focal and Dice losses: both conventions against slow formulas, closed values, unknown pixels without gradient."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from hilum.losses.segmentation import (
    CONVENTIONS,
    UNKNOWN,
    Convention,
    focal_loss,
    mask_loss,
    mask_probabilities,
    soft_dice,
)
from tests.oracles import segmentation as oracle

ORACLES = {"focal-dice": oracle.focal_dice, "focal-log-dice": oracle.focal_log_dice}


def batch(convention: Convention, seed: int, *, films: int = 3, findings: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    rng = np.random.default_rng(seed)
    maps = torch.from_numpy(rng.normal(0, 2, (films, findings, CONVENTIONS[convention].maps, 5, 4)))
    truth = torch.from_numpy(rng.integers(0, 2, (films, findings, 5, 4)).astype(np.uint8))
    truth[0, 1] = UNKNOWN  # a finding nobody has drawn
    truth[1, 0, :2] = UNKNOWN  # padding
    truth[2, 0] = 0  # known to be empty
    return maps, truth


@pytest.mark.parametrize("convention", ["focal-dice", "focal-log-dice"])
@pytest.mark.parametrize("seed", range(4))
def test_both_conventions_are_their_formulas(convention: Convention, seed: int) -> None:
    maps, truth = batch(convention, seed)
    expected = ORACLES[convention](maps.numpy(), truth.numpy())
    assert mask_loss(maps.float(), truth, convention).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("convention", ["focal-dice", "focal-log-dice"])
def test_gradient_of_unknown_pixels_is_zero_and_of_others_is_not(convention: Convention) -> None:
    maps, truth = batch(convention, 0)
    maps = maps.float().requires_grad_()
    mask_loss(maps, truth, convention).backward()
    assert maps.grad is not None
    unknown = (truth == UNKNOWN)[:, :, None].expand_as(maps)
    assert (maps.grad[unknown] == 0).all()
    assert (maps.grad[~unknown] != 0).all()


@pytest.mark.parametrize("convention", ["focal-dice", "focal-log-dice"])
def test_nothing_known_is_zero_and_extremes_stay_finite(convention: Convention) -> None:
    maps, truth = batch(convention, 0)
    maps = maps.float().requires_grad_()
    loss = mask_loss(maps, torch.full_like(truth, UNKNOWN), convention)
    loss.backward()
    assert loss.item() == 0
    assert (maps.grad == 0).all()
    far = (1e4 * torch.randn_like(maps)).requires_grad_()
    loss = mask_loss(far, truth, convention)
    loss.backward()
    assert math.isfinite(loss.item())
    assert far.grad.isfinite().all()


def test_closed_values() -> None:
    truth = torch.zeros(1, 1, 2, 2, dtype=torch.uint8)
    truth[..., 0, 0] = 1
    flat = torch.zeros(1, 1, 1, 2, 2)
    dice = (2 * 0.5 + 1) / (2 + 1 + 1)  # half of each of four pixels, one of which is true
    focal = 0.25 * math.log(2)
    assert mask_loss(flat, truth, "focal-log-dice").item() == pytest.approx(10 * focal - math.log(dice))
    pair = torch.zeros(1, 1, 2, 2, 2)
    squared = (2 * 0.5 + 1) / (4 * 0.25 + 1 + 1)
    assert mask_loss(pair, truth, "focal-dice").item() == pytest.approx(2 * 0.5 * focal + (1 - squared) / 2)
    right = torch.where(truth == 1, 40.0, -40.0)[:, :, None]
    assert mask_loss(right, truth, "focal-log-dice").item() == pytest.approx(0, abs=1e-6)
    both = torch.cat([-right, right], dim=2)
    assert mask_loss(both, truth, "focal-dice").item() == pytest.approx(0, abs=1e-6)


def test_gamma_zero_without_alpha_is_cross_entropy() -> None:
    maps, truth = batch("focal-log-dice", 1)
    known, true = (truth != UNKNOWN).double(), (truth == 1).double()
    plain = torch.nn.functional.binary_cross_entropy_with_logits(
        maps[:, :, 0][truth != UNKNOWN], true[truth != UNKNOWN]
    )
    torch.testing.assert_close(focal_loss(maps, true, known, gamma=0.0, alpha=None), plain)


def test_softmax_of_two_maps_is_the_sigmoid_of_their_difference() -> None:
    maps, _ = batch("focal-dice", 2)
    torch.testing.assert_close(mask_probabilities(maps), maps.softmax(dim=2)[:, :, 1])


def test_dice_of_empty_masks_is_one() -> None:
    zero, one = torch.zeros(2, 1, 3, 3), torch.ones(2, 1, 3, 3)
    dice, counted = soft_dice(zero, zero, one, smooth=1.0, squared=True, over="film")
    assert dice.tolist() == [[1.0], [1.0]]
    assert counted.tolist() == [[1.0], [1.0]]


def test_half_precision_maps_are_summed_in_full() -> None:
    maps, truth = batch("focal-dice", 3)
    half = mask_loss(maps.half(), truth, "focal-dice")
    assert half.dtype == torch.float32
    assert half.item() == pytest.approx(mask_loss(maps.float(), truth, "focal-dice").item(), rel=1e-2)
