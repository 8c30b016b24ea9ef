"""The masked-language loss against its oracle, in closed form, over devices, and where it could break."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hilum.losses.gather import rank
from hilum.losses.masked_language import masked_language_loss
from tests.oracles.mrm import word_loss
from tests.processes import in_processes


@pytest.mark.parametrize(("films", "places", "entries"), [(1, 4, 3), (3, 7, 11), (5, 2, 40)])
def test_value_and_gradient_equal_the_loops(films: int, places: int, entries: int) -> None:
    torch.manual_seed(entries)
    logits = torch.randn(films, places, entries, dtype=torch.float64, requires_grad=True)
    targets = torch.randint(0, entries, (films, places))
    chosen = torch.rand(films, places) < 0.6
    loss = masked_language_loss(logits[chosen], targets[chosen])
    wanted = word_loss(logits, targets.tolist(), chosen.tolist())
    torch.testing.assert_close(loss, wanted, rtol=1e-12, atol=1e-12)
    (got,) = torch.autograd.grad(loss, logits)
    (want,) = torch.autograd.grad(wanted, logits)
    torch.testing.assert_close(got, want, rtol=1e-11, atol=1e-13)
    assert not got[~chosen].any()


def test_closed_forms() -> None:
    assert masked_language_loss(torch.zeros(6, 9), torch.arange(6)).item() == pytest.approx(math.log(9))
    certain = torch.full((4, 9), -1e4).scatter(1, torch.arange(4)[:, None], 1e4)
    assert masked_language_loss(certain, torch.arange(4)) == 0


def test_no_word_at_all_costs_nothing_and_keeps_the_graph() -> None:
    weight = torch.randn(5, 9, requires_grad=True)
    loss = masked_language_loss(torch.zeros(0, 5) @ weight, torch.zeros(0, dtype=torch.int64))
    loss.backward()
    assert loss == 0
    assert weight.grad is not None
    assert not weight.grad.any()


def test_half_precision_scores_are_compared_in_float32() -> None:
    logits = torch.full((2, 3), 4e4, dtype=torch.float16)
    loss = masked_language_loss(logits, torch.tensor([0, 1]))
    assert loss.dtype is torch.float32
    assert loss.item() == pytest.approx(math.log(3), rel=1e-5)


def _batch() -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(3)
    return torch.randn(9, 5, dtype=torch.float64, generator=draw), torch.randint(0, 5, (9,), generator=draw)


def unequal_shares() -> dict[str, Tensor]:
    """Rank 0 has 2 of 9 words, rank 1 the other 7."""
    logits, targets = _batch()
    mine = slice(0, 2) if rank() == 0 else slice(2, 9)
    own = logits[mine].clone().requires_grad_()
    loss = masked_language_loss(own, targets[mine])
    (gradient,) = torch.autograd.grad(loss, own)
    return {"loss": loss, "gradient": gradient}


def test_every_word_weighs_the_same_whichever_device_reads_it(tmp_path: Path) -> None:
    logits, targets = _batch()
    logits.requires_grad_()
    wanted = masked_language_loss(logits, targets)
    (gradient,) = torch.autograd.grad(wanted, logits)
    first, second = in_processes("tests.losses.test_masked_language:unequal_shares", tmp_path)
    torch.testing.assert_close((first["loss"] + second["loss"]) / 2, wanted.detach(), rtol=1e-12, atol=1e-12)
    both = torch.cat([first["gradient"], second["gradient"]]) / 2  # the mean over ranks, as DDP takes it
    torch.testing.assert_close(both, gradient, rtol=1e-12, atol=1e-13)
