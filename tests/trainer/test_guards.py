"""Non-finite losses and gradients, full disks: what the loop does when things go wrong."""

from __future__ import annotations

import errno
from collections.abc import Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from hilum import checkpoint as ckpt
from hilum.checkpoint import checkpoints, load_checkpoint
from hilum.config import TrainSettings
from hilum.errors import DivergedError, UserError
from hilum.films import FilmStore
from hilum.manifest import Manifest
from hilum.methods.method import Output
from hilum.run_folder import RunFolder
from hilum.trainer import TrainingFilms, fit


class Slope(nn.Module):
    """The smallest method: predict the mean grey of a film from one weight; poisoned at chosen calls."""

    def __init__(self, poison: Mapping[int, str] | None = None) -> None:
        super().__init__()
        self.backbone = nn.Linear(1, 1)
        self.backbone.config = SimpleNamespace(depth=1)  # type: ignore[assignment]
        self.poison, self.calls = dict(poison or {}), 0

    def views(self) -> Any:
        return lambda film, rng: {"image": torch.from_numpy(film)[None]}

    def forward(self, batch: Mapping[str, Any], progress: float) -> Output:
        self.calls += 1
        grey = batch["image"].float().mean(dim=(1, 2, 3))[:, None] / 255
        loss = (self.backbone(torch.ones_like(grey)) - grey).square().mean()
        kind = self.poison.get(self.calls)
        if kind == "loss":
            loss = loss * float("inf")
        if kind == "gradient":  # the loss is fine, its gradient is not: d sqrt(x) at 0
            loss = loss + (self.backbone.weight * 0.0).sum().sqrt()
        return Output(loss)

    def before_step(self, progress: float) -> None: ...

    def after_step(self, progress: float) -> None: ...


def train(method: Slope, data: Path, out: Path, **settings: Any) -> RunFolder:
    manifest = Manifest.read(data).select(split="train")
    films = TrainingFilms(FilmStore(manifest, quiet=True), manifest.table["image_id"].tolist())
    run = RunFolder(out)
    run.start({})
    values = {"batch_size": 4, "max_steps": 8, "save_every": 2, "lr": 0.1, "warmup": 0.0, **settings}
    fit(method, films, TrainSettings(**values), run, describe={"kind": "method"})
    return run


@pytest.mark.parametrize("kind", ["loss", "gradient"])
def test_a_bad_step_is_skipped_and_its_films_are_named(kind: str, tiny_data: Path, tmp_path: Path) -> None:
    run = train(Slope({4: kind}), tiny_data, tmp_path / "run", save_every=1, keep_checkpoints=9)
    skipped = [record for record in run.metrics() if "skipped" in record]
    assert [record["step"] for record in skipped] == [4]
    assert len(skipped[0]["skipped"]) == 4
    assert set(skipped[0]["skipped"]) <= set(Manifest.read(tiny_data).table["image_id"])
    names = [path.name for path in checkpoints(run.path)]
    assert "step-00000004" not in names  # a skipped step is no checkpoint: step 3 holds the same weights
    steps = [record["step"] for record in run.metrics() if "loss" in record]
    assert steps == [1, 2, 3, 5, 6, 7, 8]


def test_a_skipped_step_leaves_the_weights_bit_for_bit(tiny_data: Path, tmp_path: Path) -> None:
    poisoned = Slope({4: "gradient"})
    train(poisoned, tiny_data, tmp_path / "poisoned", max_steps=4, save_every=3, min_lr=0.1)
    good = checkpoints(tmp_path / "poisoned")[-1]
    before, _ = load_checkpoint(good if good.name.endswith("3") else checkpoints(tmp_path / "poisoned")[-2])
    assert torch.equal(poisoned.backbone.weight, before["backbone.weight"])
    assert torch.equal(poisoned.backbone.bias, before["backbone.bias"])


def test_three_bad_steps_roll_back_once_then_stop_with_the_reason(
    tiny_data: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    # calls 4, 5, 6 fail; after the roll-back to step 2 the run goes through
    recovered = train(Slope({4: "loss", 5: "loss", 6: "gradient"}), tiny_data, tmp_path / "recovers")
    assert [record["step"] for record in recovered.metrics() if "loss" in record][-1] == 8
    assert "rolled back to step-00000002" in caplog.text

    poison = dict.fromkeys(range(4, 100), "loss")
    with pytest.raises(DivergedError, match="again after a roll-back") as stop:
        train(Slope(poison), tiny_data, tmp_path / "stops")
    assert "train.log" in str(stop.value)
    weights, _ = load_checkpoint(checkpoints(tmp_path / "stops")[-1])
    assert all(torch.isfinite(tensor).all() for tensor in weights.values())


def test_a_full_disk_leaves_the_previous_checkpoint_whole(
    tiny_data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real, calls = ckpt.save_file, 0

    def full_after_two(tensors: Any, path: Path, metadata: Any = None) -> None:
        nonlocal calls
        calls += 1
        if calls > 6:  # the first two checkpoints fit (model, optimizer, average; random is the fourth file)
            path.write_bytes(b"half")
            raise OSError(errno.ENOSPC, "No space left on device")
        real(tensors, path, metadata)

    monkeypatch.setattr(ckpt, "save_file", full_after_two)
    with pytest.raises(UserError, match="No space left") as error:
        train(Slope(), tiny_data, tmp_path / "run")
    assert "Free disk space" in str(error.value)
    whole = checkpoints(tmp_path / "run")
    assert [path.name for path in whole] == ["step-00000000"]
    load_checkpoint(whole[-1])
    assert not list((tmp_path / "run" / "checkpoints").glob(".*"))


@pytest.mark.parametrize(("lowest", "kept"), [(True, 4), (False, 6)])
def test_the_best_weights_have_the_lowest_or_the_highest_number(
    tiny_data: Path, tmp_path: Path, lowest: bool, kept: int
) -> None:
    manifest = Manifest.read(tiny_data).select(split="train")
    films = TrainingFilms(FilmStore(manifest, quiet=True), manifest.table["image_id"].tolist())
    run = RunFolder(tmp_path / "run")
    run.start({})
    numbers = {2: 0.5, 4: 0.2, 6: 0.9, 8: 0.7}
    at = fit(
        Slope(),
        films,
        TrainSettings(batch_size=4, max_steps=8, save_every=2, lr=0.1, warmup=0.0),
        run,
        describe={"kind": "method"},
        evaluators=(lambda method, step: {"val/loss": numbers[step]},),
        keep_best="val/loss",
        keep_lowest=lowest,
    )
    assert (at.best, at.best_step) == (numbers[kept], kept)
    assert (run.path / "checkpoints" / "best").is_dir()
