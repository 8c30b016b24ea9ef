"""Learning rates to try, by name: ours for each head, and the two lists of CheXFound."""

from __future__ import annotations

from typing import Literal

from hilum.heads import HEADS
from hilum.heads.chexfound_probe import PAPER_LRS, RELEASED_LRS
from hilum.heads.grid import DEFAULT_LRS
from hilum.lookup import lookup

Grid = Literal["default", "chexfound-paper", "chexfound-released"]


def grid_rates(head: str, grid: Grid = "default") -> tuple[float, ...]:
    """The learning rates of a named grid.

    Args:
        head: name in `hilum.heads.HEADS`.
        grid: "default" is the head's own; the paper of CheXFound tries 9 rates, its code 13.
    """
    own: tuple[float, ...] = getattr(lookup(HEADS, head, kind="head"), "LRS", DEFAULT_LRS)
    return {"default": own, "chexfound-paper": PAPER_LRS, "chexfound-released": RELEASED_LRS}[grid]
