"""The language head against its formula, tied and not."""

from __future__ import annotations

import pytest
import torch

from hilum.models.masked_language import MaskedLanguageHead
from tests.oracles.mrm import HEAD, scores


@pytest.mark.parametrize("tied", [True, False])
def test_scores_equal_the_formula(tied: bool) -> None:
    torch.manual_seed(0)
    head = MaskedLanguageHead(8, 13, tied=tied).double()
    for parameter in head.parameters():
        torch.nn.init.normal_(parameter)
    table = torch.randn(13, 8, dtype=torch.float64)
    states = torch.randn(2, 5, 8, dtype=torch.float64)
    official = {
        "transform.dense.weight": head.dense.weight,
        "transform.dense.bias": head.dense.bias,
        "transform.LayerNorm.weight": head.norm.weight,
        "transform.LayerNorm.bias": head.norm.bias,
        "decoder.weight": table if head.decoder is None else head.decoder.weight,
        "bias": head.bias,
    }
    wanted = scores({HEAD + key: value for key, value in official.items()}, states)
    torch.testing.assert_close(head(states, table), wanted, rtol=1e-10, atol=1e-10)
    assert ("decoder.weight" in head.state_dict()) != tied
    other = head(states, table + 1)
    assert torch.equal(other, head(states, table)) != tied
