"""A finding without a label: is the film nearer to the sentence that affirms it or to the one that denies it?

Sentences of one side are averaged into one vector, and the probability is a softmax over the pair. Two published ways:

- `chexzero` (https://doi.org/10.1038/s41551-022-00936-9): every sentence is brought to unit length, averaged, brought
  to unit length again; the softmax is over the two cosines, without a temperature, so that a probability lies in
  [0.12, 0.88].
- `maco-released` (https://arxiv.org/abs/2309.05904, released code): raw sentence vectors are averaged and the softmax
  is over raw dot products.

`biovil` (https://arxiv.org/abs/2204.09817) lies between: raw vectors averaged, then unit length and cosines.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, Literal

import torch
import torch.nn.functional as F
from torch import Tensor

Scoring = Literal["chexzero", "biovil", "maco-released"]


@dataclass(frozen=True)
class Rule:
    """How sentences are averaged and compared."""

    unit_sentences: bool  # each sentence at unit length before the average
    cosine: bool  # unit length on both sides of the product


SCORINGS: Final[dict[Scoring, Rule]] = {
    "chexzero": Rule(unit_sentences=True, cosine=True),
    "biovil": Rule(unit_sentences=False, cosine=True),
    "maco-released": Rule(unit_sentences=False, cosine=False),
}


def class_vector(sentences: Tensor, scoring: Scoring) -> Tensor:
    """One vector for all sentences of a side: (S, E) -> (E,)."""
    rule = SCORINGS[scoring]
    mean = (F.normalize(sentences, dim=-1) if rule.unit_sentences else sentences).mean(dim=0)
    return F.normalize(mean, dim=-1) if rule.cosine else mean


def pair_probability(films: Tensor, positive: Tensor, negative: Tensor, scoring: Scoring) -> Tensor:
    """Probability of each finding on each film.

    Args:
        films: (N, E) raw film vectors.
        positive: (K, E) class vectors of the sentences that affirm.
        negative: (K, E) of those that deny.
        scoring: as the class vectors were made.

    Returns:
        (N, K) in [0, 1].
    """
    films = F.normalize(films, dim=-1) if SCORINGS[scoring].cosine else films
    return torch.sigmoid(films @ positive.T - films @ negative.T)  # the softmax of two is a sigmoid
