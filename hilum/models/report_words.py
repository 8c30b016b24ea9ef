"""From word pieces to words: vectors and attention summed over the pieces of a word.

MGCA and MedIM do so (https://doi.org/10.1007/978-3-031-43907-0_2; YtongXie/MedIM at 825599e, facts checked, nothing
copied). The released loop reads each piece's attention one place too far, counts [SEP] as a word, and loses the last
word of a report that fills its room; the rule "released" does the same, "whole" does what was meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from hilum.models.text import sum_pieces

WordRule = Literal["whole", "released"]


@dataclass(frozen=True)
class Words:
    """The words of a batch of reports."""

    vectors: Tensor  # (B, W, D), zero where there is no word
    weights: Tensor  # (B, W) attention of [CLS], zero where there is no word; no gradient
    real: Tensor  # (B, W) bool


def words_of(tokens: Tensor, attention: Tensor, words: Tensor, mask: Tensor, rule: WordRule = "whole") -> Words:
    """Sum the pieces of each word.

    Args:
        tokens: (B, T, D) vectors of pieces.
        attention: (B, heads, T, T) weights of a layer.
        words: (B, T) int64 number of each piece's word, -1 for [CLS], [SEP] and padding.
        mask: (B, T) 1 where there is a piece.
        rule: "whole": W is the longest report's number of words. "released": W is T - 1, [SEP] is a word, attention is
            shifted, see above.
    """
    seen = attention.detach()[:, :, 0].mean(1)  # (B, T) what [CLS] looks at
    if rule == "whole":
        count = max(int(words.max()) + 1, 1)
        real = torch.arange(count, device=words.device) <= words.max(1, keepdim=True).values
        return Words(sum_pieces(tokens, words, count), sum_pieces(seen, words, count), real)
    numbers = released_numbers(words, mask)
    length = words.shape[1]
    shifted = torch.nn.functional.pad(seen[:, 1:], (0, 1))
    vectors, weights = (sum_pieces(values, numbers, length)[:, 1:] for values in (tokens, shifted))
    real = torch.arange(1, length, device=words.device) <= numbers.max(1, keepdim=True).values
    return Words(vectors, weights, real)


def released_numbers(words: Tensor, mask: Tensor) -> Tensor:
    """The word each piece belongs to in the released loop: [CLS] is word 0, [SEP] the last; (B, T), -1 for none.

    The loop stops one piece early and drops the word it is in when no [SEP] has come.
    """
    length, pieces = words.shape[1], mask.sum(1, keepdim=True)
    place = torch.arange(length, device=words.device)
    last = words.max(1, keepdim=True).values
    closing = (words < 0) & (place > 0) & (place < pieces)
    numbers = torch.where(closing, last + 2, words + 1)
    numbers = numbers.masked_fill(place >= pieces, -1)
    full = pieces == length  # [SEP] stands where the loop no longer comes
    open_word = numbers[:, length - 2, None]
    lost = full & ((place == length - 1) | (numbers == open_word))
    return numbers.masked_fill(lost, -1)
