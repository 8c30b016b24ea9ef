"""Words against patches: every word finds its regions, every region its words, and each must recognise itself there.

Paper: MGCA https://arxiv.org/abs/2210.06044, section 3.3 (cross-modal token alignment); MedIM,
    https://doi.org/10.1007/978-3-031-43907-0_2, takes it over. Facts checked against HKU-MedAI/MGCA at 680fe4a, nothing
    copied.
Departures: none in value; the code's loop over films is one masked sort. Padded words need not compete with real ones.
`region_alignment` is ours.

A film's token loss knows no other film, so these come per film and the caller takes the mean over all devices.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.losses.contrastive import Contrast


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


def region_alignment(
    words: Tensor,
    patches: Tensor,
    real: Tensor,
    word_weights: Tensor,
    patch_weights: Tensor | None,
    *,
    groups: Tensor | None = None,
    temperature: float = 0.1,
) -> Tensor:
    """Ours: films and reports contrasted by how well the words of one find regions of the other.

    In `token_alignment` a word competes with the other words of its own report, and a text encoder that knows positions
    solves that by counting: the third word looks where third words look, whatever it says. Here words keep their
    regions but films compete, so only what is on a film helps. A word's score on a film is the mean of its similarities
    under softmax(similarity / temperature) over patches, a report's score the weighted mean over its words; patches
    score reports likewise. Both are contrasted over the batch like global vectors.

    Args:
        words: (B, W, E) unit vectors of the reports of the global batch.
        patches: (B, P, E) unit vectors of their films.
        real: (B, W) bool, at least one a report.
        word_weights: (B, W), see `token_alignment`.
        patch_weights: (B, P), see `token_alignment`.
        groups: (B,) int64; items of the same group are no negatives of each other. None: all are.
        temperature: of attention and of the contrast.

    Returns:
        Scalar in float32 or better: word side plus patch side, each the mean of both directions; zero of no film.
    """
    exact = torch.promote_types(words.dtype, torch.float32)
    with torch.autocast(words.device.type, enabled=False):
        words, patches = words.to(exact), patches.to(exact)
        if not len(words):
            return (words.sum() + patches.sum()) * 0.0
        similar = torch.einsum("fpe,rwe->frwp", patches, words)  # film, report, word, patch
        of_words = ((similar / temperature).softmax(3) * similar).sum(3)
        silent = ~real[None, :, :, None]
        of_patches = ((similar / temperature).masked_fill(silent, -torch.inf).softmax(2) * similar).sum(2)
        spoken = token_weights(word_weights.to(exact), real)
        importance = torch.ones_like(patches[..., 0]) if patch_weights is None else patch_weights.to(exact)
        seen = token_weights(importance, torch.ones_like(importance, dtype=torch.bool))
        scores = (torch.einsum("frw,rw->fr", of_words, spoken), torch.einsum("frp,fp->fr", of_patches, seen))
        apart = None if groups is None else _apart(groups)
        gain = torch.ones(1, dtype=exact, device=words.device) / temperature
        losses = [
            Contrast(score, apart, None).losses(gain, back=back).mean() for score in scores for back in (False, True)
        ]
        return torch.stack(losses).sum() / 2


def _apart(groups: Tensor) -> Tensor:
    """Where two items may be told apart: (B, B) bool, the diagonal always."""
    return (groups[:, None] != groups[None]) | torch.eye(len(groups), dtype=torch.bool, device=groups.device)
