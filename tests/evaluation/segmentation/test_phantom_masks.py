"""The learning bar: masks of the phantom from random weights, in minutes on two cores."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from hilum.datasets.phantom import write_phantom
from hilum.encoder import Encoder
from hilum.evaluation.features import Runner
from hilum.evaluation.segmentation.judge import judge_masks
from hilum.evaluation.segmentation.plan import Options, make_plan
from hilum.evaluation.segmentation.run import run_segmentation
from hilum.models.resnet import ResNet, ResNetConfig
from hilum.schema import Preprocessing

FINDINGS = ("Effusion", "Cardiomegaly")


def small_encoder(folder: Path) -> Path:
    """A ResNet of four blocks: from random weights it learns where a Vision Transformer of minutes does not yet."""
    torch.manual_seed(0)
    sizes = ResNetConfig(image_size=128, enlarged=128, channels=1, stem=16, planes=16, blocks=(1, 1, 1, 1))
    grey = Preprocessing(size=128, channels=1, mean=(0.5,), std=(0.25,))
    return Encoder(ResNet(sizes), grey, {"method": "none"}).save(folder)


@pytest.mark.slow
def test_masks_of_the_phantom_are_learned(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Dice of films with the finding at least 0.5; and, as the mean mask reaches that too, pooled Dice above its."""
    data = write_phantom(tmp_path / "data", patients=500, size=128, seed=5, progress=False)
    encoder = small_encoder(tmp_path / "encoder")
    options = Options(
        str(encoder), str(data), FINDINGS, views=("PA", "AP"), width=32, auxiliary_width=16, batch_size=16, steps=600,
        evaluate_every=50, lr=1e-3, weights="random", drop_path=0.0, rotate=5.0, flip=0.0, balance=True,
    )  # fmt: skip
    runner = Runner(device="cpu", quiet=True)
    run_segmentation(make_plan(options), tmp_path / "run", runner=runner)
    judged = judge_masks(str(tmp_path / "run"), str(data), draws=200, runner=runner)
    with capsys.disabled():
        print("", *judged.lines, sep="\n")  # noqa: T201
    macro = judged.results["macro"]
    assert macro["dice_positive"]["model"]["value"] >= 0.5
    assert macro["dice_pooled"]["blind"]["mean_mask"]["difference"]["low"] > 0
