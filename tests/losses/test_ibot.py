"""The iBOT loss: the golden file, the slow oracle with gradients, closed forms, no mask at all, two ranks."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.losses.dino import Center
from hilum.losses.gather import rank, world
from hilum.losses.ibot import ibot_loss, patch_weights
from hilum.losses.sinkhorn import sinkhorn
from tests.oracles import dino as oracle
from tests.processes import in_processes


def near(got: Tensor, want: Tensor) -> None:
    torch.testing.assert_close(got, want, rtol=1e-4, atol=1e-5)


def test_golden_loss_and_weights(shared: Path) -> None:
    golden = {name: torch.from_numpy(x) for name, x in np.load(shared / "golden/chexfound/losses.npz").items()}
    sizes = json.loads((shared / "golden/chexfound/losses.json").read_text())["config"]
    student, logits, masks = (golden[f"in/{name}"] for name in ("student_patch", "teacher_patch", "masks"))
    weights = patch_weights(masks)
    assert weights.equal(golden["in/masks_weight"])
    codes = sinkhorn(logits, epsilon=sizes["teacher_temp"])
    for told, given in (("given", golden["in/masks_weight"]), ("none", weights)):
        got = ibot_loss(student, codes, given, len(masks), temperature=sizes["student_temp"])
        near(got, golden[f"out/ibot_loss_masks_weight_{told}"])
    center = Center(logits.shape[1])
    center.center.copy_(golden["in/patch_center"].view(1, -1))
    targets = center.targets(logits, sizes["teacher_temp"])
    near(ibot_loss(student, targets, weights, len(masks)), golden["out/ibot_loss_softmax_center"])


def test_golden_weights_of_a_collated_batch(shared: Path) -> None:
    golden = np.load(shared / "golden/chexfound/collate.npz")
    masks = torch.from_numpy(golden["out/collated_masks"])
    assert patch_weights(masks).equal(torch.from_numpy(golden["out/masks_weight"]))
    assert masks.flatten().nonzero().flatten().equal(torch.from_numpy(golden["out/mask_indices_list"]))


MASKS = torch.tensor([[1, 0, 1, 1], [0, 0, 0, 0], [0, 1, 0, 0]], dtype=torch.bool)


def test_equals_the_loops_with_gradients() -> None:
    torch.manual_seed(0)
    student, teacher = torch.randn(2, 4, 6, dtype=torch.float64).unbind()
    teacher = teacher.softmax(1)
    ours, slow = (student.clone().requires_grad_() for _ in range(2))
    counts = MASKS.sum(1).tolist()
    got = ibot_loss(ours, teacher, patch_weights(MASKS), len(MASKS), temperature=0.3)
    want = oracle.ibot(list(slow.split(counts)), list(teacher.split(counts)), 0.3)
    torch.testing.assert_close(got, want, rtol=1e-6, atol=0)  # the weights are float32
    got.backward()
    want.backward()
    torch.testing.assert_close(ours.grad, slow.grad, rtol=1e-6, atol=1e-9)


def test_closed_forms() -> None:
    uniform = torch.full((4, 8), 1 / 8)
    loss = ibot_loss(torch.zeros(4, 8), uniform, patch_weights(MASKS), len(MASKS))
    torch.testing.assert_close(loss, torch.tensor(math.log(8) * 2 / 3))  # two of three crops are masked
    assert ibot_loss(torch.randn(4, 1), torch.ones(4, 1), patch_weights(MASKS), 3) == 0


def test_no_mask_is_zero_with_a_gradient() -> None:
    weights = patch_weights(torch.zeros(3, 4, dtype=torch.bool))
    assert weights.shape == (0,)
    projection = torch.randn(5, 6, requires_grad=True)
    loss = ibot_loss(torch.zeros(0, 5) @ projection, torch.zeros(0, 6), weights, 3)
    loss.backward()
    assert loss == 0
    assert projection.grad is not None
    assert projection.grad.equal(torch.zeros(5, 6))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_computed_in_float32(dtype: torch.dtype) -> None:
    torch.manual_seed(0)
    student = torch.randn(4, 30).to(dtype)
    targets, weights = torch.randn(4, 30).softmax(1), patch_weights(MASKS)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        loss = ibot_loss(student, targets, weights, 3)
    assert loss.equal(ibot_loss(student.float(), targets, weights, 3))


# --- over ranks -----------------------------------------------------------------------------------------------------


def over_ranks() -> dict[str, Tensor]:
    """Four crops, of which rank 1 of two has a mask in none of its own, with codes of all ranks' patches."""
    torch.manual_seed(0)
    masks = torch.tensor([[1, 0, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0]], dtype=torch.bool)
    patches, teacher, projection = torch.randn(4, 3, 5), torch.randn(4, 3, 9), torch.randn(5, 9)
    projection.requires_grad_()
    rows = slice(rank() * 4 // world(), (rank() + 1) * 4 // world())
    own = masks[rows]
    codes = sinkhorn(teacher[rows][own], epsilon=0.3, gathered=True)
    loss = ibot_loss(patches[rows][own] @ projection, codes, patch_weights(own), len(own), temperature=0.5)
    loss.backward()
    assert projection.grad is not None
    return {"loss": loss, "gradient": projection.grad}


def test_two_ranks_with_unequal_masks_equal_one(tmp_path: Path) -> None:
    alone = over_ranks()
    ranks = in_processes("tests.losses.test_ibot:over_ranks", tmp_path)
    for name in alone:
        averaged = torch.stack([one[name] for one in ranks]).mean(0)
        torch.testing.assert_close(averaged, alone[name], rtol=1e-6, atol=1e-6, msg=name)
