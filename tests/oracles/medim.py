"""MGCA's alignment and MedIM's masks, written slowly from the papers: loops over films, words and patches.

Independent of hilum; gradients come from autograd through the loops.
"""

from __future__ import annotations

import math

import numpy as np
import torch
from torch import Tensor


def softmax(values: list[Tensor]) -> list[Tensor]:
    exponentials = [value.exp() for value in values]
    return [value / sum(exponentials) for value in exponentials]


def unit(vector: Tensor) -> Tensor:
    return vector / (vector * vector).sum().sqrt()


def clipped_weights(weights: list[float]) -> list[float]:
    """Positive entries clipped to their 10 and 90 % quantiles, all divided by the sum."""
    positive = [weight for weight in weights if weight > 0]
    low, high = np.quantile(positive, 0.1), np.quantile(positive, 0.9)
    kept = [min(max(weight, low), high) if weight > 0 else 0.0 for weight in weights]
    return [weight / sum(kept) for weight in kept]


def recognition(tokens: list[Tensor], contexts: list[Tensor], weights: list[float], temperature: float) -> Tensor:
    """Token i must be nearest to context i among all contexts, context i to token i among all tokens."""
    loss = tokens[0].new_zeros(())
    for i, weight in enumerate(weights):
        forth = softmax([(tokens[i] * context).sum() / temperature for context in contexts])[i]
        back = softmax([(token * contexts[i]).sum() / temperature for token in tokens])[i]
        loss = loss - weight * (forth.log() + back.log()) / 2
    return loss


def token_losses(
    words: Tensor, patches: Tensor, word_weights: list[float], patch_weights: list[float], temperature: float
) -> tuple[Tensor, Tensor]:
    """One film: words (W, E) all real, patches (P, E), unit vectors; patch contexts as they are."""
    word_list, patch_list = list(words), list(patches)
    contexts = []
    for word in word_list:
        looks = softmax([(word * patch).sum() / temperature for patch in patch_list])
        contexts.append(unit(sum(look * patch for look, patch in zip(looks, patch_list, strict=True))))  # type: ignore[arg-type]
    of_words = recognition(word_list, contexts, clipped_weights(word_weights), temperature)
    contexts = []
    for patch in patch_list:
        looks = softmax([(word * patch).sum() / temperature for word in word_list])
        contexts.append(sum(look * word for look, word in zip(looks, word_list, strict=True)))  # type: ignore[misc]
    return of_words, recognition(patch_list, contexts, clipped_weights(patch_weights), temperature)


def sinkhorn(scores: Tensor, epsilon: float, iterations: int) -> Tensor:
    """Scores (B, K): exp, then prototypes and samples normalised in turn."""
    samples, prototypes = scores.shape
    plan = [[math.exp(float(scores[b, k]) / epsilon) for k in range(prototypes)] for b in range(samples)]
    for _ in range(iterations):
        for k in range(prototypes):
            mass = sum(plan[b][k] for b in range(samples))
            for b in range(samples):
                plan[b][k] /= mass * prototypes
        for b in range(samples):
            mass = sum(plan[b])
            plan[b] = [value / (mass * samples) for value in plan[b]]
    return torch.tensor([[value * samples for value in row] for row in plan], dtype=scores.dtype)


def prototype_loss(images: Tensor, reports: Tensor, prototypes: Tensor, temperature: float, epsilon: float) -> Tensor:
    """Swapped prediction, one sample at a time."""
    loss = images.new_zeros(())
    of_images, of_reports = images @ prototypes.T, reports @ prototypes.T
    for asked, answer in ((of_images, of_reports), (of_reports, of_images)):
        codes = sinkhorn(answer.detach(), epsilon, 3)
        for b in range(len(images)):
            predicted = softmax([score / temperature for score in asked[b]])
            for code, share in zip(codes[b], predicted, strict=True):
                loss = loss - code * share.log() / len(images) / 2
    return loss


def attention(words: Tensor, patches: Tensor, chosen: list[bool], temperature: float) -> Tensor:
    """One film: the sum over chosen words of the softmax over patches, (P,)."""
    total = torch.zeros(len(patches), dtype=words.dtype)
    for word, wanted in zip(words, chosen, strict=True):
        if wanted:
            total += torch.stack(softmax([(word * patch).sum() / temperature for patch in patches]))
    return total


def region_loss(
    words: list[Tensor], patches: Tensor, word_weights: list[list[float]], groups: list[int], temperature: float
) -> Tensor:
    """Reports (each (W, E), all words real), films (B, P, E), patches weighing alike: scores of pairs, contrasted."""
    films = len(words)
    scores = [[[patches.new_zeros(())] * films for _ in range(films)] for _ in range(2)]
    for film in range(films):
        for report in range(films):
            told = clipped_weights(word_weights[report])
            pairs = [[(word * patch).sum() for patch in patches[film]] for word in words[report]]
            score = patches.new_zeros(())
            for weight, row in zip(told, pairs, strict=True):
                looks = softmax([value / temperature for value in row])
                score = score + weight * sum(look * value for look, value in zip(looks, row, strict=True))
            scores[0][film][report] = score
            score = patches.new_zeros(())
            for column in zip(*pairs, strict=True):
                looks = softmax([value / temperature for value in column])
                score = score + sum(look * value for look, value in zip(looks, column, strict=True)) / len(
                    patches[film]
                )
            scores[1][film][report] = score
    loss = patches.new_zeros(())
    for table in scores:
        for one in range(films):
            others = [k for k in range(films) if k == one or groups[k] != groups[one]]
            for row in ([table[one][k] for k in others], [table[k][one] for k in others]):
                loss = loss - softmax([value / temperature for value in row])[others.index(one)].log() / films / 2
    return loss
