"""Masked reconstruction: mean squared error on the pixels of hidden patches.

Paper: Masked Autoencoders Are Scalable Vision Learners, https://arxiv.org/abs/2111.06377, section 3
    ("reconstruction
target"); facts checked against facebookresearch/mae at efb2a80.
Departures: none in value; visible patches, which weigh nothing, are not computed.
"""

from __future__ import annotations

from typing import Final

from torch import Tensor

NORM_PIX_EPS: Final = 1e-6


def patch_statistics(target: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and sqrt(unbiased variance + 1e-6) of each patch: (..., pixels) -> two of (..., 1)."""
    mean = target.mean(dim=-1, keepdim=True)
    deviation = (target.var(dim=-1, keepdim=True) + NORM_PIX_EPS).sqrt()
    return mean, deviation


def masked_patch_loss(predicted: Tensor, target: Tensor, *, norm_pix: bool) -> Tensor:
    """Mean squared error over the pixels of the hidden patches, in float32 under any autocast.

    Args:
        predicted: (B, M, pixels) predictions of the hidden patches.
        target: (B, M, pixels) their pixels, normalised as the input was.
        norm_pix: compare with (target - mean) / sqrt(var + 1e-6) of each patch instead.

    Returns:
        Scalar: the mean over pixels, patches and samples (every sample hides the same number of patches).
    """
    target = target if target.dtype == predicted.dtype else target.float()
    if norm_pix:
        mean, deviation = patch_statistics(target)
        target = (target - mean) / deviation
    predicted = predicted.to(target.dtype)
    return (predicted - target).square().mean()
