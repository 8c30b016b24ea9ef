"""A grid of heads is the same as its heads trained one by one, and its choice follows the rule."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.errors import ConfigError, ManifestError
from hilum.heads.choose import macro_auroc
from hilum.heads.grid import GridSettings, build_head, train_grid
from hilum.heads.targets import target_loss

LRS = (1e-3, 1e-2, 1e-1)


def problem(n: int = 60, *, seed: int = 0, multiclass: bool = False) -> tuple[Tensor, Tensor]:
    """Features (n, 8) with signal for 3 findings, a fifth of the labels unknown; float64."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 8)) * np.geomspace(0.1, 100, 8)
    z = (x / np.geomspace(0.1, 100, 8)) @ np.random.default_rng(99).normal(size=(8, 3)) + rng.normal(size=(n, 3))
    if multiclass:
        return torch.tensor(x), torch.eye(3, dtype=torch.float64)[torch.tensor(z.argmax(1))]
    y = (z > 0.5).astype(float)
    y[rng.random((n, 3)) < 0.2] = np.nan
    return torch.tensor(x), torch.tensor(y)


def train_one(kind: str, lr: float, settings: GridSettings, features: Tensor, targets: Tensor) -> dict[str, Tensor]:
    """One head, trained the plain way, to the end: the oracle of the grid."""
    known = ~targets.isnan().all(dim=1)
    features, targets = features[known], targets[known]
    head = build_head(kind, features.shape[1], targets.shape[1], seed=settings.seed).double()
    head.get_submodule("standardise").fit(features)  # type: ignore[operator]
    decay = [p for p in head.parameters() if p.ndim > 1]
    plain = [p for p in head.parameters() if p.ndim < 2]
    optimizer = torch.optim.AdamW(
        [{"params": decay, "weight_decay": settings.weight_decay}, {"params": plain, "weight_decay": 0.0}],
        lr=lr,
    )
    order, step = torch.Generator().manual_seed(settings.seed), 0
    steps = settings.epochs * math.ceil(len(features) / settings.batch_size)
    for _ in range(settings.epochs):
        shuffled = torch.randperm(len(features), generator=order)
        for start in range(0, len(features), settings.batch_size):
            rows = shuffled[start : start + settings.batch_size]
            for group in optimizer.param_groups:
                group["lr"] = lr / 2 * (1 + math.cos(math.pi * step / steps))
            optimizer.zero_grad()
            target_loss(head(features[rows]), targets[rows], kind=settings.targets).backward()
            optimizer.step()
            step += 1
    return {name: value.detach() for name, value in head.named_parameters()}


@pytest.mark.parametrize("kind", ["linear", "mlp"])
@pytest.mark.parametrize("targets", ["multilabel", "multiclass"])
def test_grid_equals_training_each_rate_alone(kind: str, targets: str) -> None:
    train, val = (problem(seed=s, multiclass=targets == "multiclass") for s in (0, 1))
    settings = GridSettings(lrs=LRS, epochs=1, batch_size=16, seed=3, targets=targets)  # type: ignore[arg-type]
    result = train_grid(kind, train, val, settings)
    for index, lr in enumerate(LRS):
        alone = train_grid(kind, train, val, GridSettings(**{**vars(settings), "lrs": (lr,)}))
        assert alone.table[0]["auroc"] == pytest.approx(result.table[index]["auroc"], abs=1e-6)
        assert alone.table[0]["loss"] == pytest.approx(result.table[index]["loss"], abs=1e-6)
        oracle = train_one(kind, lr, settings, *train)  # after one epoch the last weights are the best
        for name, value in alone.head.named_parameters():
            torch.testing.assert_close(value.detach(), oracle[name], rtol=0, atol=1e-6)
        if lr == result.lr:
            for name, value in result.head.named_parameters():
                torch.testing.assert_close(value.detach(), oracle[name], rtol=0, atol=1e-6)


def test_many_epochs_end_where_training_alone_ends() -> None:
    train, val = problem(), problem(seed=1)
    settings = GridSettings(lrs=LRS, epochs=7, batch_size=16)
    result = train_grid("linear", train, val, settings)
    for row, lr in zip(result.table, LRS, strict=True):
        alone = train_grid("linear", train, val, GridSettings(lrs=(lr,), epochs=7, batch_size=16)).table[0]
        assert row == pytest.approx(alone, abs=1e-6)


def test_the_best_rate_and_epoch_are_kept() -> None:
    train, val = problem(200), problem(100, seed=1)
    rows: list[dict[str, float]] = []
    result = train_grid("linear", train, val, GridSettings(lrs=LRS, epochs=10), on_epoch=rows.append)
    assert [row["epoch"] for row in rows] == list(range(1, 11))
    seen = [(-row[f"val/auroc/lr_{lr:g}"], lr, row["epoch"]) for row in rows for lr in LRS]
    value, lr, epoch = min(seen)  # ties: the lower rate, then the earlier epoch
    assert (result.lr, result.epoch, result.value) == (lr, epoch, -value)
    with torch.no_grad():
        scores = result.head(val[0]).sigmoid().numpy()
    assert macro_auroc(val[1].numpy(), scores) == pytest.approx(result.value, abs=1e-12)
    assert rows[-1]["val/auroc_best"] == result.value > 0.8


def test_at_a_tie_the_lower_rate_and_the_earlier_epoch_win() -> None:
    x = torch.linspace(-1, 1, 40, dtype=torch.float64)[:, None]
    y = (x > 0).double()
    result = train_grid("linear", (x, y), (x, y), GridSettings(lrs=(0.1, 0.01), epochs=5, batch_size=8))
    assert (result.value, result.lr, result.epoch) == (1.0, 0.01, 1)


def test_repeatable_and_without_touching_the_global_generator() -> None:
    train, val = problem(), problem(seed=1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    results = [train_grid("mlp", train, val, GridSettings(lrs=LRS, epochs=3)) for _ in range(2)]
    torch.testing.assert_close(torch.rand(3), expected)
    assert results[0].table == results[1].table


def test_faults() -> None:
    train = problem()
    with pytest.raises(ManifestError, match=r"val split \(60 films\) has both classes of no finding"):
        train_grid("linear", train, (train[0], torch.zeros_like(train[1])), GridSettings())
    for wrong in ({"lrs": ()}, {"lrs": (0.1, -1.0)}, {"lrs": (0.1, 0.1)}, {"epochs": 0}, {"smoothing": 1.0}):
        with pytest.raises(ConfigError):
            GridSettings(**wrong)  # type: ignore[arg-type]
