"""Sinkhorn codes: the golden file, the slow oracle, fairness, extremes, batches spread unevenly over ranks."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.losses import sinkhorn as module
from hilum.losses.gather import rank, world
from hilum.losses.sinkhorn import sinkhorn
from hilum.losses.soft_cross_entropy import soft_cross_entropy
from tests.oracles import medim as oracle
from tests.processes import in_processes


@pytest.mark.parametrize(
    ("given", "wanted"), [("cls", "cls_sinkhorn"), ("patch", "patch_sinkhorn"), ("patch", "patch_sinkhorn_count_plus3")]
)
def test_golden_codes(shared: Path, given: str, wanted: str) -> None:
    golden = np.load(shared / "golden/chexfound/losses.npz")
    sizes = json.loads((shared / "golden/chexfound/losses.json").read_text())["config"]
    scores, want = (torch.from_numpy(golden[name]) for name in (f"in/teacher_{given}", f"out/{wanted}"))
    got = sinkhorn(scores, epsilon=sizes["teacher_temp"], iterations=sizes["sinkhorn_iterations"])
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("samples", "prototypes"), [(1, 1), (1, 4), (5, 1), (5, 4), (6, 10)])
@pytest.mark.parametrize("iterations", [0, 1, 3])
def test_equals_the_loops(samples: int, prototypes: int, iterations: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE", 2 * prototypes)  # two rows a piece, the last one alone
    torch.manual_seed(samples)
    scores = torch.randn(samples, prototypes, dtype=torch.float64)
    kept = scores.clone()
    got = sinkhorn(scores, epsilon=0.3, iterations=iterations)
    want = oracle.sinkhorn(scores, 0.3, iterations) if iterations else (scores / 0.3).softmax(1)
    torch.testing.assert_close(got, want)
    assert scores.equal(kept)
    assert not sinkhorn(scores.requires_grad_(), epsilon=0.3).requires_grad


def test_codes_use_every_prototype_alike() -> None:
    torch.manual_seed(0)
    codes = sinkhorn(torch.randn(40, 8), epsilon=0.5, iterations=50)
    torch.testing.assert_close(codes.sum(0), torch.full((8,), 5.0), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(codes.sum(1), torch.ones(40))


def test_samples_alike_and_prototypes_alike_give_the_uniform_code() -> None:
    torch.manual_seed(0)
    alike = torch.randn(1, 6).expand(5, 6)  # one sample five times: prototypes must share it evenly
    torch.testing.assert_close(sinkhorn(alike, epsilon=0.1), torch.full((5, 6), 1 / 6))
    alike = torch.randn(5, 1).expand(5, 6)  # no prototype is nearer than another
    torch.testing.assert_close(sinkhorn(alike, epsilon=0.1), torch.full((5, 6), 1 / 6))


def test_extremes_are_finite_and_half_precision_is_computed_in_float32() -> None:
    scores = torch.linspace(-1, 1, 12).view(4, 3)
    assert torch.isfinite(sinkhorn(scores, epsilon=1e-4)).all()
    assert torch.isfinite(sinkhorn(1e30 * scores, epsilon=0.05)).all()
    assert sinkhorn(torch.zeros(0, 3), epsilon=0.05).shape == (0, 3)
    half = scores.bfloat16()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        got = sinkhorn(half, epsilon=0.05)
    assert got.dtype is torch.float32
    assert got.equal(sinkhorn(half.float(), epsilon=0.05))


# --- over ranks -----------------------------------------------------------------------------------------------------

BOUNDS = {"uneven": (0, 2, 7), "one is empty": (0, 0, 7)}  # rows of rank 0, rows of rank 1


def over_ranks() -> dict[str, Tensor]:
    """Codes of this rank's rows, and the gradient of a cross-entropy with them as targets."""
    torch.manual_seed(0)
    scores, logits = torch.randn(7, 12), torch.randn(7, 12)
    found = {}
    for name, bounds in BOUNDS.items():
        rows = slice(bounds[rank()], bounds[rank() + 1]) if world() > 1 else slice(None)
        codes = sinkhorn(scores[rows], epsilon=0.1, gathered=True)
        student = logits[rows].clone().requires_grad_()
        soft_cross_entropy(student, codes, 0.1).sum().backward()
        assert student.grad is not None
        found |= {f"{name}: codes": codes, f"{name}: gradient": student.grad}
    nobody = sinkhorn(scores[:0], epsilon=0.1, gathered=True)
    assert nobody.shape == (0, 12)
    found["own batch"] = sinkhorn(scores[:3] + rank(), epsilon=0.1)
    return found


def test_two_ranks_with_unequal_rows_equal_one(tmp_path: Path) -> None:
    alone = over_ranks()
    ranks = in_processes("tests.losses.test_sinkhorn:over_ranks", tmp_path)
    for name in alone:
        if name == "own batch":
            continue
        together = torch.cat([one[name] for one in ranks])
        torch.testing.assert_close(together, alone[name], rtol=1e-6, atol=1e-6, msg=name)
    for one in ranks:
        torch.testing.assert_close(one["own batch"], alone["own batch"], rtol=1e-5, atol=1e-6)
