"""Named grids: a head's own rates, and the two lists of CheXFound whatever the head."""

from __future__ import annotations

import pytest

from hilum.heads import HEADS
from hilum.heads.chexfound_probe import PAPER_LRS, RELEASED_LRS, CheXFoundProbe
from hilum.heads.glori import GLoRIHead
from hilum.heads.grid import DEFAULT_LRS, GridSettings
from hilum.heads.grids import grid_rates


def test_a_heads_own_rates() -> None:
    assert grid_rates("linear") == grid_rates("mlp") == DEFAULT_LRS
    assert grid_rates("glori") == GLoRIHead.LRS
    assert grid_rates("chexfound-probe") == CheXFoundProbe.LRS == PAPER_LRS


@pytest.mark.parametrize("head", HEADS)
def test_chexfounds_lists_serve_every_head(head: str) -> None:
    assert grid_rates(head, "chexfound-paper") == PAPER_LRS
    assert grid_rates(head, "chexfound-released") == RELEASED_LRS
    assert len(GridSettings(lrs=RELEASED_LRS).lrs) == 13  # all positive and different
