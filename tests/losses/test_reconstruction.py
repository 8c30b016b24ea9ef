"""The masked patch loss against its oracle, in closed form, and where it could break."""

from __future__ import annotations

import pytest
import torch

from hilum.losses.reconstruction import masked_patch_loss, patch_statistics, standardise_patches
from hilum.models.patches import patchify
from tests.oracles import mae as oracle


@pytest.mark.parametrize("norm_pix", [False, True])
@pytest.mark.parametrize(("batch", "side", "patch", "channels"), [(1, 4, 2, 1), (2, 8, 4, 3), (3, 6, 2, 2)])
def test_value_and_gradient_equal_the_loops(batch: int, side: int, patch: int, channels: int, norm_pix: bool) -> None:
    torch.manual_seed(batch)
    images = torch.randn(batch, channels, side, side, dtype=torch.float64)
    patches = (side // patch) ** 2
    order = torch.stack([torch.randperm(patches) for _ in range(batch)])
    hidden = order[:, patches // 3 :]
    predicted = torch.randn(batch, patches, patch * patch * channels, dtype=torch.float64, requires_grad=True)
    mask = torch.zeros(batch, patches).scatter(1, hidden, 1.0)

    chosen = predicted.gather(1, hidden[..., None].expand(-1, -1, predicted.shape[2]))
    loss = masked_patch_loss(chosen, patchify(images, patch, hidden), norm_pix=norm_pix)
    wanted = oracle.reconstruction_loss(predicted, images, mask, patch, norm_pix)

    torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=1e-12)
    (got,) = torch.autograd.grad(loss, predicted)
    (want,) = torch.autograd.grad(wanted, predicted)
    torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-13)
    assert got[mask == 0].abs().max() == 0  # a visible patch teaches nothing


def test_closed_forms() -> None:
    target = torch.randn(2, 3, 12, dtype=torch.float64)
    assert masked_patch_loss(target, target, norm_pix=False) == 0
    assert masked_patch_loss(target + 2, target, norm_pix=False).item() == pytest.approx(4)
    # predicting 0 for a standardised patch of n pixels costs (n - 1) / n: the biased second moment
    zero = torch.zeros_like(target)
    assert masked_patch_loss(zero, target, norm_pix=True).item() == pytest.approx(11 / 12, abs=1e-5)


def test_standardising_is_the_formula_and_survives_flat_patches() -> None:
    target = torch.randn(4, 5, 48, dtype=torch.float64) * torch.logspace(-4, 2, 4, dtype=torch.float64)[:, None, None]
    mean, deviation = patch_statistics(target)
    torch.testing.assert_close(standardise_patches(target), (target - mean) / deviation, rtol=1e-10, atol=1e-12)
    flat = torch.full((1, 2, 48), 0.7)
    predicted = torch.zeros(1, 2, 48, requires_grad=True)
    loss = masked_patch_loss(predicted, flat, norm_pix=True)
    loss.backward()
    assert abs(loss.item()) < 1e-6
    assert predicted.grad is not None
    assert torch.isfinite(predicted.grad).all()


def test_half_precision_predictions_are_compared_in_float32() -> None:
    target = torch.randn(1, 2, 12)
    predicted = torch.full((1, 2, 12), 300.0, dtype=torch.float16)  # its square overflows float16
    loss = masked_patch_loss(predicted, target, norm_pix=False)
    assert loss.dtype is torch.float32
    assert torch.isfinite(loss)
