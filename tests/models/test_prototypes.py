"""The head of DINO and iBOT: the golden files with their names, gains, directions, extremes, half precision."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from hilum.models.prototypes import PrototypeHead


@pytest.mark.parametrize("layers", [1, 3])
def test_golden_scores_from_released_names(shared: Path, layers: int) -> None:
    golden = {
        name: torch.from_numpy(x) for name, x in np.load(shared / f"golden/chexfound/dino_head_l{layers}.npz").items()
    }
    sizes = json.loads((shared / f"golden/chexfound/dino_head_l{layers}.json").read_text())["config"]
    head = PrototypeHead(
        sizes["in_dim"],
        sizes["out_dim"],
        hidden=sizes["hidden_dim"],
        bottleneck=sizes["bottleneck_dim"],
        layers=sizes["nlayers"],
    )
    weights = {name.removeprefix("ckpt/"): x for name, x in golden.items() if name.startswith("ckpt/")}
    head.load_state_dict(weights, strict=True)
    torch.testing.assert_close(head(golden["in/x"]), golden["out/y"], rtol=1e-4, atol=1e-5)


def test_a_fresh_head_gives_cosines() -> None:
    torch.manual_seed(0)
    head = PrototypeHead(12, 30, hidden=16, bottleneck=8)
    assert head.last_layer.weight_g.equal(torch.ones(30, 1))
    assert all(p.abs().max() == 0 for name, p in head.named_parameters() if name.endswith("bias"))
    tokens = torch.randn(2, 5, 12)
    scores = head(tokens)
    assert scores.shape == (2, 5, 30)
    torch.testing.assert_close(
        scores, F.cosine_similarity(head.mlp(tokens)[..., None, :], head.last_layer.weight_v, -1)
    )


def test_length_of_a_direction_does_not_matter_and_its_gain_does() -> None:
    torch.manual_seed(0)
    head = PrototypeHead(6, 10, hidden=8, bottleneck=4, layers=2)
    tokens = torch.randn(3, 6)
    before = head(tokens)
    with torch.no_grad():
        head.last_layer.weight_v.mul_(torch.rand(10, 1) + 0.5)
        torch.testing.assert_close(head(tokens), before)
        gains = head.last_layer.weight_g.uniform_(1, 2)
        torch.testing.assert_close(head(tokens), before * gains.T)
    head(tokens).square().sum().backward()
    along = (head.last_layer.weight_v.grad * head.last_layer.weight_v).sum(1)  # gradients turn, never stretch
    torch.testing.assert_close(along, torch.zeros(10), atol=1e-5, rtol=0)


def test_gradcheck() -> None:
    torch.manual_seed(0)
    head = PrototypeHead(4, 5, hidden=6, bottleneck=3).double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.normal_()
    tokens = torch.randn(2, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda x, *_: head(x), (tokens, *head.parameters()))


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_zero_vectors_are_no_fault(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    head = PrototypeHead(6, 10, bottleneck=4, layers=1)
    tokens = torch.zeros(3, 6, requires_grad=True)
    with torch.autocast("cpu", dtype=dtype):
        scores = head(tokens)
    assert scores.equal(torch.zeros_like(scores))
    head(tokens).sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in head.parameters() if p.grad is not None)
    assert head(torch.zeros(0, 6)).shape == (0, 10)


def test_autocast_keeps_the_unit_vector_exact() -> None:
    torch.manual_seed(0)
    head = PrototypeHead(32, 100, hidden=64, bottleneck=16)
    tokens = torch.randn(8, 32)
    exact = head(tokens)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = head(tokens)
    assert half.dtype is torch.bfloat16
    torch.testing.assert_close(half.float(), exact, rtol=0, atol=0.02)
