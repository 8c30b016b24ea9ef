"""Our batch normalisation: torch's in one process, one process's in two."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from hilum.losses.gather import rank
from hilum.models.batch_norm import BatchNorm
from tests.processes import in_processes

SPLITS = (4, 1, 0)


def set_affine(layer: nn.Module) -> None:
    """Factors and offsets away from 1 and 0, the same for every layer of this width."""
    with torch.no_grad():
        layer.weight.copy_(torch.linspace(0.5, 1.5, len(layer.weight)))  # type: ignore[arg-type, operator]
        layer.bias.copy_(torch.linspace(-1, 1, len(layer.bias)))  # type: ignore[arg-type, operator]


@pytest.mark.parametrize(("shape", "axis"), [((6, 5), 1), ((3, 5, 4, 2), 1), ((3, 7, 5), -1)], ids=str)
@pytest.mark.parametrize("affine", [True, False])
def test_equals_torch_in_one_process(shape: tuple[int, ...], axis: int, affine: bool) -> None:
    torch.manual_seed(0)
    ours = BatchNorm(5, axis=axis, affine=affine)
    theirs = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(5, affine=affine)
    if affine:
        set_affine(ours)
        set_affine(theirs)
    for training in (True, True, False):
        ours.train(training)
        theirs.train(training)
        x = torch.randn(shape) * 3 + 2
        ours_in, theirs_in = x.clone().requires_grad_(), x.clone().requires_grad_()
        got = ours(ours_in)
        want = theirs(theirs_in.movedim(axis, 1)).movedim(1, axis)
        torch.testing.assert_close(got, want, rtol=0, atol=1e-6)
        got.pow(3).sum().backward()
        want.pow(3).sum().backward()
        torch.testing.assert_close(ours_in.grad, theirs_in.grad, rtol=1e-5, atol=1e-5)
        for name, parameter in ours.named_parameters():
            torch.testing.assert_close(parameter.grad, dict(theirs.named_parameters())[name].grad, rtol=1e-5, atol=1e-4)
        for name in ("running_mean", "running_var"):
            torch.testing.assert_close(getattr(ours, name), getattr(theirs, name), rtol=1e-6, atol=1e-6)


def test_torch_files_load_and_ours_load_into_torch() -> None:
    theirs = nn.BatchNorm1d(4)
    theirs(torch.randn(8, 4))
    ours = BatchNorm(4)
    ours.load_state_dict(theirs.state_dict())
    assert torch.equal(ours.running_mean, theirs.running_mean)  # type: ignore[arg-type]
    back = nn.BatchNorm1d(4)
    back.load_state_dict(dict(ours.state_dict()))
    assert torch.equal(ours.running_var, back.running_var)  # type: ignore[arg-type]


def test_one_row_and_no_row_are_no_faults() -> None:
    layer = BatchNorm(4, axis=-1)
    set_affine(layer)
    torch.testing.assert_close(layer(torch.randn(1, 4)), layer.bias[None])  # type: ignore[index]
    assert layer(torch.zeros(0, 4)).shape == (0, 4)
    assert torch.isfinite(layer.running_var).all()


def _inputs() -> tuple[Tensor, Tensor]:
    """Rows far from zero, where a careless variance loses its digits, and their weights in the loss."""
    generator = torch.Generator().manual_seed(3)
    return torch.randn(8, 4, 3, generator=generator) * 2 + 10, torch.randn(8, 4, 3, generator=generator)


def _step(layer: BatchNorm, x: Tensor, weights: Tensor) -> dict[str, Tensor]:
    x = x.clone().requires_grad_()
    set_affine(layer)
    (layer(x) * weights).sum().backward()
    assert x.grad is not None
    gradients = {f"d {name}": parameter.grad for name, parameter in layer.named_parameters()}
    return {"x": x.grad, **{k: v for k, v in gradients.items() if v is not None}, **dict(layer.named_buffers())}


def shared() -> dict[str, Tensor]:
    """What this of two devices gets when the first has 4, 1 and none of the 8 films."""
    x, weights = _inputs()
    found: dict[str, Tensor] = {}
    for split in SPLITS:
        part = slice(0, split) if rank() == 0 else slice(split, None)
        found |= {f"{split} {name}": value for name, value in _step(BatchNorm(4), x[part], weights[part]).items()}
    return found


def test_two_processes_equal_one(tmp_path: Path) -> None:
    first, second = in_processes("tests.models.test_batch_norm:shared", tmp_path)
    want = _step(BatchNorm(4), *_inputs())
    for split in SPLITS:
        rows = torch.cat([first[f"{split} x"], second[f"{split} x"]])
        torch.testing.assert_close(rows, want["x"], rtol=1e-6, atol=1e-6)
        for name in ("d weight", "d bias"):
            both = first[f"{split} {name}"] + second[f"{split} {name}"]
            torch.testing.assert_close(both, want[name], rtol=1e-6, atol=1e-5)
        for name in ("running_mean", "running_var"):
            assert torch.equal(first[f"{split} {name}"], second[f"{split} {name}"])
            torch.testing.assert_close(first[f"{split} {name}"], want[name], rtol=1e-6, atol=1e-6)
