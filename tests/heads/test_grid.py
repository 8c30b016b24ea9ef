"""A grid of heads is the same as its heads trained one by one, and its choice follows the rule."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from hilum.errors import ConfigError, DivergedError, ManifestError
from hilum.heads.chexfound_probe import CheXFoundProbeConfig
from hilum.heads.choose import macro_auroc
from hilum.heads.glori import GLoRIConfig, GLoRIHead
from hilum.heads.grid import GridSettings, _Grid, build_head, train_grid, train_head
from hilum.heads.inputs import Features, InMemory, Joined, of_epoch
from hilum.heads.taps import Taps
from hilum.heads.targets import LossName, target_loss

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


@pytest.mark.parametrize("loss", ["class-balanced", "asymmetric"])
def test_other_losses_are_those_of_each_head_alone(loss: LossName) -> None:
    train, val = problem(), problem(seed=1)
    settings = GridSettings(lrs=LRS, epochs=3, batch_size=16, loss=loss, smoothing=0.1)
    result = train_grid("linear", train, val, settings)
    for row, lr in zip(result.table, LRS, strict=True):
        assert row == pytest.approx(train_grid("linear", train, val, replace(settings, lrs=(lr,))).table[0], abs=1e-6)
    plain = train_grid("linear", train, val, replace(settings, loss="bce"))
    assert plain.table[0]["loss"] != pytest.approx(result.table[0]["loss"], rel=0.01)


@pytest.mark.parametrize("kind", ["linear", "mlp"])
def test_blank_labels_teach_no_head_of_the_grid(kind: str) -> None:
    """A blank is not a negative: to every head, not only to the first as in a released loop."""
    x, y = problem()
    settings = GridSettings(lrs=LRS, epochs=2, batch_size=60)
    blank = torch.zeros(len(y), dtype=torch.bool)
    blank[::2] = True
    y[:, 2] = (x[:, 0] > 0).double()
    as_blank = torch.where(blank[:, None] & (torch.arange(3) == 2), math.nan, y)
    grids = [
        _Grid(kind, InMemory(x), table, settings, settings.objective(table))
        for table in (as_blank, as_blank.nan_to_num(0.0))
    ]
    for grid in grids:
        list(grid.epochs())
    for head, lr in enumerate(LRS):
        blanks, negatives = (grid.weights(head)["classify.weight"] for grid in grids)
        assert not torch.allclose(blanks[2], negatives[2], rtol=1e-3)
        by_hand = train_one(kind, lr, settings, x, as_blank)["classify.weight"]
        torch.testing.assert_close(blanks, by_hand, rtol=0, atol=1e-6)


def test_validation_loss_may_choose_and_rates_may_stay() -> None:
    train, val = problem(120), problem(60, seed=1)
    rows: list[dict[str, float]] = []
    settings = GridSettings(lrs=LRS, epochs=6, select="loss", decay="constant", smoothing=0.1)
    result = train_grid("linear", train, val, settings, on_epoch=rows.append)
    assert result.value == max(v for row in rows for k, v in row.items() if k.startswith("val/negative_loss/lr_"))
    with torch.no_grad():
        assert float(target_loss(result.head(val[0]), val[1])) == pytest.approx(-result.value, rel=1e-9)
    grid = _Grid("linear", InMemory(train[0]), train[1], settings, settings.objective(train[1]))
    list(grid.epochs())
    assert [group["lr"] for group in grid.optimizer.param_groups] == grid.peaks


def test_inputs_may_change_by_epoch() -> None:
    (x, y), val = problem(), problem(seed=1)
    asked: list[int] = []

    class Changing(InMemory):
        def at_epoch(self, epoch: int) -> InMemory:
            asked.append(epoch)
            return InMemory(self.batch(torch.arange(len(self))) + epoch)  # type: ignore[operator]

    settings = GridSettings(lrs=LRS, epochs=3, batch_size=30)
    changed = train_grid("linear", (Changing(x), y), val, settings)
    assert asked == [0, 1, 2]
    assert changed.table[0]["loss"] != train_grid("linear", (x, y), val, settings).table[0]["loss"]
    joined = Joined(Changing(x[:30]), InMemory(x[30:]))
    torch.testing.assert_close(of_epoch(joined, 1).batch(torch.tensor([0, 40])), torch.stack([x[0] + 1, x[40]]))


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


def tokens(n: int = 40, *, seed: int = 0) -> tuple[Taps, Tensor]:
    """Films of 6 tokens (two blocks of 4 channels); a finding is a bump in one token; float64."""
    rng = np.random.default_rng(seed)
    patches, y = rng.normal(size=(n, 6, 8)), (rng.random((n, 2)) < 0.5).astype(float)
    for finding in range(2):
        patches[np.arange(n), rng.integers(0, 6, n), finding] += 4 * y[:, finding]
    y[rng.random((n, 2)) < 0.1] = np.nan
    return Taps(torch.tensor(patches.mean(axis=1)), torch.tensor(patches)), torch.tensor(y)


GLORI = GLoRIConfig(blocks=2, dim=8, heads=2, feedforward=16)
TOKEN_HEADS = [("glori", GLORI), ("chexfound-probe", CheXFoundProbeConfig(blocks=2))]


@pytest.mark.parametrize(("kind", "config"), TOKEN_HEADS, ids=["glori", "chexfound-probe"])
def test_token_heads_train_together_as_alone_with_dropout(kind: str, config: Any) -> None:
    train, val = tokens(), tokens(seed=1)
    settings = GridSettings(lrs=LRS, epochs=3, batch_size=16)
    result = train_grid(kind, train, val, settings, config=config)
    for row, lr in zip(result.table, LRS, strict=True):
        alone = train_grid(kind, train, val, replace(settings, lrs=(lr,)), config=config)
        assert row == pytest.approx(alone.table[0], abs=1e-9)


def test_glori_finds_a_sign_in_one_token() -> None:
    settings = GridSettings(lrs=(1e-2,), epochs=15, batch_size=32)
    result = train_grid("glori", tokens(200), tokens(100, seed=1), settings, config=GLORI)
    assert result.value > 0.9


class Counting(InMemory):
    """Inputs that are not in memory, as far as the grid can see; remembers how many films were asked for at once."""

    def __init__(self, features: Features) -> None:
        super().__init__(features)
        self.asked: list[int] = []

    def batch(self, rows: Tensor) -> Features:
        self.asked.append(len(rows))
        return super().batch(rows)


@pytest.mark.parametrize(("kind", "config"), [*TOKEN_HEADS, ("linear", None), ("mlp", None)])
def test_wherever_the_features_lie_the_head_is_the_same(kind: str, config: Any) -> None:
    train, val = (tokens(seed=s) if config else problem(seed=s) for s in (0, 1))
    settings = GridSettings(lrs=LRS, epochs=2, batch_size=16)
    memory = train_grid(kind, train, val, settings, config=config)
    far = [Counting(features) for features, _ in (train, val)]
    streamed = train_grid(kind, (far[0], train[1]), (far[1], val[1]), settings, config=config)
    assert memory.table == streamed.table
    if config:
        assert max(far[1].asked) <= 16  # tokens are never asked for all at once


def test_heads_that_do_not_fit_together_are_trained_in_groups(monkeypatch: pytest.MonkeyPatch) -> None:
    train, val = tokens(), tokens(seed=1)
    settings = GridSettings(lrs=LRS, epochs=2, batch_size=16)
    together = train_grid("glori", train, val, settings, config=GLORI)
    passes = []
    forward = GLoRIHead.forward
    monkeypatch.setattr(GLoRIHead, "forward", lambda head, taps: passes.append(1) or forward(head, taps))
    train_grid("glori", train, val, settings, config=GLORI)
    whole = len(passes)
    monkeypatch.setattr("hilum.heads.grid.HELD", 1)
    apart = train_grid("glori", train, val, settings, config=GLORI)
    assert len(passes) - whole == 3 * whole
    for one, other in zip(together.table, apart.table, strict=True):
        assert one == pytest.approx(other, abs=1e-9)


def test_dropout_leaves_the_global_generator_alone_and_repeats() -> None:
    train, val = tokens(), tokens(seed=1)
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    settings = GridSettings(lrs=LRS, epochs=2, batch_size=16)
    tables = [train_grid("glori", train, val, settings, config=GLORI).table for _ in range(2)]
    torch.testing.assert_close(torch.rand(3), expected)
    assert tables[0] == tables[1]
    other = train_grid("glori", train, val, replace(settings, seed=1), config=GLORI)
    assert other.table != tables[0]


def test_one_head_to_the_end_of_its_epochs() -> None:
    train, val = problem(), problem(seed=1)
    settings = GridSettings(lrs=(1e-2,), epochs=1, batch_size=16)
    chosen = train_grid("linear", train, val, settings).head  # after one epoch the last weights are the best
    losses: list[dict[str, float]] = []
    head = train_head("linear", train, settings, on_epoch=losses.append)
    for one, other in zip(head.state_dict().values(), chosen.state_dict().values(), strict=True):
        assert torch.equal(one, other)
    assert [row["epoch"] for row in losses] == [1]


def test_a_warm_start_goes_on_from_weights_and_statistics() -> None:
    train = problem()
    moved = (train[0] + 100, train[1])
    first = train_head("linear", train, GridSettings(lrs=(1e-2,), epochs=3, batch_size=16))
    tiny = GridSettings(lrs=(1e-12,), epochs=1, batch_size=16)
    again = train_head("linear", moved, tiny, start=first.state_dict())
    for one, other in zip(first.state_dict().values(), again.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-9)
    with pytest.raises(DivergedError, match="not finite"):
        train_head("linear", (train[0] * math.nan, train[1]), tiny)


@dataclass(frozen=True)
class Distance:
    """An objective that is no classification: two numbers a film against one, by squared distance."""

    name: str = "minus_distance"
    outputs: int = 2

    def check(self, targets: Tensor) -> None:
        """Anything can be chosen by."""

    def loss(self, logits: Tensor, targets: Tensor) -> Tensor:
        return (logits.sum(dim=-1) - targets[:, 0]).square().mean(dim=-1)

    def value(self, logits: Tensor, targets: Tensor) -> float | None:
        return -float(self.loss(logits, targets))

    def scores(self, logits: Tensor) -> Tensor:
        return logits.sum(dim=-1, keepdim=True)


def test_another_objective_decides_outputs_loss_and_choice() -> None:
    (x, _), (x_val, _) = problem(200), problem(100, seed=1)
    targets = [(part / part.std(dim=0)).sum(dim=1, keepdim=True) for part in (x, x_val)]
    rows: list[dict[str, float]] = []
    settings = GridSettings(lrs=(1e-3, 1e-1), epochs=20, batch_size=32)
    result = train_grid(
        "linear", (x, targets[0]), (x_val, targets[1]), settings, objective=Distance(), on_epoch=rows.append
    )
    assert (result.lr, set(result.table[0])) == (1e-1, {"lr", "epoch", "minus_distance", "loss"})
    assert result.value == rows[-1]["val/minus_distance_best"] > -0.5
    assert result.head(x).shape == (200, 2)


@pytest.mark.parametrize("kind", ["linear", "glori"])
def test_every_head_of_the_grid_ignores_unknown_labels(kind: str) -> None:
    """The released loop overwrote ignored labels after its first head, so all others learned them as negatives."""
    config = GLORI if kind == "glori" else None
    train, val = tokens() if config else problem(), tokens(seed=1) if config else problem(seed=1)
    settings = GridSettings(lrs=LRS, epochs=2, batch_size=16)
    ignored = train_grid(kind, train, val, settings, config=config)
    as_negatives = train_grid(kind, (train[0], train[1].nan_to_num(0.0)), val, settings, config=config)
    assert train[1].isnan().any()
    for index, lr in enumerate(LRS):
        alone = train_grid(kind, train, val, replace(settings, lrs=(lr,)), config=config)
        assert ignored.table[index] == pytest.approx(alone.table[0], abs=1e-9)
        assert abs(ignored.table[index]["loss"] - as_negatives.table[index]["loss"]) > 1e-5
