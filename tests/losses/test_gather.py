"""Two processes that gather compute what one computes: loss and gradients."""

from __future__ import annotations

from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from hilum.losses.gather import gather, rank, total, world
from tests.processes import in_processes

FILMS, WIDTH = 8, 5


def inputs() -> tuple[Tensor, Tensor, Tensor, Tensor, Tensor]:
    """Images and texts of the global batch, group numbers, a shared scale and a shared projection."""
    draws = torch.Generator().manual_seed(3)
    images, texts = torch.randn(2, FILMS, WIDTH, generator=draws).unbind()
    groups = torch.tensor([0, 1, 2, 3, 0, 5, 6, 3])
    return images, texts, groups, torch.tensor(7.0), torch.randn(WIDTH, WIDTH, generator=draws)


def contrast_step() -> dict[str, Tensor]:
    """One rank's loss and gradients of a contrast over the global batch, plus a mean over a count of all ranks."""
    images, texts, groups, scale, projection = (tensor.clone() for tensor in inputs())
    rows = slice(rank() * FILMS // world(), (rank() + 1) * FILMS // world())
    for tensor in (scale, projection):
        tensor.requires_grad_()
    v, t, g = gather(images[rows] @ projection), gather(texts[rows] @ projection), gather(groups[rows])
    twins = (g[:, None] == g) & ~torch.eye(FILMS, dtype=torch.bool)
    logits = (scale * F.normalize(v, dim=-1) @ F.normalize(t, dim=-1).T).masked_fill(twins, -torch.inf)
    contrast = F.cross_entropy(logits, torch.arange(FILMS))
    chosen = (groups[rows] > 2).float()  # how many are chosen differs between ranks
    own = ((images[rows] @ projection).square().sum(1) * chosen).sum()
    mean = total(own) / total(chosen.sum())
    loss = contrast + mean
    loss.backward()
    assert scale.grad is not None
    assert projection.grad is not None
    even = gather(groups[rows] % 2 == 0)
    return {
        "loss": loss,
        "scale": scale.grad,
        "projection": projection.grad,
        "even": even.to(torch.uint8),
        "count": total(torch.tensor(len(g) // world())),
    }


def test_two_processes_agree_with_one(tmp_path: Path) -> None:
    alone = contrast_step()
    ranks = in_processes("tests.losses.test_gather:contrast_step", tmp_path)
    for name in ("scale", "projection"):
        averaged = torch.stack([one[name] for one in ranks]).mean(0)  # as DDP does
        torch.testing.assert_close(averaged, alone[name], rtol=1e-6, atol=1e-6)
        assert alone[name].abs().max() > 0.01
    for one in ranks:
        torch.testing.assert_close(one["loss"], alone["loss"], rtol=0, atol=1e-6)
        assert one["even"].equal(alone["even"])
        assert one["count"] == FILMS


def test_alone_nothing_happens() -> None:
    x = torch.randn(3, 2, requires_grad=True)
    assert gather(x) is x
    assert total(x) is x
    assert (rank(), world()) == (0, 1)
