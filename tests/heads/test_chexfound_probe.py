"""CheXFound's probe: a plain linear layer on class tokens, started and tried as published."""

from __future__ import annotations

import pytest
import torch

from hilum.heads.chexfound_probe import PAPER_LRS, RELEASED_LRS, CheXFoundProbe
from hilum.heads.taps import Taps


def test_it_is_one_linear_layer_on_the_class_tokens() -> None:
    torch.manual_seed(0)
    probe = CheXFoundProbe(4 * 256, 40)
    cls = torch.randn(3, 4 * 256)
    expected = cls @ probe.classify.weight.T + probe.classify.bias
    torch.testing.assert_close(probe(Taps(cls, None)), expected)
    assert sum(p.numel() for p in probe.parameters()) == 4 * 256 * 40 + 40
    assert float(probe.classify.weight.detach().std()) == pytest.approx(0.01, rel=0.02)
    assert not probe.classify.bias.any()


def test_the_published_rates() -> None:
    assert (len(PAPER_LRS), PAPER_LRS[0], PAPER_LRS[-1]) == (9, 1e-5, 5e-3)  # IV-A
    assert (len(RELEASED_LRS), RELEASED_LRS[-1]) == (13, 0.1)
    assert RELEASED_LRS[:9] == PAPER_LRS
    assert sorted(RELEASED_LRS) == list(RELEASED_LRS)
