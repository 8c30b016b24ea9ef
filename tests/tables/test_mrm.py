"""MRM's tables by the protocol of its fact sheet, section 8; expected values are written from the sheet."""

from __future__ import annotations

import pytest

from hilum.losses.segmentation import CONVENTIONS
from hilum.transforms.augmentations import CropFlip, augmentation
from tests.tables.protocols import IMAGENET, differing, job, resolved, table

FINE_TUNING = {
    "mode": "finetune",
    "pool": "mean",  # of the 196 patch tokens -> LayerNorm -> Linear
    "head": "linear",
    "head_set": {"init_std": 2e-5},
    "drop_path": 0.1,
    "train_positions": True,
    "optimizer": "sgd",
    "momentum": 0.9,
    "weight_decay": 0.0,
    "layer_decay": 1.0,  # one lr for all params
    "batch_size": 96,
    "decay": "cosine",
    "clip_norm": 1.0,
    "loss": "bce",
    "label_smoothing": 0.0,
    "mixup": 0.0,
    "augment": "mrm",
    "select": "auroc",
    "evaluate_every": 1.0,  # validated once per epoch
    "fraction_unit": "image",
    "start": "fresh",
}
RATES = {  # data set, share -> warm-up, steps, lr
    ("mrm-table-2", "Average", "1 %"): (0.01, 50, 3_000, 3e-2),
    ("mrm-table-2", "Average", "10 %"): (0.1, 500, 30_000, 3e-3),
    ("mrm-table-2", "Hernia", "100 %"): (1.0, 5_000, 200_000, 3e-3),
    ("mrm-table-1", "RSNA 1 %", ""): (0.01, 50, 2_000, 3e-3),
    ("mrm-table-1", "RSNA 10 %", ""): (0.1, 200, 10_000, 5e-4),
    ("mrm-table-1", "RSNA 100 %", ""): (1.0, 2_000, 50_000, 5e-4),
    ("mrm-table-1", "CheXpert 1 %", ""): (0.01, 150, 2_000, 3e-3),
    ("mrm-table-1", "CheXpert 10 %", ""): (0.1, 1_500, 60_000, 5e-4),
    ("mrm-table-1", "CheXpert 100 %", ""): (1.0, 15_000, 200_000, 5e-4),
    ("mrm-table-3", "COVID-19 vs. Others", ""): (1.0, 50, 1_000, 3e-2),
    ("mrm-table-3", "Viral vs. Bacterial", ""): (1.0, 50, 1_000, 3e-2),
    ("mrm-table-4", "1 %", ""): (0.01, 50, 3_000, 3e-2),
    ("mrm-table-5", "10 %", "a: fusion"): (0.1, 500, 30_000, 3e-3),
}
SEGMENTATION = {
    "head": "upernet",
    "width": 768,
    "auxiliary_width": 256,
    "dropout": 0.1,
    "size": 512,
    "resize": "pad",
    "flip": 0.5,
    "crop": 1.0,
    "rotate": 0.0,
    "loss": "focal-dice",
    "optimizer": "adamw",
    "weight_decay": 0.05,
    "layer_decay": 0.65,
    "drop_path": 0.1,
    "layer_scale": 1.0,
    "decay": "poly",
    "batch_size": 8,  # 2 images x 4 GPUs
    "precision": "fp16",
    "select": "all",  # best by validation dice, normals included
    "threshold": "given",  # argmax
}


@pytest.mark.parametrize("place", RATES, ids=str)
def test_fine_tuning_is_the_sheets(place: tuple[str, str, str]) -> None:
    name, column, setting = place
    share, warmup, steps, lr = RATES[place]
    expected = {**FINE_TUNING, "fraction": share, "steps": steps, "warmup": warmup / steps, "lrs": (lr,)}
    assert not differing(resolved(name, column, setting), expected)


def test_augmentation_is_torchvisions_default_crop_and_a_flip() -> None:
    view = augmentation("mrm", IMAGENET)
    assert isinstance(view, CropFlip)
    assert (view.scale, view.flip, view.interpolation) == ((0.08, 1.0), 0.5, "bilinear")


@pytest.mark.parametrize(("share", "fraction", "steps", "warmup", "every"), [
    ("10 %", 0.1, 5_000, 100, 50),
    ("100 %", 1.0, 160_000, 1_500, 500),
])  # fmt: skip
def test_segmentation_is_the_sheets(share: str, fraction: float, steps: int, warmup: int, every: int) -> None:
    expected = {
        **SEGMENTATION,
        "fraction": fraction,
        "steps": steps,
        "warmup_steps": warmup,
        "evaluate_every": every,
        "lr": 2e-5,
    }
    assert not differing(resolved("mrm-table-1", f"SIIM {share}"), expected)
    loss = CONVENTIONS["focal-dice"]
    assert (loss.focal, loss.gamma, loss.alpha, loss.dice, loss.smooth) == (2.0, 2.0, 0.5, 1.0, 1.0)
    assert (loss.maps, loss.squared, loss.classes) == (2, True, 2)


def test_data_and_findings() -> None:
    assert resolved("mrm-table-1", "CheXpert 1 %").labels == (
        *("Atelectasis", "Cardiomegaly", "Consolidation", "Edema", "Effusion"),
    )
    assert len(resolved("mrm-table-2", "Average", "1 %").labels) == 14
    assert job("mrm-table-3", "Viral vs. Bacterial").data == "covid-viral-bacterial"
    assert {table(f"mrm-table-{n}").seeds for n in range(1, 6)} == {(42, 43, 44)}
    assert resolved("mrm-table-2", "Average", "1 %", seed=43).seed == 43


def test_rows_of_the_ablations_name_the_parts_of_the_recipe() -> None:
    rows = {row.method: row.encoder for row in table("mrm-table-5").rows}
    assert rows == {
        "GAP": "mrm-whole",
        "GMP": "mrm-max-pool",
        "75 %": "mrm-whole",
        "50 %": "mrm-half-hidden",
        "0 %": "mrm-nothing-hidden",
        "1": "mrm-whole",
        "2": "mrm-lambda-2",
        "0.5": "mrm-lambda-half",
    }
