"""Words against patches: every word finds its regions, every region its words, and each must recognise itself there.

Paper: MGCA https://arxiv.org/abs/2210.06044, section 3.3 (cross-modal token alignment); MedIM,
    https://doi.org/10.1007/978-3-031-43907-0_2, takes it over. Facts checked against HKU-MedAI/MGCA at 680fe4a, nothing
    copied.
Departures: none in value; the code's loop over films is one masked sort. Padded words need not compete with real ones.

A film's loss knows no other film, so losses come per film and the caller takes the mean over all devices.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor


def token_alignment(
    words: Tensor,
    patches: Tensor,
    real: Tensor,
    word_weights: Tensor,
    patch_weights: Tensor | None,
    *,
    temperature: float = 0.1,
    normalise_patch_context: bool = False,
    padding_competes: bool = False,
) -> tuple[Tensor, Tensor]:
    """The two token losses of each film, word side and patch side, in float32 or better.

    On the word side a word's context is the mean of the patches under softmax(word . patch / temperature), made unit
    length again; word i must be nearest to context i among the contexts of its report and the other way round
    (cross-entropies, averaged), and words weigh by `word_weights`. The patch side exchanges the roles.

    Args:
        words: (B, W, E) unit vectors.
        patches: (B, P, E) unit vectors.
        real: (B, W) bool, False where a report has no such word.
        word_weights: (B, W) importance of words, not negative; clipped to the 10 and 90 % quantiles of the positive
            ones of its report and divided by their sum. Takes no gradient.
        patch_weights: (B, P) the same for patches, clipped to the quantiles of all; None weighs them alike.
        temperature: of attention and of cross-entropy.
        normalise_patch_context: make contexts of patches unit length too (MGCA does for ResNet, not for ViT).
        padding_competes: let words that are not there take part in the denominators of the word side, as the released
            code does.

    Returns:
        Two of (B,); zero for a film without any word.
    """
    exact = torch.promote_types(words.dtype, torch.float32)
    with torch.autocast(words.device.type, enabled=False):
        words, patches = words.to(exact), patches.to(exact)
        spoken = real.any(1)
        real = real | ~spoken[:, None]  # a film without words is computed on its padding, then weighs nothing
        similar = words @ patches.transpose(1, 2) / temperature  # (B, W, P)
        of_words = F.normalize(similar.softmax(2) @ patches, dim=2)
        of_patches = similar.transpose(1, 2).masked_fill(~real[:, None], -torch.inf).softmax(2) @ words
        if normalise_patch_context:
            of_patches = F.normalize(of_patches, dim=2)
        competing = torch.ones_like(real) if padding_competes else real
        word_loss = _recognition(words, of_words, token_weights(word_weights.to(exact)), competing, temperature)
        everywhere = torch.ones_like(patches[..., 0], dtype=torch.bool)
        importance = everywhere.to(exact) if patch_weights is None else patch_weights.to(exact)
        weights = token_weights(importance, everywhere)
        patch_loss = _recognition(patches, of_patches, weights, everywhere, temperature)
    return word_loss * spoken, patch_loss * spoken


def token_weights(weights: Tensor, valid: Tensor | None = None) -> Tensor:
    """Clip each row's weights to the 10 and 90 % quantiles of its valid entries and divide by their sum; no gradient.

    Args:
        weights: (B, N), not negative.
        valid: (B, N) bool; the positive entries where omitted. The others become zero.
    """
    weights = weights.detach()
    valid = weights > 0 if valid is None else valid
    low, high = (masked_quantile(weights, valid, level)[:, None] for level in (0.1, 0.9))
    clipped = torch.where(valid, torch.minimum(torch.maximum(weights, low), high), 0.0)
    return clipped / clipped.sum(1, keepdim=True).clamp(min=torch.finfo(weights.dtype).tiny)


def masked_quantile(values: Tensor, valid: Tensor, level: float) -> Tensor:
    """Quantile of each row's valid entries with linear interpolation, as `torch.quantile`: (B, N) -> (B,).

    A row without a valid entry gives 0.
    """
    count = valid.sum(1)
    ordered = values.masked_fill(~valid, torch.inf).sort(1).values
    place = level * (count - 1).clamp(min=0).to(values.dtype)
    below = place.floor().to(torch.int64)
    above = torch.minimum(below + 1, (count - 1).clamp(min=0))
    lower, upper = (ordered.gather(1, index[:, None])[:, 0] for index in (below, above))
    return torch.where(count > 0, torch.lerp(lower, upper, place - below), 0.0)


def _recognition(tokens: Tensor, contexts: Tensor, weights: Tensor, competing: Tensor, temperature: float) -> Tensor:
    """Weighted cross-entropy of token i against context i, mean of both directions.

    Args:
        tokens: (B, N, E).
        contexts: (B, N, E).
        weights: (B, N) that sum to 1 over each row.
        competing: (B, N) bool, who takes part in the denominators.
        temperature: of the softmax.

    Returns:
        (B,).
    """
    scores = tokens @ contexts.transpose(1, 2) / temperature
    own = scores.diagonal(dim1=1, dim2=2)
    absent = ~competing
    forth = scores.masked_fill(absent[:, None], -torch.inf).logsumexp(2) - own
    back = scores.masked_fill(absent[:, :, None], -torch.inf).logsumexp(1) - own
    return (weights * (forth + back)).sum(1) / 2
