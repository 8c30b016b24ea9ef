"""KoLeo: the golden file, the slow oracle with gradients, closed forms, twins, zeros, lone vectors, two ranks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.losses.gather import rank, world
from hilum.losses.koleo import koleo_loss, nearest_distance
from tests.oracles import dino as oracle
from tests.processes import in_processes


@pytest.mark.parametrize(("case", "tolerance"), [("koleo", "float32"), ("koleo_duplicate_direction",) * 2])
def test_golden(shared: Path, case: str, tolerance: str) -> None:
    golden = np.load(shared / "golden/chexfound/losses.npz")
    allowed = json.loads((shared / "golden/chexfound/losses.json").read_text())["tolerance"][tolerance]
    got = koleo_loss(torch.from_numpy(golden[f"in/{case}"]))
    torch.testing.assert_close(got, torch.from_numpy(golden[f"out/{case}"]), **allowed)


@pytest.mark.parametrize(("vectors", "width"), [(2, 3), (7, 5), (9, 2)])
def test_equals_the_loops_with_gradients(vectors: int, width: int) -> None:
    torch.manual_seed(vectors)
    ours = torch.randn(vectors, width, dtype=torch.float64)
    slow = ours.clone().requires_grad_()
    ours.requires_grad_()
    got, want = koleo_loss(ours), oracle.koleo(slow)
    torch.testing.assert_close(got, want, rtol=1e-6, atol=1e-6)  # the oracle has no epsilon
    got.backward()
    want.backward()
    torch.testing.assert_close(ours.grad, slow.grad, rtol=1e-5, atol=1e-6)


def test_gradcheck() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 4, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(koleo_loss, x)


def test_closed_forms() -> None:
    axes = torch.eye(5)
    torch.testing.assert_close(nearest_distance(axes), torch.full((5,), math.sqrt(2)))
    torch.testing.assert_close(koleo_loss(3 * axes), torch.tensor(-math.log(2) / 2))
    poles = torch.tensor([[1.0, 0.0], [-7.0, 0.0]])
    torch.testing.assert_close(nearest_distance(poles), torch.full((2,), 2.0))


def test_twins_and_zeros_have_finite_losses_and_gradients() -> None:
    for x in (torch.ones(4, 3), torch.zeros(4, 3), torch.tensor([[0.0, 0.0], [1.0, 2.0], [2.0, 4.0]])):
        x = x.clone().requires_grad_()
        loss = koleo_loss(x)
        loss.backward()
        assert torch.isfinite(loss)
        assert x.grad is not None
        assert torch.isfinite(x.grad).all()


@pytest.mark.parametrize("vectors", [0, 1])
def test_a_lone_vector_has_no_neighbour(vectors: int) -> None:
    x = torch.randn(vectors, 4, requires_grad=True)
    loss = koleo_loss(x)
    loss.backward()
    assert loss == 0
    assert x.grad is not None
    assert x.grad.equal(torch.zeros(vectors, 4))
    assert nearest_distance(x).shape == (0,)


def test_half_precision_is_computed_in_float32() -> None:
    torch.manual_seed(0)
    x = torch.randn(6, 8).bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = koleo_loss(x)
    assert loss.equal(koleo_loss(x.float()))


# --- over ranks -----------------------------------------------------------------------------------------------------


def over_ranks() -> dict[str, Tensor]:
    """Loss, distances, and gradients of the vectors and of a shared projection, over all ranks and each for itself."""
    torch.manual_seed(1)
    vectors, projection = torch.randn(8, 5), torch.randn(5, 4)
    rows = slice(rank() * 8 // world(), (rank() + 1) * 8 // world())
    projection.requires_grad_()
    x = vectors[rows].clone().requires_grad_()
    loss = koleo_loss(x @ projection)
    loss.backward()
    assert projection.grad is not None
    assert x.grad is not None
    distances = nearest_distance(vectors[rows])
    own = koleo_loss(vectors[rows], gathered=False)
    return {"loss": loss, "projection": projection.grad, "x": x.grad, "distances": distances, "own": own}


def test_two_ranks_equal_one(tmp_path: Path) -> None:
    alone = over_ranks()
    ranks = in_processes("tests.losses.test_koleo:over_ranks", tmp_path)
    for name in ("loss", "projection"):
        averaged = torch.stack([one[name] for one in ranks]).mean(0)
        torch.testing.assert_close(averaged, alone[name], rtol=1e-6, atol=1e-6, msg=name)
    torch.testing.assert_close(torch.cat([one["x"] for one in ranks]) / 2, alone["x"], rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(torch.cat([one["distances"] for one in ranks]), alone["distances"], rtol=1e-6, atol=1e-6)
    torch.manual_seed(1)
    for one, part in zip(ranks, torch.randn(8, 5).split(4), strict=True):
        torch.testing.assert_close(one["own"], koleo_loss(part), rtol=1e-6, atol=1e-6)
