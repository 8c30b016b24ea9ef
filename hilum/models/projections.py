"""The layers that carry a feature into the joint space: one kind for each family of published encoders.

| kind | layers | whose |
|---|---|---|
| none | the feature as it is | MaCo's, GLoRIA's reports |
| linear | one linear layer | MaCo's films |
| matrix | the same without bias | CLIP, BiomedCLIP's films, GLoRIA's cells |
| mlp | linear, norm, ReLU, linear, norm without factor and offset | MGCA, MedIM |
| conv-mlp | linear without bias, norm, ReLU, linear | BioViL's cells (convolutions of width 1) |
| dense-norm | linear, GELU, layer norm, linear | CXR-BERT |
| gelu-mlp | matrix, GELU, matrix | BiomedCLIP's reports |

All work on the last axis, so a vector, a list of words and a list of cells are one case; a convolution of width 1 is a
linear layer whose weight has lost its axes of length 1. Norms without a word more are batch norms.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, Literal

from torch import nn

from hilum.models.batch_norm import BatchNorm
from hilum.models.onednn import Linear

HeadKind = Literal["none", "linear", "matrix", "mlp", "conv-mlp", "dense-norm", "gelu-mlp"]
CXR_BERT_EPS: Final = 1e-12  # of dense-norm's layer norm: BERT's


def projection(kind: HeadKind, width: int, hidden: int, dim: int, *, sync: bool = True) -> nn.Module:
    """A projection with random weights: (..., width) -> (..., dim).

    Args:
        kind: a line of the table above.
        width: features that come in; "none" leaves them as they are.
        hidden: features between the layers, where there are several.
        dim: features of the joint space.
        sync: batch statistics over all devices in training.
    """
    return KINDS[kind](width, hidden, dim, sync)


def _none(width: int, hidden: int, dim: int, sync: bool) -> nn.Module:
    return nn.Identity()


def _linear(width: int, hidden: int, dim: int, sync: bool) -> nn.Module:
    return Linear(width, dim)


def _matrix(width: int, hidden: int, dim: int, sync: bool) -> nn.Module:
    return Linear(width, dim, bias=False)


def _mlp(width: int, hidden: int, dim: int, sync: bool) -> nn.Module:
    return nn.Sequential(
        Linear(width, hidden),
        BatchNorm(hidden, axis=-1, sync=sync),
        nn.ReLU(inplace=True),
        Linear(hidden, dim),
        BatchNorm(dim, axis=-1, affine=False, sync=sync),
    )


def _conv_mlp(width: int, hidden: int, dim: int, sync: bool) -> nn.Module:
    return nn.Sequential(
        Linear(width, hidden, bias=False),
        BatchNorm(hidden, axis=-1, sync=sync),
        nn.ReLU(inplace=True),
        Linear(hidden, dim),
    )


def _dense_norm(width: int, hidden: int, dim: int, sync: bool) -> nn.Module:
    return nn.Sequential(Linear(width, hidden), nn.GELU(), nn.LayerNorm(hidden, eps=CXR_BERT_EPS), Linear(hidden, dim))


def _gelu_mlp(width: int, hidden: int, dim: int, sync: bool) -> nn.Module:
    return nn.Sequential(Linear(width, hidden, bias=False), nn.GELU(), Linear(hidden, dim, bias=False))


KINDS: Final[Mapping[HeadKind, Callable[[int, int, int, bool], nn.Module]]] = {
    "none": _none,
    "linear": _linear,
    "matrix": _matrix,
    "mlp": _mlp,
    "conv-mlp": _conv_mlp,
    "dense-norm": _dense_norm,
    "gelu-mlp": _gelu_mlp,
}
