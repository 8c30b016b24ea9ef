"""Heads into the joint space: the last axis, shapes, and formulas written out."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.models.projections import CXR_BERT_EPS, KINDS, projection


@pytest.mark.parametrize("kind", KINDS)
def test_a_list_of_cells_is_many_vectors(kind: str) -> None:
    torch.manual_seed(0)
    head = projection(kind, 6, 5, 6 if kind == "none" else 4).eval()  # type: ignore[arg-type]
    cells = torch.randn(3, 7, 6)
    assert head(cells).shape == (3, 7, 6 if kind == "none" else 4)
    torch.testing.assert_close(head(cells)[1, 2], head(cells[1, 2][None])[0])


def formula(kind: str, w: dict[str, Tensor], x: Tensor) -> Tensor:
    """The kinds as their authors write them, in evaluation."""
    if kind == "conv-mlp":  # 1 x 1 convolutions
        y = F.conv2d(x.T[None, :, :, None], w["0.weight"][:, :, None, None])
        y = (y - w["1.running_mean"][:, None, None]) / (w["1.running_var"][:, None, None] + 1e-5).sqrt()
        y = (y * w["1.weight"][:, None, None] + w["1.bias"][:, None, None]).relu()
        return F.conv2d(y, w["3.weight"][:, :, None, None], w["3.bias"])[0, :, :, 0].T
    if kind == "dense-norm":
        y = F.gelu(x @ w["0.weight"].T + w["0.bias"])
        y = (y - y.mean(-1, keepdim=True)) / (y.var(-1, unbiased=False, keepdim=True) + CXR_BERT_EPS).sqrt()
        return (y * w["2.weight"] + w["2.bias"]) @ w["3.weight"].T + w["3.bias"]
    if kind == "gelu-mlp":
        return F.gelu(x @ w["0.weight"].T) @ w["2.weight"].T
    return x @ w["weight"].T + w.get("bias", torch.zeros(()))


@pytest.mark.parametrize("kind", ["linear", "matrix", "conv-mlp", "dense-norm", "gelu-mlp"])
def test_heads_are_what_their_authors_wrote(kind: str) -> None:
    torch.manual_seed(1)
    head = projection(kind, 6, 5, 4).double().eval()  # type: ignore[arg-type]
    weights = head.state_dict()
    for value in weights.values():
        value.copy_(torch.rand_like(value) + 0.1)
    x = torch.randn(9, 6, dtype=torch.float64)
    torch.testing.assert_close(head(x), formula(kind, weights, x))
    assert any(key.endswith("bias") for key in weights) == (kind not in ("matrix", "gelu-mlp"))
