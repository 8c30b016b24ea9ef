"""Weights into a network: all of them, in their shapes, or none and a word about which."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import torch
from torch import Tensor, nn

from hilum.errors import CheckpointError

_NOT_FINITE: Final = "holds values that are not finite"
_OTHER: Final = "Give a checkpoint from before its training diverged, or copy the file again"
_WHOLE: Final = "Give the whole file, or choose the model size, image size, patch size and channels it was trained with"


def fits(module: nn.Module, weights: Mapping[str, Tensor]) -> bool:
    """Whether `weights` name every tensor of `module`, no other, each in its shape."""
    return not _misfits(module, weights)


def fill(module: nn.Module, weights: Mapping[str, Tensor], *, where: str | Path) -> None:
    """Copy `weights` into `module`; every tensor of it must be given, in its shape, and nothing else.

    Raises:
        CheckpointError: names the first few that are missing, superfluous or of another shape; nothing is
            copied.
    """
    check_fit(module, weights, where=where)
    module.load_state_dict(dict(weights))


def check_fit(module: nn.Module, weights: Mapping[str, Tensor], *, where: str | Path) -> None:
    """The check of `fill` alone, for weights that are loaded another way (into shards, say)."""
    faults = _misfits(module, weights)
    damaged = [fault for fault in faults if fault.endswith(_NOT_FINITE)]
    for found, what, fix in ((damaged, "is damaged", _OTHER), (faults, "holds another architecture", _WHOLE)):
        if found:
            more = f" and {len(found) - 3} more" if len(found) > 3 else ""
            raise CheckpointError(f"{what}: {'; '.join(found[:3])}{more}", where=where, fix=fix)


def _misfits(module: nn.Module, weights: Mapping[str, Tensor]) -> list[str]:
    """Every difference between what `module` needs and what `weights` give."""
    faults = []
    wanted = module.state_dict()
    for key, tensor in wanted.items():
        if key not in weights:
            faults.append(f"{key} is missing")
        elif weights[key].shape != tensor.shape:
            faults.append(f"{key} is {tuple(weights[key].shape)} and must be {tuple(tensor.shape)}")
        elif weights[key].is_floating_point() != tensor.is_floating_point():
            faults.append(f"{key} holds {weights[key].dtype}")
        elif not bool(torch.isfinite(weights[key]).all()):
            faults.append(f"{key} {_NOT_FINITE}")
    return faults + [f"{key} has no place" for key in weights if key not in wanted]
