"""Which word pieces of a report are hidden: one pass from left to right, one draw a word or a piece.

Paper: MRM, https://arxiv.org/abs/2301.13155, section 3.1 ("masked report generation"): each token with probability
1/2. Official code: RL4M/MRM-pytorch at 3730ba4 hides whole words; the rule below is its rule.
"""

from __future__ import annotations

from collections.abc import Callable, Collection

import numpy as np
import numpy.typing as npt


def hide_words(
    ids: npt.NDArray[np.int64],
    continues: npt.NDArray[np.bool_],
    draw: Callable[[], float],
    *,
    ratio: float,
    whole_words: bool,
    pad_id: int,
    kept: Collection[int] = (),
) -> npt.NDArray[np.bool_]:
    """Draw the hidden pieces of one report.

    The first position ([CLS]) and the last are never hidden; the pass ends at the first padding.

    Args:
        ids: (T,) entries of the vocabulary.
        continues: (V,) whether an entry continues a word (##...).
        draw: gives numbers in [0, 1), one a word start (whole words) or one a piece, in order.
        ratio: probability that a word or piece is hidden.
        whole_words: a continuation is hidden if and only if the piece before it is, without a draw of its own.
        pad_id: the padding entry.
        kept: further entries that are never hidden ([SEP]); they take no draw.

    Returns:
        (T,) True where hidden.
    """
    hidden = np.zeros(len(ids), dtype=np.bool_)
    for place in range(1, len(ids) - 1):
        entry = int(ids[place])
        if entry == pad_id:
            break
        if entry in kept:
            continue
        if whole_words and continues[entry]:
            hidden[place] = hidden[place - 1]
        else:
            hidden[place] = draw() < ratio
    return hidden
