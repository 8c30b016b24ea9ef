"""Where a report looks on its film, and which cells of the feature map are hidden for it.

Paper: MedIM, https://doi.org/10.1007/978-3-031-43907-0_2, eq. 1-5 and Fig. 3; the 90/10 rule is what YtongXie/MedIM
does at 825599e (facts checked, nothing copied). Selections take ranks of noise that the loader drew, never a generator:
the same film in the same epoch is masked alike on any number of devices. Nothing here takes a gradient.
"""

from __future__ import annotations

from typing import Final, Literal

import torch
from torch import Tensor

Selection = Literal["high", "diverse", "random", "low", "none"]
SELECTIONS: Final = ("high", "diverse", "random", "low", "none")


@torch.no_grad()
def report_attention(words: Tensor, patches: Tensor, chosen: Tensor, temperature: float = 0.1) -> Tensor:
    """How much each patch is looked at by the chosen words: the sum of their softmax over patches (eq. 2 and 5).

    Args:
        words: (B, W, E) unit vectors.
        patches: (B, P, E) unit vectors.
        chosen: (B, W) bool.
        temperature: of the softmax.

    Returns:
        (B, P) float32 or better, each row's sum is the number of chosen words.
    """
    exact = torch.promote_types(words.dtype, torch.float32)
    with torch.autocast(words.device.type, enabled=False):
        looks = (words.to(exact) @ patches.to(exact).transpose(1, 2) / temperature).softmax(2)
        return (chosen.to(exact)[:, None] @ looks)[:, 0]


@torch.no_grad()
def select_cells(attention: Tensor, noise: Tensor, selection: Selection, ratio: float, share: float = 0.9) -> Tensor:
    """Which cells are hidden: (B, P) bool.

    | selection | hidden |
    |---|---|
    | high | the int(ratio P) cells of highest attention (the paper); fewer where attention ties at the border |
    | low | the int(ratio P) cells of lowest attention |
    | diverse | int(share n) of the n cells that `high` hides, int((1 - share) m) of the m others (released code) |
    | random | any int(ratio P) |
    | none | none |

    Args:
        attention: (B, P) of `report_attention`.
        noise: (B, P) in [0, 1); among equals the cells of smallest noise are hidden.
        selection: the rule.
        ratio: share of the cells, in (0, 1).
        share: of the diverse rule.
    """
    count = int(attention.shape[1] * ratio)
    if selection == "none":
        return torch.zeros_like(attention, dtype=torch.bool)
    if selection == "random":
        return _fewest(noise, torch.ones_like(noise, dtype=torch.bool), count)
    if selection == "low":
        return attention < attention.sort(1).values[:, count, None]
    high = attention > attention.sort(1, descending=True).values[:, count, None]
    if selection == "high":
        return high
    of_high = (high.sum(1, keepdim=True).double() * share).long()
    of_low = ((~high).sum(1, keepdim=True).double() * (1 - share)).long()
    return _fewest(noise, high, of_high) | _fewest(noise, ~high, of_low)


@torch.no_grad()
def _fewest(noise: Tensor, among: Tensor, count: Tensor | int) -> Tensor:
    """The `count` cells of smallest noise in each row of `among`: (B, P) bool."""
    rank = noise.masked_fill(~among, torch.inf).argsort(dim=1, stable=True).argsort(dim=1)
    return among & (rank < count)
