"""The head of a masked language model: hidden states to scores of the vocabulary."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from hilum.models.initialise import initialise
from hilum.models.onednn import Linear, linear


class MaskedLanguageHead(nn.Module):
    """BERT's: a linear layer, GELU, LayerNorm, then one product with a matrix of word vectors.

    Tied, that matrix is the report encoder's own table of word vectors, given to `forward`; it is no weight of the
    head, so nothing is stored twice.

    Args:
        width: features of a token.
        vocabulary: V, entries of the tokenizer.
        tied: whether the output matrix is the table of word vectors.
        norm_eps: epsilon of the LayerNorm.
    """

    def __init__(self, width: int, vocabulary: int, *, tied: bool, norm_eps: float = 1e-12) -> None:
        super().__init__()
        self.dense = Linear(width, width)
        self.norm = nn.LayerNorm(width, eps=norm_eps)
        self.decoder = None if tied else Linear(width, vocabulary, bias=False)
        self.bias = nn.Parameter(torch.zeros(vocabulary))
        initialise(self, "xavier")

    def forward(self, hidden: Tensor, table: Tensor) -> Tensor:
        """Score the vocabulary.

        Args:
            hidden: (..., W) states of the report encoder.
            table: (V, W) its word vectors; used where the head is tied.

        Returns:
            (..., V) logits.
        """
        x = self.norm(F.gelu(self.dense(hidden)))
        return linear(x, table if self.decoder is None else self.decoder.weight, self.bias)
