"""The contract between a training objective and the loop.

A method is an `nn.Module` that owns its networks, says which tensors it wants from a film, and turns a batch into a
loss. The loop in `trainer.py` knows nothing else; supervised fine-tuning of a head meets the same contract.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, runtime_checkable

import numpy as np
from torch import Tensor, nn

from hilum.transforms.place import Place


@dataclass(frozen=True)
class Output:
    """What one forward pass gives the loop."""

    loss: Tensor  # scalar, mean over the samples of the micro-batch
    scalars: Mapping[str, Tensor] = field(default_factory=dict)  # detached scalars for the log


@dataclass(frozen=True)
class Optimisation:
    """What a method asks of the optimizer beyond the run's settings; parts of parameter names decide."""

    lr_scales: Mapping[str, float] = field(default_factory=dict)  # name part -> learning-rate multiplier
    frozen_until: Mapping[str, float] = field(default_factory=dict)  # name part -> share of the run without a step
    no_decay: frozenset[str] = frozenset()  # last names without weight decay, besides vectors and biases


@runtime_checkable
class Views(Protocol):
    """From one stored film to the tensors a method wants; every random draw comes from `rng`, nothing else."""

    def __call__(self, film: np.ndarray, rng: np.random.Generator) -> dict[str, Tensor]:
        """Turn a film (H, W) uint8 into named tensors; the loader stacks them over the batch."""
        ...


@runtime_checkable
class ReportViews(Protocol):
    """The same for methods that read: `text` is the chosen sections of the film's report, "" where it has none."""

    def __call__(self, film: np.ndarray, rng: np.random.Generator, text: str) -> dict[str, Tensor]:
        """Turn a film (H, W) uint8 and its report into named tensors; the loader stacks them over the batch."""
        ...


@runtime_checkable
class TruthViews(Protocol):
    """The same where the places on a film are learned: `truth` goes through the same crop, turn and flip."""

    def __call__(self, film: np.ndarray, rng: np.random.Generator, truth: np.ndarray) -> dict[str, Tensor]:
        """Turn a film (H, W) uint8 and its masks (C, H, W) or boxes (M, 5) into tensors of fixed shapes."""
        ...


@runtime_checkable
class PlacedViews(Protocol):
    """The same for methods that share a draw over a batch: `place` is the film's place among those that share it."""

    draws_over: Literal["batch", "device"]  # who shares: the global batch, or one device's part of it

    def __call__(self, film: np.ndarray, rng: np.random.Generator, place: Place | None = None) -> dict[str, Tensor]:
        """Turn a film (H, W) uint8 into named tensors; the loader stacks them over the batch."""
        ...


@runtime_checkable
class Method(Protocol):
    """What the loop calls. `config` is a frozen dataclass defined at the top of the method's own file.

    Optional: `optimisation`, an `Optimisation`; `warnings(scalars)`, sentences for the log about a step's numbers.
    A method that reads reports says so by a class attribute `reads_reports = True`, is built as `(config, tokenizer)`
    and gives `ReportViews`; its `clock`, a `StageClock`, tells the log where a step's time went.
    """

    config: Any
    backbone: nn.Module  # what survives pretraining

    def views(self) -> Views | ReportViews | TruthViews | PlacedViews:
        """The transform a training film goes through."""
        ...

    def __call__(self, batch: Mapping[str, Any], progress: float) -> Output:
        """Loss of one micro-batch; `progress` in [0, 1] is the share of the run that is done."""
        ...

    def before_step(self, progress: float) -> None:
        """Called after backward and clipping, before the optimizer step (DINO freezes its last layer here)."""
        ...

    def after_step(self, progress: float) -> None:
        """Called after the optimizer step (an EMA teacher moves here)."""
        ...
